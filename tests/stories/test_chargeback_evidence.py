"""Answering the payer's bank: the pack goes by itself in time, or by hand, and once; and payers who are locked meanwhile."""

from __future__ import annotations

import asyncio
import hashlib
from datetime import datetime, timedelta

import httpx

from domain.evidence import EvidencePack
from tests.api.client import picture
from tests.stories.chargebacks import (
    borne,
    chargeback_at,
    decided,
    disputed,
    opened,
    posted_by_chargebacks,
    story_of_chargeback,
    taken,
)
from tests.stories.deals import DAY, Deal, people, refused
from tests.stories.house import House, Json
from tests.stories.money import PRICE, SHARE, days_pass, earned, settled
from tests.stories.operators import REASON, operator
from tests.stories.test_chargebacks import COMMISSION, handed_over
from tests.stories.test_messages import said
from tests.waiting import eventually


async def chargeback_of(house: House, dispute: str, by: str) -> Json:
    """The chargeback as somebody sees it."""
    found = house.sql("SELECT id FROM chargebacks WHERE reference = %s", dispute)
    return await house.get(f"/v1/chargebacks/{found[0][0]}", by=by)


async def at_the_bank(house: House, dispute: str) -> Json | None:
    """What the provider has received."""
    answer = await house.sandbox.get(f"/v1/disputes/{dispute}/evidence")
    return None if answer.status_code == 404 else dict(answer.raise_for_status().json())


async def try_to(
    house: House, chargeback: Json, verb: str, by: str, body: Json | None = None
) -> httpx.Response:
    """An act on a chargeback whose answer is for the test to judge."""
    return await house.patiently(f"/v1/chargebacks/{chargeback['id']}/{verb}", body, by=by)


async def pass_time(house: House, sale: Json, seconds: int) -> None:
    """Skips time for the story of the sale's chargebacks."""
    await house.skipper.fast_forward(house.workflow(story_of_chargeback(sale)), seconds)


async def events(house: House, sale: Json) -> list[str]:
    """What happened about chargebacks: `kind by actor`, oldest first."""
    rows = house.sql(
        "SELECT kind, actor FROM events WHERE path_id = %s AND kind LIKE 'chargeback%%' ORDER BY id",
        sale["id"],
    )
    return [f"{kind} by {actor}" for kind, actor in rows]


async def test_the_pack_goes_by_itself_two_days_before_it_is_due(house: House) -> None:
    deal, number = await Deal.shipped(house)
    await settled(house, deal.sale)
    await house.scan(number, "in_transit")
    photo = picture()
    upload = await house.call(
        "POST",
        "/v1/files?private=true",
        by=deal.seller,
        files={"file": ("packed.png", photo, "image/png")},
    )
    await said(
        house,
        deal.id,
        deal.seller,
        "Packed; write to me@example.com",
        file_ids=[upload.json()["id"]],
    )
    dispute = await opened(house, deal.sale)
    seen = await chargeback_of(house, dispute, deal.seller)
    assert (seen["status"], seen["answer"], seen["locks_payer"]) == ("open", None, True)
    goes_at, due_by = (datetime.fromisoformat(seen[each]) for each in ("goes_at", "due_by"))
    assert due_by - goes_at == timedelta(days=2)

    await pass_time(house, deal.sale, 7 * DAY)
    assert await at_the_bank(house, dispute) is None
    await pass_time(house, deal.sale, 2 * DAY)
    await chargeback_at(house, dispute, "under_review")
    received = await at_the_bank(house, dispute)
    assert received is not None
    told = {each["name"]: each["text"] for each in received["evidence"]["sections"]}
    assert "Bamboo lamp" in told["What was agreed"] and number in told["Parcels"]
    assert "in_transit" in told["Parcels"] and "Packed" in told["Messages"]
    assert "@" not in str(received["evidence"])
    [file] = received["evidence"]["files"]
    assert (file["sha256"], file["name"]) == (hashlib.sha256(photo).hexdigest(), "packed.png")
    assert file["content"] is not None

    seen = await chargeback_of(house, dispute, deal.seller)
    assert seen["answer"]["submitted_at"] is not None and seen["goes_at"] is None
    assert received["operation_id"] == seen["answer"]["id"]
    assert seen["answer"]["sha256"] in received["evidence"]["statement"]
    whole = await house.get(f"/v1/chargebacks/{seen['id']}/evidence", by="admin")
    assert (whole["final"], whole["whole"]) == (True, True)
    assert EvidencePack.model_validate(whole["pack"]).sha256 == seen["answer"]["sha256"]

    await decided(house, dispute, won=True)
    await house.workflow(story_of_chargeback(deal.sale)).result()
    assert await events(house, deal.sale) == [
        "chargeback_opened by provider",
        "chargeback_evidence_submitted by system",
        "chargeback_won by provider",
    ]
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == SHARE
    await house.assert_at_zero(deal.sale)


async def test_a_bank_that_gives_little_time_is_answered_at_once(house: House) -> None:
    """120 days after the path has closed: the story begins anew, and the pack still tells everything."""
    _, seller = people()
    sale = await earned(house, seller)
    days_pass(house, 120)
    dispute = await opened_soon(house, sale, due_seconds=DAY)
    received = await at_the_bank(house, dispute)
    assert received is not None and "buyer: " in received["evidence"]["statement"]
    await decided(house, dispute, won=False)
    assert posted_by_chargebacks(house, sale) == [
        *taken(PRICE),
        *borne(PRICE, payable=SHARE, fee=COMMISSION),
    ]
    await house.workflow(story_of_chargeback(sale)).result()
    await house.assert_at_zero(sale)


async def opened_soon(house: House, sale: Json, **wish: int) -> str:
    """A dispute that is due so soon that it is answered at once."""
    dispute = await disputed(house, sale, **wish)
    await chargeback_at(house, dispute, "under_review")
    return dispute


async def test_evidence_after_the_deadline_has_no_effect(house: House) -> None:
    deal = await handed_over(house)
    dispute = await opened(house, deal.sale, due_seconds=0)

    async def refused_there() -> bool:
        answer = (await chargeback_of(house, dispute, deal.seller))["answer"]
        return bool(answer and answer["refused"])

    await eventually(refused_there)
    chargeback = await chargeback_of(house, dispute, deal.seller)
    assert "evidence_too_late" in chargeback["answer"]["refused"]
    late = await try_to(house, chargeback, "evidence", deal.seller, {"words": "He has it."})
    await refused(late, 409, "evidence_too_late", "status")
    late = await try_to(house, chargeback, "submission", "admin")
    await refused(late, 409, "evidence_too_late", "status")
    assert await at_the_bank(house, dispute) is None
    assert house.sql("SELECT count(*) FROM evidence_notes WHERE of_id = %s", chargeback["id"]) == [
        (0,)
    ]
    await decided(house, dispute, won=False)
    await deal.act("confirm", deal.buyer)
    await house.assert_at_zero(deal.sale)


async def test_by_hand_and_by_several_at_the_same_moment_it_goes_once(house: House) -> None:
    deal = await handed_over(house)
    first, second = await operator(house), await operator(house)
    dispute = await opened(house, deal.sale)
    chargeback = await chargeback_of(house, dispute, deal.seller)
    words = {"words": "She took the lamp out of my hands."}
    added = await try_to(house, chargeback, "evidence", deal.seller, words)
    assert added.status_code == 201, added.text
    assert [each["words"] for each in added.json()["pack"]["notes"]] == [words["words"]]
    theirs = await house.get(f"/v1/chargebacks/{chargeback['id']}/evidence", by=deal.buyer)
    assert (theirs["whole"], theirs["pack"]["notes"], theirs["final"]) == (False, [], False)
    await refused(await try_to(house, chargeback, "submission", deal.seller), 403, "forbidden")
    await refused(await try_to(house, chargeback, "evidence", "stranger", words), 404, "not_found")

    await house.misbehave("dispute", "answer_lost", subject=dispute)
    answers = await asyncio.gather(
        *(try_to(house, chargeback, "submission", by) for by in (first, second, first))
    )
    assert {each.status_code for each in answers} <= {200, 409}
    assert 200 in {each.status_code for each in answers}
    await chargeback_at(house, dispute, "under_review")
    received = await at_the_bank(house, dispute)
    assert received is not None and words["words"] in received["evidence"]["statement"]
    packs = house.sql("SELECT count(*) FROM evidence_packs WHERE of_id = %s", chargeback["id"])
    assert packs == [(1,)]
    more = await try_to(house, chargeback, "evidence", deal.seller, words)
    await refused(more, 409, "evidence_too_late", "status")
    assert (await events(house, deal.sale))[1:] == [
        "chargeback_evidence_submitted by operator",
    ]
    await decided(house, dispute, won=True)
    await deal.act("confirm", deal.buyer)
    await house.assert_at_zero(deal.sale)


async def test_a_provider_that_is_away_gets_the_pack_when_it_is_back(house: House) -> None:
    deal = await handed_over(house)
    for effect in ("unavailable", "connection_cut"):
        await house.misbehave("dispute", effect)
    dispute = await opened_soon(house, deal.sale, due_seconds=DAY)
    assert await at_the_bank(house, dispute) is not None
    assert await events(house, deal.sale) == [
        "chargeback_opened by provider",
        "chargeback_evidence_submitted by system",
    ]
    await decided(house, dispute, won=False)
    await deal.act("confirm", deal.buyer)
    await house.assert_at_zero(deal.sale)


async def test_operators_give_in(house: House) -> None:
    deal = await handed_over(house)
    dispute = await opened(house, deal.sale, 5_000)
    chargeback = await chargeback_of(house, dispute, deal.seller)
    short = await try_to(house, chargeback, "acceptance", "admin", {"reason": "yes"})
    assert short.status_code == 422
    given = await try_to(house, chargeback, "acceptance", "admin", {"reason": REASON})
    assert given.status_code == 200 and given.json()["accepted_at"] is not None
    await chargeback_at(house, dispute, "lost")
    assert posted_by_chargebacks(house, deal.sale) == [*taken(5_000), *borne(5_000, escrow=5_000)]
    assert (await events(house, deal.sale))[1:] == [
        "chargeback_accepted by operator",
        "chargeback_lost by provider",
    ]
    assert (await house.sandbox.get(f"/v1/disputes/{dispute}")).json()["accepted"] is True
    again = await try_to(house, chargeback, "acceptance", "admin", {"reason": REASON})
    await refused(again, 409, "evidence_too_late", "status")
    await deal.act("confirm", deal.buyer)
    await house.assert_at_zero(deal.sale)


async def test_nobody_decides_about_what_they_have_paid_for(house: House) -> None:
    judge = await operator(house)
    _, seller = people()
    deal = await Deal.of(house, await house.listing(seller), judge, seller)
    await deal.pay()
    await settled(house, deal.sale)
    dispute = await opened(house, deal.sale)
    chargeback = await chargeback_of(house, dispute, judge)
    for verb, body in (
        ("submission", None),
        ("acceptance", {"reason": REASON}),
        ("clearance", {"reason": REASON}),
    ):
        await refused(await try_to(house, chargeback, verb, judge, body), 403, "own_request")
    await decided(house, dispute, won=True)


async def try_to_buy(house: House, buyer: str) -> httpx.Response:
    """An order of something else."""
    _, other = people()
    lamp = await house.listing(other)
    body = {"lines": [{"listing_id": lamp["id"], "quantity": 1}], "delivery": "pickup"}
    return await house.call("POST", "/v1/sales", by=buyer, json=body)


async def test_the_payer_pays_for_nothing_new_until_it_is_won_or_cleared(house: House) -> None:
    deal = await handed_over(house)
    dispute = await opened(house, deal.sale)
    problem = await refused(await try_to_buy(house, deal.buyer), 403, "payer_locked")
    chargeback = await chargeback_of(house, dispute, deal.buyer)
    assert chargeback["id"] in problem["accepted"]
    assert (await try_to_buy(house, deal.seller)).status_code == 201, "nobody else is locked"
    await decided(house, dispute, won=True)
    assert (await try_to_buy(house, deal.buyer)).status_code == 201

    other = await opened(house, deal.sale)
    await decided(house, other, won=False)
    await refused(await try_to_buy(house, deal.buyer), 403, "payer_locked")
    lost = await chargeback_of(house, other, deal.buyer)
    reason = {"reason": REASON}
    await refused(await try_to(house, lost, "clearance", deal.buyer, reason), 403, "forbidden")
    cleared = await try_to(house, lost, "clearance", "admin", reason)
    assert cleared.status_code == 200 and cleared.json()["locks_payer"] is False
    assert (await try_to_buy(house, deal.buyer)).status_code == 201
    twice = await try_to(house, lost, "clearance", "admin", reason)
    await refused(twice, 409, "wrong_phase", "status")
    # What was under way goes on and ends.
    await deal.act("confirm", deal.buyer)
    await house.assert_at_zero(deal.sale)
