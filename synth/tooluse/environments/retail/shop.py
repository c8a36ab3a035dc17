"""The shop's data from files, in the form of tau-bench's retail environment (users.json, products.json, orders.json).

A world takes a few customers with all of their orders, and every item of the products that they ordered. What those files do not say is
drawn: the day, when a delivered order was delivered, pieces in stock. `processed` orders are shipped here: neither can be changed.
"""

import datetime
import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from datapipe import store
from synth.draw import Draw
from synth.tooluse.environment import Source, World

FILES = ("users", "products", "orders")
MAX_CUSTOMERS, MAX_ORDERS, MAX_PRODUCTS = 3, 10, 8  # of a world


def populate(folder: str, license: str, draw: Draw, sources: Sequence[Source]) -> World | None:
    """A world out of the files in `folder`, which have this licence."""
    users, products, orders = read_shop(folder)
    today = datetime.date(2026, 4 + draw.below(3, "month"), 1 + draw.below(28, "day"))
    tables: dict[str, list[list[Any]]] = {
        name: [] for name in ("customers", "payments", "items", "orders", "order_items")
    }
    ordered: set[str] = set()
    for customer in draw.shuffled(sorted(users), "customers"):
        mine = [orders[order] for order in users[customer]["orders"]]
        shown = ordered | {item["product_id"] for order in mine for item in order["items"]}
        too_many = len(tables["orders"]) + len(mine) > MAX_ORDERS or len(shown) > MAX_PRODUCTS
        if not mine or too_many or len(tables["customers"]) == MAX_CUSTOMERS:
            continue
        ordered = shown
        _add_customer(tables, customer, users[customer])
        for order in mine:
            _add_order(tables, order, draw, today)
    for product_id in sorted(ordered):
        for item in products[product_id]["variants"].values():
            options, stock = (
                ", ".join(item["options"].values()),
                draw.below(5, "stock", item["item_id"]) + 1 if item["available"] else 0,
            )
            tables["items"].append(
                [item["item_id"], product_id, products[product_id]["name"], options, _cents(item["price"]), stock]
            )
    if not tables["orders"]:
        return None
    return World(tables | {"today": [[today.isoformat()]], "handoffs": []}, license=license or None)


@functools.lru_cache(maxsize=2)
def read_shop(folder: str) -> tuple[Mapping[str, Any], Mapping[str, Any], Mapping[str, Any]]:
    """Users, products and orders by their ids. StoreError where a file is missing, ValueError for what is no JSON."""
    found = []
    for name in FILES:
        with store.open_input(store.join(folder, f"{name}.json")) as stream:
            found.append(json.loads(stream.read()))
    users, products, orders = found
    return users, products, orders


def _add_customer(tables: Mapping[str, list[list[Any]]], customer: str, user: Mapping[str, Any]) -> None:
    name, place = user["name"], user["address"]
    row = [
        customer,
        f"{name['first_name']} {name['last_name']}",
        user["email"],
        place["address1"],
        place["city"],
        place["zip"],
    ]
    tables["customers"].append(row)
    for payment in user["payment_methods"].values():
        balance = _cents(payment["balance"]) if "balance" in payment else None
        tables["payments"].append([payment["id"], customer, payment["source"].replace("_", " "), balance])


def _add_order(
    tables: Mapping[str, list[list[Any]]], order: Mapping[str, Any], draw: Draw, today: datetime.date
) -> None:
    status = {"processed": "shipped"}.get(order["status"], order["status"])
    order_id, place = order["order_id"], order["address"]
    delivered = today - datetime.timedelta(days=3 + draw.below(60, "ago", order_id)) if status == "delivered" else None
    row = [order_id, order["user_id"], status, delivered.isoformat() if delivered else None]
    paid = order["payment_history"][0]["payment_method_id"]
    tables["orders"].append([*row, place["address1"], place["city"], place["zip"], paid, None])
    for item in {item["item_id"]: item for item in order["items"]}.values():
        tables["order_items"].append([order_id, item["item_id"], _cents(item["price"]), "sold", None])


def _cents(dollars: float) -> int:
    return round(dollars * 100)
