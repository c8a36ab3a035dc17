"""What people want in a library, and how they say it."""

import datetime
from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments.library.policy import MAX_FINES_CENTS, has_too_many, is_indebted, is_renewed, is_wanted
from synth.tooluse.environments.library.tools import LOAN_DAYS
from synth.tooluse.rules import dollars
from synth.tooluse.state import State


def person(state: State, draw: Draw) -> Facts:
    return draw.pick(state.records("SELECT card FROM members ORDER BY card"), "who")


def _title(state: State, draw: Draw, me: Facts, where: str, *args: Any) -> dict[str, Any] | None:
    found = state.records(
        f"SELECT title_id, title, opening, shelf, copies FROM titles WHERE {where} ORDER BY title_id", *args
    )
    return draw.pick(found, "title") if found else None


def _wish(me: Facts, title: str, **fields: Any) -> Wish:
    facts = {**me, "title": title, **fields.pop("facts", {})}
    return Wish(facts=facts, look=(Call("find_member", dict(me)), *fields.pop("look", ())), **fields)


def borrow(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A loan where the rules allow it; a denial where they do not."""
    case = _title(
        state, draw, me, "copies > 0 AND title_id NOT IN (SELECT title_id FROM loans WHERE card = ?)", me["card"]
    )
    if case is None:
        return None
    call = Call("lend", {"card": me["card"], "title_id": case["title_id"]})
    search = Call("search_titles", {"words": case["title"]})
    facts = {"words": case["title"]}
    ask = "[I'd like to borrow|Can I have|Please lend me] “{title}”[.|, if it is there.|, please.]"
    fines = state.value("SELECT fines_cents FROM members WHERE card = ?", me["card"])
    if is_indebted(state, call.arguments):
        return _wish(
            me, case["title"], kind="refusal", name="borrow_with_fines", facts=facts, ask=ask, refused=call, rule="fines",
            needs=(("fines_cents", fines),),
            thought=f"[{fines} cents of fines: above the limit, nothing may be lent.|Fines of {fines} cents stand in the way.]",
            done=f"[I'm sorry,|Unfortunately] your fines are {dollars(fines)}, [and above {dollars(MAX_FINES_CENTS)} nothing "
                 f"is lent|which is too much to borrow].",
        )  # fmt: skip
    loans = state.rows("SELECT loan_id FROM loans WHERE card = ? ORDER BY loan_id", me["card"])
    if has_too_many(state, call.arguments):
        return _wish(
            me, case["title"], kind="refusal", name="borrow_too_many", facts=facts, ask=ask, refused=call, rule="too_many",
            needs=tuple(loan for (loan,) in loans),
            thought=f"[{len(loans)} loans already: no more.|The list shows {len(loans)} loans, and that is the limit.]",
            done=f"[You have {len(loans)} loans, and more than that is not possible.|With {len(loans)} loans you have reached "
                 f"the limit, I'm afraid.]",
        )  # fmt: skip
    return _wish(
        me, case["title"], kind="write", name="borrow", facts=facts, ask=ask, gold=(call,), look=(search,),
        goal=(Holds("SELECT COUNT(*) FROM loans WHERE card = ? AND title_id = ?", (me["card"], case["title_id"]), ((1,),)),),
        thought=f"[{case['title_id']} has a copy in the house, and nothing speaks against lending it.|{case['copies']} in the "
                f"house, no fines in the way.]",
        done="[“{title}” is yours for four weeks.|Here you are: “{title}”.|“{title}” is lent to you.]",
    )  # fmt: skip


def wait(state: State, draw: Draw, me: Facts) -> Wish | None:
    where = (
        "copies = 0 AND title_id NOT IN (SELECT title_id FROM holds WHERE card = ?) AND title_id NOT IN (SELECT title_id "
        "FROM loans WHERE card = ?)"
    )
    case = _title(state, draw, me, where, me["card"], me["card"])
    if case is None:
        return None
    return _wish(
        me, case["title"], kind="write", name="place_hold", facts={"words": case["title"]},
        ask="[I'm waiting for|Put me down for|Please reserve] “{title}”[.|, I know that it is lent.]",
        gold=(Call("place_hold", {"card": me["card"], "title_id": case["title_id"]}),),
        goal=(Holds("SELECT COUNT(*) FROM holds WHERE card = ? AND title_id = ?", (me["card"], case["title_id"]), ((1,),)),),
        thought=f"[No copy of {case['title_id']} is here: the waiting list.|{case['title_id']} is lent out; a hold is what they want.]",
        done="[You are on the list for “{title}”.|We tell you when “{title}” is back.]",
    )  # fmt: skip


def _loan(state: State, draw: Draw, me: Facts) -> dict[str, Any] | None:
    found = state.records(
        "SELECT loan_id, title_id, title, due, renewals FROM loans JOIN titles USING (title_id) WHERE card = ? ORDER BY 1",
        me["card"],
    )
    return draw.pick(found, "loan") if found else None


def extend(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _loan(state, draw, me)
    if case is None:
        return None
    call = Call("renew", {"loan_id": case["loan_id"]})
    ask = "[Can you renew “{title}”|I'd like to keep “{title}” for longer|Please extend my loan of “{title}”][.|, please.]"
    if is_renewed(state, call.arguments):
        return _wish(
            me, case["title"], kind="refusal", name="renewed", ask=ask, refused=call, rule="renewed",
            needs=(case["loan_id"], ("renewals", case["renewals"])),
            thought=f"[Renewed {case['renewals']} times already.|{case['renewals']} renewals are the limit.]",
            done=f"[I'm sorry, it was renewed {case['renewals']} times, and that is the limit.|It cannot be renewed again; it "
                 f"is due on {case['due']}.]",
        )  # fmt: skip
    waiting = state.value("SELECT COUNT(*) FROM holds WHERE title_id = ?", case["title_id"])
    look = (Call("get_title", {"title_id": case["title_id"]}),)
    if is_wanted(state, call.arguments):
        return _wish(
            me, case["title"], kind="refusal", name="waited_for", ask=ask, refused=call, rule="waited_for", look=look,
            needs=(case["loan_id"], ("waiting", waiting)),
            thought=f"[{waiting} on the waiting list: not to be renewed.|Somebody waits for it, so the policy says no.]",
            done=f"[Somebody else waits for “{{title}}”, so I can't renew it.|I'm sorry: others wait for it. Please bring it "
                 f"back by {case['due']}.]",
        )  # fmt: skip
    due = (datetime.date.fromisoformat(case["due"]) + datetime.timedelta(days=LOAN_DAYS)).isoformat()
    return _wish(
        me, case["title"], kind="write", name="renew", ask=ask, gold=(call,), look=look, needs=(case["loan_id"],),
        goal=(Holds("SELECT due FROM loans WHERE loan_id = ?", (case["loan_id"],), ((due,),)),),
        thought=f"[Nobody waits for it, and it was renewed {case['renewals']} times: fine.|{case['loan_id']} may be renewed.]",
        done=f"[It is due on {due} now.|“{{title}}” is yours until {due}.|Renewed until {due}.]",
    )  # fmt: skip


def bring(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _loan(state, draw, me)
    if case is None:
        return None
    return _wish(
        me, case["title"], kind="write", name="return", gold=(Call("take_back", {"loan_id": case["loan_id"]}),),
        ask="[I'm returning|Here is|I bring back] “{title}”[.|, thank you.]",
        goal=(Holds("SELECT COUNT(*) FROM loans WHERE loan_id = ?", (case["loan_id"],), ((0,),)),),
        thought=f"[That is loan {case['loan_id']}.|{case['loan_id']} is the loan of it.]",
        done="[Thank you, “{title}” is back.|“{title}” is checked in.]",
    )  # fmt: skip


def drop(state: State, draw: Draw, me: Facts) -> Wish | None:
    found = state.records(
        "SELECT title_id, title FROM holds JOIN titles USING (title_id) WHERE card = ? ORDER BY title_id", me["card"]
    )
    if not found:
        return None
    case = draw.pick(found, "hold")
    return _wish(
        me, case["title"], kind="write", name="cancel_hold", ask="[I don't want to wait for “{title}” any more.|Take me off "
                                                                 "the list for “{title}”, please.|I no longer need “{title}”.]",
        gold=(Call("cancel_hold", {"card": me["card"], "title_id": case["title_id"]}),),
        goal=(Holds("SELECT COUNT(*) FROM holds WHERE card = ? AND title_id = ?", (me["card"], case["title_id"]), ((0,),)),),
        thought=f"[They wait for it as {case['title_id']}.|{case['title_id']} is on their list.]",
        done="[You are off the list for “{title}”.|Done, “{title}” goes to the next one.]",
    )  # fmt: skip


def settle(state: State, draw: Draw, me: Facts) -> Wish | None:
    fines = state.value("SELECT fines_cents FROM members WHERE card = ?", me["card"])
    if not fines:
        return None
    return Wish(
        "write", "pay_fines", "[I want to pay my fines|Let me settle my fines|Can I pay all that I owe][.|, please.]", dict(me),
        look=(Call("find_member", dict(me)),), gold=(Call("pay_fines", {"card": me["card"], "amount_cents": fines}),),
        needs=(("fines_cents", fines),),
        goal=(Holds("SELECT fines_cents FROM members WHERE card = ?", (me["card"],), ((0,),)),),
        will=f"[book {dollars(fines)} towards the fines of card {me['card']}|take {dollars(fines)} for card {me['card']}]",
        thought=f"[They owe {fines} cents.|The fines are {fines} cents, to be confirmed first.]",
        done=f"[Your fines of {dollars(fines)} are paid.|Thank you, nothing is owed any more.]",
    )  # fmt: skip


def shelf(state: State, draw: Draw, me: Facts) -> Wish | None:
    """Which title begins like this, and where it stands: found by words of its opening."""
    case = _title(state, draw, me, "length(opening) > 60")
    if case is None:
        return None
    begin = " ".join(case["opening"].split()[:6])
    if (
        len(
            state.rows(
                "SELECT 1 FROM titles WHERE instr(lower(title), lower(?)) OR instr(lower(opening), lower(?))",
                begin,
                begin,
            )
        )
        != 1
    ):
        return None
    return Wish(
        "question", "shelf", "[On which shelf is|Where do I find|I look for] the one that begins with “{words}”[?|, "
                             "please?]", {"words": begin},
        answer=case["shelf"], needs=(case["shelf"],),
        goal=(Holds("SELECT shelf FROM titles WHERE title_id = ?", (case["title_id"],), ((case["shelf"],),)),),
        thought=f"[Only {case['title_id']} begins like that.|The search gives one title: {case['title_id']}.]",
        done="[On shelf {answer}.|It stands on shelf {answer}.|Go to shelf {answer}.]",
    )  # fmt: skip


SLOTS = {"card": Slot("[my card is|card|it's number] {card}", "the number of your card", ("card",))}
