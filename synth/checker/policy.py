"""The policy of a tool environment, as the row itself tells it to the assistant: each sentence is read, and held against every call.

Limits (sums, days, counts, hours) are taken from the sentence, the state is asked in SQL of our own. A sentence that is known neither as a
rule nor as advice leaves the verdict undecided. Nothing is taken from the policies in `synth.tooluse.environments`, but both know the
tables of an environment and the names of its tools. A rule either forbids a call as the state is, or asks for something before it.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class State(Protocol):
    def rows(self, sql: str, *args: Any) -> list[tuple[Any, ...]]: ...

    def value(self, sql: str, *args: Any) -> Any: ...


class Event(NamedTuple):
    """What came before: words of `user` or `assistant`, or a call (`tool`) with what it gave, None for an error."""

    who: str
    text: str = ""
    name: str = ""
    given: Mapping[str, Any] = {}
    value: Any = None


class Moment(NamedTuple):
    """A call that is about to be made."""

    name: str
    given: Mapping[str, Any]
    state: State
    past: Sequence[Event]

    def did(self, name: str, **given: Any) -> bool:
        """Whether a tool was called with these arguments before, and answered."""
        return any(
            event.name == name and event.value is not None and given.items() <= event.given.items()
            for event in self.past
        )


Broken = Callable[[Moment], bool]


class Rule(NamedTuple):
    sentence: str
    broken: Broken
    forbids: bool  # as the state is, whatever came before
    is_confirmation: bool = False


def read(text: str) -> tuple[str, list[Rule], list[str]]:
    """(date, rules, sentences that are not known) of a system turn."""
    head, _, body = text.partition("\n\nPolicy:\n")
    day = re.search(r"Today is (\d{4}-\d\d-\d\d)\.", head)
    sentences = [line.removeprefix("- ") for line in body.split("\n") if line]
    rules = {sentence: _rule(sentence) for sentence in sentences}
    unknown = [sentence for sentence, rule in rules.items() if rule is None and not _ADVICE.search(sentence)]
    return day[1] if day else "", [rule for rule in rules.values() if rule], unknown


def broken(rules: Sequence[Rule], moment: Moment) -> Iterator[Rule]:
    return (rule for rule in rules if rule.broken(moment))


def _rule(sentence: str) -> Rule | None:
    for pattern, make in _FORBID.items():
        if found := re.search(pattern, sentence):
            return Rule(sentence, make(*found.groups()), forbids=True)
    for pattern, make in _ASK.items():
        if found := re.search(pattern, sentence):
            return Rule(sentence, make(*found.groups()), forbids=False, is_confirmation="wait for a yes" in sentence)
    return None


_BANK = frozenset({"add_payee", "pay", "transfer", "block_card", "set_card_limit", "dispute_transaction"})
_SHOP = frozenset({"cancel_order", "change_address", "change_payment", "return_item", "exchange_item"})
_FILES = frozenset({"move_file", "write_file", "replace_text", "set_constant", "append_line", "delete_file"})
_MEETINGS = frozenset({"move_meeting", "change_room", "add_attendee", "remove_attendee", "cancel_meeting"})
_CONFIRMED = {
    "change anything": _BANK | _SHOP,
    "delete a file": {"delete_file"},
    "close an issue": {"close_issue"},
    "book a payment": {"pay_fines"},
    "cancel or move a meeting": {"cancel_meeting", "move_meeting"},
}


def _unconfirmed(what: str) -> Broken:
    """The assistant said every argument, and the person's next words agree and do not doubt."""

    def is_broken(moment: Moment) -> bool:
        if moment.name not in _CONFIRMED[what]:
            return False
        words = [event for event in moment.past if event.who != "tool"]
        if [event.who for event in words[-2:]] != ["assistant", "user"]:
            return True
        agreed = re.search(
            r"\b(yes|yeah|yep|sure|go ahead|please do|confirmed|correct|right|do it|fine by me)\b", words[-1].text, re.I
        )
        doubted = re.search(r"\b(no|not|don't|wait|stop|wrong)\b", words[-1].text, re.I)
        return not agreed or doubted is not None or not all(_told(*one, words[-2].text) for one in moment.given.items())

    return is_broken


def _told(name: str, value: Any, text: str) -> bool:
    if isinstance(value, Mapping):
        return all(_told(key, inner, text) for key, inner in value.items())
    if isinstance(value, list):
        return all(_told(name, inner, text) for inner in value)
    words = f"${value / 100:,.2f}" if name.endswith("_cents") else str(value)
    return value is None or isinstance(value, bool) or re.search(rf"(?<!\w){re.escape(words)}(?!\w)", text) is not None


def _stranger(finders: Sequence[str], free: Sequence[str]) -> Broken:
    """Nobody was found yet, and this is more than looking around."""
    return lambda moment: moment.name not in (*finders, *free) and not any(map(moment.did, finders))


_FOUND = {"card": ("find_member",), "customer_id": ("verify_customer", "find_customer", "find_customer_by_name")}
_OWNERS = {  # person, argument -> whose it is
    ("customer_id", "account_id"): "SELECT customer_id FROM accounts WHERE account_id = ?",
    ("customer_id", "card_id"): "SELECT customer_id FROM cards JOIN accounts USING (account_id) WHERE card_id = ?",
    ("customer_id", "transaction_id"): "SELECT customer_id FROM transactions JOIN accounts USING (account_id) WHERE transaction_id = ?",
    ("customer_id", "order_id"): "SELECT customer_id FROM orders WHERE order_id = ?",
    ("card", "loan_id"): "SELECT card FROM loans WHERE loan_id = ?",
}  # fmt: skip


def _of_others(person: str) -> Broken:
    """Something is touched that is not of the person who was found first."""

    def is_broken(moment: Moment) -> bool:
        found = [
            event.value[person] for event in moment.past if event.name in _FOUND[person] and event.value is not None
        ]
        owners = {moment.given[person]} if person in moment.given else set()
        for name, value in moment.given.items():
            kind = "account_id" if name.endswith("account_id") else name
            if sql := _OWNERS.get((person, kind)):
                owners |= {row[0] for row in moment.state.rows(sql, value)}
        return bool(found and owners) and owners != {found[0]}

    return is_broken


def _unseen(reader: str, key: str, names: frozenset[str]) -> Broken:
    """What is changed was not read before."""
    return lambda at: at.name in names and key in at.given and not at.did(reader, **{key: at.given[key]})


def _when(name: str, wrong: Callable[[Moment], Any]) -> Broken:
    return lambda moment: moment.name == name and bool(wrong(moment))


def _counts(name: str, argument: str, sql: str, most: int) -> Broken:
    """A number in the state is above what may be when the call is made."""
    return _when(name, lambda moment: (moment.state.value(sql, moment.given.get(argument)) or 0) > most)


def _cents(dollars: str) -> int:
    return round(float(dollars.replace(",", "")) * 100)


_AGE = "SELECT julianday(date) - julianday({}) FROM today, {} WHERE {} = ?"
_LOANS = "SELECT COUNT(*) FROM loans WHERE card = ?"
_WAITING = "SELECT COUNT(*) FROM holds WHERE title_id = (SELECT title_id FROM loans WHERE loan_id = ?1) AND card != (SELECT card FROM loans WHERE loan_id = ?1)"  # noqa: E501
_ASSIGNED = "SELECT COUNT(*) FROM issues WHERE assignee = ? AND state = 'open'"
_SECURE = "SELECT COUNT(*) FROM labels WHERE number = ? AND label = 'security'"
_DELIVERED = _AGE.format("delivered_on", "orders", "order_id")
_MONEY = r"\$([\d,]+\.\d\d)"


def _refunded_elsewhere(moment: Moment) -> bool:
    paid = moment.state.value("SELECT payment_id FROM orders WHERE order_id = ?", moment.given["order_id"])
    how = moment.state.value("SELECT method FROM payments WHERE payment_id = ?", moment.given["payment_id"])
    return None not in (paid, how) and moment.given["payment_id"] != paid and how != "gift card"


def _not_organised(moment: Moment) -> bool:
    """A meeting of another is changed by somebody who does not merely leave it."""
    meeting = moment.given.get("meeting_id")
    organiser = moment.state.value("SELECT organiser_id FROM meetings WHERE meeting_id = ?", meeting)
    if moment.name not in _MEETINGS or organiser is None:
        return False
    who = next((event.value["person_id"] for event in moment.past if event.name == "find_person" and event.value), "")
    there = moment.state.rows("SELECT 1 FROM attendees WHERE meeting_id = ? AND person_id = ?", meeting, who)
    leaves = moment.name == "remove_attendee" and moment.given.get("person_id") == who and there
    return organiser != who and not leaves


def _outside(name: str, first: str, last: str) -> Broken:
    return _when(name, lambda moment: moment.given["start"] < first or moment.given["end"] > last)


def _protected(moment: Moment) -> bool:
    names = [str(moment.given.get("path", ""))]
    return moment.name in _FILES and any(
        re.match(r"(LICEN[CS]E|COPYING|NOTICE)", one.split("/")[-1], re.I) for one in names
    )


def _title_unseen(moment: Moment) -> bool:
    title = moment.state.value("SELECT title_id FROM loans WHERE loan_id = ?", moment.given["loan_id"])
    return not moment.did("get_title", title_id=title)


def _unexplained(moment: Moment) -> bool:
    return moment.given.get("reason") == "duplicate" and not moment.did("comment", number=moment.given["number"])


_FORBID: Mapping[str, Callable[..., Broken]] = {
    rf"never pay out more than {_MONEY} at once": lambda most: _when(
        "pay", lambda at: at.given["amount_cents"] > _cents(most)
    ),
    rf"card's daily limit is at most {_MONEY}": lambda most: _when(
        "set_card_limit", lambda at: at.given["limit_cents"] > _cents(most)
    ),
    r"can be disputed up to (\d+) days after it was booked": lambda days: _counts(
        "dispute_transaction", "transaction_id", _AGE.format("booked_on", "transactions", "transaction_id"), int(days)
    ),
    r"^Licence, copying and notice files stay as they are": lambda: _protected,
    r"label security is closed by the security team": lambda: _counts("close_issue", "number", _SECURE, 0),
    r"^Nobody gets an issue who has (\d+) open ones": lambda most: _counts("assign", "login", _ASSIGNED, int(most) - 1),
    rf"^Nothing is lent to members with fines above {_MONEY}": lambda most: _counts(
        "lend", "card", "SELECT fines_cents FROM members WHERE card = ?", _cents(most)
    ),
    r"^A member has at most (\d+) loans at a time": lambda most: _counts("lend", "card", _LOANS, int(most) - 1),
    r"not renewed when another member waits for the title": lambda: _counts("renew", "loan_id", _WAITING, 0),
    r"^A loan is renewed at most (\d+) times": lambda most: _counts(
        "renew", "loan_id", "SELECT renewals FROM loans WHERE loan_id = ?", int(most) - 1
    ),
    r"^Items can be returned or exchanged up to (\d+) days after delivery": lambda days: _counts(
        "return_item", "order_id", _DELIVERED, int(days)
    ),
    r"^That holds for exchanges just as for returns": lambda: _counts("exchange_item", "order_id", _DELIVERED, 30),
    r"^A refund goes to the payment method of the order, or to a gift card": lambda: _when(
        "return_item", _refunded_elsewhere
    ),
    r"^Only its organiser may change or cancel a meeting": lambda: _not_organised,
    r"^Meetings lie between (\d\d:\d\d) and (\d\d:\d\d)": lambda first, last: _outside("book_meeting", first, last),
    r"^That holds for moved meetings too": lambda: _outside("move_meeting", "08:00", "18:00"),
}
_ASK: Mapping[str, Callable[..., Broken]] = {
    r"^Before you (.+), say exactly what you are about to do, with every detail, and wait for a yes": _unconfirmed,
    r"^Verify the customer by number and birthday": lambda: _stranger(["verify_customer"], []),
    r"^Find the member by card before anything but the catalogue": lambda: _stranger(
        ["find_member"], ["search_titles", "get_title"]
    ),
    r"^Find the customer by email, or by name and zip code": lambda: _stranger(
        ["find_customer", "find_customer_by_name"], ["search_products", "get_product"]
    ),
    r"^(Touch accounts and cards of the verified|Help with this) customer": lambda _: _of_others("customer_id"),
    r"^Loans, holds and fines are between the library and the member": lambda: _of_others("card"),
    r"^Look at the accounts before you hand over": lambda: _unseen(
        "list_accounts", "customer_id", frozenset({"hand_over"})
    ),
    r"^Read a file before you add to it or delete it": lambda: _unseen(
        "read_file", "path", frozenset({"delete_file", "append_line"})
    ),
    r"^Before you close a duplicate, comment on it": lambda: _when("close_issue", _unexplained),
    r"^So list the issues of a maintainer before you assign": lambda: _when(
        "assign", lambda at: not at.did("list_issues", login=at.given.get("login"))
    ),
    r"^Read an issue before you close it": lambda: _unseen("get_issue", "number", frozenset({"close_issue"})),
    r"^So look at the title before you renew": lambda: _when("renew", _title_unseen),
    r"^Look at an order before you change anything about it": lambda: _unseen("get_order", "order_id", _SHOP),
    r"^Show a meeting to yourself before you change it": lambda: _unseen("get_meeting", "meeting_id", _MEETINGS),
}
_ADVICE = re.compile(
    r"^(Loans, inheritances and investments|Amounts are in cents|Everything else is done without asking|Labels, milestones and comments"
    r"|Where no copy of a title is in the house|Orders that are not pending|Damaged goods|A room needs a seat)"
)
