"""Payouts that their payee must confirm at the provider: confirmed, declined, forgotten, and a provider that says nothing."""

from __future__ import annotations

import uuid

from tests.stories.house import House, Json
from tests.stories.money import (
    SHARE,
    assert_sound,
    at_provider,
    destination,
    earned,
    in_transit,
    payout_at,
    payout_postings,
    people,
    provider_moves,
    take_out,
    unheard,
)
from tests.waiting import eventually


async def awaiting(house: House) -> tuple[str, Json]:
    """A payee, and their payout that waits for their word."""
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    await house.misbehave("payout", "payout_await_payee")
    payout = await take_out(house, seller)
    return seller, await payout_at(house, payout, "awaiting_payee", by=seller)


async def says(house: House, payout: Json, action: str) -> None:
    """The payee presses a button on the provider's page."""
    answer = await house.sandbox.post(
        payout["confirm_url"], data={"action": action}, headers={"accept": "application/json"}
    )
    assert answer.status_code == 200, answer.text


async def test_confirmed_and_paid(house: House) -> None:
    seller, payout = await awaiting(house)
    assert in_transit(house, payout) == SHARE
    page = await house.sandbox.get(payout["confirm_url"])
    assert page.status_code == 200
    assert "Confirm" in page.text
    for _ in range(2):
        await says(house, payout, "confirm")
    paid = await payout_at(house, payout, "paid", by=seller)
    assert paid["confirm_url"] is None
    assert in_transit(house, payout) == 0
    assert await house.payable(seller) == 0
    late = await house.sandbox.post(
        payout["confirm_url"],
        data={"action": "decline"},
        headers={"accept": "application/json"},
    )
    assert late.status_code == 409
    await assert_sound(house)


async def test_forgotten_or_declined_the_money_is_back(house: House) -> None:
    for reason in ("payee_did_not_confirm", "payee_declined"):
        seller, payout = await awaiting(house)
        if reason == "payee_declined":
            await says(house, payout, "decline")
        else:
            [theirs] = await at_provider(house, "payouts", payout["id"])
            await provider_moves(house, "payouts", theirs["reference"], to="failed", reason=reason)
        failed = await payout_at(house, payout, "failed", by=seller)
        assert failed["failure_reason"] == reason
        assert await house.payable(seller) == SHARE
        assert payout_postings(house, payout)[2:] == [
            f"payout_failed: debit transit {SHARE}",
            f"payout_failed: credit payable {SHARE}",
        ]
        # Their bank has done nothing wrong: the same destination is tried again.
        await payout_at(house, await take_out(house, seller), "paid", by=seller)
    await assert_sound(house)


async def test_without_news_the_platform_looks_by_itself(house: House) -> None:
    seller, payout = await awaiting(house)
    async with unheard(house):
        await says(house, payout, "confirm")
        story = house.workflow(f"payout-{payout['id']}")
        poll = house.settings.payout_policy.poll
        await house.skipper.fast_forward(story, poll.longest + 1)
        await payout_at(house, payout, "paid", by=seller)
    await assert_sound(house)


async def test_until_the_provider_has_answered_it_is_submitted(house: House) -> None:
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    await house.misbehave("payout", "unavailable", times=1_000)
    payout = await take_out(house, seller)
    await payout_at(house, payout, "submitted", by=seller)
    assert in_transit(house, payout) == SHARE
    for each in (await house.sandbox.get("/v1/behaviours")).json()["data"]:
        if each["operation"] == "payout":
            await house.sandbox.delete(f"/v1/behaviours/{each['id']}")
    await house.workflow(f"payout-{payout['id']}").signal("wake")
    await payout_at(house, payout, "paid", by=seller)
    # A lost answer is looked up, not asked again.
    await earned(house, seller)
    await house.misbehave("payout", "answer_lost")
    second = await take_out(house, seller)

    async def there() -> bool:
        await house.workflow(f"payout-{second['id']}").signal("wake")
        return bool(await house.get(f"/v1/payouts/{second['id']}", by=seller))

    await eventually(there)
    await payout_at(house, second, "paid", by=seller)
    assert len(await at_provider(house, "payouts", second["id"])) == 1
    await assert_sound(house)


async def test_a_stranger_sees_no_page(house: House) -> None:
    unknown = f"{house.settings.sandbox_base_url}/payout/{uuid.uuid4().hex}"
    assert (await house.sandbox.get(unknown)).status_code == 404
