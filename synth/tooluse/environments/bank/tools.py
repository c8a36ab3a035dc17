"""What can be done at a bank: the tables and the tools."""

from typing import Any, Literal

from synth.tooluse.state import State
from synth.tooluse.tools import ToolError

SCHEMA = """
CREATE TABLE today (date TEXT);
CREATE TABLE customers (customer_id TEXT PRIMARY KEY, name TEXT, birthday TEXT);
CREATE TABLE accounts (account_id TEXT PRIMARY KEY, customer_id TEXT, kind TEXT, balance_cents INTEGER);
CREATE TABLE transactions (transaction_id TEXT PRIMARY KEY, account_id TEXT, booked_on TEXT, amount_cents INTEGER, merchant TEXT);
CREATE TABLE cards (card_id TEXT PRIMARY KEY, account_id TEXT, ending TEXT, state TEXT, limit_cents INTEGER);
CREATE TABLE payees (payee_id TEXT PRIMARY KEY, customer_id TEXT, payee TEXT, iban TEXT);
CREATE TABLE payments (account_id TEXT, payee_id TEXT, amount_cents INTEGER, reference TEXT);
CREATE TABLE transfers (from_account_id TEXT, to_account_id TEXT, amount_cents INTEGER);
CREATE TABLE disputes (transaction_id TEXT PRIMARY KEY, reason TEXT);
CREATE TABLE handoffs (customer_id TEXT, topic TEXT);
"""


def verify_customer(state: State, customer_id: str, birthday: str) -> dict[str, Any]:
    """Verify who somebody is.

    birthday: As YYYY-MM-DD.
    """
    found = state.records(
        "SELECT customer_id, name FROM customers WHERE customer_id = ? AND birthday = ?", customer_id, birthday
    )
    return found[0] if found else _no("number and birthday do not belong together")


def list_accounts(state: State, customer_id: str) -> list[dict[str, Any]]:
    """List a customer's accounts with their balances."""
    return state.records(
        "SELECT account_id, kind, balance_cents FROM accounts WHERE customer_id = ? ORDER BY account_id", customer_id
    )


def list_transactions(state: State, account_id: str) -> list[dict[str, Any]]:
    """List what was paid from an account, oldest first."""
    sql = (
        "SELECT transaction_id, booked_on, amount_cents, merchant FROM transactions WHERE account_id = ? ORDER BY "
        "booked_on, transaction_id"
    )
    return state.records(sql, account_id)


def list_cards(state: State, account_id: str) -> list[dict[str, Any]]:
    """List the cards of an account: last four digits, state, daily limit."""
    return state.records(
        "SELECT card_id, ending, state, limit_cents FROM cards WHERE account_id = ? ORDER BY card_id", account_id
    )


def list_payees(state: State, customer_id: str) -> list[dict[str, Any]]:
    """List those to whom a customer pays regularly."""
    return state.records(
        "SELECT payee_id, payee, iban FROM payees WHERE customer_id = ? ORDER BY payee_id", customer_id
    )


def add_payee(state: State, customer_id: str, payee: str, iban: str) -> dict[str, Any]:
    """Remember a new payee."""
    payee_id = f"P{int(state.value('SELECT COALESCE(MAX(substr(payee_id, 2)), 1000) FROM payees')) + 1}"
    state.rows("INSERT INTO payees VALUES (?, ?, ?, ?)", payee_id, customer_id, payee, iban)
    return {"payee_id": payee_id, "payee": payee}


def pay(state: State, account_id: str, payee_id: str, amount_cents: int, reference: str) -> dict[str, Any]:
    """Pay a payee from an account.

    reference: What the payee reads.
    """
    if state.row("SELECT 1 FROM payees WHERE payee_id = ?", payee_id) is None:
        raise ToolError(f"no payee {payee_id}")
    _take(state, account_id, amount_cents)
    state.rows("INSERT INTO payments VALUES (?, ?, ?, ?)", account_id, payee_id, amount_cents, reference)
    return {"payee_id": payee_id, "amount_cents": amount_cents, "state": "sent"}


def transfer(state: State, from_account_id: str, to_account_id: str, amount_cents: int) -> dict[str, Any]:
    """Move money between two accounts of one customer."""
    _take(state, from_account_id, amount_cents)
    state.rows(
        "UPDATE accounts SET balance_cents = balance_cents + ? WHERE account_id = ?", amount_cents, to_account_id
    )
    state.rows("INSERT INTO transfers VALUES (?, ?, ?)", from_account_id, to_account_id, amount_cents)
    return {"from_account_id": from_account_id, "to_account_id": to_account_id, "amount_cents": amount_cents}


def block_card(state: State, card_id: str, reason: Literal["lost", "stolen", "damaged"]) -> dict[str, Any]:
    """Block a card for good."""
    _card(state, card_id)
    state.rows("UPDATE cards SET state = 'blocked: ' || ? WHERE card_id = ?", reason, card_id)
    return {"card_id": card_id, "state": f"blocked: {reason}"}


def set_card_limit(state: State, card_id: str, limit_cents: int) -> dict[str, Any]:
    """Set what a card may spend in a day."""
    _card(state, card_id)
    state.rows("UPDATE cards SET limit_cents = ? WHERE card_id = ?", limit_cents, card_id)
    return {"card_id": card_id, "limit_cents": limit_cents}


def dispute_transaction(
    state: State, transaction_id: str, reason: Literal["not mine", "charged twice", "never delivered"]
) -> dict[str, Any]:
    """Ask for the money of a transaction back."""
    if state.row("SELECT 1 FROM transactions WHERE transaction_id = ?", transaction_id) is None:
        raise ToolError(f"no transaction {transaction_id}")
    if state.row("SELECT 1 FROM disputes WHERE transaction_id = ?", transaction_id):
        raise ToolError(f"transaction {transaction_id} is under review already")
    state.rows("INSERT INTO disputes VALUES (?, ?)", transaction_id, reason)
    return {"transaction_id": transaction_id, "state": "under review"}


def hand_over(
    state: State, customer_id: str, topic: Literal["large payment", "loan", "inheritance", "investment"]
) -> dict[str, Any]:
    """Hand the conversation over to an adviser."""
    state.rows("INSERT INTO handoffs VALUES (?, ?)", customer_id, topic)
    return {"customer_id": customer_id, "topic": topic, "state": "handed over"}


def _no(missing: str) -> Any:
    raise ToolError(missing)


def _take(state: State, account_id: str, amount_cents: int) -> None:
    balance = state.value("SELECT balance_cents FROM accounts WHERE account_id = ?", account_id)
    if balance is None or not 0 < amount_cents <= balance:
        raise ToolError(f"account {account_id} holds {balance} cents: {amount_cents} cannot be taken")
    state.rows("UPDATE accounts SET balance_cents = balance_cents - ? WHERE account_id = ?", amount_cents, account_id)


def _card(state: State, card_id: str) -> None:
    if state.value("SELECT state FROM cards WHERE card_id = ?", card_id) != "active":
        raise ToolError(f"{card_id} is no active card")
