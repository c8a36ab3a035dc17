"""The policy: rules that a call can break, and sentences that bind no call."""

from typing import Any

from synth.render import Call
from synth.tooluse.environment import Rule
from synth.tooluse.rules import confirmed, forbidden, identified, looked_at, own_only
from synth.tooluse.state import State

RETURN_DAYS = 30
FINDERS = ("find_customer", "find_customer_by_name")


def _owner(state: State, call: Call) -> set[Any]:
    given = call.arguments
    owners = {given["customer_id"]} if "customer_id" in given else set()
    if "order_id" in given:
        owners |= {row[0] for row in state.rows("SELECT customer_id FROM orders WHERE order_id = ?", given["order_id"])}
    return owners


def is_late(state: State, given: Any) -> bool:
    sql = "SELECT julianday(date) - julianday(delivered_on) > ? FROM today, orders WHERE order_id = ?"
    return bool(state.value(sql, RETURN_DAYS, given["order_id"]))


def _elsewhere(state: State, given: Any) -> bool:
    sql = """SELECT orders.payment_id = payments.payment_id OR method = 'gift card' FROM orders, payments
        WHERE order_id = ? AND payments.payment_id = ?"""
    return state.value(sql, given["order_id"], given["payment_id"]) == 0


CHANGES = ("cancel_order", "change_address", "change_payment", "return_item", "exchange_item")
LATE = f"Items can be returned or exchanged up to {RETURN_DAYS} days after delivery, no later."
RULES: tuple[Rule, ...] = (
    identified(FINDERS, ("search_products", "get_product"), "Find the customer by email, or by name and zip code, before anything else."),
    own_only(FINDERS, "customer_id", _owner, "Help with this customer's data and orders only; deny what concerns others."),
    looked_at("get_order", "order_id", CHANGES, "Look at an order before you change anything about it."),
    confirmed(CHANGES),
    forbidden("late_return", LATE, "return_item", is_late),
    forbidden("late_exchange", "That holds for exchanges just as for returns.", "exchange_item", is_late),
    forbidden("refund_elsewhere", "A refund goes to the payment method of the order, or to a gift card.", "return_item", _elsewhere),
)  # fmt: skip
NOTES = (
    "Orders that are not pending cannot be cancelled or changed.",
    "Damaged goods, changes of account details, invoices and complaints: hand over to a colleague, with the topic.",
)
