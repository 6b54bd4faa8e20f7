"""What a stopped campaign's creator could not pay back is paid later, and passed on to those who are short of it."""

from __future__ import annotations

from db import claim_rows
from domain.campaign_delivery import divided
from domain.claims import PassedOn
from domain.money import split
from tests.stories.chargebacks import borne, decided
from tests.stories.claims import (
    DAY,
    TWO_PARTS,
    earns,
    pass_on,
    shared,
    shortfall,
    spent,
    stopped,
    waits_for,
)
from tests.stories.deliveries import balance, creators, dispute, fulfilling, last_loss, refunds
from tests.stories.funds import PRICE, Fund
from tests.stories.house import House
from tests.stories.money import assert_sound
from tests.stories.sponsors import Call
from tests.waiting import eventually


async def test_the_oldest_claim_is_paid_first_with_match_calls_and_banks(house: House) -> None:
    """One creator, two stopped campaigns: the first was matched, and a backer's bank disputes a pledge of it."""
    call = await Call.opened(house, budget=7_001)
    one = await Fund.live(house, tranches=TWO_PARTS)
    await call.apply(one.id, one.creator)
    await call.act(f"projects/{one.id}/accept", call.sponsor)
    torn, frozen = await one.backed_by("wallet", "card")
    await one.close()
    await one.until("successful")
    await call.let_pass(86_400 + 11)
    await call.until("ended")
    await one.let_pass(14 * 86_400 + 1)
    await one.until("fulfilling")
    two = await fulfilling(house, "wallet", creator=one.creator, goal=PRICE, tranches=TWO_PARTS)
    await spent(house, one.creator)
    short = await stopped(one)
    calls_short = balance(one, "claim", one.id) - sum(short)
    [short_of_two] = await stopped(two)
    owed = creators(one, "receivable")
    assert owed == sum(short) + calls_short + short_of_two
    assert calls_short > 0
    await call.freeze(frozen)

    got, of_calls = [0, 0], 0

    async def passed_on(came: int) -> None:
        """Everybody has their part; that of the call, which has ended, goes on to its sponsor."""
        nonlocal got, of_calls
        assert await pass_on(house) == PassedOn(pledges=2)
        missing = [all_ - part for all_, part in zip(short, got, strict=True)]
        of_pledges, of_call = divided(came, [sum(missing), calls_short - of_calls])
        parts = split(of_pledges, missing)
        got = [before + part for before, part in zip(got, parts, strict=True)]
        of_calls += of_call
        assert await house.payable(torn) == got[0]
        assert balance(one, "held", await call.who(frozen)) == got[1]
        assert shared(two) == []
        assert "backers of 2 pledges, CNY" in shared(one)[-1]
        still = calls_short - of_calls
        await call.assert_sums(returned=7_001 - still, used=still)

    # What is not worth a round waits for more, but not for ever.
    little = await earns(one, 500)
    assert await pass_on(house) == PassedOn()
    assert shared(one) == []
    waits_for(one, 0)
    await passed_on(little)
    waits_for(one, 90 * DAY)
    await passed_on(await earns(one, 5_000))

    # A pledge that a bank disputes is left out until the bank has decided; everybody else has everything. A worker
    # has died when nobody had heard of the last round, and another one when it had just planned a round.
    reference = await dispute(one, torn)
    await earns(one, 20_000)
    house.sql(
        "UPDATE claim_rounds SET ended_at = NULL WHERE campaign_id = %s AND number = 2", one.id
    )
    async with house.database.transaction() as session:
        await claim_rows.begin(session, two.id, short_of_two, 0)
    await pass_on(house)
    rest = short[0] - got[0]
    assert creators(one, "receivable") == 0
    assert (balance(one, "claim", one.id), balance(two, "claim", two.id)) == (rest, 0)
    assert await shortfall(one, frozen) == 0
    assert await house.payable(two.backers[0]) == short_of_two
    await call.assert_sums(returned=7_001)
    assert await pass_on(house) == PassedOn()

    # Lost, the claim pays the bank, and the backer what they have got twice.
    await decided(house, reference, won=False)
    assert last_loss(one) == [*borne(rest, claim=rest), *borne(got[0], payable=got[0])]
    assert balance(one, "claim", one.id) == await house.payable(torn) == 0
    assert await pass_on(house) == PassedOn()
    await one.adds_up()
    assert len(refunds(one)) == 2

    async def closed() -> bool:
        return bool(house.sql("SELECT closed_at FROM paths WHERE id = %s", call.id)[0][0])

    await eventually(closed)
    await one.until_closed()
    await one.at_zero()
    await two.at_zero()
    await assert_sound(house)
