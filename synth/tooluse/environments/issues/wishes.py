"""What people want with issues, and how they say it."""

from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments.issues.policy import MAX_OPEN
from synth.tooluse.environments.issues.tools import LABELS
from synth.tooluse.state import State


def person(state: State, draw: Draw) -> Facts:
    return {}


def _case(state: State, draw: Draw, where: str = "") -> dict[str, Any] | None:
    """An open issue, known by its number or by its title."""
    found = state.records(
        f"SELECT number, title, path, assignee, milestone FROM issues WHERE state = 'open' {where} ORDER BY number"
    )
    if not found:
        return None
    case = draw.pick(found, "issue")
    by_title = draw.chance(45, "by title")
    case["facts"] = {"words": case["title"]} if by_title else {"number": case["number"]}
    case["it"] = "“{words}”" if by_title else "[issue |#|issue number ]{number}"
    return case


def give(state: State, draw: Draw, me: Facts) -> Wish | None:
    """An assignment, denied where the maintainer has enough to do."""
    case = _case(state, draw)
    people = state.records("SELECT login, name FROM people ORDER BY login")
    who = draw.pick(people, "who")
    if case is None or case["assignee"] == who["login"]:
        return None
    call = Call("assign", {"number": case["number"], "login": who["login"]})
    ask = f"[Assign|Please give|Can you assign] {case['it']} to {{name}}[.|, please.]"
    loaded = [
        row[0]
        for row in state.rows(
            "SELECT number FROM issues WHERE assignee = ? AND state = 'open' ORDER BY number", who["login"]
        )
    ]
    look = (Call("find_person", {"name": who["name"]}), Call("list_issues", {"login": who["login"]}))
    if len(loaded) >= MAX_OPEN:
        return Wish(
            "refusal", "overloaded", ask, {**case["facts"], "name": who["name"]}, look=look, needs=tuple(("number", n) for n in loaded),
            refused=call, rule="overloaded",
            thought=f"[{{name}} has {len(loaded)} open issues: enough.|{len(loaded)} open issues; the policy allows no more.]",
            done=f"[{{name}} has {len(loaded)} open issues already, so I can't assign another one.|Sorry, {{name}} has enough "
                 f"on the desk: {len(loaded)}.]",
        )  # fmt: skip
    return Wish(
        "write", "assign", ask, {**case["facts"], "name": who["name"]}, look=look, gold=(call,),
        goal=(Holds("SELECT assignee FROM issues WHERE number = ?", (case["number"],), ((who["login"],),)),),
        thought=f"[{who['login']} has {len(loaded)} open issues: room for one more.|{len(loaded)} open ones, fewer than {MAX_OPEN}.]",
        done=f"[Issue {case['number']} is {{name}}'s now.|{{name}} ({who['login']}) has it.]",
    )  # fmt: skip


def tag(state: State, draw: Draw, me: Facts) -> Wish | None:
    case, label = _case(state, draw), draw.pick(LABELS, "label")
    if case is None or state.row("SELECT 1 FROM labels WHERE number = ? AND label = ?", case["number"], label):
        return None
    return Wish(
        "write", "add_label", f"[Label|Please label|Tag] {case['it']} [as|with] {{label}}.", {**case["facts"], "label": label},
        gold=(Call("add_label", {"number": case["number"], "label": label}),),
        goal=(Holds("SELECT COUNT(*) FROM labels WHERE number = ? AND label = ?", (case["number"], label), ((1,),)),),
        thought=f"[It is number {case['number']}.|Labels need no confirmation.]", done=f"[Issue {case['number']} has the "
                                                                                       f"label {{label}}.|Labelled: {{label}}.]",
    )  # fmt: skip


def untag(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, "AND number IN (SELECT number FROM labels)")
    if case is None:
        return None
    label = draw.pick(
        [row[0] for row in state.rows("SELECT label FROM labels WHERE number = ? ORDER BY label", case["number"])],
        "label",
    )
    return Wish(
        "write", "remove_label", f"[Take the label {{label}} off|Remove {{label}} from] {case['it']}[.|, "
                                 f"please.]", {**case["facts"], "label": label},
        gold=(Call("remove_label", {"number": case["number"], "label": label}),),
        goal=(Holds("SELECT COUNT(*) FROM labels WHERE number = ? AND label = ?", (case["number"], label), ((0,),)),),
        thought=f"[It is number {case['number']}.|Nothing to confirm for a label.]", done=f"[{{label}} is off issue "
                                                                                          f"{case['number']}.|Removed.]",
    )  # fmt: skip


def schedule(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw)
    last = state.value("SELECT milestone FROM milestones ORDER BY due DESC LIMIT 1")
    if case is None or case["milestone"] == last:
        return None
    return Wish(
        "write", "set_milestone", f"[Move|Please put|Plan] {case['it']} [to|into|for] the last milestone we have.", case["facts"],
        look=(Call("list_milestones", {}),), gold=(Call("set_milestone", {"number": case["number"], "milestone": last}),),
        goal=(Holds("SELECT milestone FROM issues WHERE number = ?", (case["number"],), ((last,),)),),
        thought=f"[The latest date is that of {last}.|{last} is the last one.]", done=f"[It is planned for {last}.|Issue "
                                                                                      f"{case['number']} is in {last} now.]",
    )  # fmt: skip


def close(state: State, draw: Draw, me: Facts) -> Wish | None:
    case, reason = _case(state, draw), draw.pick(("fixed", "not planned"), "reason")
    if case is None:
        return None
    call = Call("close_issue", {"number": case["number"], "reason": reason})
    ask = f"[Close|Please close|You can close] {case['it']}[.| now.|, please.]"
    facts = {**case["facts"], "reason": reason}
    look = (Call("get_issue", {"number": case["number"]}),)
    if state.row("SELECT 1 FROM labels WHERE number = ? AND label = 'security'", case["number"]):
        return Wish(
            "refusal", "close_security", ask, facts, look=look, refused=call, rule="security", needs=(("labels", "security"),),
            thought="[It has the label security: not mine to close.|The label security is on it; the policy is clear.]",
            done=f"[Issue {case['number']} has the label security, and only the security team closes those.|I can't: it's a "
                 f"security issue.]",
        )  # fmt: skip
    return Wish(
        "write", "close_issue", ask, facts, look=look, gold=(call,),
        goal=(Holds("SELECT state FROM issues WHERE number = ?", (case["number"],), ((f"closed: {reason}",),)),),
        will=f"[close issue {case['number']} as {reason}|close {case['number']} with the reason {reason}]",
        thought=f"[{case['number']} is open and no security issue.|Read; nothing speaks against closing it.]",
        done=f"[Issue {case['number']} is closed.|Closed as {reason}.]",
    )  # fmt: skip


def merge(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A duplicate: comment first, then close."""
    pair = draw.shuffled(
        state.records(
            "SELECT number FROM issues WHERE state = 'open' AND number NOT IN (SELECT number FROM labels WHERE label = "
            "'security') ORDER BY 1"
        ),
        "pair",
    )
    if len(pair) < 2:
        return None
    number, other = pair[0]["number"], pair[1]["number"]
    text = f"Duplicate of #{other}."
    return Wish(
        "write", "close_duplicate", "[Issue |#]{number} is [a duplicate of|the same as] #{other}, [please close it|close it|"
                                    "so it can go]. Comment: {text}",
        {"number": number, "other": other, "text": text, "reason": "duplicate"}, look=(Call("get_issue", {"number": number}),),
        gold=(Call("comment", {"number": number, "text": text}), Call("close_issue", {"number": number, "reason": "duplicate"})),
        goal=(Holds("SELECT state FROM issues WHERE number = ?", (number,), (("closed: duplicate",),)),
              Holds("SELECT COUNT(*) FROM comments WHERE number = ? AND text = ?", (number, text), ((1,),))),
        will=f"[comment “{text}” on {number} and close it as duplicate|leave “{text}” on issue {number}, then close it as duplicate]",
        thought="[The policy wants the comment before a duplicate is closed.|First the comment, then the closing.]",
        done=f"[{number} is closed and points to #{other}.|Done: comment and closing.]",
    )  # fmt: skip


def report(state: State, draw: Draw, me: Facts) -> Wish | None:
    path = draw.pick([row[0] for row in state.rows("SELECT DISTINCT path FROM issues ORDER BY path")], "path")
    title = draw.say(
        "[Flaky|Slow|Failing|Confusing] [tests|examples|defaults|messages] [in|around] {path}", {"path": path}, "title"
    )
    body = draw.say(
        "[Seen|Noticed|Happened] [on|with] [the main branch|the last release|a fresh checkout].", {}, "body"
    )
    return Wish(
        "write", "open_issue", "[Open|File|Please open] an issue about {path}: “{title}”.", {"path": path, "title": title, "body": body},
        gold=(Call("open_issue", {"title": title, "body": body, "path": path}),),
        goal=(Holds("SELECT COUNT(*) FROM issues WHERE title = ? AND body = ?", (title, body), ((1,),)),),
        thought="[Title, text and file are known.|All three fields are there.]", done="[The issue is open.|“{title}” is filed.]",
    )  # fmt: skip


def whose(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, "AND assignee IS NOT NULL")
    if case is None:
        return None
    return Wish(
        "question", "assignee", f"[Who works on|Who has|Whose is] {case['it']}?", case["facts"], answer=case["assignee"],
        look=(Call("get_issue", {"number": case["number"]}),), needs=(("assignee", case["assignee"]),),
        goal=(Holds("SELECT assignee FROM issues WHERE number = ?", (case["number"],), ((case["assignee"],),)),),
        thought=f"[Issue {case['number']} is assigned to {case['assignee']}.|The assignee is {case['assignee']}.]",
        done=f"[{{answer}} has it.|Issue {case['number']} is with {{answer}}.|That's {{answer}}.]",
    )  # fmt: skip


SLOTS = {
    "reason": Slot(
        "[the reason is “{reason}”|close it as {reason}|put it down as {reason}]", "the reason", ("reason",)
    ),
    "body": Slot("[the text:|write:|say] {body}", "a text for the issue", ("text",)),
    "label": Slot("[the label is|label:] {label}", "the label", ("label",)),
}
