"""Brokers 经纪人: lots claimed for workers who have agreed, and who is paid for them."""

from __future__ import annotations

import asyncio
import uuid

from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.test_frozen import decide, user_id
from tests.stories.workshop import Workshop, earned, people

CONSENTS = "/v1/broker-consents"
FEE = 300


async def give(house: House, worker: str, broker: str) -> Json:
    """A worker lets a broker act for them."""
    return await house.post(CONSENTS, {"broker_id": await user_id(house, broker)}, by=worker)


def trio() -> tuple[str, str, str]:
    """A worker, another one and a broker nobody else knows."""
    tail = uuid.uuid4().hex[:8]
    return f"worker-{tail}", f"other-{tail}", f"broker-{tail}"


async def test_a_broker_acts_for_a_worker_who_has_agreed_and_the_worker_is_paid(
    house: House,
) -> None:
    worker, other, broker = trio()
    shop = await Workshop.published(house, units=6, lot_most=3, sample_fee=FEE, samples=2)
    ids = {"for": await user_id(house, worker)}

    async def refuses(code: str = "forbidden", **changes: str) -> None:
        answer = await shop.try_claim(broker, 3, **{**ids, **changes})
        assert assert_problem(answer, 403, code)["field"] == "for"

    await refuses()
    await refuses(**{"for": new_id("usr")})
    consent = await give(house, worker, broker)
    await refuses(**{"for": await user_id(house, other)})

    lot = await shop.claim(broker, 3, **ids)
    brokers = {"maker_id": ids["for"], "broker_id": consent["broker_id"]}
    assert {name: lot.lot[name] for name in brokers} == brokers
    for who, which in ((worker, "maker"), (broker, "broker"), (shop.requester, "requester")):
        page = await house.get("/v1/me/lots", by=who, which=which)
        assert [each["id"] for each in page["items"]] == [lot.id], who
    assert (await house.get("/v1/me/lots", by=broker))["items"] == []
    await lot.show_sample()

    # Without the consent nothing new begins; what has begun goes on as it was begun.
    ended = await house.post(f"{CONSENTS}/{consent['id']}/end", by=worker)
    assert ended["ended_at"] is not None
    await refuses()
    await lot.supply("refuse-sample", note="Too loose")
    await lot.ended("lapsed", earned(FEE, 0))
    assert (await house.payable(worker), await house.payable(broker)) == (FEE, 0)
    assert (await shop.units()) == {"open": 6}


async def test_consents_stand_until_one_of_the_two_ends_them(house: House) -> None:
    worker, other, broker = trio()
    broker_id = await user_id(house, broker)
    both = await asyncio.gather(give(house, worker, broker), give(house, worker, broker))
    assert both[0] == both[1]
    consent = both[0]
    assert consent["ended_at"] is None
    others = await give(house, other, broker)

    page = await house.get(CONSENTS, by=broker, which="broker", limit=1)
    assert page["items"] == [others]
    page = await house.get(CONSENTS, by=broker, which="broker", limit=1, after=page["next"])
    assert (page["items"], page["next"]) == ([consent], None)
    assert (await house.get(CONSENTS, by=worker))["items"] == [consent]

    async def tries_to_end(by: str, consent_id: str = str(consent["id"])) -> int:
        answer = await house.call("POST", f"{CONSENTS}/{consent_id}/end", by=by, json={})
        return answer.status_code

    assert await tries_to_end(other) == 404
    assert await tries_to_end("admin") == 404
    assert await tries_to_end(worker, new_id("cns")) == 404
    assert (await house.get(CONSENTS, by=worker))["items"] == [consent]
    assert await tries_to_end(broker) == 200
    [ended] = (await house.get(CONSENTS, by=worker))["items"]
    assert await tries_to_end(worker) == 200
    assert (await house.get(CONSENTS, by=worker))["items"] == [ended]
    again = await give(house, worker, broker)
    assert (again["id"] != consent["id"], again["ended_at"]) == (True, None)

    for body in ({"broker_id": await user_id(house, worker)}, {"broker_id": new_id("usr")}):
        answer = await house.call("POST", CONSENTS, by=worker, json=body)
        assert assert_problem(answer, 422, "invalid_input")["field"] == "broker_id"
    await decide(house, other, "freeze")
    answer = await house.call("POST", CONSENTS, by=other, json={"broker_id": broker_id})
    assert_problem(answer, 403, "account_frozen")
    # A frozen account may still take its consent back.
    assert (await house.post(f"{CONSENTS}/{others['id']}/end", by=other))["ended_at"]


async def test_neither_broker_nor_worker_has_a_part_in_the_order_or_is_frozen(
    house: House,
) -> None:
    worker, _, broker = trio()
    requester, _ = people()
    await give(house, worker, requester)
    await give(house, requester, broker)
    await give(house, worker, broker)
    shop = await Workshop.published(house, by=requester, units=3, lot_most=3)
    of_worker = {"for": await user_id(house, worker)}
    of_requester = {"for": await user_id(house, requester)}
    for by, whose in ((requester, of_worker), (broker, of_requester)):
        assert_problem(await shop.try_claim(by, 3, **whose), 403, "self_dealing")
    await decide(house, worker, "freeze")
    problem = assert_problem(await shop.try_claim(broker, 3, **of_worker), 403, "account_frozen")
    assert problem["field"] == "for"
    await decide(house, worker, "unfreeze")
    await decide(house, broker, "freeze")
    assert_problem(await shop.try_claim(broker, 3, **of_worker), 403, "account_frozen")
    assert (await shop.units()) == {"open": 3}
    assert house.sql("SELECT 1 FROM lots WHERE order_id = %s", shop.id) == []
