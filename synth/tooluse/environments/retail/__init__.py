"""A shop's service desk: customers, orders with items, exchanges and returns, refunds. Policy beyond what the tools enforce.

The data model is that of the retail environment of tau-bench (Yao et al. 2024, arXiv 2406.12045) with whole cents; `shop` reads that
benchmark's files, and word lists fill the database where none are given.
"""

from collections.abc import Sequence
from typing import Any

from synth.draw import Draw
from synth.tooluse.environment import Environment, Facts, Source, World
from synth.tooluse.environments import names
from synth.tooluse.environments.retail.policy import NOTES, RULES
from synth.tooluse.environments.retail.tools import (
    SCHEMA,
    cancel_order,
    change_address,
    change_payment,
    exchange_item,
    find_customer,
    find_customer_by_name,
    get_customer,
    get_order,
    get_product,
    hand_over,
    list_orders,
    return_item,
    search_products,
)
from synth.tooluse.environments.retail.wishes import (
    SLOTS,
    cancel,
    cancel_shipped,
    complain,
    give_back,
    move,
    pay,
    person,
    refund_elsewhere,
    swap,
    total,
)
from synth.tooluse.state import State
from synth.tooluse.tools import tools

PRODUCTS = {
    "Desk Lamp": ("black brass", "dimmable plain"),
    "Rain Jacket": ("navy olive red", "S M L XL"),
    "Trail Shoes": ("grey teal", "39 41 43 45"),
    "Water Bottle": ("steel green", "500ml 750ml 1000ml"),
    "Headphones": ("white black", "wired wireless"),
    "Backpack": ("sand black moss", "20l 30l"),
    "Coffee Grinder": ("silver red", "manual electric"),
    "Bookshelf": ("oak walnut", "80cm 120cm"),
    "Yoga Mat": ("violet blue", "4mm 6mm"),
    "Tea Kettle": ("copper white", "1.0l 1.7l"),
    "Wall Clock": ("birch slate", "25cm 35cm"),
    "Bike Light": ("black red", "battery usb"),
    "Board Game": ("classic travel", "English German"),
    "Fleece Blanket": ("cream rust", "single double"),
}


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """Three to five customers with two to four orders each, out of a stock of 14 products in four to eight versions."""
    tables: dict[str, list[list[Any]]] = {
        table: [] for table in ("customers", "payments", "items", "orders", "order_items")
    }
    today = f"2026-{draw.below(3, 'month') + 4:02d}-{draw.below(28, 'day') + 1:02d}"
    for product, (colours, sizes) in PRODUCTS.items():
        product_id = draw.number(6, "product", product)
        for options in (f"{colour}, {size}" for colour in colours.split() for size in sizes.split()):
            price = 900 + 5 * draw.below(3000, "price", product) + 100 * draw.below(9, "extra", product, options)
            item_id = draw.number(8, "item", product, options)
            tables["items"].append(
                [item_id, product_id, product, options, price, draw.below(5, "stock", product, options)]
            )
    for number, name in enumerate(names.names(draw, 3 + draw.below(3, "customers"))):
        place = names.address(draw, name)
        customer = "_".join([*name.lower().split(), draw.number(4, "id", name)])
        tables["customers"].append([customer, name, names.email(name, draw), *place.values()])
        methods = draw.shuffled(("credit card", "gift card", "bank transfer", "wallet"), "methods", name)[
            : 2 + draw.below(2, "m", name)
        ]
        ids = [f"{method.replace(' ', '_')}_{draw.number(6, 'payment', name, method)}" for method in methods]
        for payment_id, method in zip(ids, methods, strict=True):
            balance = 500 * (1 + draw.below(60, "balance", name)) if method == "gift card" else None
            tables["payments"].append([payment_id, customer, method, balance])
        for order in range(2 + draw.below(3, "orders", name)):
            _order(draw, tables, customer, place, ids, today, (number, order))
    return World(tables | {"today": [[today]], "handoffs": []}, license="CC0-1.0")


def _order(
    draw: Draw,
    tables: dict[str, list[list[Any]]],
    customer: str,
    place: Facts,
    ids: Sequence[str],
    today: str,
    what: tuple[int, int],
) -> None:
    """One order of one to three items, all of different products."""
    status = draw.pick(("pending", "pending", "delivered", "delivered", "shipped"), "status", *what)
    days = 3 + draw.below(60, "ago", *what)
    delivered = (
        State("CREATE TABLE t (a)", {}).value("SELECT date(?, ?)", today, f"-{days} days")
        if status == "delivered"
        else None
    )
    order_id = f"W{draw.number(7, 'order', *what)}"
    payment = draw.pick(ids, "pays", *what)
    tables["orders"].append([order_id, customer, status, delivered, *place.values(), payment, None])
    bought: dict[str, list[Any]] = {}
    for item in draw.shuffled(tables["items"], "bought", *what):
        bought.setdefault(item[2], item)
    for item in list(bought.values())[: 1 + draw.below(3, "lines", *what)]:
        tables["order_items"].append([order_id, item[0], item[4], "sold", None])


RETAIL = Environment(
    "retail", "You are the service desk of an online shop.", SCHEMA,
    tools((find_customer, find_customer_by_name, get_customer, list_orders, get_order, get_product, search_products),
          (cancel_order, change_address, change_payment, return_item, exchange_item, hand_over)),
    RULES, populate, person, (cancel, move, pay, give_back, refund_elsewhere, swap, cancel_shipped, total, complain), SLOTS, NOTES,
)  # fmt: skip
