"""The policy: rules that a call can break, and sentences that bind no call."""

from typing import Any

from synth.render import Call
from synth.tooluse.rules import confirmed, dollars, forbidden, identified, looked_at, own_only
from synth.tooluse.state import State

MAX_PAYMENT_CENTS = 500_000
MAX_LIMIT_CENTS = 200_000
DISPUTE_DAYS = 60


def _owner(state: State, call: Call) -> set[Any]:
    given = call.arguments
    owners = {given["customer_id"]} if "customer_id" in given else set()
    accounts = [value for name, value in given.items() if name.endswith("account_id")]
    accounts += [row[0] for row in state.rows("SELECT account_id FROM cards WHERE card_id = ?", given.get("card_id"))]
    accounts += [
        row[0]
        for row in state.rows(
            "SELECT account_id FROM transactions WHERE transaction_id = ?", given.get("transaction_id")
        )
    ]
    for account_id in accounts:
        owners |= {row[0] for row in state.rows("SELECT customer_id FROM accounts WHERE account_id = ?", account_id)}
    return owners


def is_old(state: State, given: Any) -> bool:
    sql = "SELECT julianday(date) - julianday(booked_on) > ? FROM today, transactions WHERE transaction_id = ?"
    return bool(state.value(sql, DISPUTE_DAYS, given["transaction_id"]))


CHANGES = ("add_payee", "pay", "transfer", "block_card", "set_card_limit", "dispute_transaction")
RULES = (
    identified(("verify_customer",), (), "Verify the customer by number and birthday before anything else."),
    own_only(("verify_customer",), "customer_id", _owner, "Touch accounts and cards of the verified customer only."),
    confirmed(CHANGES),
    forbidden("large_payment", f"You never pay out more than {dollars(MAX_PAYMENT_CENTS)} at once; hand larger payments over "
                               f"to an adviser.",
              "pay", lambda state, given: given["amount_cents"] > MAX_PAYMENT_CENTS),
    forbidden("high_limit", f"A card's daily limit is at most {dollars(MAX_LIMIT_CENTS)}.",
              "set_card_limit", lambda state, given: given["limit_cents"] > MAX_LIMIT_CENTS),
    forbidden("old_transaction", f"A transaction can be disputed up to {DISPUTE_DAYS} days after it was booked.",
              "dispute_transaction", is_old),
    looked_at("list_accounts", "customer_id", ("hand_over",), "Look at the accounts before you hand over, so that the adviser "
                                                              "need not ask."),
)  # fmt: skip
NOTES = (
    "Loans, inheritances and investments: hand over to an adviser.",
    "Amounts are in cents for the tools, and in dollars for people.",
)
