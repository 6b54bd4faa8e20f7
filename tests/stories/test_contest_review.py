"""Contests at the edges of their phases: what comes late, twice, or while something else is under way still counts once."""

from __future__ import annotations

import asyncio
import uuid

from tests.stories.chargebacks import balance
from tests.stories.contest_checks import ADMIN, object_to, place_files
from tests.stories.contests import Show, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json
from tests.stories.money import destination, payout_at, take_out
from tests.waiting import eventually

UPHELD: Json = {"upheld": True, "reason": "It is in a catalogue."}


async def test_an_open_objection_against_the_other_winner_is_not_forgotten(house: House) -> None:
    show = await Show.choosing(house, 3, prizes=[60_000, 40_000])
    first, second, third = show.creators
    await show.announce(first, second)
    against_first = await object_to(show, first, stranger("reader"))
    against_second = await object_to(show, second, stranger("reader"))
    await house.post(f"{show.path}/objections/{against_first['id']}/rule", UPHELD, by=ADMIN)
    await show.until("choosing")
    await show.act("announce", awards=[{"prize": 1, "entry_id": show.entries[third]["id"]}])
    await show.let_pass(3 * DAY)
    await show.until("contested")
    assert list(await show.deadlines()) == ["ruling"]
    dismissed: Json = {"upheld": False, "reason": "Only alike."}
    await house.post(f"{show.path}/objections/{against_second['id']}/rule", dismissed, by=ADMIN)
    await show.until("hand_over")


async def test_a_ruling_whose_answer_was_lost_is_repeated(house: House) -> None:
    show = await Show.announced(house)
    objection = await object_to(show, show.creators[0], stranger("reader"))
    path = f"{show.path}/objections/{objection['id']}/rule"
    answers = [
        await house.call("POST", path, by=ADMIN, key=uuid.uuid4().hex, json=UPHELD)
        for _ in range(2)
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json() == answers[1].json()
    other: Json = {"upheld": False, "reason": "On second thoughts."}
    await refused(
        await house.call("POST", path, by=ADMIN, json=other), 409, "wrong_phase", "objection_id"
    )
    assert (await show.timeline()).count("entry_voided by operator") == 1


async def test_what_was_handed_over_for_a_lost_prize_is_not_the_owners(house: House) -> None:
    show = await Show.reviewing(house)
    winner = show.creators[0]
    given = (await house.get(f"{show.path}/hand-overs", show.owner))["hand_overs"]
    [file_id] = [file["id"] for file in given[0]["files"]]
    assert await place_files(house, file_id, show.owner) == {200}
    body = {"entry_id": show.entries[winner]["id"], "reason": "It is in a catalogue."}
    await show.act("void-award", by=ADMIN, **body)
    await show.until("choosing")
    assert 200 not in await place_files(house, file_id, show.owner)
    assert await place_files(house, file_id, winner) == {200}


async def test_calling_off_the_rest_leaves_the_owner_what_was_paid_for(house: House) -> None:
    show = await Show.choosing(house, 2, prizes=[60_000, 40_000])
    winner = show.creators[0]
    await show.announce(winner)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(winner)
    await show.act("accept")
    await show.until("choosing")
    await house.workflow(show.story).cancel()
    await show.ended("completed")
    given = (await house.get(f"{show.path}/hand-overs", show.owner))["hand_overs"]
    assert await place_files(house, given[0]["files"][0]["id"], show.owner) == {200}
    assert [prize["state"] for prize in show.contest["prizes"]] == ["released", "refunded"]
    assert (await show.postings())[-4:] == sent_back(40_000)


async def test_an_extension_nobody_paid_does_not_open_a_closed_contest_again(
    house: House,
) -> None:
    show = await Show.opened(house)
    await show.act("extend", amount=20_000, pay_by="bank_transfer")
    payment = show.contest["payment"]["id"]
    # The provider is slow to close the page, quick to send the bounty back.
    await house.misbehave("cancel", "delay", subject=payment, seconds=2)
    await house.workflow(show.story).cancel()

    async def expired() -> bool:
        return bool(
            house.sql("SELECT 1 FROM payments WHERE id = %s AND status = 'expired'", payment)
        )

    await eventually(expired)
    await show.ended("cancelled")


async def test_giving_up_while_the_page_to_pay_on_is_being_made(house: House) -> None:
    show = await Show.drafted(house)
    payment = show.id.replace("con_", "pay_", 1)
    await house.misbehave("payment", "delay", subject=payment, seconds=2)
    sha = show.contest["licence"]["sha256"]
    funding = asyncio.create_task(show.tries("fund", licence_sha256=sha))

    async def asked() -> bool:
        return bool((await show.seen())["phase"] == "funding")

    await eventually(asked)
    await show.act("cancel", note="Changed my mind")
    await show.ended("expired")
    await funding


async def test_what_a_creator_owes_is_taken_from_the_next_share(house: House) -> None:
    copied = await Show.reviewing(house, 1)
    debtor = copied.creators[0]
    await copied.act("accept")
    await copied.ended("completed")
    await destination(house, debtor)
    await payout_at(house, await take_out(house, debtor), "paid", by=debtor)
    body = {"entry_id": copied.entries[debtor]["id"], "reason": "It is in a catalogue."}
    await copied.act("void-award", by=ADMIN, **body)
    show = await Show.opened(house, windows={"choose_seconds": DAY})
    other = stranger("creator")
    await show.enter(debtor)
    await show.enter(other)
    await show.entries_close()
    await show.until("choosing")
    await show.let_pass(DAY)
    await show.ended("split")
    assert (await house.payable(debtor), await house.payable(other)) == (0, 45_000)
    assert balance(house, "receivable", await show.user_id(debtor)) == 45_000
