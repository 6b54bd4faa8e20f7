"""What the stories of debts to backers share: income that comes later, and the schedule that passes it on."""

from __future__ import annotations

import uuid

from psycopg.types.json import Jsonb

from domain import accounts, postings
from domain.claims import PassedOn
from domain.postings import EntryKind, Share
from ledger import journal
from tests.stories.funds import Fund
from tests.stories.house import House
from tests.stories.money import destination, earned, payout_at, take_out
from workflows.upkeep import PassOnClaims

DAY = 86_400
FEE = 800
"""Commission of a sale, basis points."""
TWO_PARTS = [
    {"trigger": "start", "basis_points": 4_000},
    {"trigger": "reserve", "basis_points": 6_000},
]


async def pass_on(house: House) -> PassedOn:
    """One round of the schedule, now."""
    return await house.temporal.execute_workflow(
        PassOnClaims.run,
        id=f"pass-on-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def earns(fund: Fund, price: int) -> int:
    """The creator sells something; what of it pays debts or is theirs."""
    await earned(fund.house, fund.creator, price=price)
    return price - price * FEE // 10_000


def waits_for(fund: Fund, seconds: int) -> None:
    """From now on small sums wait so long for more; by default a quarter of a year."""
    fund.house.sql(
        "UPDATE campaigns SET terms = jsonb_set(terms, '{rules,policy,claim_wait_seconds}', %s)"
        " WHERE id = %s",
        Jsonb(seconds),
        fund.id,
    )


async def spent(house: House, creator: str) -> None:
    """The creator takes out all they have."""
    await destination(house, creator)
    await payout_at(house, await take_out(house, creator), "paid", by=creator)


async def stopped(fund: Fund) -> list[int]:
    """Called off by the creator, with everything sent back that is there; what each backer is short of."""
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    return [await shortfall(fund, each) for each in fund.backers]


async def shortfall(fund: Fund, backer: str) -> int:
    """What the backer does not get back, as they are told."""
    path = f"/v1/pledges/{fund.pledges[backer]['id']}/reward"
    return int((await fund.house.get(path, by=backer))["shortfall"]["amount"])


def shared(fund: Fund) -> list[str]:
    """What the timeline tells of rounds."""
    query = "SELECT summary FROM events WHERE path_id = %s AND kind = 'claim_shared' ORDER BY id"
    return [str(words) for (words,) in fund.house.sql(query, fund.id)]


async def owes(house: House, backer: str, amount: int) -> None:
    """Somebody comes to owe the platform something."""
    user = str((await house.get("/v1/me", by=backer))["id"])
    entry = postings.entry(
        EntryKind.CLAWBACK,
        uuid.uuid4().hex,
        "CNY",
        [Share(account=accounts.receivable(user), amount=amount)],
        [Share(account=accounts.LOSS, amount=amount)],
    )
    async with house.database.transaction() as session:
        await journal.post(session, entry)
