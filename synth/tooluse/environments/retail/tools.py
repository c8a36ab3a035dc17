"""What can be done in a shop: the tables and the tools."""

from typing import Any, Literal

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, name TEXT, email TEXT, street TEXT, city TEXT, zip TEXT);
CREATE TABLE payments (payment_id TEXT PRIMARY KEY, customer_id TEXT, method TEXT, balance_cents INTEGER);
CREATE TABLE items (item_id TEXT PRIMARY KEY, product_id TEXT, product TEXT, options TEXT, price_cents INTEGER, stock INTEGER);
CREATE TABLE orders (order_id TEXT PRIMARY KEY, customer_id TEXT, status TEXT, delivered_on TEXT, street TEXT, city TEXT, zip TEXT,
    payment_id TEXT, reason TEXT);
CREATE TABLE order_items (order_id TEXT, item_id TEXT, price_cents INTEGER, state TEXT, payment_id TEXT);
CREATE TABLE handoffs (customer_id TEXT, topic TEXT);
"""


def find_customer(state: State, email: str) -> dict[str, Any]:
    """Find the customer with an email address."""
    return _one(
        state, "SELECT customer_id FROM customers WHERE email = ?", email, missing="no customer has this email address"
    )


def find_customer_by_name(state: State, name: str, zip: str) -> dict[str, Any]:
    """Find a customer by full name and zip code."""
    sql = "SELECT customer_id FROM customers WHERE name = ? AND zip = ?"
    return _one(state, sql, name, zip, missing="no customer of this name has this zip code")


def get_customer(state: State, customer_id: str) -> dict[str, Any]:
    """Show a customer's address and payment methods."""
    sql = "SELECT customer_id, name, street, city, zip FROM customers WHERE customer_id = ?"
    shown = _one(state, sql, customer_id, missing=f"no customer {customer_id}")
    sql = "SELECT payment_id, method, balance_cents FROM payments WHERE customer_id = ? ORDER BY payment_id"
    return shown | {"payments": state.records(sql, customer_id)}


def list_orders(state: State, customer_id: str) -> list[dict[str, Any]]:
    """List a customer's orders with their status and what is in them."""
    orders = state.records("SELECT order_id, status FROM orders WHERE customer_id = ? ORDER BY order_id", customer_id)
    sql = "SELECT product FROM order_items JOIN items USING (item_id) WHERE order_id = ? ORDER BY product"
    return [order | {"products": [row[0] for row in state.rows(sql, order["order_id"])]} for order in orders]


def get_order(state: State, order_id: str) -> dict[str, Any]:
    """Show an order: status, delivery address, payment method and items.

    order_id: As it stands on the invoice.
    """
    sql = "SELECT order_id, status, delivered_on, street, city, zip, payment_id FROM orders WHERE order_id = ?"
    shown = _one(state, sql, order_id, missing=f"no order {order_id}")
    sql = """SELECT item_id, product_id, product, options, order_items.price_cents, state FROM order_items
        JOIN items USING (item_id) WHERE order_id = ? ORDER BY item_id"""
    return shown | {"items": state.records(sql, order_id)}


def get_product(state: State, product_id: str) -> list[dict[str, Any]]:
    """List the items of a product: options, price, pieces in stock."""
    sql = "SELECT item_id, options, price_cents, stock FROM items WHERE product_id = ? ORDER BY item_id"
    return state.records(sql, product_id) or _none(f"no product {product_id}")


def search_products(state: State, product: str) -> list[dict[str, Any]]:
    """Find products by name.

    product: The name or a part of it.
    """
    sql = "SELECT DISTINCT product_id, product FROM items WHERE instr(lower(product), lower(?)) ORDER BY product_id"
    return state.records(sql, product)


def cancel_order(
    state: State, order_id: str, reason: Literal["no longer needed", "ordered by mistake", "found elsewhere"]
) -> dict[str, Any]:
    """Cancel a pending order and refund it."""
    _pending(state, order_id)
    state.rows("UPDATE orders SET status = 'cancelled', reason = ? WHERE order_id = ?", reason, order_id)
    return {"order_id": order_id, "status": "cancelled"}


def change_address(state: State, order_id: str, street: str, city: str, zip: str) -> dict[str, Any]:
    """Send a pending order to another address.

    street: With the house number.
    """
    _pending(state, order_id)
    state.rows("UPDATE orders SET street = ?, city = ?, zip = ? WHERE order_id = ?", street, city, zip, order_id)
    return {"order_id": order_id, "street": street, "city": city, "zip": zip}


def change_payment(state: State, order_id: str, payment_id: str) -> dict[str, Any]:
    """Let a pending order be paid with another of the customer's payment methods."""
    _pending(state, order_id)
    _payment(state, order_id, payment_id)
    state.rows("UPDATE orders SET payment_id = ? WHERE order_id = ?", payment_id, order_id)
    return {"order_id": order_id, "payment_id": payment_id}


def return_item(state: State, order_id: str, item_id: str, payment_id: str) -> dict[str, Any]:
    """Take back an item of a delivered order.

    payment_id: Where the refund goes.
    """
    _delivered(state, order_id, item_id)
    _payment(state, order_id, payment_id)
    sql = "UPDATE order_items SET state = 'return requested', payment_id = ? WHERE order_id = ? AND item_id = ?"
    state.rows(sql, payment_id, order_id, item_id)
    return {"order_id": order_id, "item_id": item_id, "state": "return requested"}


def exchange_item(state: State, order_id: str, item_id: str, new_item_id: str) -> dict[str, Any]:
    """Exchange an item of a delivered order for another one of the same product."""
    _delivered(state, order_id, item_id)
    sql = "SELECT 1 FROM items a JOIN items b USING (product_id) WHERE a.item_id = ? AND b.item_id = ? AND b.stock > 0"
    if state.row(sql, item_id, new_item_id) is None:
        raise ToolError(f"item {new_item_id} is not another item of the same product in stock")
    sql = "UPDATE order_items SET state = 'exchange for ' || ? WHERE order_id = ? AND item_id = ?"
    state.rows(sql, new_item_id, order_id, item_id)
    state.rows("UPDATE items SET stock = stock - 1 WHERE item_id = ?", new_item_id)
    return {"order_id": order_id, "item_id": item_id, "new_item_id": new_item_id, "state": "exchange requested"}


def hand_over(
    state: State, customer_id: str, topic: Literal["damaged goods", "account details", "invoice", "complaint"]
) -> dict[str, Any]:
    """Hand the conversation over to a human colleague."""
    state.rows("INSERT INTO handoffs VALUES (?, ?)", customer_id, topic)
    return {"customer_id": customer_id, "topic": topic, "state": "handed over"}


def _one(state: State, sql: str, *args: Any, missing: str) -> dict[str, Any]:
    found = state.records(sql, *args)
    return found[0] if found else _none(missing)


def _none(missing: str) -> Any:
    raise ToolError(missing)


def _pending(state: State, order_id: str) -> None:
    status = _one(state, "SELECT status FROM orders WHERE order_id = ?", order_id, missing=f"no order {order_id}")[
        "status"
    ]
    if status != "pending":
        raise ToolError(f"order {order_id} is {status}, not pending")


def _delivered(state: State, order_id: str, item_id: str) -> None:
    sql = "SELECT status, state FROM orders JOIN order_items USING (order_id) WHERE order_id = ? AND item_id = ?"
    found = _one(state, sql, order_id, item_id, missing=f"order {order_id} has no item {item_id}")
    if found != {"status": "delivered", "state": "sold"}:
        raise ToolError(f"item {item_id} of order {order_id} is {found['status']} and {found['state']}")


def _payment(state: State, order_id: str, payment_id: str) -> None:
    sql = "SELECT 1 FROM payments JOIN orders USING (customer_id) WHERE order_id = ? AND payments.payment_id = ?"
    if state.row(sql, order_id, payment_id) is None:
        raise ToolError(f"payment method {payment_id} is not the customer's")
