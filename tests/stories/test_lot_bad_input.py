"""Bad input to lots: each is refused with a typed problem that names the field, and leaves no trace."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest

from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.looks import concluded, newest
from tests.stories.polls import verified
from tests.stories.test_frozen import decide, user_id
from tests.stories.workshop import (
    DEPOSIT,
    RATE,
    Lot,
    Workshop,
    body_of,
    funded,
    people,
    returned,
    uploaded,
)

INVALID = "invalid_input"
_TRACES = (
    "SELECT phase, deadlines FROM paths WHERE id = %s",
    "SELECT phase, deadlines FROM paths WHERE id IN (SELECT id FROM lots WHERE order_id = %s)"
    " ORDER BY id",
    "SELECT * FROM production_orders WHERE id = %s",
    "SELECT * FROM lots WHERE order_id = %s ORDER BY id",
    "SELECT key, number FROM material_moves WHERE lot_id IN (SELECT id FROM lots WHERE order_id = %s)"
    " ORDER BY 1, 2",
    "SELECT id, kind FROM events WHERE path_id = %s"
    " OR path_id IN (SELECT id FROM lots WHERE order_id = %s) ORDER BY id",
    "SELECT id, purpose FROM payments WHERE path_id = %s"
    " OR path_id IN (SELECT id FROM lots WHERE order_id = %s) ORDER BY id",
    "SELECT key FROM ledger_entries WHERE kind <> 'settle' AND (path_id = %s"
    " OR path_id IN (SELECT id FROM lots WHERE order_id = %s)) ORDER BY id",
)


def traces(shop: Workshop) -> list[list[tuple[Any, ...]]]:
    """Everything that a claim or an act could leave behind on the order and its lots."""
    return [shop.house.sql(each, *[shop.id] * each.count("%s")) for each in _TRACES]


async def refuses_claim(
    shop: Workshop,
    by: str,
    units: object,
    expected: tuple[int, str, str | None],
    **more: Any,
) -> Json:
    """A claim that is refused with this status, code and field, and leaves nothing behind."""
    before = traces(shop)
    path = f"/v1/production-orders/{shop.id}/lots"
    answer = await shop.house.call("POST", path, by=by, json={"units": units, **more})
    problem = refused(answer, expected)
    assert traces(shop) == before, f"{units} {more} has left something behind"
    return problem


async def refuses(
    lot: Lot, verb: str, expected: tuple[int, str, str | None], by: str | None = None, **body: Any
) -> None:
    """An act that is refused with this status, code and field, and leaves nothing behind."""
    before = traces(lot.shop)
    refused(await lot.try_to(verb, by, **body), expected)
    assert traces(lot.shop) == before, f"{verb} {body} has left something behind"


def refused(answer: httpx.Response, expected: tuple[int, str, str | None]) -> Json:
    """The problem of an answer that must have this status, code and field."""
    status, code, field = expected
    problem = assert_problem(answer, status, code)
    assert problem.get("field") == field, problem
    return problem


async def test_claims_that_cannot_be(house: House) -> None:
    shop = await Workshop.published(house, units=20, lot_least=2, lot_most=6, lots_at_once=2)
    maker = people()[1][0]
    for units in (0, -1, 1.5, "3", None, True, 2**63):
        await refuses_claim(shop, maker, units, (422, INVALID, "units"))
    for units in (1, 7):
        problem = await refuses_claim(shop, maker, units, (422, INVALID, "units"))
        assert problem["accepted"].startswith("2 to 6")
    await refuses_claim(shop, maker, 2, (422, INVALID, "for"), **{"for": "somebody"})
    await refuses_claim(shop, maker, 2, (422, INVALID, "broker_id"), broker_id=new_id("usr"))
    await refuses_claim(shop, maker, 2, (422, INVALID, "return_url"), return_url="nowhere")
    missing = f"/v1/production-orders/{new_id('prd')}/lots"
    refused(
        await house.call("POST", missing, by=maker, json={"units": 2}), (404, "not_found", None)
    )
    full = await Workshop.published(house, units=2, lot_most=2)
    await full.claim(units=2)
    # Where nothing is left the smallest lot is one of nothing.
    await refuses_claim(full, maker, 0, (422, INVALID, "units"))
    await decide(house, maker, "freeze")
    await refuses_claim(shop, maker, 2, (403, "account_frozen", None))
    await decide(house, maker, "unfreeze")

    for _ in range(2):
        await shop.claim(maker, 6)
    await refuses_claim(shop, maker, 2, (409, "limit_reached", None))
    others = people(2)[1]
    await shop.claim(others[0], 6)
    await refuses_claim(shop, others[1], 3, (409, "out_of_stock", "units"))
    assert (await shop.units()) == {"open": 2, "running": 18}
    house.sql("UPDATE paths SET paused_at = now() WHERE id = %s", shop.id)
    await refuses_claim(shop, others[1], 2, (409, "wrong_phase", "phase"))
    house.sql("UPDATE paths SET paused_at = NULL WHERE id = %s", shop.id)
    # The time for claims is told by the database's clock, whatever the story has noticed.
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(now()))"
        " WHERE id = %s AND deadlines->0->>'name' = 'claims'",
        shop.id,
    )
    refused(await shop.try_claim(others[1], 2), (409, "too_late", None))
    await shop.act("stop")
    await refuses_claim(shop, others[1], 2, (409, "wrong_phase", "phase"))


async def test_a_refused_claim_is_no_failure_of_the_worker(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    """What only the story can refuse is one line in the log, with the reason; tracebacks are for faults."""
    shop = await Workshop.published(house, units=4, lot_most=2, lots_at_once=1)
    maker = people()[1][0]
    await shop.claim(maker, 2)
    with caplog.at_level("INFO", logger="temporalio"):
        refused(await shop.try_claim(maker, 2), (409, "limit_reached", None))
    lines = [each.getMessage() for each in caplog.records]
    assert any("refused limit_reached: 1 lots of this order" in line for line in lines)
    assert [each.getMessage() for each in caplog.records if each.exc_info] == []


async def test_orders_that_cannot_be_claimed_from(house: House) -> None:
    draft = await Workshop.drafted(house)
    maker = people()[1][0]
    refused(await draft.try_claim(maker, 1), (404, "not_found", None))
    await refuses_claim(draft, draft.requester, 100, (403, "self_dealing", None))
    waiting = await Workshop.funding(house)
    await refuses_claim(waiting, maker, 100, (404, "not_found", None))
    # A deposit above what the materials cost is no deposit, but a way to live on makers.
    body = body_of(deposit=DEPOSIT + 1)
    for method, path in (
        ("POST", "/v1/production-orders"),
        ("PUT", f"/v1/production-orders/{draft.id}"),
    ):
        answer = await house.call(method, path, by=draft.requester, json=body)
        assert refused(answer, (422, INVALID, "deposit"))["accepted"] == f"at most {DEPOSIT}"
    assert (await draft.now())["deposit"]["amount"] == DEPOSIT


async def test_the_last_units_are_claimed_once(house: House) -> None:
    shop = await Workshop.published(house, units=4, lot_most=4)
    makers = people(3)[1]
    keys = [uuid.uuid4().hex for _ in makers]
    path = f"/v1/production-orders/{shop.id}/lots"

    async def claim(maker: str, key: str) -> httpx.Response:
        return await house.call("POST", path, by=maker, key=key, json={"units": 4})

    # Each of them clicks twice.
    rush = [claim(maker, key) for maker, key in zip(makers, keys, strict=True) for _ in range(2)]
    answers = await asyncio.gather(*rush)
    pairs = [(answers[n], answers[n + 1]) for n in range(0, len(answers), 2)]
    assert all(first.json() == second.json() for first, second in pairs if first.is_success)
    assert sorted(first.status_code for first, _ in pairs) == [201, 409, 409]
    for pair in pairs:
        for answer in pair:
            if answer.status_code != 201:
                refused(answer, (409, "out_of_stock", "units"))
    [(lots, phase)] = house.sql(
        "SELECT count(*), min(phase) FROM lots JOIN paths USING (id) WHERE order_id = %s", shop.id
    )
    assert (lots, phase) == (1, "kit_reserved")
    assert (await shop.units()) == {"running": 4}
    won = next(n for n, (first, _) in enumerate(pairs) if first.status_code == 201)
    again = await claim(makers[won], keys[won])
    assert again.headers["idempotency-replayed"] == "true"
    assert again.json()["id"] == pairs[won][0].json()["id"]
    lot = Lot(shop, makers[won], again.json())

    # What the others were refused they may have once the lot has lapsed.
    await lot.act("withdraw")
    await lot.ended("lapsed")
    other = makers[won - 1]
    refused(await claim(other, keys[won - 1]), (409, "out_of_stock", "units"))
    assert (await shop.claim(other, 4)).lot["phase"] == "kit_reserved"


async def test_nobody_makes_or_inspects_for_themselves(house: House) -> None:
    requester, [twin, roommate, certifier, double, maker] = people(5)
    tail = requester[-6:]
    for who in (requester, twin):
        await verified(house, who, f"CN:requester{tail}")
    for who in (certifier, double):
        await verified(house, who, f"CN:certifier{tail}")
    account = {"account": f"6222{int(tail, 16):012d}", "holder": "Lin", "automatic": False}
    for who in (requester, roommate):
        await house.post("/v1/payout-destinations", account, by=who)

    # A certifier who is the requester is none.
    for who in (requester, twin, roommate):
        body = body_of(certifier_id=await user_id(house, who), certifier_fee=10)
        answer = await house.call("POST", "/v1/production-orders", by=requester, json=body)
        refused(answer, (403, "self_dealing", None))
    shop = await Workshop.published(
        house, by=requester, certifier_id=await user_id(house, certifier), certifier_fee=10
    )
    for who in (requester, twin, roommate, certifier, double):
        await refuses_claim(shop, who, 100, (403, "self_dealing", None))
    refusals = await house.get("/v1/self-dealing-refusals", by="admin", path_id=shop.id)
    assert [each["tie"] for each in refusals["items"]] == [
        "same_identity",
        "same_person",
        "same_destination",
        "same_identity",
        "same_person",
    ]
    # An operator does not decide about a lot of their own.
    lot = await shop.claim(maker)
    grant = f"/v1/users/{await user_id(house, maker)}/roles/operator"
    assert (await house.call("PUT", grant, by="admin")).status_code == 200
    body = {"note": "Mine are good", "accepted": 1}
    await refuses(lot, "rule", (403, "self_dealing", None), **body)
    await refuses(lot, "call-off", (403, "self_dealing", None), note="Mine")
    named = {"inspector_id": await user_id(house, roommate)}
    await refuses(lot, "name-inspector", (403, "self_dealing", None), **named)
    assert (await house.call("DELETE", grant, by="admin")).status_code == 200


async def test_acts_that_cannot_be(house: House) -> None:
    shop = await Workshop.published(
        house, units=10, lot_most=10, deposit=0, sample_fee=100, samples=1
    )
    lot = await shop.claim(units=10)
    by = shop.requester
    others = await uploaded(house, by)
    await refuses(lot, "send-sample", (422, "unknown_file", "file_ids[0]"), file_ids=[others])
    await refuses(lot, "send-sample", (422, INVALID, "file_ids[0]"), file_ids=["nope"])
    mine = [await uploaded(house, lot.maker)]
    await refuses(lot, "send-sample", (422, INVALID, "note"), note="a\x00b", file_ids=mine)
    # The fee is paid for what somebody can look at.
    nothing_shown: tuple[Json, ...] = ({}, {"file_ids": []})
    for nothing in nothing_shown:
        await refuses(lot, "send-sample", (422, INVALID, "file_ids"), **nothing)
    await lot.show_sample()
    await refuses(lot, "refuse-sample", (422, INVALID, "note"), by)
    await refuses(lot, "approve-sample", (422, INVALID, "colour"), by, colour="red")
    await lot.supply("approve-sample")

    parcels: list[tuple[Json, str]] = [
        ({"carrier": "sandbox"}, "tracking_number"),
        ({"tracking_number": "SF123456"}, "carrier"),
        ({"carrier": "pigeons", "tracking_number": "SF123456"}, "carrier"),
        ({"carrier": "sandbox", "tracking_number": "no"}, "tracking_number"),
    ]
    for body, field in parcels:
        await refuses(lot, "send-kit", (422, INVALID, field), by, **body)
    await lot.supply("send-kit")
    await lot.act("receive-kit")
    for body, field in parcels:
        await refuses(lot, "send-goods", (422, INVALID, field), made=10, **body)
    for goods in (
        {"made": 11},
        {"made": 10, "unused": 1},
        {"made": 4, "unused": 4, "spoiled": 3},
        {"made": 0},
        {"made": -1},
        {"made": 1.5},
        {"made": 2**63},
        {},
    ):
        await refuses(lot, "send-goods", (422, INVALID, "made"), **goods)
    for seconds in (0, -1, 1.5, 180 * 86_400 + 1, None):
        await refuses(lot, "extend", (422, INVALID, "seconds"), by, seconds=seconds)
    await refuses(lot, "extend", (422, INVALID, "seconds"), by, seconds=60 * 86_400 + 1)
    for accepted in (-1, 1.5, None):
        body = {"note": "Why", "accepted": accepted}
        await refuses(lot, "rule", (422, INVALID, "accepted"), "admin", **body)
    await refuses(lot, "rule", (409, "wrong_phase", "phase"), "admin", note="Why", accepted=1)
    missing = Lot(shop, lot.maker, {"id": new_id("lot")})
    for verb, body in (("report", {}), ("send-goods", {"made": 1}), ("appeal", {"note": "Why"})):
        await refuses(missing, verb, (404, "not_found", None), **body)
    assert lot.materials() == {"store": -20, "maker": 20}

    # Sent twice with one key it is sent once; another content under the key is refused.
    path, key = f"/v1/lots/{lot.id}/send-goods", uuid.uuid4().hex
    sent = {"made": 0, "unused": 8}
    twice = await asyncio.gather(
        *(house.call("POST", path, by=lot.maker, key=key, json=sent) for _ in range(2))
    )
    assert [answer.status_code for answer in twice] == [200, 200]
    assert (await lot.timeline()).count("goods_sent by maker") == 1
    other = await house.call("POST", path, by=lot.maker, key=key, json={"made": 1})
    assert_problem(other, 422, "idempotency_key_reused")
    await lot.supply("receive-goods")
    await concluded(lot, await newest(lot), accepted=0)
    await lot.until("settled")
    await shop.act("stop")
    sample = [
        "release: debit escrow:order 100",
        "release: credit payable:maker 100",
    ]
    await lot.ended("settled", sample)
    await shop.ended("completed", funded(10 * RATE + 100), returned(10 * RATE))
