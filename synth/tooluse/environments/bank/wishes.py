"""What people want at a bank, and how they say it."""

from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments.bank.policy import DISPUTE_DAYS, MAX_LIMIT_CENTS, MAX_PAYMENT_CENTS, is_old
from synth.tooluse.rules import dollars
from synth.tooluse.state import State

PAYEES = (
    "Alder Property",
    "Dr. Ramos Dental",
    "Nimbus Insurance",
    "Westerby School",
    "Quarry Garage",
    "Fern Daycare",
    "Union Choir",
    "Mill Plumbing",
)


def person(state: State, draw: Draw) -> Facts:
    return draw.pick(state.records("SELECT customer_id, birthday FROM customers ORDER BY customer_id"), "who")


def _wish(me: Facts, **fields: Any) -> Wish:
    facts = {**me, **fields.pop("facts", {})}
    return Wish(facts=facts, look=(Call("verify_customer", dict(me)), *fields.pop("look", ())), **fields)


def _accounts(state: State, me: Facts) -> dict[str, dict[str, Any]]:
    sql = "SELECT account_id, kind, balance_cents FROM accounts WHERE customer_id = ? ORDER BY account_id"
    return {account["kind"]: account for account in state.records(sql, me["customer_id"])}


def send(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A payment to a payee; one above the limit ends at an adviser."""
    payee = draw.pick(
        state.records("SELECT payee_id, payee FROM payees WHERE customer_id = ? ORDER BY payee_id", me["customer_id"]),
        "to",
    )
    account = _accounts(state, me)[draw.pick(("checking", "savings"), "from")]
    large = draw.chance(30, "large") and account["balance_cents"] > MAX_PAYMENT_CENTS
    low, high = (
        (MAX_PAYMENT_CENTS + 100, account["balance_cents"]) if large else (2_000, min(account["balance_cents"], 90_000))
    )
    if high <= low:
        return None
    cents, reference = (
        low + draw.below(high - low, "cents"),
        f"{draw.pick(('invoice', 'rent', 'fee', 'bill'), 'for')} {draw.number(4, 'ref')}",
    )
    facts = {
        "payee": payee["payee"],
        "kind": account["kind"],
        "amount": dollars(cents),
        "amount_cents": cents,
        "reference": reference,
    }
    call = Call(
        "pay",
        {
            "account_id": account["account_id"],
            "payee_id": payee["payee_id"],
            "amount_cents": cents,
            "reference": reference,
        },
    )
    ask = "[Please pay|I need to pay|Can you send|Transfer, please,] {amount} [to|over to] {payee} from my {kind} account[.|, please.]"
    if large:
        return _wish(
            me, kind="handoff", name="large_payment", facts=facts, ask=ask, refused=call, rule="large_payment",
            look=(Call("list_accounts", {"customer_id": me["customer_id"]}),),
            gold=(Call("hand_over", {"customer_id": me["customer_id"], "topic": "large payment"}),),
            goal=(Holds("SELECT topic FROM handoffs WHERE customer_id = ?", (me["customer_id"],), (("large payment",),)),),
            thought="[{amount} is above what I may pay out: an adviser has to do it.|More than the limit. The policy sends "
                    "this to an adviser.]",
            done="[For {amount} an adviser takes over.|Payments of that size are made by an adviser, who has your request now.]",
        )  # fmt: skip
    return _wish(
        me, kind="write", name="pay", facts=facts, ask=ask, gold=(call,), needs=(account["kind"], payee["payee"]),
        goal=(Holds("SELECT account_id, amount_cents, reference FROM payments WHERE payee_id = ?", (payee["payee_id"],),
                    ((account["account_id"], cents, reference),)),),
        will=f"[pay {dollars(cents)} from account {account['account_id']} to {{payee}} ({payee['payee_id']}) with the "
             f"reference “{reference}”"
             f"|send {dollars(cents)} to {{payee}}, payee {payee['payee_id']}, from {account['account_id']}; the reference is "
             f"“{reference}”]",
        thought=f"[{{payee}} is {payee['payee_id']}, the {{kind}} account is {account['account_id']}, and {{amount}} is {cents} cents.|"
                f"The {{kind}} account {account['account_id']} holds enough for {cents} cents.]",
        done="[{amount} is on its way to {payee}.|Paid: {amount} to {payee}.|{payee} will get {amount}.]",
    )  # fmt: skip


def save(state: State, draw: Draw, me: Facts) -> Wish | None:
    accounts = _accounts(state, me)
    source, target = draw.shuffled(("checking", "savings"), "way")
    cents = 100 * (10 + draw.below(min(300, accounts[source]["balance_cents"] // 100), "cents"))
    if cents > accounts[source]["balance_cents"]:
        return None
    start, end = accounts[source]["account_id"], accounts[target]["account_id"]
    sql = "SELECT amount_cents FROM transfers WHERE from_account_id = ? AND to_account_id = ?"
    return _wish(
        me, kind="write", name="transfer", facts={"amount": dollars(cents), "amount_cents": cents, "source": source, "target": target},
        ask="[Please move|Can you move|I'd like to shift|Put] {amount} from {source} to {target}[.|, please.]",
        look=(Call("list_accounts", {"customer_id": me["customer_id"]}),),
        gold=(Call("transfer", {"from_account_id": start, "to_account_id": end, "amount_cents": cents}),),
        goal=(Holds(sql, (start, end), ((cents,),)),),
        will=f"[move {dollars(cents)} from {start} to {end}|transfer {dollars(cents)} from account {start} to account {end}]",
        thought=f"[{source.capitalize()} is {start} with {accounts[source]['balance_cents']} cents: enough.|From {start} to "
                f"{end}, {cents} cents.]",
        done="[{amount} moved to {target}.|Done, {amount} went from {source} to {target}.]",
    )  # fmt: skip


def _one_card(state: State, draw: Draw, me: Facts, what: str) -> dict[str, Any]:
    sql = (
        "SELECT card_id, ending, limit_cents, account_id, state FROM cards JOIN accounts USING (account_id) WHERE "
        "customer_id = ? ORDER BY card_id"
    )
    return draw.pick(state.records(sql, me["customer_id"]), "card", what)


def block(state: State, draw: Draw, me: Facts) -> Wish | None:
    card, reason = _one_card(state, draw, me, "block"), draw.pick(("lost", "stolen", "damaged"), "reason")
    if card["state"] != "active":
        return None
    return _wish(
        me, kind="write", name="block_card", facts={"ending": card["ending"], "reason": reason},
        ask="[Please block|I have to block|Can you block] my card [ending in|with the last digits] {ending}[.| at once.]",
        gold=(Call("block_card", {"card_id": card["card_id"], "reason": reason}),), needs=(card["ending"],),
        goal=(Holds("SELECT state FROM cards WHERE card_id = ?", (card["card_id"],), ((f"blocked: {reason}",),)),),
        will=f"[block {card['card_id']} for good, because it is {reason}|block the card {card['card_id']} ({reason}); this "
             f"cannot be undone]",
        thought=f"[The card ending in {{ending}} is {card['card_id']}, and it is active.|{card['card_id']} is the one ending "
                f"in {{ending}}.]",
        done="[The card ending in {ending} is blocked.|Blocked. Nobody can pay with the card ending in {ending} any more.]",
    )  # fmt: skip


def limit(state: State, draw: Draw, me: Facts) -> Wish | None:
    card = _one_card(state, draw, me, "limit")
    cents = 10_000 * (1 + draw.below(30, "new limit"))
    if card["state"] != "active" or cents == card["limit_cents"]:
        return None
    call = Call("set_card_limit", {"card_id": card["card_id"], "limit_cents": cents})
    facts = {"ending": card["ending"], "amount": dollars(cents), "limit_cents": cents}
    ask = (
        "[Set|Please set|I want|Can you change] the daily limit of my card ending in {ending} to {amount}[.|, please.]"
    )
    if cents > MAX_LIMIT_CENTS:
        return _wish(
            me, kind="refusal", name="high_limit", facts=facts, ask=ask, refused=call, rule="high_limit", needs=(card["ending"],),
            thought=f"[{{amount}} is above {dollars(MAX_LIMIT_CENTS)}, the highest limit there is.|The policy allows "
                    f"{dollars(MAX_LIMIT_CENTS)} at most.]",
            done=f"[I'm sorry, {{amount}} is too high: a card's limit|Unfortunately not: the daily limit] is "
                 f"{dollars(MAX_LIMIT_CENTS)} at most.",
        )  # fmt: skip
    return _wish(
        me, kind="write", name="set_card_limit", facts=facts, ask=ask, gold=(call,), needs=(card["ending"],),
        goal=(Holds("SELECT limit_cents FROM cards WHERE card_id = ?", (card["card_id"],), ((cents,),)),),
        will=f"[set the daily limit of {card['card_id']} to {dollars(cents)}|change {card['card_id']} to {dollars(cents)} a day]",
        thought=f"[{card['card_id']} ends in {{ending}}; {cents} cents are allowed.|{{amount}} is within the policy, and the "
                f"card is {card['card_id']}.]",
        done="[The limit is {amount} a day now.|Your card ending in {ending} can spend {amount} a day.]",
    )  # fmt: skip


def dispute(state: State, draw: Draw, me: Facts) -> Wish | None:
    sql = """SELECT transaction_id, booked_on, merchant, amount_cents, kind FROM transactions JOIN accounts USING (account_id)
        WHERE customer_id = ? AND transaction_id NOT IN (SELECT transaction_id FROM disputes)
        AND merchant NOT IN (SELECT merchant FROM transactions JOIN accounts USING (account_id) WHERE customer_id = ? GROUP BY merchant
        HAVING COUNT(*) > 1) ORDER BY transaction_id"""
    found = state.records(sql, me["customer_id"], me["customer_id"])
    if not found:
        return None
    case, reason = (
        draw.pick(found, "transaction"),
        draw.pick(("not mine", "charged twice", "never delivered"), "reason"),
    )
    call = Call("dispute_transaction", {"transaction_id": case["transaction_id"], "reason": reason})
    facts = {
        "merchant": case["merchant"],
        "amount": dollars(case["amount_cents"]),
        "kind": case["kind"],
        "reason": reason,
    }
    ask = "[I want my money back from|I'd like to dispute|Please contest] {merchant}[,| –] {amount} from my {kind} account."
    if is_old(state, call.arguments):
        return _wish(
            me, kind="refusal", name="old_dispute", facts=facts, ask=ask, refused=call, rule="old_transaction",
            needs=(case["merchant"], case["booked_on"]),
            thought=f"[Booked on {case['booked_on']}: more than {DISPUTE_DAYS} days ago.|{case['booked_on']} is too long ago "
                    f"for a dispute.]",
            done=f"[I'm sorry:|Unfortunately,] the payment to {{merchant}} was booked on {case['booked_on']}, "
                 f"[and a dispute is possible for {DISPUTE_DAYS} days only|longer ago than the {DISPUTE_DAYS} days in which "
                 f"it can be disputed].",
        )  # fmt: skip
    return _wish(
        me, kind="write", name="dispute", facts=facts, ask=ask, gold=(call,), needs=(case["merchant"],),
        goal=(Holds("SELECT reason FROM disputes WHERE transaction_id = ?", (case["transaction_id"],), ((reason,),)),),
        will=f"[dispute transaction {case['transaction_id']} at {{merchant}} with the reason “{reason}”|ask for {{amount}} "
             f"back: {case['transaction_id']}, {reason}]",
        thought=f"[{case['transaction_id']} is the one at {{merchant}}, booked on {case['booked_on']}: recent enough.|Booked "
                f"on {case['booked_on']}, so it can still be disputed.]",
        done="[The dispute about {merchant} is open.|We look into the {amount} at {merchant}.]",
    )  # fmt: skip


def balance(state: State, draw: Draw, me: Facts) -> Wish | None:
    account = _accounts(state, me)[draw.pick(("checking", "savings"), "which")]
    return _wish(
        me, kind="question", name="balance", facts={"kind": account["kind"]}, answer=dollars(account["balance_cents"]),
        ask="[How much is|What is the balance|How much money is there] [on|in] my {kind} account?", needs=(account["balance_cents"],),
        goal=(Holds("SELECT balance_cents FROM accounts WHERE account_id = ?", (account["account_id"],), ((account["balance_cents"],),)),),
        thought=f"[{account['account_id']} is the {{kind}} account: {account['balance_cents']} cents.|"
                f"{account['balance_cents']} cents on {account['account_id']}.]",
        done="[There are {answer} in your {kind} account.|Your {kind} account holds {answer}.|{answer}.]",
    )  # fmt: skip


def largest(state: State, draw: Draw, me: Facts) -> Wish | None:
    account = _accounts(state, me)[draw.pick(("checking", "savings"), "which")]
    sql = "SELECT merchant, amount_cents FROM transactions WHERE account_id = ? ORDER BY amount_cents DESC, transaction_id LIMIT 1"
    merchant, cents = state.rows(sql, account["account_id"])[0]
    return _wish(
        me, kind="question", name="largest_payment", facts={"kind": account["kind"]}, answer=merchant, needs=(merchant, cents),
        ask="[Where did I spend most at once|To whom did the largest single payment go|What was my biggest single expense], from {kind}?",
        goal=(Holds(sql, (account["account_id"],), ((merchant, cents),)),),
        thought=f"[The largest amount is {cents} cents, at {merchant}.|Of all amounts {cents} is the largest.]",
        done=f"[Your largest payment was {dollars(cents)} at {{answer}}.|{{answer}}: {dollars(cents)}.]",
    )  # fmt: skip


def remember(state: State, draw: Draw, me: Facts) -> Wish | None:
    used = {row[0] for row in state.rows("SELECT payee FROM payees WHERE customer_id = ?", me["customer_id"])}
    payee = draw.pick([name for name in PAYEES if name not in used], "new payee")
    iban = f"XK{draw.number(14, 'new iban')}"
    call = Call("add_payee", {"customer_id": me["customer_id"], "payee": payee, "iban": iban})
    return _wish(
        me, kind="write", name="add_payee", facts={"payee": payee, "iban": iban}, gold=(call,),
        ask="[Please add|I'd like to add|Save] {payee} [to my payees|as a payee].",
        goal=(Holds("SELECT payee FROM payees WHERE customer_id = ? AND iban = ?", (me["customer_id"], iban), ((payee,),)),),
        will=f"[add {payee} with the IBAN {iban} to the payees of customer {me['customer_id']}|save {payee}, {iban}, for "
             f"customer {me['customer_id']}]",
        thought="[Verified, and I have both the name and the IBAN.|Nothing is missing for the new payee.]",
        done="[{payee} is saved.|You can pay {payee} now.]",
    )  # fmt: skip


SLOTS = {
    "customer_id": Slot(
        "[my number is|customer number|it's] {customer_id}", "your customer number", ("customer number",)
    ),
    "birthday": Slot("[I was born on|my birthday is|born] {birthday}", "your birthday", ("birthday", "date of birth")),
    "reason": Slot("[it is|it was|well, it is] {reason}", "the reason", ("reason", "why")),
    "reference": Slot("[the reference is|put down|reference:] {reference}", "the reference", ("reference",)),
    "iban": Slot("[the IBAN is|IBAN:] {iban}", "the IBAN", ("iban",)),
}
