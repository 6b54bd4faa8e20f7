"""What the stories of chargebacks share: a bank that takes money back and decides, and what the platform made of it."""

from __future__ import annotations

from tests.stories.house import House, Json
from tests.stories.money import payment_reference
from tests.waiting import eventually

BANK_FEE = 1_500
"""What the sandbox keeps for each dispute, minor units."""


async def disputed(house: House, path: Json, amount: int | None = None, **wish: bool | int) -> str:
    """The payer's bank takes all or part of the path's payment back; the provider's name of the dispute."""
    body = wish if amount is None else {"amount": amount, **wish}
    reference = payment_reference(house, path)
    answer = await house.sandbox.post(f"/v1/payments/{reference}/dispute", json=body)
    return str(answer.raise_for_status().json()["reference"])


async def decided(house: House, dispute: str, *, won: bool) -> None:
    """The bank decides, and the platform has taken note."""
    answer = await house.sandbox.post(f"/v1/disputes/{dispute}/close", json={"won": won})
    answer.raise_for_status()
    await chargeback_at(house, dispute, "won" if won else "lost")


async def chargeback_at(house: House, dispute: str, status: str) -> str:
    """Our id of the chargeback, once it stands there."""

    def there() -> str | None:
        rows = house.sql("SELECT id, status FROM chargebacks WHERE reference = %s", dispute)
        assert [found for _, found in rows] == [status], rows
        return str(rows[0][0])

    return await eventually(there) or ""


async def opened(house: House, path: Json, amount: int | None = None, **wish: bool | int) -> str:
    """The payer's bank takes the money back, and the platform has taken note; the provider's name of the dispute."""
    dispute = await disputed(house, path, amount, **wish)
    await chargeback_at(house, dispute, "open")
    return dispute


def story_of_chargeback(path: Json) -> str:
    """Id of the workflow that follows the chargebacks of the path's payment."""
    return f"chargeback-{path['payment']['id']}"


def balance(house: House, kind: str, owner: str) -> int:
    """What stands on an account in CNY, minor units, on its normal side."""
    rows = house.sql(
        "SELECT balance FROM ledger_accounts WHERE kind = %s AND owner = %s AND currency = 'CNY'",
        kind,
        owner,
    )
    return int(rows[0][0]) if rows else 0


def posted_by_chargebacks(house: House, path: Json) -> list[str]:
    """What the path's chargebacks posted, oldest first: `kind: side account amount`, without the owners."""
    rows = house.sql(
        "SELECT e.kind, p.side, a.kind, p.amount FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.path_id = %s AND e.kind LIKE 'chargeback%%' ORDER BY p.id",
        path["id"],
    )
    return [f"{entry}: {side} {account} {amount}" for entry, side, account, amount in rows]


def taken(amount: int) -> list[str]:
    """What an opened chargeback posts."""
    return [
        f"chargeback_open: debit dispute {amount}",
        f"chargeback_open: debit loss {BANK_FEE}",
        f"chargeback_open: credit cash {amount + BANK_FEE}",
    ]


def given_back(amount: int) -> list[str]:
    """What a won chargeback posts."""
    return [f"chargeback_won: debit cash {amount}", f"chargeback_won: credit dispute {amount}"]


def borne(amount: int, **by: int) -> list[str]:
    """What a lost chargeback posts, by the kinds of accounts that bear it."""
    assert sum(by.values()) == amount
    lines = [f"chargeback_lost: debit {kind} {part}" for kind, part in by.items() if part]
    return [*lines, f"chargeback_lost: credit dispute {amount}"]


def in_dispute(house: House, path: Json) -> int:
    """What stands on the path's dispute accounts, minor units."""
    rows = house.sql(
        "SELECT coalesce(sum(abs(balance)), 0) FROM ledger_accounts"
        " WHERE kind = 'dispute' AND path_id = %s",
        path["id"],
    )
    return int(rows[0][0])
