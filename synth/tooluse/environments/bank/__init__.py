"""A bank's service desk: accounts, payments, cards, disputes. Identity by number and birthday; limits above which a human decides."""

import datetime
from collections.abc import Sequence
from typing import Any

from synth.draw import Draw
from synth.tooluse.environment import Environment, Source, World
from synth.tooluse.environments import names
from synth.tooluse.environments.bank.policy import NOTES, RULES
from synth.tooluse.environments.bank.tools import (
    SCHEMA,
    add_payee,
    block_card,
    dispute_transaction,
    hand_over,
    list_accounts,
    list_cards,
    list_payees,
    list_transactions,
    pay,
    set_card_limit,
    transfer,
    verify_customer,
)
from synth.tooluse.environments.bank.wishes import (
    PAYEES,
    SLOTS,
    balance,
    block,
    dispute,
    largest,
    limit,
    person,
    remember,
    save,
    send,
)
from synth.tooluse.tools import tools

MERCHANTS = (
    "Harbour Books", "Green Grocer", "City Transit", "North Cinema", "Blue Fern Cafe", "Volt Energy", "Stone Oven Bakery", "Kite Airlines",
    "Pixel Games", "Oak Hardware", "Lumen Optics", "River Gym", "Meridian Hotel", "Tidy Laundry",
)  # fmt: skip


def populate(draw: Draw, sources: Sequence[Source]) -> World | None:
    """Three or four customers with two accounts each, a card and five to nine transactions per account."""
    tables: dict[str, list[list[Any]]] = {
        name: [] for name in ("customers", "accounts", "transactions", "cards", "payees")
    }
    today = datetime.date(2026, 1 + draw.below(9, "month"), 1 + draw.below(28, "day"))
    for name in names.names(draw, 3 + draw.below(2, "customers")):
        customer = draw.number(7, "customer", name)
        born = datetime.date(
            1950 + draw.below(55, "year", name), 1 + draw.below(12, "m", name), 1 + draw.below(28, "d", name)
        )
        tables["customers"].append([customer, name, born.isoformat()])
        for payee in draw.shuffled(PAYEES, "payees", name)[:3]:
            tables["payees"].append(
                [f"P{len(tables['payees']) + 101}", customer, payee, f"XK{draw.number(14, 'iban', name, payee)}"]
            )
        for kind in ("checking", "savings"):
            account = f"{draw.number(3, 'a', name, kind)}-{draw.number(6, 'b', name, kind)}"
            tables["accounts"].append([account, customer, kind, 40_000 + draw.below(1_600_000, "balance", name, kind)])
            card = [
                f"card_{draw.number(5, 'card', name, kind)}",
                account,
                draw.number(4, "ending", name, kind),
                "active",
            ]
            tables["cards"].append([*card, 10_000 * (1 + draw.below(12, "limit", name, kind))])
            for number, merchant in enumerate(
                draw.shuffled(MERCHANTS, "merchants", name, kind)[: 5 + draw.below(5, "n", name, kind)]
            ):
                what = (name, kind, number)
                booked = today - datetime.timedelta(days=1 + draw.below(110, "booked", *what))
                transaction = [f"T{draw.number(7, 'id', *what)}", account, booked.isoformat()]
                tables["transactions"].append([*transaction, 300 + draw.below(30_000, "amount", *what), merchant])
    return World(
        tables | {"today": [[today.isoformat()]], "payments": [], "transfers": [], "disputes": [], "handoffs": []},
        license="CC0-1.0",
    )


BANK = Environment(
    "bank", "You are the service desk of a bank.", SCHEMA,
    tools((verify_customer, list_accounts, list_transactions, list_cards, list_payees),
          (add_payee, pay, transfer, block_card, set_card_limit, dispute_transaction, hand_over)),
    RULES, populate, person, (send, save, block, limit, dispute, balance, largest, remember), SLOTS, NOTES,
)  # fmt: skip
