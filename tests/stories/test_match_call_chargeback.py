"""A budget that the sponsor's bank takes back: promises pause, go on, or are taken back from the newest on."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.chargebacks import BANK_FEE, balance, decided, in_dispute, opened
from tests.stories.house import House, Json
from tests.stories.jobs import lines, paid_in, sent_back
from tests.stories.sponsors import BUDGET, Call, used
from tests.waiting import eventually

PAID = paid_in("match:call", BUDGET)


async def budget_of(call: Call) -> Json:
    """The budget's payment, as the stories of chargebacks want it."""
    return {"id": call.id, "payment": (await call.now())["payments"][0]}


async def taken_back(call: Call, amount: int | None = None) -> str:
    """The bank takes the money back, and the call's story stands still."""
    dispute = await opened(call.house, await budget_of(call), amount)
    story = call.house.workflow(call.story)

    async def paused() -> bool:
        return bool((await story.query("watch"))["is_paused"])

    await eventually(paused)
    return dispute


def disputed(amount: int) -> list[str]:
    """What an opened chargeback posts."""
    return lines(
        ("chargeback_open", "debit dispute:cbk", amount),
        ("chargeback_open", "debit loss:platform", BANK_FEE),
        ("chargeback_open", "credit cash:sandbox", amount + BANK_FEE),
    )


def lost(amount: int, **by: int) -> list[str]:
    """What a lost chargeback posts."""
    assert sum(by.values()) == amount
    owners = {"match": "call"}
    return lines(
        *(
            ("chargeback_lost", f"debit {kind}:{owners.get(kind, 'sponsor')}", part)
            for kind, part in by.items()
        ),
        ("chargeback_lost", "credit dispute:cbk", amount),
    )


async def test_paused_and_given_back(house: House) -> None:
    """Nothing is promised meanwhile, nothing paid of what could be lost; afterwards everybody gets their own."""
    call = await Call.opened(house)
    one, two = await call.accepted(), await call.accepted()
    await call.pledge(one, 4_000)
    await call.pledge(two, 5_500)
    dispute = await taken_back(call)
    assert (await call.now())["paused"] is True
    assert (await call.pledge(two, 100))[1] == 0
    other, creator = await call.campaign()
    answer = await call.try_to("projects", creator, campaign_id=other)
    assert_problem(answer, 409, "wrong_phase")
    assert_problem(await call.try_to("close", call.sponsor), 409, "wrong_phase")
    assert await call.succeed(one) == ()
    await call.assert_sums(left=500, reserved=9_500)
    await decided(house, dispute, won=True)

    async def handed_over() -> bool:
        return "resumed by system" in await call.timeline()

    await eventually(handed_over)
    await call.assert_sums(left=500, reserved=5_500, used=4_000)
    assert house.sql("SELECT taken_in FROM campaigns WHERE id = %s", one) == [(4_000,)]
    assert (await call.pledge(two, 900))[1] == 500
    await call.succeed(two)
    await call.act("close", call.sponsor)
    won = lines(
        ("chargeback_won", "debit cash:sandbox", BUDGET),
        ("chargeback_won", "credit dispute:cbk", BUDGET),
    )
    await call.ended("ended", PAID, used(4_000), disputed(BUDGET), won, used(6_000))


async def test_what_has_waited_gets_what_the_bank_leaves(house: House) -> None:
    """Two campaigns succeed while the bank has half: the newest promise is cut, and nobody is paid what is not there."""
    call = await Call.opened(house)
    one, two, stopped = await call.accepted(), await call.accepted(), await call.accepted()
    await call.pledge(one, 3_000)
    await call.pledge(stopped, 1_000)
    await call.pledge(two, 3_000)
    dispute = await taken_back(call, 5_000)
    for campaign in (one, two, stopped):
        assert await call.succeed(campaign) == ()
    house.sql("UPDATE paths SET phase = 'stopped' WHERE id = %s", stopped)
    await decided(house, dispute, won=False)
    await call.ended(
        "ended",
        PAID,
        disputed(5_000),
        lost(5_000, match=5_000),
        used(3_000),
        used(1_000),
        sent_back("match:call", 1_000),
    )
    taken_in = "SELECT taken_in FROM campaigns WHERE id = ANY(%s) ORDER BY taken_in"
    assert house.sql(taken_in, [one, two, stopped]) == [(0,), (1_000,), (3_000,)]
    assert balance(house, "receivable", await call.who(call.sponsor)) == 0


async def test_lost_the_newest_promises_go_first_and_the_sponsor_owes_the_rest(
    house: House,
) -> None:
    call = await Call.opened(house)
    one, two = await call.accepted(), await call.accepted()
    await call.pledge(one, 3_000)
    await call.pledge(two, 2_000)
    await call.pledge(two, 1_500)
    await call.topped_up(1_000)
    await call.succeed(one)
    # Of 11,000 there are 8,000, of which 3,500 are promised; the bank takes 6,000.
    dispute = await taken_back(call, 6_000)
    await decided(house, dispute, won=False)
    await call.until("closed")
    assert call.rows.amounts(call.id)[1:] == [("reserved", 2_000, 2_000), ("reserved", 1_500, 0)]
    await call.assert_sums(reserved=2_000, used=3_000, lost=6_000)
    assert in_dispute(house, {"id": call.id}) == 0
    assert balance(house, "receivable", await call.who(call.sponsor)) == 0
    await call.succeed(two)
    await call.ended(
        "ended",
        PAID,
        paid_in("match:call", 1_000),
        used(3_000),
        disputed(6_000),
        lost(6_000, match=6_000),
        used(2_000),
    )


async def test_lost_after_it_was_used(house: House) -> None:
    """What campaigns have stays theirs: the sponsor owes it, and what comes back later pays for that."""
    call = await Call.opened(house)
    campaign = await call.accepted()
    await call.pledge(campaign, 8_000)
    await call.succeed(campaign)
    await decided(house, await taken_back(call), won=False)
    parts = [PAID, used(8_000), disputed(BUDGET), lost(BUDGET, match=2_000, receivable=8_000)]
    found = await call.ended("ended", *parts)
    assert found["end_reason"] == "charged_back"
    sponsor = await call.who(call.sponsor)
    assert balance(house, "receivable", sponsor) == 8_000
    await call.stop(campaign, 5_000)
    assert balance(house, "receivable", sponsor) == 3_000
    back = lines(
        ("match_returned", "debit escrow:cmp", 5_000),
        ("match_returned", "credit match:call", 5_000),
        ("release", "debit match:call", 5_000),
        ("release", "credit receivable:sponsor", 5_000),
    )
    await call.ended("ended", *parts, back)


async def test_a_part_is_lost_and_nothing_is_promised(house: House) -> None:
    """Nothing goes back to the sponsor as long as their bank still has another part."""
    call = await Call.opened(house)
    first = await taken_back(call, 4_000)
    second = await taken_back(call, 3_000)
    await decided(house, first, won=False)
    await call.until("closed")
    await call.assert_sums(left=6_000, lost=4_000)
    await decided(house, second, won=True)
    won = lines(
        ("chargeback_won", "debit cash:sandbox", 3_000),
        ("chargeback_won", "credit dispute:cbk", 3_000),
    )
    await call.ended(
        "ended",
        PAID,
        disputed(4_000),
        disputed(3_000),
        lost(4_000, match=4_000),
        won,
        sent_back("match:call", 6_000),
    )
