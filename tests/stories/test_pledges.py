"""Pledges by card, wallet and bank: begun, standing, expired, revived; each seat and each fen once."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from typing import Any

from tests.stories.deals import refused
from tests.stories.funds import PRICE, Fund, money, people, tier
from tests.stories.house import House, Json
from tests.stories.pledging import (
    backed,
    card_at_provider,
    changed,
    kinds,
    look_again,
    made_ago,
    press,
    sound,
    stands,
    taken,
    time_is_up,
    wound_up,
)
from tests.waiting import eventually


async def test_a_card_is_saved_and_wallet_and_bank_are_paid(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=10)])
    for method, action in (("card", "save_card"), ("wallet", "pay"), ("bank", "pay")):
        [name] = people(1)[1]
        made = await fund.pledge(name, method=method)
        assert (made["state"], made["holds_seats"]) == ("initiated", True)
        assert (made["to_do"]["action"], made["to_do"]["amount"]["amount"]) == (action, PRICE)
        assert made["to_do"]["until"] > made["created_at"]
        await fund.press(made, decline=True)

        async def declined(name: str = name) -> bool:
            return (await fund.pledge_of(name))["decline_reason"] is not None

        await eventually(declined)
        await fund.press(made)
        found = await stands(fund, name, "saved" if method == "card" else "funded")
        assert found["to_do"] is None and found["decline_reason"] is None
        assert found["paid"]["amount"] == (0 if method == "card" else PRICE)
        await sound(fund)
    assert taken(fund) == 3
    assert (
        fund.postings("fund")
        == [
            "fund: debit clearing:sandbox 10001",
            "fund: credit escrow:campaign 10001",
        ]
        * 2
    )
    await wound_up(fund)
    assert fund.states() == ["released", "refunded", "refunded"]


async def test_what_was_not_paid_in_time_gives_its_seat_free_once(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=2)])
    card, wallet = people(2)[1]
    first = await fund.pledge(card, method="card")
    second = await fund.pledge(wallet, method="wallet")
    [third] = people(1)[1]
    await refused(await fund.try_pledge(third), 409, "out_of_stock", "tier")
    for pledge in (first, second):
        await time_is_up(fund, pledge)
    for name in (card, wallet):
        assert (await stands(fund, name, "expired"))["holds_seats"] is False
        assert await kinds(fund, name) == ["expired"]
    assert taken(fund) == 0
    assert await card_at_provider(fund, first) == "canceled"
    for page, action in ((first, "save"), (second, "pay")):
        answer = await press(fund, page["to_do"]["checkout_url"], action)
        assert answer.status_code == 409
    await sound(fund)
    await wound_up(fund)


async def test_who_was_faster_than_the_expiry_stands(house: House) -> None:
    """Nobody has heard of the payment yet when the time is up: the provider knows."""
    fund = await Fund.live(house, tiers=[tier(seats=2)])
    names = people(2)[1]
    for name, method in zip(names, ("card", "wallet"), strict=True):
        made = await fund.pledge(name, method=method)
        await house.misbehave("webhook", "drop", subject=subject_of(fund, made), times=9)
        await fund.press(made)
        await time_is_up(fund, made)
        await stands(fund, name, "saved" if method == "card" else "funded")
    assert taken(fund) == 2
    await sound(fund)
    await wound_up(fund)


async def test_late_money_finds_its_seat_or_goes_back(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=1)])
    early, late = people(2)[1]
    for name in (early, late):
        made = await fund.pledge(name, method="wallet")
        await time_is_up(fund, made)
        await stands(fund, name, "expired")
    for name in (early, late):
        do = fund.pledges[name]["to_do"]
        subject = subject_of(fund, fund.pledges[name])
        await house.misbehave("payment", "late_capture", subject=subject)
        assert (await press(fund, do["checkout_url"], "pay")).status_code == 200
        state = "funded" if name == early else "refunded"
        found = await stands(fund, name, state)
        assert (found["paid"]["amount"], found["holds_seats"]) == (PRICE, name == early)
        await sound(fund)
    assert taken(fund) == 1
    await wound_up(fund)
    assert fund.states() == ["refunded", "refunded"]


async def test_fifty_people_and_the_last_seat(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=3)])
    await fund.pledge(people(1)[1][0], quantity=2)
    crowd = people(50)[1]
    answers = await asyncio.gather(*(fund.try_pledge(name, method="wallet") for name in crowd))
    assert Counter(each.status_code for each in answers) == {201: 1, 409: 49}
    lost = next(each for each in answers if each.status_code == 409)
    await refused(lost, 409, "out_of_stock", "tier")
    assert (taken(fund), len(fund.states())) == (3, 2)
    await sound(fund)
    await wound_up(fund)


async def test_one_key_is_one_pledge(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=5)])
    [name] = people(1)[1]
    path, key = f"/v1/campaigns/{fund.id}/pledges", uuid.uuid4().hex
    body = {"tier": {"number": 1}, "method": "wallet", "extra": money(1)}

    async def send(**changes: Any) -> Any:
        return await house.call("POST", path, by=name, key=key, json=body | changes)

    answers = [*await asyncio.gather(*(send() for _ in range(5))), await send()]
    assert {each.status_code for each in answers} == {201}
    assert len({each.json()["id"] for each in answers}) == 1
    assert len({each.json()["to_do"]["checkout_url"] for each in answers}) == 1
    await refused(await send(extra=money(2)), 422, "idempotency_key_reused", "Idempotency-Key")
    assert (taken(fund), len(fund.states())) == (1, 1)
    [(payments,)] = house.sql("SELECT count(*) FROM payments WHERE path_id = %s", fund.id)
    assert payments == 1
    await wound_up(fund)


async def test_a_provider_out_of_reach_delays_the_page_and_nothing_else(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(seats=5)])
    for method, operation in (("wallet", "payment"), ("card", "card")):
        [name] = people(1)[1]
        path, key = f"/v1/campaigns/{fund.id}/pledges", uuid.uuid4().hex
        body = {"tier": {"number": 1}, "method": method}
        for effect in ("unavailable", "answer_lost"):
            await house.misbehave(operation, effect)
            lost = await house.call("POST", path, by=name, key=key, json=body)
            await refused(lost, 503, "unavailable")
        made = await house.call("POST", path, by=name, key=key, json=body)
        assert made.status_code == 201, made.text
        fund.pledges[name] = made.json()
        await fund.press(fund.pledges[name])
        await stands(fund, name, "saved" if method == "card" else "funded")
    assert (taken(fund), fund.states()) == (2, ["funded", "saved"])
    [name] = people(1)[1]
    await house.misbehave("payment", "unavailable")
    await refused(await fund.try_pledge(name, method="wallet"), 503, "unavailable")
    assert taken(fund) == 3
    await changed(
        fund,
        "UPDATE pledges SET expires_at = now() WHERE campaign_id = %s AND state = 'initiated'",
        fund.id,
    )
    await eventually(lambda: taken(fund) == 2)
    assert fund.states()[-1] == "expired"
    await sound(fund)
    await wound_up(fund)


async def test_webhooks_that_never_come(house: House) -> None:
    """Looks at doubling distance find what was paid and saved."""
    fund = await Fund.live(house)
    names = people(2)[1]
    for name, method in zip(names, ("card", "wallet"), strict=True):
        made = await fund.pledge(name, method=method)
        await house.misbehave("webhook", "drop", subject=subject_of(fund, made), times=9)
        await fund.press(made)
    for age, states in (
        (50, ["initiated", "initiated"]),
        (119, ["initiated", "initiated"]),
        (241, ["saved", "funded"]),
    ):
        await made_ago(fund, age)
        await look_again(house, since_seconds=20)
        assert fund.states() == states
    await sound(fund)
    await wound_up(fund)


def subject_of(fund: Fund, pledge: Json) -> str:
    """Our name of what is paid or saved."""
    query = "SELECT coalesce(card_id, payment_id) FROM pledges WHERE id = %s"
    return str(fund.house.sql(query, pledge["id"])[0][0])


async def test_the_backer_sees_it_and_the_creator_and_nobody_else(house: House) -> None:
    fund = await Fund.live(house)
    name, other = people(2)[1]
    made = await backed(fund, name, note="Well done!", anonymous=True)
    for who in (name, fund.creator, "admin"):
        found = await house.get(f"/v1/pledges/{made['id']}", by=who)
        assert (found["id"], found["note"]) == (made["id"], "Well done!")
    await refused(await house.call("GET", f"/v1/pledges/{made['id']}", by=other), 404, "not_found")
    await refused(
        await house.call("GET", f"/v1/pledges/{made['id']}/events", by=other), 404, "not_found"
    )
    await backed(fund, other, method="wallet")
    mine = await house.get("/v1/me/pledges", by=name)
    assert [each["id"] for each in mine["items"]] == [made["id"]]
    path = f"/v1/campaigns/{fund.id}/pledges"
    first = await house.get(path, by=fund.creator, limit=1)
    rest = await house.get(path, by=fund.creator, after=first["next"])
    assert [each["id"] for each in (*first["items"], *rest["items"])] == [
        each["id"] for each in fund.pledges.values()
    ]
    saved = await house.get(path, by="admin", state="saved")
    assert [each["state"] for each in saved["items"]] == ["saved"]
    for who in (name, other):
        await refused(await house.call("GET", path, by=who), 403, "forbidden")
    await backers_in_public(fund, hidden=name, named=other)
    for verb in ("change", "cancel", "mend", "retry"):
        where = f"/v1/pledges/{made['id']}/{verb}"
        for who, status, code in ((fund.creator, 403, "forbidden"), (other, 404, "not_found")):
            await refused(await house.call("POST", where, by=who, json={}), status, code)
    await wound_up(fund)


async def backers_in_public(fund: Fund, *, hidden: str, named: str) -> None:
    """Everybody reads who has agreed to be named, each person once; the others are a number, whoever asks."""
    house, begun, third = fund.house, *people(2)[1]
    ids = {name: fund.pledges[name]["backer_id"] for name in (hidden, named)}
    await fund.pledge(begun)
    path = f"/v1/campaigns/{fund.id}/backers"

    async def listed(**query: Any) -> Json:
        answer = await house.http.get(path, params=query)
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        for reader in (named, fund.creator, "admin"):
            assert await house.get(path, by=reader, **query) == found
        assert ids[hidden] not in answer.text
        return found

    found = await listed()
    assert [each["id"] for each in found["items"]] == [ids[named]]
    assert (found["anonymous"], found["next"]) == (1, None)
    assert set(found["items"][0]) == {"id", "display_name"}
    # Who is named once is no stranger with the next pledge.
    await backed(fund, named, anonymous=True)
    await backed(fund, named)
    await backed(fund, third)
    first = await listed(limit=1)
    rest = await listed(after=first["next"], limit=1)
    assert [each["id"] for each in first["items"] + rest["items"]] == [
        ids[named],
        fund.pledges[third]["backer_id"],
    ]
    assert (first["anonymous"], rest["anonymous"], rest["next"]) == (1, 1, None)
    draft = await Fund.drafted(house)
    for unseen in (
        await house.http.get(f"/v1/campaigns/{draft.id}/backers"),
        await house.call("GET", f"/v1/campaigns/{draft.id}/backers", by=named),
    ):
        await refused(unseen, 404, "not_found")
