"""Wages that the requester's bank takes back: nothing more can be claimed, and makers who have begun lose nothing."""

from __future__ import annotations

from tests.stories.chargebacks import BANK_FEE, balance, decided, opened
from tests.stories.house import House, Json
from tests.stories.jobs import lines
from tests.stories.test_production import gives_back, says_lots_over, takes_on
from tests.stories.workshop import RATE, UNITS, Workshop, funded, returned
from tests.waiting import eventually

WAGES = UNITS * RATE
PAID = funded()


async def wages_of(shop: Workshop) -> Json:
    """The payment of the wages, as the helpers for chargebacks want it."""
    return {"id": shop.id, "payment": (await shop.now())["payment"]}


async def taken_back(shop: Workshop, amount: int | None = None) -> str:
    """The bank takes the money back, and the order's story stands still."""
    dispute = await opened(shop.house, await wages_of(shop), amount)
    story = shop.house.workflow(shop.story)

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
    owners = {"escrow": "order"}
    return lines(
        *(
            ("chargeback_lost", f"debit {kind}:{owners.get(kind, 'requester')}", part)
            for kind, part in by.items()
        ),
        ("chargeback_lost", "credit dispute:cbk", amount),
    )


def owed(shop: Workshop) -> int:
    """What the requester owes the platform."""
    return balance(shop.house, "receivable", shop.order["requester_id"])


async def test_while_the_bank_has_the_money_the_order_stands_still_and_then_goes_on(
    house: House,
) -> None:
    shop = await Workshop.published(house)
    dispute = await taken_back(shop)
    assert (await shop.try_to("stop")).status_code == 409
    listed = await house.get("/v1/production-orders", by=shop.requester)
    assert shop.id not in [each["id"] for each in listed["items"]], "nobody can claim now"
    takes_on(shop, 1)
    gives_back(shop, 1)
    await says_lots_over(shop)
    await decided(house, dispute, won=True)
    await shop.until("published")

    async def goes_on() -> bool:
        return (await shop.try_to("stop")).status_code == 200

    await eventually(goes_on)
    won = lines(
        ("chargeback_won", "debit cash:sandbox", WAGES),
        ("chargeback_won", "credit dispute:cbk", WAGES),
    )
    await shop.ended("completed", PAID, disputed(WAGES), won, returned(WAGES))
    assert owed(shop) == 0


async def test_lost_before_anybody_has_claimed_anything_the_order_ends(house: House) -> None:
    shop = await Workshop.published(house)
    await decided(house, await taken_back(shop), won=False)
    done = await shop.ended("completed", PAID, disputed(WAGES), lost(WAGES, escrow=WAGES))
    assert done["end_reason"] == "charged_back"
    assert owed(shop) == 0


async def test_what_a_partial_chargeback_leaves_goes_back(house: House) -> None:
    shop = await Workshop.published(house)
    await decided(house, await taken_back(shop, 12_345), won=False)
    await shop.ended(
        "completed",
        PAID,
        disputed(12_345),
        lost(12_345, escrow=12_345),
        returned(WAGES - 12_345),
    )


async def test_makers_who_have_begun_are_paid_all_the_same_and_the_requester_owes_that(
    house: House,
) -> None:
    """40 of 100 units are being made: their wages stay; what is left of them at the end pays the debt."""
    shop = await Workshop.published(house)
    takes_on(shop, 40)
    await decided(house, await taken_back(shop), won=False)
    await shop.until("closing")
    kept = 40 * RATE
    assert owed(shop) == kept
    assert balance(house, "escrow", shop.id) == kept
    gives_back(shop, 40)
    await says_lots_over(shop)
    await shop.ended(
        "completed",
        PAID,
        disputed(WAGES),
        lost(WAGES, escrow=WAGES - kept, receivable=kept),
        lines(
            ("release", "debit escrow:order", kept),
            ("release", "credit payable:requester", kept),
            ("netting", "debit payable:requester", kept),
            ("netting", "credit receivable:requester", kept),
        ),
    )
    assert owed(shop) == 0
    assert await house.payable(shop.requester) == 0


async def test_lost_while_the_last_lots_are_finished(house: House) -> None:
    """Part of the wages first, which the order does not need; then all that is left, after the last lot has ended."""
    shop = await Workshop.published(house)
    takes_on(shop, 40)
    await shop.act("stop")
    await decided(house, await taken_back(shop, 10_000), won=False)
    await shop.until("closing")
    assert owed(shop) == 0
    dispute = await taken_back(shop, 15_000)
    gives_back(shop, 40)
    await says_lots_over(shop)
    await decided(house, dispute, won=False)
    done = await shop.ended(
        "completed",
        PAID,
        disputed(10_000),
        lost(10_000, escrow=10_000),
        disputed(15_000),
        lost(15_000, escrow=15_000),
        returned(WAGES - 25_000),
    )
    assert done["end_reason"] == "charged_back"
    timeline = await shop.timeline()
    assert timeline.count("charged_back by provider") == 2
    assert "lots_over by system" not in timeline
    assert owed(shop) == 0
