"""What people want in a shop, and how they say it."""

from collections.abc import Mapping
from typing import Any

from synth.draw import Draw
from synth.render import Call
from synth.tooluse.environment import Facts, Holds, Slot, Wish
from synth.tooluse.environments import names
from synth.tooluse.environments.retail.policy import RETURN_DAYS, is_late
from synth.tooluse.rules import dollars
from synth.tooluse.state import State


def person(state: State, draw: Draw) -> Facts:
    """A customer, known by email or by name and zip code."""
    found = state.records("SELECT customer_id, name, email, zip FROM customers ORDER BY customer_id")
    who = draw.pick(found, "who")
    known = {"email": who["email"]} if draw.chance(60, "by email") else {"name": who["name"], "zip": who["zip"]}
    return known | {"me": who["customer_id"]}


def _who(me: Facts) -> Call:
    if "email" in me:
        return Call("find_customer", {"email": me["email"]})
    return Call("find_customer_by_name", {"name": me["name"], "zip": me["zip"]})


def _case(state: State, draw: Draw, me: Facts, status: str, what: str) -> dict[str, Any] | None:
    """An order of the person with an item, by its number or, where only one of their orders has the product, by that."""
    sql = """SELECT order_id, order_items.item_id, product, product_id, options, order_items.price_cents, orders.payment_id, delivered_on
        FROM orders JOIN order_items USING (order_id) JOIN items USING (item_id)
        WHERE customer_id = ? AND status = ? AND order_items.state = 'sold' GROUP BY order_id, product HAVING COUNT(*) = 1
        ORDER BY order_id, order_items.item_id"""
    found = state.records(sql, me["me"], status)
    if not found:
        return None
    case = draw.pick(found, "case", what)
    sql = "SELECT COUNT(*) FROM orders JOIN order_items USING (order_id) JOIN items USING (item_id) WHERE customer_id = ? AND product = ?"
    alone = state.value(sql, me["me"], case["product"]) == 1
    by_product = alone and draw.chance(50, "by product", what)
    case["told"] = {"product": case["product"]} if by_product else {"order_id": case["order_id"]}
    case["the order"] = "the order with the {product}" if by_product else "[order|my order|order number] {order_id}"
    return case


def _wish(me: Facts, case: dict[str, Any], **fields: Any) -> Wish:
    """The facts and the first reads of a case are the same whatever is wanted."""
    facts = {**{k: v for k, v in me.items() if k != "me"}, **case["told"], **fields.pop("facts", {})}
    shown = (Call("get_order", {"order_id": case["order_id"]}),) if fields.pop("opened", True) else ()
    look = (_who(me), *shown, *fields.pop("look", ()))
    return Wish(facts=facts, look=look, **fields)


def _other_payments(state: State, me: Facts, case: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Payment methods that did not pay for the order, each the person's only one of its kind, so that the kind names it."""
    sql = """SELECT payment_id, method FROM payments a WHERE customer_id = ? AND payment_id <> ? AND NOT EXISTS (SELECT 1 FROM payments b
        WHERE b.customer_id = a.customer_id AND b.method = a.method AND b.payment_id <> a.payment_id) ORDER BY payment_id"""
    return state.records(sql, me["me"], case["payment_id"])


def cancel(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "pending", "cancel")
    if case is None:
        return None
    reason = draw.pick(("no longer needed", "ordered by mistake", "found elsewhere"), "reason")
    return _wish(
        me, case, kind="write", name="cancel_order", facts={"reason": reason},
        ask=f"[I'd like to|Please|I need to|Can you] cancel {case['the order']}[.| please.|, if that is still possible.]",
        gold=(Call("cancel_order", {"order_id": case["order_id"], "reason": reason}),),
        goal=(Holds("SELECT status, reason FROM orders WHERE order_id = ?", (case["order_id"],), (("cancelled", reason),)),),
        will=f"[cancel order {case['order_id']} with the reason “{reason}”|mark order {case['order_id']} as cancelled ({reason})]",
        thought=f"[Order {case['order_id']} is pending, so it can be cancelled.|It is still pending: cancelling "
                f"{case['order_id']} is allowed.]",
        done=f"[Order {case['order_id']} is cancelled.|Done: {case['order_id']} is cancelled and will be refunded.]",
    )  # fmt: skip


def move(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "pending", "move")
    if case is None:
        return None
    place = names.address(draw, "new address")
    where = f"{place['street']}, {place['city']} {place['zip']}"
    return _wish(
        me, case, kind="write", name="change_address",
        facts={"new_street": place["street"], "new_city": place["city"], "new_zip": place["zip"]},
        ask=f"[I am moving, so|We moved:|I typed the wrong address:] [please send|can you send|could you redirect] "
            f"{case['the order']} [somewhere else|to another address].",
        gold=(Call("change_address", {"order_id": case["order_id"], **place}),),
        goal=(Holds("SELECT street, city, zip FROM orders WHERE order_id = ?", (case["order_id"],), (tuple(place.values()),)),),
        will=f"[send order {case['order_id']} to {where}|change the address of {case['order_id']} to {where}]",
        thought="[The order is pending; its address may still change.|Nothing has been sent yet, so the new address is possible.]",
        done=f"[Order {case['order_id']} goes to {where} now.|I changed it: {where}.]",
    )  # fmt: skip


def pay(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "pending", "pay")
    if case is None:
        return None
    others = _other_payments(state, me, case)
    if not others:
        return None
    other = draw.pick(others, "other")
    return _wish(
        me, case, kind="write", name="change_payment", facts={"method": other["method"]},
        look=(Call("get_customer", {"customer_id": me["me"]}),), needs=(other["method"],),
        ask=f"[I want to pay|Can I pay|Please let me pay] {case['the order']} with my {{method}}[ instead|][.|, if that is possible.]",
        gold=(Call("change_payment", {"order_id": case["order_id"], "payment_id": other["payment_id"]}),),
        goal=(Holds("SELECT payment_id FROM orders WHERE order_id = ?", (case["order_id"],), ((other["payment_id"],),)),),
        will=f"[let order {case['order_id']} be paid with {other['payment_id']}|switch {case['order_id']} to {other['payment_id']}]",
        thought=f"[The {other['method']} is {other['payment_id']}, and the order is pending.|{other['payment_id']} is theirs "
                f"and the order is pending.]",
        done=f"[Order {case['order_id']} will be paid with your {other['method']}.|{case['order_id']} is now on your {other['method']}.]",
    )  # fmt: skip


def _too_late(me: Facts, case: dict[str, Any], call: Call, facts: Facts, ask: str, what: str) -> Wish:
    """A return or an exchange that the policy denies, though the tool would do it."""
    day, order_id = case["delivered_on"], case["order_id"]
    return _wish(
        me, case, kind="refusal", name=f"late_{what}", facts=facts, ask=ask, refused=call, rule=f"late_{what}", needs=(day,),
        thought=f"[It was delivered on {day}: more than {RETURN_DAYS} days ago.|The delivery on {day} is too long ago for this {what}.|"
                f"Delivered on {day}: the {RETURN_DAYS} days are over.|{day} lies more than {RETURN_DAYS} days back.]",
        done=f"[I'm sorry, but|Unfortunately,] order {order_id} was delivered on {day}, and [{what}s are possible for {RETURN_DAYS} days "
             f"only|the {RETURN_DAYS} days for {what}s are over|after {RETURN_DAYS} days I cannot do that any more].",
    )  # fmt: skip


def give_back(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A return in time is done; a late one is denied, though the tool would take it."""
    case = _case(state, draw, me, "delivered", "return")
    if case is None:
        return None
    order_id, item_id = case["order_id"], case["item_id"]
    call = Call("return_item", {"order_id": order_id, "item_id": item_id, "payment_id": case["payment_id"]})
    facts = {"product": case["product"]}
    ask = f"[I want to|I'd like to|Can I] return the {{product}} [from|of] {case['the order']}."
    if "product" in case["told"]:
        ask = "[I want to return|I'd like to send back|Can I return] the {product} [I bought|I got from you|that was delivered to me]."
    if is_late(state, call.arguments):
        return _too_late(me, case, call, facts, ask, "return")
    return _wish(
        me, case, kind="write", name="return_item", facts=facts, ask=ask, gold=(call,),
        goal=(Holds("SELECT state, payment_id FROM order_items WHERE order_id = ? AND item_id = "
                    "?", (order_id, item_id), (("return requested", case["payment_id"]),)),),
        will=f"[take back item {item_id} of order {order_id} and refund {case['payment_id']}|register the return of item "
             f"{item_id} from {order_id}, with the refund to {case['payment_id']}]",
        thought=f"[Delivered on {case['delivered_on']}, within {RETURN_DAYS} days; the refund goes where the money came from, "
                f"{case['payment_id']}.|{case['delivered_on']} is recent enough. Refund to {case['payment_id']}.]",
        done=f"[The return of item {item_id} is registered.|You can send item {item_id} back; the refund goes to {case['payment_id']}.]",
    )  # fmt: skip


def refund_elsewhere(state: State, draw: Draw, me: Facts) -> Wish | None:
    """A return in time, with the refund to a card that did not pay."""
    case = _case(state, draw, me, "delivered", "refund")
    if case is None:
        return None
    others = [other for other in _other_payments(state, me, case) if other["method"] != "gift card"]
    given = {"order_id": case["order_id"], "item_id": case["item_id"]}
    if not others or is_late(state, given):
        return None
    other = draw.pick(others, "other")
    return _wish(
        me, case, kind="refusal", name="refund_elsewhere", facts={"product": case["product"], "method": other["method"]},
        ask="[I'm sending back the {product}.|The {product} goes back to you.] "
            "[Please refund|The refund should go to|Put the money on] my {method}.",
        look=(Call("get_customer", {"customer_id": me["me"]}),), needs=(other["method"], case["payment_id"]),
        refused=Call("return_item", {**given, "payment_id": other["payment_id"]}), rule="refund_elsewhere",
        thought=f"[{case['payment_id']} paid for it; the money may go back there or to a gift card, not to {other['payment_id']}.|"
                f"{other['payment_id']} did not pay for this order, and is no gift card.]",
        done=f"[I'm sorry:|Unfortunately,] the order was paid with {case['payment_id']}, and a refund goes there or to a gift card, "
             "[not to your {method}|so your {method} is not possible].",
    )  # fmt: skip


def swap(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "delivered", "swap")
    if case is None:
        return None
    sql = "SELECT item_id, options FROM items WHERE product_id = ? AND item_id <> ? AND stock > 0 ORDER BY item_id"
    others = state.records(sql, case["product_id"], case["item_id"])
    if not others:
        return None
    other, order_id = draw.pick(others, "other"), case["order_id"]
    call = Call("exchange_item", {"order_id": order_id, "item_id": case["item_id"], "new_item_id": other["item_id"]})
    facts = {"product": case["product"], "options": other["options"]}
    of = "" if "product" in case["told"] else f" from {case['the order']}"
    ask = f"[Can I exchange|I'd like to exchange|I want to swap] the {{product}}{of} for the one in {{options}}[?|, please?]"
    if is_late(state, call.arguments):
        return _too_late(me, case, call, facts, ask, "exchange")
    return _wish(
        me, case, kind="write", name="exchange_item", facts=facts, ask=ask, gold=(call,),
        look=(Call("get_product", {"product_id": case["product_id"]}),),
        goal=(Holds("SELECT state FROM order_items WHERE order_id = ? AND item_id = "
                    "?", (order_id, case["item_id"]), ((f"exchange for {other['item_id']}",),)),),
        will=f"exchange item {case['item_id']} of order {order_id} for item {other['item_id']} ({other['options']})",
        thought=f"[Item {other['item_id']} is the one in {other['options']}, and it is in stock.|{other['options']} is item "
                f"{other['item_id']}; there are pieces left.]",
        done=f"[The exchange is on its way: {other['options']} instead.|Item {other['item_id']} will be sent to you.]",
    )  # fmt: skip


def cancel_shipped(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, "shipped", "cancel shipped")
    if case is None:
        return None
    call = Call("cancel_order", {"order_id": case["order_id"], "reason": "no longer needed"})
    return _wish(
        me, case, kind="refusal", name="cancel_shipped", refused=call, needs=(case["order_id"], ("status", "shipped")), opened=False,
        ask=f"[Please cancel|I changed my mind, cancel|Stop] {case['the order']}[.|, I don't need it any more.]",
        thought="[It is shipped, not pending: too late to cancel.|Only pending orders can be cancelled, and this one is shipped.]",
        done=f"[I'm sorry,|Unfortunately,] order {case['order_id']} is shipped already[ and|, so it] cannot be cancelled.",
    )  # fmt: skip


def total(state: State, draw: Draw, me: Facts) -> Wish | None:
    case = _case(state, draw, me, draw.pick(("pending", "delivered", "shipped"), "status"), "total")
    if case is None:
        return None
    prices = state.rows("SELECT price_cents FROM order_items WHERE order_id = ? ORDER BY item_id", case["order_id"])
    cents = sum(price for (price,) in prices)
    return _wish(
        me, case, kind="question", name="order_total", answer=dollars(cents), needs=tuple(("price_cents", price) for (price,) in prices),
        ask=f"[How much did I pay|What is the total|What did I pay in all] for {case['the order']}?",
        goal=(Holds("SELECT SUM(price_cents) FROM order_items WHERE order_id = ?", (case["order_id"],), ((cents,),)),),
        thought="[The prices are in cents: " + " + ".join(str(price) for (price,) in prices) + f" = {cents}.|Adding up the "
                                                                                               f"prices gives {cents} cents.]",
        done=f"[The total of {case['order_id']} is {{answer}}.|{{answer}} in all.|You paid {{answer}}.]",
    )  # fmt: skip


def complain(state: State, draw: Draw, me: Facts) -> Wish | None:
    topic = draw.pick(("damaged goods", "account details", "invoice", "complaint"), "topic")
    said = {
        "damaged goods": "[My parcel arrived broken.|What I ordered came damaged.]",
        "account details": "[I want to change the email address of my account.|I have a new last name; please update my account.]",
        "invoice": "[I need an invoice made out to my company.|Could you correct the tax number on my invoice?]",
        "complaint": "[I want to complain about the courier.|Your driver left my parcel in the rain, and I want to complain.]",
    }[topic]
    return Wish(
        "handoff", "hand_over", said, {k: v for k, v in me.items() if k != "me"},
        done="[A colleague takes over from here.|I have handed this over to a colleague, who will be with you shortly.]",
        gold=(Call("hand_over", {"customer_id": me["me"], "topic": topic}),), look=(_who(me),),
        goal=(Holds("SELECT topic FROM handoffs WHERE customer_id = ?", (me["me"],), ((topic,),)),),
        thought=f"[None of my tools covers this; the policy says to hand over: {topic}.|This is “{topic}”: not mine to "
                f"decide, a colleague has to.]",
    )  # fmt: skip


SLOTS = {
    "email": Slot("[my email is|it's|the address is] {email}", "the email address of your account", ("email",)),
    "name": Slot("[my name is|I'm|this is] {name}", "your full name", ("name",)),
    "zip": Slot("[my zip code is|zip code] {zip}", "your zip code", ("zip",)),
    "order_id": Slot(
        "[it is order|the number is|order] {order_id}",
        "the number of the order",
        ("order number", "number of the order"),
    ),
    "reason": Slot("[it was|the reason is:|well,] {reason}", "the reason", ("reason", "why")),
    "new_street": Slot("[the new street is|it goes to] {new_street}", "the new street", ("street", "address")),
    "new_city": Slot("[the city is|in] {new_city}", "the city", ("city", "address")),
    "new_zip": Slot("[with the zip|the new zip is] {new_zip}", "its zip code", ("its zip", "address")),
}
