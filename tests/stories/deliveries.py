"""What the stories after a campaign's success share: the first release, parcels, and what the books say."""

from __future__ import annotations

from typing import Any

from domain.money import basis_points_of
from tests.api.client import picture
from tests.stories.chargebacks import chargeback_at, decided, posted_by_chargebacks
from tests.stories.funds import ADMIN, DAY, Fund, in_days, lines, tier
from tests.stories.house import House, Json
from tests.stories.money import rewrite_at_provider, unheard
from tests.stories.test_second_looks import news
from tests.waiting import eventually

FEE = 500
WAITING = 14 * DAY
REVIEW = 7 * DAY
HOME = {"name": "Lin", "lines": ["1 Kiln Road"], "country": "CN"}


def parcel_tier(**more: Any) -> Json:
    """A tier whose reward is sent, free of cost."""
    return tier(shipping=[{"zone": "CN", "cost": 0}], **more)


def soon(days: int = 20, **more: Any) -> list[Json]:
    """A tier that is promised soon."""
    return [tier(deliver_on=in_days(days), **more)]


async def fulfilling(house: House, *methods: str, **more: Any) -> Fund:
    """A campaign whose first part has been released."""
    fund = await Fund.successful(house, *methods, **more)
    await fund.let_pass(WAITING + 1)
    await fund.until("fulfilling")
    return fund


async def sent_home(house: House, *methods: str, **more: Any) -> Fund:
    """A campaign that has succeeded, whose backers are sent something."""
    fund = await Fund.live(house, **more)
    await fund.backed_by(*methods, zone="CN")
    await fund.close()
    await fund.until("successful")
    return fund


async def until_collected(fund: Fund, backer: str) -> None:
    """Waits until a late pledge is in the books."""

    async def there() -> bool:
        return bool((await fund.pledge_of(backer))["state"] == "collected")

    await eventually(there, within_seconds=20)


def refunds(fund: Fund) -> list[int]:
    """What has gone back, minor units, smallest first."""
    rows = fund.house.sql(
        "SELECT amount FROM refunds WHERE path_id = %s AND status = 'succeeded' ORDER BY amount",
        fund.id,
    )
    return [int(amount) for (amount,) in rows]


async def uploaded(house: House, by: str) -> str:
    """The id of a private picture."""
    answer = await house.call(
        "POST",
        "/v1/files?private=true",
        by=by,
        files={"file": ("lamp.png", picture(color="red"), "image/png")},
    )
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def released(*amounts: int, fee: int = FEE) -> list[str]:
    """What releases of so much, one after the other, post; the commission is exact on the sum."""
    found, total = [], 0
    for amount in amounts:
        part = basis_points_of(total + amount, fee) - basis_points_of(total, fee)
        found += lines(
            ("release", "debit escrow:campaign", amount),
            ("release", "credit payable:creator", amount - part),
            ("release", "credit fee:platform", part),
        )
        total += amount
    return found


async def progress(fund: Fund) -> Json:
    """How far the campaign is, as somebody sees it who is not signed in."""
    answer = await fund.house.http.get(f"/v1/campaigns/{fund.id}/fulfilment")
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def put(fund: Fund, backer: str, what: str, body: Json, status: int = 200) -> Json:
    """A backer tells something about the reward."""
    path = f"/v1/pledges/{fund.pledges[backer]['id']}/{what}"
    answer = await fund.house.call("PUT", path, by=backer, json=body)
    assert answer.status_code == status, answer.text
    found: Json = answer.json()
    return found


async def say(fund: Fund, backer: str, what: str, by: str | None = None) -> Json:
    """An act on a pledge that must succeed."""
    path = f"/v1/pledges/{fund.pledges[backer]['id']}/{what}"
    return await fund.house.post(path, by=by or backer)


def parcels(fund: Fund, *backers: str) -> list[Json]:
    """A parcel for each of these backers."""
    return [
        {
            "pledge_id": fund.pledges[backer]["id"],
            "carrier": "sandbox",
            "tracking_number": f"SF{number:06}",
        }
        for number, backer in enumerate(backers)
    ]


async def ship(fund: Fund, *backers: str) -> Json:
    """The creator sends these rewards."""
    return await fund.act("shipments", fund.creator, parcels=parcels(fund, *backers))


async def on_part(fund: Fund, number: int, verb: str, by: str | None = None, **body: Any) -> Json:
    """An act on a part of the money that must succeed."""
    who = by or (fund.creator if verb == "report" else ADMIN)
    return await fund.act(f"tranches/{number}/{verb}", who, **body)


async def until_happened(fund: Fund, *kinds: str) -> list[str]:
    """The timeline, once it ends like this and the story has heard of it."""

    async def there() -> list[str] | None:
        found = await fund.timeline()
        assert found[-len(kinds) :] == [f"{kind} by system" for kind in kinds], found
        return found

    return await eventually(there, within_seconds=20) or []


def balance(fund: Fund, kind: str, owner: str) -> int:
    """What stands on an account, minor units, on its normal side."""
    rows = fund.house.sql(
        "SELECT balance FROM ledger_accounts WHERE kind = %s AND owner = %s AND currency = %s",
        kind,
        owner,
        fund.currency,
    )
    return int(rows[0][0]) if rows else 0


def creators(fund: Fund, kind: str = "payable") -> int:
    """What stands on an account of the creator."""
    return balance(fund, kind, str(fund.campaign["creator_id"]))


# Banks.


async def dispute(fund: Fund, backer: str, amount: int | None = None) -> str:
    """The backer's bank takes a pledge back, or part of it, or more; the provider's name of the dispute."""
    [(_, reference)] = payments(fund, backer)
    body = {} if amount is None else {"amount": amount}
    answer = await fund.house.sandbox.post(f"/v1/payments/{reference}/dispute", json=body)
    found = str(answer.raise_for_status().json()["reference"])
    await chargeback_at(fund.house, found, "open")
    return found


async def lost_beyond(fund: Fund, backer: str, amount: int) -> None:
    """A bank takes more than was ever paid, for good."""
    [(payment_id, reference)] = payments(fund, backer)
    async with unheard(fund.house):
        answer = await fund.house.sandbox.post(f"/v1/payments/{reference}/dispute", json={})
        found = str(answer.raise_for_status().json()["reference"])
    change = "UPDATE disputes SET amount = ? WHERE reference = ?"
    rewrite_at_provider(fund.house, change, amount, found)
    await news(fund.house, "dispute.opened", payment_id)
    await chargeback_at(fund.house, found, "open")
    await decided(fund.house, found, won=False)


def payments(fund: Fund, backer: str) -> list[tuple[str, str]]:
    """The captured payments of a pledge: our id and the provider's."""
    rows = fund.house.sql(
        "SELECT id, reference FROM payments WHERE pledge_id = %s AND status = 'captured'",
        fund.pledges[backer]["id"],
    )
    return [(str(ours), str(theirs)) for ours, theirs in rows]


async def lost(fund: Fund, backer: str, amount: int | None = None) -> None:
    """A bank takes it back for good."""
    await decided(fund.house, await dispute(fund, backer, amount), won=False)


def last_loss(fund: Fund) -> list[str]:
    """What the last lost chargeback has posted."""
    found = posted_by_chargebacks(fund.house, fund.campaign)
    last = max(n for n, line in enumerate(found) if line.startswith("chargeback_open: credit"))
    return found[last + 1 :]
