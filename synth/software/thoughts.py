"""The words of the scripted agent: templates with alternatives and slots (`synth.draw`), by what it does."""

LOOK = (
    "[First|To begin with|Before anything else] an overview of the repository.",
    "I start with what there is.",
    "[Let me see|I want to see|Let's see] how the [repository|project] is laid out.",
    "Which files are there?",
)
SEARCH = (
    "The issue is about {public}. Where [do the tests use it|is it tested|is it used in tests]?",
    "{public} is the name to look for; tests that use it [will|should] show the problem.",
    "I [look|search] for {public} to find tests [close to|that are like] the report.",
    "[Which places mention|Who calls|Where is] {public}?",
)
RUN = (
    "These tests should show what the issue describes. I run {what}.",
    "Now {what}, to [see the failure with my own eyes|have it in front of me].",
    "I run {what} before I change anything.",
    "[Is it reproducible?|Does it fail here?|Can I see it, too?] {What} will tell.",
)
TEST = (
    "[What does `{test}` expect?|Let me read what `{test}` checks.]",
    "The failing test first: `{test}` in line {line}.",
    "Before I read the code: what `{test}` wants.",
    "`{clue}` - [what was being done|which call was that]? I look at the test.",
)
VIEW_FIRST = (
    "[Reproduced|It fails here, too]: {count}. Of the functions that failing tests call I read {function} first.",
    "The failure is there ({count}). The list of calls points to {function}.",
    "{count}, so it can be reproduced. {function} stands out among the calls; I look at it.",
    "{count}, as reported. What failing tests share is {function}; let me read it.",
    "`{clue}`: [that|this] could come from {function}.",
    "The tests say `{clue}`. {function} is [called by what fails|on the way]; I read it.",
)
VIEW_NEXT = (
    "[Nothing suspicious|Nothing] here that fits the report. Next is {function}.",
    "I see nothing [to change|wrong] in it. {function} is called by the failing tests as well.",
    "I do not see it here; on to {function}.",
    "[Nothing there that I would change.|This looks right.|That seems to be in order.] The next one is {function}.",
)
FIND = (
    "[Where exactly is {function} defined|Where does {function} begin]?",
    "I look up {function}.",
    "First the place of {function}.",
)
TRY = {
    "boundary": (
        "Line {line} compares with `{old}`; is the boundary itself meant? I try `{new}`.",
        "`{old}` in line {line} treats the limit wrongly, I think: `{new}`.",
        "At the limit `{old}` and `{new}` differ, and line {line} has the former. I change it.",
    ),
    "comparison": (
        "The test `{old}` in line {line} looks reversed. I try `{new}`.",
        "Line {line} compares with `{old}`. The report makes more sense to me with `{new}` there.",
        "Should line {line} ask for `{new}`, not `{old}`?",
    ),
    "arithmetic": (
        "Is `{old}` in line {line} right? It could be meant as `{new}`.",
        "The calculation in line {line} uses `{old}`. I try `{new}`.",
        "With `{new}` for `{old}` in line {line} the numbers might come out.",
    ),
    "boolean": (
        "Line {line} joins its conditions with `{old}`; maybe `{new}` is meant.",
        "The condition in line {line} has `{old}`. When it is true depends on that, so I try `{new}`.",
    ),
    "off_by_one": (
        "`{old}` in line {line} may be off by one: `{new}`.",
        "One more or one less in line {line}? I try `{new}` for `{old}`.",
        "Why `{old}` in line {line}? I would expect `{new}`.",
    ),
    "slice": (
        "The bound `{old}` in line {line} is one off, it seems: `{new}`.",
        "Line {line} cuts at `{old}`; `{new}` would keep another part, I try that.",
    ),
    "negated": (
        "The condition `{old}` in line {line} may be the wrong way round: `{new}`.",
        "Line {line} asks `{old}`; the branch could be meant for `{new}`.",
        "What if line {line} takes the wrong branch? I turn `{old}` into `{new}`.",
    ),
    "flag": (
        "`{old}` in line {line} would have to be `{new}` for this case, if I read it right.",
        "Line {line} sets `{old}`; what the report expects may need `{new}`.",
    ),
    "variable": (
        "Line {line} uses `{old}` where `{new}` seems to be meant.",
        "`{old}` in line {line} is the wrong variable, I suspect: `{new}`.",
        "Both `{old}` and `{new}` are at hand in line {line}; I try the other one.",
    ),
    "arguments": (
        "The arguments in line {line} look swapped: `{new}` instead of `{old}`.",
        "Line {line} passes `{old}`; another order would be `{new}`.",
        "In which order does the call in line {line} want its arguments? I try `{new}`.",
    ),
    "loop": (
        "`{old}` in line {line} may end too much or too little: `{new}`.",
        "In line {line} the loop could have to `{new}`, not `{old}`.",
    ),
    "return": (
        "Line {line} returns `{old}`. Nobody can use that; is `{new}` meant?",
        "What is made in this function never leaves it: line {line} should return `{new}`, I think.",
    ),
    "raise": (
        "Line {line} is a bare `{old}`: a check whose consequence is missing. I try `{new}`.",
        "The case is noticed in line {line} and then nothing happens. `{new}` belongs there.",
    ),
    "store": (
        "`{old}` in line {line} looks like a step that is missing. I try `{new}`.",
        "Something has to be done in line {line}, where only `{old}` stands; perhaps `{new}`.",
    ),
    "keyword": (
        "The call in line {line} does not hand everything on. I try `{new}`.",
        "A parameter does not arrive where it is needed, it seems; in line {line}: `{new}`.",
    ),
    "copy": (
        "Line {line} works on `{old}` itself, which others hold as well. I take `{new}`.",
        "Is the caller's object changed? `{new}` in line {line} would keep it apart.",
    ),
    "await": (
        "The call in line {line} gives a coroutine that nobody waits for: `{new}`.",
        "`{old}` in line {line} is not awaited, I try that.",
    ),
    "unit": (
        "`{old}` in line {line} could be one short: `{new}`.",
        "Does line {line} count from the right end? I try `{new}` for `{old}`.",
    ),
}
AGAIN = (
    "[Another idea|Second idea|Next idea]: {rest}",
    "[Then|So perhaps] something else. {rest}",
    "{rest}",
)
CHECK = (
    "Now the tests again.",
    "[Let me see|I want to see] whether that was it.",
    "I run them again.",
    "[Does that make them pass|Is that it|Better now]?",
)
LOOK_BACK = (
    "[How does it read now?|I look at the change in its place.]",
    "[A look at|Let me re-read] the changed lines.",
)
TAKE_BACK = (
    "That does not help{told}; I take it back.",
    "Still failing{told}, so that was not it. Back to what it was.",
    "[No.|That is not it.] I undo the change.",
    "The tests disagree{told}. I restore the line.",
)
PART = (
    "[Better|Fewer failures], {count} now, but not all. I keep the change and go on in the same function.",
    "That was one part of it: {count}. There must be a second place.",
)
WHOLE = (
    "They pass. All tests once more, so that nothing else broke.",
    "That was it. Now everything, to be sure.",
    "Green. The rest of the tests must stay so too.",
)
DONE = (
    "Fixed in {function}: line {line} had `{old}`, now it has `{new}`. {passed} tests pass.",
    "The cause was `{old}` in line {line} of {path} ({function}); with `{new}` all {passed} tests pass.",
    "{function} [used|had] `{old}` where `{new}` is right ({path}, line {line}). I changed it, and {passed} tests pass.",
    "[Done|Solved]. In {path}, line {line}, I put `{new}` in the place of `{old}`; [all|the] {passed} tests pass[ again|].",
    "It was line {line} of {path}: `{new}` instead of `{old}`. Tests: {passed} passed.",
)
DONE_PARTS = (
    "Two places in {function} were wrong: {parts}. {passed} tests pass.",
    "It took two changes in {path} ({function}): {parts}. All {passed} tests pass.",
)
