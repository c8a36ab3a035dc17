"""The words of issues and of the agent's thoughts: slots of a grammar, filled by `str.format`."""

TITLES = {
    "compared": (
        "{public} gives a wrong result",
        "Wrong result from {public}",
        "{package}: unexpected value from {public}",
        "Incorrect value returned by {public}",
        "{public} returns `{actual}` where `{expected}` is right",
        "{public}: got something else than I expected",
        "Result of {public} is off in {version}",
        "{public} does not give what it should",
    ),
    "raised": (
        "{public} raises `{error}`",
        "Unexpected `{error}`",
        "`{error}` from a call that should work",
        "{package} {version}: {public} fails",
        "Crash in {public}",
        "{public} fails for valid input",
        "Valid call ends in `{error}`",
    ),
    "not_raised": (
        "{public} accepts input that it should refuse",
        "No `{expected}` from {public}",
        "Missing `{expected}`",
        "{public} lets an invalid call pass",
        "{package} {version} does not raise `{expected}`",
        "Invalid input goes unnoticed in {public}",
    ),
    "false": (
        "{public} does not hold what it promises",
        "A condition that should hold does not",
        "{package}: {public} behaves differently than expected",
        "Unexpected behaviour of {public}",
        "Something is wrong with {public} in {version}",
        "{public}: a basic property is broken",
    ),
}
OPENINGS = (
    "I use {package} {version} and came across this today.",
    "This is about {package} {version}.",
    "A check of mine fails with {package} {version}.",
    "I could not find an issue about this, so here is one.",
    "I have reduced it as far as I could.",
    "Hi, thanks for {package}! I think I have found a bug.",
    "Not sure whether this is intended, but it surprised me.",
    "I can reproduce this at any time.",
    "Seen with {package} {version}.",
    "Small script, no other packages involved.",
    "I reduced a longer program to the lines here.",
    "",
)
LEADS = (
    "To reproduce:",
    "A script that shows it:",
    "This is all it takes:",
    "Minimal example:",
    "Run this with {package} {version}:",
    "The following lines are enough:",
    "Here is how I get there:",
)
SHORT_LEADS = (
    "The expression in question:",
    "What I evaluate:",
    "It comes down to this line:",
    "The call:",
    "In short:",
    "The part that misbehaves:",
)
SEEN = {
    "compared": (
        "It gives `{actual}`.",
        "`{expression}` is `{actual}`.",
        "What I get: `{actual}`.",
        "The value is `{actual}` here, every time.",
        "Instead of the right answer it returns `{actual}`.",
        "Printed, `{expression}` shows `{actual}`.",
        "The outcome is `{actual}`, which cannot be right.",
    ),
    "raised": (
        "It ends with `{error}`.",
        "I get `{error}`.",
        "Evaluating `{expression}` raises `{error}`.",
        "Instead of a result there is `{error}`.",
        "The call does not return, it raises `{error}`.",
        "What comes out is an exception, `{error}`.",
    ),
    "not_raised": (
        "Nothing is raised.",
        "The call simply returns.",
        "`{expression}` goes through without complaint.",
        "There is no exception at all.",
        "It carries on as if the input were fine.",
    ),
    "false": (
        "`{expression}` does not hold.",
        "The condition `{expression}` is not met.",
        "I would bet on `{expression}`, and lose.",
        "Checking `{expression}` fails.",
        "`{expression}` turns out false.",
    ),
}
WANTED = {
    "compared": (
        "I expected `{expected}`.",
        "It should be `{expected}`.",
        "The right value is `{expected}`.",
        "As I understand {package}, it has to be `{expected}`.",
        "Should give `{expected}`.",
        "`{expected}` would be right.",
        "What I need is `{expected}`.",
    ),
    "raised": (
        "It should work without an exception.",
        "I expected a result: the input is valid.",
        "The call should simply return.",
        "No error should come up here.",
        "There is nothing wrong with the arguments, as far as I can see.",
    ),
    "not_raised": (
        "I expected `{expected}`.",
        "It should raise `{expected}`.",
        "`{expected}` would be right here.",
        "The caller has to learn of this by `{expected}`.",
        "Such input should end in `{expected}`.",
    ),
    "false": (
        "It should hold.",
        "I expected it to be true.",
        "By everything I know of {package} it should be true.",
        "It has to be true for this input.",
        "I see no reason why it should not.",
    ),
}
CLOSINGS = (
    "Version {version}, CPython on Linux.",
    "Happy to test a fix.",
    "I do not know whether other calls are affected.",
    "Let me know if you need more.",
    "I have not looked into the cause.",
    "It happens every time, not now and then.",
    "Tell me if anything is unclear.",
    "",
    "",
)

LOOK = (
    "First an overview of the repository.",
    "I start with what there is.",
    "Let me see how the repository is laid out.",
    "Before anything else: which files are there?",
)
SEARCH = (
    "The issue is about {public}. Where do the tests use it?",
    "{public} is the name to look for; tests that use it will show the problem.",
    "I look for {public} to find tests close to the report.",
    "Which places mention {public}?",
)
RUN = (
    "These tests should show what the issue describes. I run {what}.",
    "Now {what}, to see the failure with my own eyes.",
    "I run {what} before I change anything.",
    "Is it reproducible? {what} will tell.",
)
VIEW_FIRST = (
    "Reproduced, {count}. Of the functions that failing tests call I read {function} first.",
    "The failure is there ({count}). The list of calls points to {function}.",
    "{count}, so it can be reproduced. {function} stands out among the calls; I look at it.",
    "{count}, as reported. What failing tests share is {function}; let me read it.",
)
VIEW_NEXT = (
    "Nothing suspicious here that fits the report. Next is {function}.",
    "I see nothing to change in it. {function} is called by the failing tests as well.",
    "I do not see it here; on to {function}.",
    "Nothing there that I would change. The next one is {function}.",
)
TRY = {
    "boundary": (
        "Line {line} compares with `{old}`; is the boundary itself meant? I try `{new}`.",
        "`{old}` in line {line} treats the limit wrongly, I think: `{new}`.",
    ),
    "comparison": (
        "The test `{old}` in line {line} looks reversed. I try `{new}`.",
        "Line {line} compares with `{old}`. The report makes more sense to me with `{new}` there.",
    ),
    "arithmetic": (
        "Is `{old}` in line {line} right? It could be meant as `{new}`.",
        "The calculation in line {line} uses `{old}`. I try `{new}`.",
    ),
    "boolean": (
        "Line {line} joins its conditions with `{old}`; maybe `{new}` is meant.",
        "The condition in line {line} has `{old}`. When it is true depends on that, so I try `{new}`.",
    ),
    "off_by_one": (
        "`{old}` in line {line} may be off by one: `{new}`.",
        "One more or one less in line {line}? I try `{new}` for `{old}`.",
    ),
    "slice": (
        "The bound `{old}` in line {line} is one off, it seems: `{new}`.",
        "Line {line} cuts at `{old}`; `{new}` would keep another part, I try that.",
    ),
    "negated": (
        "The condition `{old}` in line {line} may be the wrong way round: `{new}`.",
        "Line {line} asks `{old}`; the branch could be meant for `{new}`.",
    ),
    "flag": (
        "`{old}` in line {line} would have to be `{new}` for this case, if I read it right.",
        "Line {line} sets `{old}`; what the report expects may need `{new}`.",
    ),
    "variable": (
        "Line {line} uses `{old}` where `{new}` seems to be meant.",
        "`{old}` in line {line} is the wrong variable, I suspect: `{new}`.",
    ),
    "arguments": (
        "The arguments in line {line} look swapped: `{new}` instead of `{old}`.",
        "Line {line} passes `{old}`; another order would be `{new}`.",
    ),
    "loop": (
        "`{old}` in line {line} may end too much or too little: `{new}`.",
        "In line {line} the loop could have to `{new}`, not `{old}`.",
    ),
}
CHECK = (
    "Now the tests again.",
    "Let me see whether that was it.",
    "I run them again.",
    "Does that make them pass?",
)
TAKE_BACK = (
    "That does not help; I take it back.",
    "Still failing, so that was not it. Back to what it was.",
    "No. I undo the change.",
    "The tests disagree. I restore the line.",
)
WHOLE = (
    "They pass. All tests once more, so that nothing else broke.",
    "That was it. Now everything, to be sure.",
    "Green. The rest of the tests must stay so too.",
)
DONE = (
    "Fixed in {function}: line {line} had `{old}`, now it has `{new}`. {passed} tests pass.",
    "The cause was `{old}` in line {line} of {path} ({function}); with `{new}` all {passed} tests pass.",
    "{function} used `{old}` where `{new}` is right ({path}, line {line}). I changed it, and {passed} tests pass.",
)
PATCH_THOUGHTS = (
    "I read {function} with the report in mind: line {line} does not do what it should.",
    "The code of {function} explains the report: line {line} has to be different.",
    "Of the lines of {function}, it is line {line} that does not fit the report.",
    "Line {line} of {function} is not right, if the issue is.",
)
