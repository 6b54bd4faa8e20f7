"""Offers in kind before anything is handed over: drafts, asks, the choice, and everything that is refused without effect."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.api.client import assert_problem, picture
from tests.stories.house import House, Json
from tests.stories.in_kind import (
    ADMIN,
    BACK,
    DAY,
    DEPOSIT,
    DUE_DAYS,
    PAID,
    Aid,
    body_of,
    in_days,
    people,
)
from tests.stories.polls import Poll


async def upload(house: House, by: str, *, private: bool = True) -> str:
    """A file of somebody."""
    files = {"file": ("picture.png", picture(), "image/png")}
    path = "/v1/files?private=true" if private else "/v1/files"
    answer = await house.call("POST", path, by=by, files=files)
    return str(answer.json()["id"])


async def may_see(house: House, by: str, file_id: str) -> bool:
    """Whether somebody is shown a file."""
    answer = await house.call("GET", f"/v1/files/{file_id}/content", by=by)
    return answer.status_code == 200


async def freeze(house: House, subject: str, verb: str = "freeze") -> None:
    """An operator freezes or unfreezes somebody."""
    user_id = (await house.get("/v1/me", by=subject))["id"]
    await house.post(f"/v1/users/{user_id}/{verb}", {"reason": "case 1"}, by=ADMIN)


async def test_a_draft_is_its_supporters_until_it_is_published(house: House) -> None:
    aid = await Aid.drafted(house)
    path = f"/v1/in-kind/{aid.id}"
    assert (aid.offer["phase"], aid.offer["agreement"]["payment"]) == ("draft", None)
    assert_problem(await house.call("GET", path, by="stranger"), 404, "not_found")
    assert_problem(await aid.try_ask("stranger"), 404, "not_found")
    task = {**body_of("task"), "file_ids": [await upload(house, aid.supporter)]}
    changed = (await house.call("PUT", path, by=aid.supporter, json=task)).json()
    assert (changed["help"], changed["hours"], changed["deposit"]) == ("task", 12, None)
    unknown = aid.id.replace("ink_", "fil_")
    refused: list[tuple[Json, str, str]] = [
        ({**task, "file_ids": [unknown]}, "unknown_file", "file_ids[0]"),
        ({**task, "hours": 0}, "invalid_input", "hours"),
        ({**task, "colour": "red"}, "invalid_input", "colour"),
        ({**task, "title": "a\x00b"}, "invalid_input", "title"),
        ({**task, "deposit": {"amount": 1}}, "invalid_input", "deposit"),
        ({**body_of("material"), "quantity": "a\x00b"}, "invalid_input", "quantity"),
        ({**body_of("loan"), "due_at": None}, "invalid_input", "due_at"),
        ({**body_of("loan"), "due_at": in_days(-1)}, "invalid_input", "due_at"),
        ({**body_of("loan"), "due_at": "2030-01-01T00:00:00"}, "invalid_input", "due_at"),
        ({**body_of("loan"), "due_at": in_days(366)}, "invalid_input", "due_at"),
    ]
    for body, code, field in refused:
        answer = await house.call("PUT", path, by=aid.supporter, json=body)
        assert assert_problem(answer, 422, code)["field"] == field, body
    assert (await aid.now())["title"] == "Spinning lessons"
    await aid.act("publish", aid.supporter)
    assert await may_see(house, "stranger", task["file_ids"][0])
    answer = await house.call("PUT", path, by=aid.supporter, json=task)
    assert_problem(answer, 409, "wrong_phase")
    assert_problem(await aid.try_to("publish", aid.supporter), 409, "wrong_phase")
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_a_loan_that_is_longer_than_the_provider_holds_its_deposit(house: House) -> None:
    aid = await Aid.drafted(house, due_at=in_days(118))
    problem = assert_problem(await aid.try_to("publish", aid.supporter), 422, "hold_too_long")
    assert (problem["field"], aid.postings()) == ("due_at", [])
    mended = {**body_of("loan"), "due_at": in_days(116)}
    await house.call("PUT", f"/v1/in-kind/{aid.id}", by=aid.supporter, json=mended)
    await aid.act("publish", aid.supporter)
    problem = assert_problem(
        await aid.try_to("extend", aid.supporter, due_at=in_days(118)), 422, "hold_too_long"
    )
    assert problem["field"] == "due_at"
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_a_draft_that_is_given_up_leaves_nothing(house: House) -> None:
    aid = await Aid.drafted(house)
    done = await aid.act("withdraw", aid.supporter)
    assert (done["phase"], done["agreement"]["end_reason"]) == ("withdrawn", "withdrawn")
    await house.assert_at_zero(aid.offer)
    hidden = await house.call("GET", f"/v1/in-kind/{aid.id}", by="stranger")
    assert_problem(hidden, 404, "not_found")
    for verb in ("withdraw", "publish"):
        assert_problem(await aid.try_to(verb, aid.supporter), 409, "wrong_phase")


async def test_an_offer_nobody_is_picked_for_expires(house: House) -> None:
    aid = await Aid.asked(house)
    await aid.let_pass(30 * DAY + 1)
    done = await aid.ended("expired")
    assert done["agreement"]["end_reason"] == "offer_lapsed"
    [asker] = aid.asks
    assert_problem(await aid.try_ask(people()[0]), 409, "wrong_phase")
    ask_id = aid.asks[asker]["id"]
    assert_problem(await aid.try_to(f"asks/{ask_id}/withdraw", asker), 409, "wrong_phase")


async def test_one_ask_a_person_seen_by_the_supporter_only(house: House) -> None:
    aid = await Aid.asked(house)
    [asker] = aid.asks
    file_id = await upload(house, asker)
    assert_problem(await aid.try_ask(asker), 409, "limit_reached")
    withdraw = f"asks/{aid.asks[asker]['id']}/withdraw"
    for stranger, status, code in (
        ("stranger", 404, "not_found"),
        (aid.supporter, 403, "forbidden"),
    ):
        assert_problem(await aid.try_to(withdraw, stranger), status, code)
    assert (await aid.act(withdraw, asker))["status"] == "withdrawn"
    assert_problem(await aid.try_to(withdraw, asker), 409, "wrong_phase")

    again = await aid.ask(asker, message="For the children", file_ids=[file_id])
    assert await may_see(house, aid.supporter, file_id)
    for judge in (aid.supporter, ADMIN):
        assert [each["id"] for each in await aid.seen_asks(judge)] == [again["id"]]
        assert (await aid.now(judge))["asks"] == 1
    assert [each["status"] for each in await aid.seen_asks(asker)] == ["withdrawn", "live"]
    assert await aid.seen_asks("stranger") == []
    outside = await aid.now("stranger")
    assert (outside["asks"], outside["agreement"]) == (None, None)
    await aid.act(f"asks/{again['id']}/withdraw", asker)
    assert not await may_see(house, aid.supporter, file_id)
    picked = await aid.try_to("pick", aid.supporter, ask_id=again["id"])
    assert assert_problem(picked, 422, "invalid_input")["field"] == "ask_id"
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_an_ask_names_a_path_of_the_askers_own(house: House) -> None:
    aid = await Aid.offered(house, "material")
    poll = await Poll.draft(house)
    asker, other = poll.initiator, people()[0]
    foreign = [poll.id, aid.id, aid.id.replace("ink_", "con_")]
    for path_id in foreign:
        problem = assert_problem(
            await aid.try_ask(other, for_path_id=path_id), 422, "invalid_input"
        )
        assert problem["field"] == "for_path_id"
    assert_problem(await aid.try_ask(asker, for_path_id=poll.id), 422, "invalid_input")
    await house.post(f"/v1/ballots/{poll.id}/open", by=asker)
    ask = await aid.ask(asker, for_path_id=poll.id)
    assert ask["for_path_id"] == poll.id
    assert (await aid.pick(asker))["agreement"]["ask"]["for_path_id"] == poll.id
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn")


async def test_only_an_ask_that_stands_can_be_picked(house: House) -> None:
    aid = await Aid.asked(house, "material")
    other = await Aid.asked(house, "material")
    [stranger] = other.asks
    unknown = aid.id.replace("ink_", "ask_")
    for ask_id in (unknown, other.asks[stranger]["id"], "7"):
        answer = await aid.try_to("pick", aid.supporter, ask_id=ask_id)
        assert assert_problem(answer, 422, "invalid_input")["field"] == "ask_id"
    assert await aid.timeline() == ["published by initiator"]
    for each in (aid, other):
        await each.act("withdraw", each.supporter)
        await each.ended("withdrawn")


async def test_nobody_asks_for_their_own_offer(house: House) -> None:
    aid = await Aid.offered(house, "material")
    assert_problem(await aid.try_ask(aid.supporter), 403, "self_dealing")
    _, (twin, late_twin) = people(2)
    account = {"account": f"6222{aid.id[-12:]}", "holder": "Lin", "automatic": False}
    for each in (aid.supporter, twin):
        await house.post("/v1/payout-destinations", account, by=each)
    assert_problem(await aid.try_ask(twin), 403, "self_dealing")
    ask = await aid.ask(late_twin)
    await house.post("/v1/payout-destinations", account, by=late_twin)
    answer = await aid.try_to("pick", aid.supporter, ask_id=ask["id"])
    assert_problem(answer, 403, "self_dealing")
    refusals = await house.get("/v1/self-dealing-refusals", by=ADMIN, path_id=aid.id)
    assert [each["tie"] for each in refusals["items"]] == [
        "same_destination",
        "same_destination",
        "same_person",
    ]
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_frozen_accounts_begin_nothing(house: House) -> None:
    aid = await Aid.asked(house, "material", askers=2)
    frozen, asker = aid.asks
    await freeze(house, frozen)
    answer = await aid.try_to("pick", aid.supporter, ask_id=aid.asks[frozen]["id"])
    assert_problem(answer, 403, "account_frozen")
    assert_problem(await aid.try_ask(frozen), 403, "account_frozen")
    draft = await Aid.drafted(house)
    for each in (aid, draft):
        await freeze(house, each.supporter)
    answer = await aid.try_to("pick", aid.supporter, ask_id=aid.asks[asker]["id"])
    assert_problem(answer, 403, "account_frozen")
    assert_problem(await draft.try_to("publish", draft.supporter), 403, "account_frozen")
    answer = await house.call("POST", "/v1/in-kind", by=draft.supporter, json=body_of("task"))
    assert_problem(answer, 403, "account_frozen")
    assert await aid.timeline() == ["published by initiator"]
    await aid.act("withdraw", aid.supporter)
    await aid.ended("withdrawn")


async def test_lists_for_everybody_the_supporter_and_who_asks(house: House) -> None:
    clay = await Aid.asked(house, "material")
    loom = await Aid.offered(house)
    [asker] = clay.asks
    await loom.ask(asker)
    await clay.pick(asker)

    async def listed(by: str, **which: str) -> list[str]:
        page = await house.get("/v1/in-kind", by=by, limit=100, **which)
        return [each["id"] for each in page["items"] if each["id"] in (clay.id, loom.id)]

    assert await listed("stranger") == [loom.id]
    assert await listed("stranger", help="task") == []
    assert await listed("stranger", help="loan") == [loom.id]
    assert await listed(clay.supporter, which="mine") == [clay.id]
    assert await listed(asker, which="asked") == [loom.id, clay.id]
    assert await listed(asker, which="asked", help="material") == [clay.id]
    first = await house.get("/v1/in-kind", by=asker, which="asked", limit=1)
    rest = await house.get("/v1/in-kind", by=asker, which="asked", after=first["next"])
    assert [each["id"] for each in rest["items"]] == [clay.id]
    assert_problem(await house.call("GET", "/v1/in-kind?which=all", by=asker), 422, "invalid_input")
    await clay.act("call-off", asker)
    for each in (clay, loom):
        await each.act("withdraw", each.supporter)
        await each.ended("withdrawn")


async def test_many_ask_at_once_and_one_is_picked(house: House) -> None:
    aid = await Aid.offered(house, "material")
    _, askers = people(8)
    await asyncio.gather(*(aid.ask(asker) for asker in askers))
    picks: list[Any] = await asyncio.gather(
        *(aid.try_to("pick", aid.supporter, ask_id=aid.asks[asker]["id"]) for asker in askers[:3])
    )
    assert sorted(answer.status_code for answer in picks) == [200, 409, 409]
    statuses = [each["status"] for each in await aid.seen_asks(aid.supporter)]
    assert sorted(statuses) == ["live"] * 7 + ["picked"]
    await aid.act("hand-over", aid.supporter)
    await aid.let_pass(7 * DAY + 1)
    await aid.ended("completed")


@pytest.mark.parametrize("paid", [True, False], ids=["paid", "unpaid"])
async def test_what_others_agree_on_is_not_told(house: House, paid: bool) -> None:
    aid = await (Aid.ready if paid else Aid.matched)(house, askers=2)
    loser = list(aid.asks)[1]
    for outsider in (loser, "stranger"):
        seen = await aid.now(outsider)
        assert (seen["agreement"], seen["asks"]) == (None, None)
        for part in ("deadlines", "timeline", "statement", "balances"):
            answer = await house.call("GET", f"/v1/in-kind/{aid.id}/{part}", by=outsider)
            assert_problem(answer, 403, "forbidden")
    assert (await aid.now(aid.picked))["agreement"]["payment"]["amount"]["amount"] == DEPOSIT
    assert (await aid.now())["agreement"]["payment"] is None, "it is the borrower's payment"
    await aid.act("call-off", aid.picked, note="I have found one nearer")
    # Offered again: the next one picked does not read what the one before has said.
    await aid.pick(loser)
    inside = (await aid.now(loser))["agreement"]
    assert (inside["records"], inside["ask"]["asker_id"]) == ([], aid.asks[loser]["asker_id"])
    [told] = (await aid.now())["agreement"]["records"]
    assert told["note"] == "I have found one nearer"
    assert (await aid.now(next(iter(aid.asks))))["agreement"] is None
    await aid.act("call-off", aid.supporter, offer_again=False)
    await aid.ended("withdrawn", *([PAID, BACK] if paid else []))


async def test_after_the_day_of_return_nobody_is_picked_before_it_is_put_off(
    house: House,
) -> None:
    aid = await Aid.asked(house)
    await aid.let_pass(DUE_DAYS * DAY + 60)
    [asker] = aid.asks
    answer = await aid.try_to("pick", aid.supporter, ask_id=aid.asks[asker]["id"])
    assert assert_problem(answer, 409, "too_late")["field"] == "due_at"
    put_off = await aid.act("extend", aid.supporter, due_at=in_days(DUE_DAYS + 10))
    assert put_off["offer_ends_at"] == aid.offer["offer_ends_at"]
    await aid.pick(asker)
    # The story's clock is a month ahead of the books', so that the time for handing over is up at once.
    assert (await house.pay({"payment": await aid.payment()})).status_code == 200
    await aid.ended("cancelled", PAID, BACK)
