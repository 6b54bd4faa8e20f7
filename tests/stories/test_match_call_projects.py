"""Projects of match calls: who may apply, who answers until when, and what silence means."""

from __future__ import annotations

import asyncio

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.jobs import paid_in, sent_back
from tests.stories.sponsors import ADMIN, BUDGET, Call

DONE = [*paid_in("match:call", BUDGET), *sent_back("match:call", BUDGET)]


async def test_applications_and_answers(house: House) -> None:
    call = await Call.opened(
        house, eligibility={"kinds": ["donation"], "largest_goal": 100_000, "words": "Kilns only"}
    )
    campaign, creator = await call.campaign()
    stranger = call.somebody("stranger")
    refused = {
        "not_found": (campaign.replace("cmp_0", "cmp_1"), creator, 404),
        "forbidden": (campaign, stranger, 403),
        "invalid_input": ((await call.campaign(creator, goal=100_001))[0], creator, 422),
        "currency_mismatch": ((await call.campaign(creator, currency="JPY"))[0], creator, 422),
        "wrong_phase": ((await call.campaign(creator, phase="successful"))[0], creator, 409),
    }
    for code, (applies, by, status) in refused.items():
        assert_problem(await call.try_to("projects", by, campaign_id=applies), status, code)
    made = await call.apply(campaign, creator)
    assert (made["state"], made["title"]) == ("applied", "A kiln")
    again = await call.try_to("projects", creator, campaign_id=campaign)
    assert_problem(again, 409, "limit_reached")
    # Nothing is matched before the sponsor has said yes, nor what was pledged before.
    _, before = await call.pledge(campaign, 100)
    assert before == 0
    for by in (creator, ADMIN):
        assert_problem(await call.try_to(f"projects/{campaign}/accept", by), 403, "forbidden")
    accepted = await call.act(f"projects/{campaign}/accept", call.sponsor, note="Welcome")
    assert (accepted["state"], accepted["answer_note"]) == ("accepted", "Welcome")
    for verb in ("accept", "decline"):
        answer = await call.try_to(f"projects/{campaign}/{verb}", call.sponsor)
        assert_problem(answer, 409, "wrong_phase")
    assert (await call.pledge(campaign, 100))[1] == 100
    other, maker = await call.campaign()
    await call.apply(other, maker)
    declined = await call.act(f"projects/{other}/decline", call.sponsor, note="Too far")
    assert declined["state"] == "declined"
    late, slow = await call.campaign()
    await call.apply(late, slow)
    house.sql("UPDATE match_projects SET answer_by = now() WHERE campaign_id = %s", late)
    answer = await call.try_to(f"projects/{late}/accept", call.sponsor)
    assert_problem(answer, 409, "too_late")
    page = await house.get(f"/v1/match-calls/{call.id}/projects", by=stranger, limit=2)
    rest = await house.get(
        f"/v1/match-calls/{call.id}/projects", by=stranger, after=page["next"], limit=2
    )
    states = {each["campaign_id"]: each["state"] for each in page["items"] + rest["items"]}
    assert states == {campaign: "accepted", other: "declined", late: "lapsed"}
    await call.fail(campaign)
    await call.act("close", call.sponsor)
    answer = await call.try_to("projects", maker, campaign_id=(await call.campaign(maker))[0])
    assert_problem(answer, 409, "wrong_phase")
    await call.ended("ended", DONE)


async def test_nobody_matches_their_own_campaign(house: House) -> None:
    """Neither by the same account nor by another of the same person, also when that comes out later."""
    call = await Call.opened(house)
    own, _ = await call.campaign(call.sponsor)
    answer = await call.try_to("projects", call.sponsor, campaign_id=own)
    assert_problem(answer, 403, "self_dealing")
    campaign, second_account = await call.campaign()
    await call.apply(campaign, second_account)
    ids = [await call.who(call.sponsor), await call.who(second_account)]
    house.sql(
        "UPDATE users SET identity_hash = %s, verified_at = now() WHERE id = ANY(%s)", call.id, ids
    )
    answer = await call.try_to(f"projects/{campaign}/accept", call.sponsor)
    assert_problem(answer, 403, "self_dealing")
    refusals = await house.get("/v1/self-dealing-refusals", by=ADMIN, path_id=call.id)
    assert {each["user_id"] for each in refusals["items"]} == set(ids)
    await call.act("close", call.sponsor)
    await call.ended("ended", DONE)


async def test_a_frozen_sponsor_begins_nothing_new(house: House) -> None:
    """What was promised stands, pledges to accepted campaigns are matched on; nothing else is begun."""
    call = await Call.opened(house, accept_all=True)
    campaign, creator = await call.campaign()
    assert (await call.apply(campaign, creator))["state"] == "accepted"
    await call.pledge(campaign, 1_000)
    await call.freeze(call.sponsor)
    later, maker = await call.campaign()
    assert (await call.apply(later, maker))["state"] == "applied"
    attempts: dict[str, Json] = {
        f"projects/{later}/accept": {},
        "top-up": {"amount": {"amount": 100}},
        "spendings": {
            "payee_id": await call.who(maker),
            "amount": {"amount": 100},
            "purpose": "Clay",
        },
    }
    for verb, body in attempts.items():
        assert_problem(await call.try_to(verb, call.sponsor, **body), 403, "account_frozen")
    draft = await house.call("POST", "/v1/match-calls", by=call.sponsor, json=Call.body())
    assert_problem(draft, 403, "account_frozen")
    await call.assert_sums(left=9_000, reserved=1_000)
    await call.freeze(call.sponsor, "unfreeze")
    await call.act(f"projects/{later}/accept", call.sponsor)
    await call.fail(campaign)
    await call.act("close", call.sponsor)
    await call.ended("ended", DONE)


async def test_a_crowd_of_applications_and_pledges_while_it_closes(house: House) -> None:
    """Real transactions side by side with the closing one: nothing is promised after it, and nothing is lost."""
    call = await Call.opened(house, accept_all=True)
    campaign = (await call.campaign())[0]
    creator = house.sql("SELECT initiator_id FROM paths WHERE id = %s", campaign)[0][0]
    subject = next(name for name, each in call.people.items() if each == creator)
    await call.apply(campaign, subject)
    rows = [call.rows.pledge_row(campaign, 100 + n) for n in range(20)]
    reserved, _ = await asyncio.gather(
        asyncio.gather(*(call.rows.reserve(row) for row in rows)),
        call.act("close", call.sponsor),
    )
    promised = sum(reserved)
    back = BUDGET - promised
    await call.assert_sums(
        **{name: each for name, each in (("reserved", promised), ("returned", back)) if each}
    )
    await call.fail(campaign)
    parts = [sent_back("match:call", each) for each in (promised, back) if each]
    await call.ended("ended", paid_in("match:call", BUDGET), *parts)
