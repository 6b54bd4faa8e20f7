"""What match calls add to pledges: promised under a lock, passed on in order, used once, given back."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from sqlalchemy import event

from db.engine import Database
from db.match_rows import Matched, PledgeFacts
from domain.errors import InsufficientFunds
from domain.match_call import Mode, Offer, Phase
from tests.stories.calls import GOAL, Field

pytestmark = pytest.mark.asyncio


@pytest_asyncio.fixture
async def field(ledger_url: str) -> AsyncIterator[Field]:
    """An otherwise empty database; at the end of every test all sums must be those of the rows."""
    database = Database(ledger_url, pool_size=20)
    found = Field(ledger_url, database)
    try:
        yield found
        found.assert_adds_up()
    finally:
        await database.aclose()


def offer(**changes: int | None) -> Offer:
    return Offer.model_validate({"mode": Mode.PER_PLEDGE, **changes})


def lump(**changes: int | None) -> Offer:
    return Offer.model_validate({"mode": Mode.LUMP, **changes})


async def test_the_worked_case(field: Field) -> None:
    """postings.md: 1:1, cap 100.00, left 60.00, pledge 80.00; dropped, the 60.00 go to the next who waits."""
    campaign = field.campaign()
    call = field.call(offer(per_pledge_cap=10_000), budget=6_000)
    field.accept(call, campaign)
    first, reserved = await field.pledge(campaign, 8_000)
    assert reserved == 6_000
    _, waiting = await field.pledge(campaign, 9_000)
    assert waiting == 0
    assert (await field.budget(call)).left == 0
    assert await field.free(first, state="dropped") == 6_000
    assert field.amounts(call) == [("freed", 8_000, 6_000), ("reserved", 9_000, 6_000)]
    assert await field.free(first, state="dropped") == 0
    assert await field.matched(campaign) == 6_000


async def test_rules_and_caps(field: Field) -> None:
    one, two = field.campaign(), field.campaign()
    call = field.call(
        offer(
            factor_basis_points=5_000,
            per_pledge_cap=1_000,
            per_project_cap=1_800,
            per_person_cap=1_500,
        )
    )
    field.accept(call, one, two)
    lin, wu = field.people(2)
    assert (await field.pledge(one, 901, backer=lin))[1] == 450  # rounded down
    assert (await field.pledge(one, 9_000, backer=lin))[1] == 1_000  # the pledge's cap
    assert (await field.pledge(one, 9_000, backer=wu))[1] == 350  # the project's
    _, third = await field.pledge(two, 9_000, backer=lin)
    assert third == 50  # the person's, whatever the project
    assert (await field.pledge(two, 1, backer=wu))[1] == 0
    assert field.amounts(call)[-1] == ("reserved", 1_000, 50)  # half a unit is nothing to wait for
    assert (await field.budget(call)).left == 10_000 - 1_850


async def test_only_calls_that_promise_now(field: Field) -> None:
    campaign = field.campaign()
    late, early = field.call(), field.call(offer(factor_basis_points=2_000))
    field.accept(early, campaign)
    field.accept(late, campaign)
    yen, over, paused, closed = (
        field.call(currency="JPY"),
        field.call(open_seconds=-1),
        field.call(),
        field.call(),
    )
    for call in (yen, over, paused, closed):
        field.accept(call, campaign)
    with field.sql() as connection:
        connection.execute("UPDATE paths SET paused_at = now() WHERE id = %s", [paused])
        connection.execute("UPDATE match_calls SET closed_at = now() WHERE id = %s", [closed])
    pledge, reserved = await field.pledge(campaign, 1_000)
    assert reserved == 1_200
    assert await field.reserve(pledge) == 0
    for call in (yen, over, paused, closed):
        assert field.amounts(call) == []
    with field.sql() as connection:
        order = connection.execute("SELECT call_id FROM match_reservations ORDER BY id").fetchall()
    assert order == [(early,), (late,)]


async def test_what_a_pause_frees_goes_to_those_who_waited_first(field: Field) -> None:
    campaign = field.campaign()
    call = field.call(budget=1_000)
    field.accept(call, campaign)
    first, _ = await field.pledge(campaign, 1_000)
    await field.pledge(campaign, 700)
    with field.sql() as connection:
        connection.execute("UPDATE paths SET paused_at = now() WHERE id = %s", [call])
    assert await field.free(first) == 1_000
    assert (await field.pledge(campaign, 500))[1] == 0
    assert (await field.budget(call)).left == 1_000
    with field.sql() as connection:
        connection.execute("UPDATE paths SET paused_at = NULL WHERE id = %s", [call])
    assert (await field.pledge(campaign, 500))[1] == 300
    assert field.amounts(call)[1:] == [("reserved", 700, 700), ("reserved", 500, 300)]


async def test_freed_money_goes_on_in_order_over_all_campaigns(field: Field) -> None:
    one, two, decided = field.campaign(), field.campaign(), field.campaign()
    call = field.call(offer(per_project_cap=900), budget=1_000)
    field.accept(call, one, two, decided)
    given, _ = await field.pledge(decided, 100)
    big, _ = await field.pledge(one, 900)
    waiting_in_decided, _ = await field.pledge(decided, 500)
    await field.pledge(one, 500)
    await field.pledge(two, 400)
    await field.pledge(two, 600)
    field.set_state("funded", given, waiting_in_decided)
    assert await field.use(decided) == (Matched(call_id=call, amount=100, currency="CNY"),)
    assert await field.free(big) == 900
    assert field.amounts(call) == [
        ("used", 100, 100),
        ("freed", 900, 900),
        ("freed", 500, 0),
        ("reserved", 500, 500),
        ("reserved", 400, 400),
        ("reserved", 600, 0),
    ]
    assert await field.fail(one) == 500
    assert field.amounts(call)[-2:] == [("reserved", 400, 400), ("reserved", 600, 500)]
    assert await field.fail(one) == 0


async def test_a_changed_amount(field: Field) -> None:
    campaign = field.campaign()
    call = field.call(budget=1_000)
    field.accept(call, campaign)
    first, _ = await field.pledge(campaign, 800)
    second, _ = await field.pledge(campaign, 600)
    assert await field.reprice(first, 500) == 500
    assert field.amounts(call) == [("reserved", 500, 500), ("reserved", 600, 500)]
    # A raise waits at the end of the queue, behind those who waited before.
    assert await field.reprice(first, 900) == 500
    third, _ = await field.pledge(campaign, 300)
    assert await field.free(second) == 500
    assert field.amounts(call)[-2:] == [("reserved", 900, 900), ("reserved", 300, 100)]
    # A closed call gives nothing more, and takes back what is too much.
    with field.sql() as connection:
        connection.execute("UPDATE match_calls SET closed_at = now() WHERE id = %s", [call])
    assert await field.reprice(third, 800) == 100
    assert await field.reprice(first, 400) == 400
    assert field.amounts(call)[-2:] == [("reserved", 400, 400), ("reserved", 300, 100)]
    assert (await field.budget(call)).left == 500


async def test_only_what_was_paid_is_used(field: Field) -> None:
    """Pledges that were not paid give way to paid ones of the same campaign that wait."""
    campaign, other = field.campaign(), field.campaign()
    call = field.call(budget=1_000)
    field.accept(call, campaign, other)
    dropped, _ = await field.pledge(campaign, 600)
    paid, _ = await field.pledge(campaign, 300)
    waits, _ = await field.pledge(campaign, 400)
    await field.pledge(other, 900)
    field.set_state("dropped", dropped)
    field.set_state("collected", paid, waits)
    assert await field.use(campaign) == (Matched(call_id=call, amount=700, currency="CNY"),)
    assert field.amounts(call) == [
        ("freed", 600, 600),
        ("used", 300, 300),
        ("used", 400, 400),
        ("reserved", 900, 300),
    ]
    assert await field.use(campaign) == ()
    assert (await field.pledge(campaign, 100))[1] == 0
    assert await field.free(paid) == 0
    assert await field.matched(campaign) == 700
    budget = await field.budget(call)
    assert (budget.used, budget.reserved, budget.left) == (700, 300, 0)


async def test_a_stopped_campaign_gives_back(field: Field) -> None:
    campaign, other = field.campaign(), field.campaign()
    call = field.call(budget=1_000)
    field.accept(call, campaign, other)
    await field.pledge(campaign, 1_000)
    await field.pledge(other, 700)
    await field.use(campaign)
    back = Matched(call_id=call, amount=400, currency="CNY")
    await field.give_back(campaign, back)
    budget = await field.budget(call)
    assert (budget.used, budget.reserved, budget.left) == (600, 400, 0)
    with pytest.raises(InsufficientFunds):
        await field.give_back(campaign, back.model_copy(update={"amount": 601}))
    assert (await field.budget(call)) == budget


async def test_lump_sums(field: Field) -> None:
    campaign, crowd, short = field.campaign(), field.campaign(), field.campaign()
    by_share = field.call(lump(lump=2_000, at_goal_basis_points=5_000), budget=5_000)
    by_people = field.call(lump(lump=900, at_backers=3), budget=1_000)
    field.accept(by_share, campaign, short)
    field.accept(by_people, crowd, campaign)
    half = GOAL // 2
    _, reserved = await field.pledge(campaign, half - 1)
    assert reserved == 0
    second, reserved = await field.pledge(campaign, 1, pledged=half - 1)
    assert reserved == 2_000
    assert (await field.pledge(campaign, 1, pledged=half, backer=second.backer_id))[1] == 0
    # Three pledges of two people are two backers.
    [lin] = field.people(1)
    for _ in range(2):
        assert (await field.pledge(crowd, 10, backer=lin))[1] == 0
    assert (await field.pledge(crowd, 10))[1] == 0
    last, reserved = await field.pledge(crowd, 10)
    assert reserved == 900
    # The other campaign gets as far too, and waits for the money.
    assert (await field.pledge(campaign, 1, pledged=half + 1))[1] == 100
    assert field.amounts(by_people) == [("reserved", 900, 900), ("reserved", 900, 100)]
    # What was pledged and not paid does not count in the end.
    field.set_state("dropped", last)
    assert await field.use(crowd) == ()
    assert field.amounts(by_people) == [("freed", 900, 900), ("reserved", 900, 900)]
    short_pledge, reserved = await field.pledge(short, half)
    assert reserved == 2_000
    field.set_state("dropped", short_pledge)
    assert await field.use(short) == ()
    assert {each.call_id: each.amount for each in await field.use(campaign)} == {
        by_share: 2_000,
        by_people: 900,
    }


async def test_a_lump_sum_that_concurrent_pledges_make_due_only_together(field: Field) -> None:
    """Real transactions side by side: neither sees the other, and the look before the count finds both, once."""
    campaign, poor = field.campaign(), field.campaign()
    half = GOAL // 2
    by_share = field.call(lump(lump=2_000, at_goal_basis_points=5_000), budget=5_000)
    by_people = field.call(lump(lump=900, at_backers=2), budget=1_000)
    closed = field.call(lump(lump=700, at_backers=2), phase=Phase.CLOSED)
    for call in (by_share, by_people, closed):
        field.accept(call, campaign)
    field.accept(by_people, poor)
    last = [field.pledge_row(campaign, half // 2, state="initiated") for _ in range(2)]
    assert await asyncio.gather(*(field.reserve(each) for each in last)) == [0, 0]
    assert await field.pledge(poor, 5) and await field.reserve_lumps(poor) == 0
    field.set_state("funded", *last)
    # Whoever counts at the same moment does not reserve it twice.
    found = await asyncio.gather(*(field.reserve_lumps(campaign) for _ in range(2)))
    assert sorted(found) == [0, 2_900]
    assert (await field.count(campaign)).matched == 2_900
    assert field.amounts(closed) == []
    assert {each.call_id: each.amount for each in await field.use(campaign)} == {
        by_share: 2_000,
        by_people: 900,
    }
    assert await field.reserve_lumps(campaign) == 0


async def test_pledges_made_before_the_acceptance(field: Field) -> None:
    """They are not matched, and stay so when they grow; towards a fixed sum they count, with the next pledge."""
    campaign = field.campaign()
    early, _ = await field.pledge(campaign, 300)
    call, fixed = field.call(), field.call(lump(lump=900, at_backers=2))
    field.accept(call, campaign)
    field.accept(fixed, campaign)
    assert await field.matched(campaign) == 0
    assert await field.reprice(early, 500) == 0
    _, reserved = await field.pledge(campaign, 200, pledged=500)
    assert reserved == 200 + 900
    assert field.amounts(call) == [("reserved", 200, 200)]
    assert sum(each.amount for each in await field.use(campaign)) == 1_100


async def test_nobody_is_matched_by_their_own_money(field: Field) -> None:
    creator, sponsor, other_account = field.people(3)
    campaign = field.campaign(creator)
    own, strange = field.call(sponsor=sponsor), field.call()
    field.accept(own, campaign)
    field.accept(strange, campaign)
    with field.sql() as connection:
        connection.execute(
            "UPDATE users SET identity_hash = 'same', verified_at = now() WHERE id = ANY(%s)",
            [[sponsor, other_account]],
        )
    for backer in (sponsor, other_account):
        assert (await field.pledge(campaign, 100, backer=backer))[1] == 100
    assert (await field.pledge(campaign, 100, backer=creator))[1] == 0
    assert field.amounts(own) == []
    assert (await field.budget(strange)).reserved == 200


async def test_a_crowd_at_the_same_moment(field: Field) -> None:
    """Real transactions side by side: never more is promised than there is, and the last unit finds somebody."""
    campaigns = [field.campaign() for _ in range(3)]
    small, large = field.call(budget=1_003), field.call(budget=100_000)
    field.accept(small, *campaigns)
    field.accept(large, *reversed(campaigns))
    rows = [field.pledge_row(campaigns[n % 3], 100 + n) for n in range(30)]
    await asyncio.gather(*(field.reserve(row) for row in rows))
    assert (await field.budget(small)).left == 0
    assert (await field.budget(large)).reserved == sum(row.amount for row in rows)
    # Half of them cancel while others pledge and one campaign fails.
    more = [field.pledge_row(campaigns[n % 2], 50 + n) for n in range(10)]
    await asyncio.gather(
        *(field.free(row) for row in rows[:15]),
        *(field.reserve(row) for row in more),
        field.fail(campaigns[2]),
    )
    field.assert_adds_up()
    assert (await field.budget(small)).left == 0
    still = [row for row in rows[15:] + more if row.campaign_id != campaigns[2]]
    assert (await field.budget(large)).reserved == sum(row.amount for row in still)


async def test_a_thousand_at_once_are_one_step(field: Field) -> None:
    campaign, other = field.campaign(), field.campaign()
    call = field.call(budget=50_000)
    field.accept(call, campaign, other)
    people = field.people(50)
    with field.sql() as connection:
        connection.execute(_MANY_PLEDGES, {"campaign": campaign, "people": people})
        connection.execute(_MANY_RESERVATIONS, {"call": call, "campaign": campaign})
        ids = [str(row[0]) for row in connection.execute("SELECT id FROM pledges ORDER BY id")]
    gone = [_facts(each, campaign) for each in ids[:1_000]]
    field.set_state("expired", *gone)
    statements = 0

    def count(*_: object) -> None:
        nonlocal statements
        statements += 1

    event.listen(field.database.engine.sync_engine, "before_cursor_execute", count)
    assert await field.free(*gone) == 50_000
    assert statements < 20
    left = field.amounts(call)
    assert left[1_000:1_002] == [("reserved", 50, 50), ("reserved", 50, 50)]
    assert sum(amount for state, _, amount in left if state == "reserved") == 50_000
    assert await field.fail(campaign) == 50_000
    assert (await field.budget(call)).left == 50_000


def _facts(pledge_id: str, campaign_id: str) -> PledgeFacts:
    return PledgeFacts(
        pledge_id=pledge_id, campaign_id=campaign_id, backer_id="", amount=50, currency="CNY"
    )


_MANY_PLEDGES = """
    INSERT INTO pledges (id, campaign_id, backer_id, state, method, round, currency, amount,
        selection, created_at)
    SELECT format('plg_%%s', lpad(n::text, 26, '0')), %(campaign)s,
        (%(people)s::text[])[1 + n %% 50], 'saved', 'card', 1, 'CNY', 50, '{}', now()
    FROM generate_series(1, 2000) n
"""
_MANY_RESERVATIONS = """
    WITH queue AS (
        INSERT INTO match_reservations
            (call_id, campaign_id, pledge_id, backer_id, position, wanted, amount, state)
        SELECT %(call)s, %(campaign)s, id, backer_id, row_number() OVER (ORDER BY id), 50,
            CASE WHEN row_number() OVER (ORDER BY id) <= 1000 THEN 50 ELSE 0 END, 'reserved'
        FROM pledges
    ), project AS (
        UPDATE match_projects SET reserved = 50000
        WHERE (call_id, campaign_id) = (%(call)s, %(campaign)s)
    )
    UPDATE match_calls SET reserved = 50000, positions = 2000 WHERE id = %(call)s
"""


async def test_whatever_happens_it_adds_up(field: Field) -> None:
    """A long random life of three calls and four campaigns; after every step nobody waits who could be served."""
    chance = random.Random(20_260_711)
    campaigns = [field.campaign() for _ in range(4)]
    people = field.people(5)
    calls = [
        field.call(offer(per_pledge_cap=300), budget=2_000),
        field.call(offer(factor_basis_points=5_000, per_project_cap=700), budget=1_500),
        field.call(offer(per_person_cap=600), budget=900),
    ]
    for call in calls:
        field.accept(call, *campaigns)
    pledges: list[PledgeFacts] = []
    live = list(campaigns)
    for step in range(90):
        what = chance.random()
        if what < 0.55 or not pledges:
            backer = chance.choice(people)
            campaign = chance.choice(campaigns)
            pledges.append((await field.pledge(campaign, chance.randint(1, 500), backer=backer))[0])
        elif what < 0.75:
            await field.free(*chance.sample(pledges, min(3, len(pledges))))
        elif what < 0.92:
            await field.reprice(chance.choice(pledges), chance.randint(1, 500))
        elif step > 45 and len(live) > 1:
            campaign = live.pop()
            used = await field.use(campaign) if len(live) % 2 else ()
            if used:
                await field.give_back(
                    campaign, *(e.model_copy(update={"amount": e.amount // 2}) for e in used)
                )
            else:
                await field.fail(campaign)
        field.assert_adds_up()
        assert _could_be_served(field) == []


def _could_be_served(field: Field) -> list[tuple[object, ...]]:
    """Waiting reservations for which there are money and room."""
    with field.sql() as connection:
        return connection.execute(
            """
            SELECT r.id FROM match_reservations r
            JOIN match_calls c ON c.id = r.call_id
            JOIN match_projects p USING (call_id, campaign_id)
            WHERE r.state = 'reserved' AND r.amount < r.wanted AND p.decided_at IS NULL
                AND c.paid > c.reserved + c.used + c.spent + c.returned + c.lost
                AND coalesce((c.terms #>> '{offer,per_project_cap}')::bigint, 1e12)
                    > p.reserved + p.used
                AND coalesce((c.terms #>> '{offer,per_person_cap}')::bigint, 1e12) > (
                    SELECT sum(o.amount) FROM match_reservations o WHERE o.state <> 'freed'
                    AND (o.call_id, o.backer_id) = (r.call_id, r.backer_id))
            """
        ).fetchall()
