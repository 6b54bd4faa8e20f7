"""Contests of two rounds: a qualifying round, finalists, and a final round only for them."""

from __future__ import annotations

import httpx

from tests.stories.contests import Show, funded, released, sent_back, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json

PICKING = 4 * DAY
FINAL = 3 * DAY + 60


def ids(show: Show, *places: int) -> list[str]:
    """First entries of the creators in these places."""
    return [show.entries[show.creators[place]]["id"] for place in places]


async def picking(house: House, count: int, **changes: object) -> Show:
    """A contest whose owner has to pick the finalists among so many entries."""
    show = await Show.with_entries(house, count, rounds=2, **changes)
    await show.entries_close()
    await show.until("picking")
    await show.follows("picking")
    return show


async def revise(show: Show, place: int, title: str = "Anew") -> httpx.Response:
    """A creator hands in a revision of their first entry; the answer is for the test to judge."""
    creator = show.creators[place]
    body: Json = {"title": title, "file_ids": [await show.file(creator)]}
    [entry] = ids(show, place)
    return await show.tries(f"entries/{entry}/revisions", by=creator, **body)


async def withdraws(show: Show, place: int) -> None:
    """A creator takes their first entry out."""
    [entry] = ids(show, place)
    await show.house.post(f"{show.path}/entries/{entry}/withdraw", by=show.creators[place])


async def standings(show: Show) -> list[tuple[str, bool, str | None]]:
    """(status, finalist, reason) of every entry in the order of arrival."""
    listed = await show.house.get(f"{show.path}/entries", show.owner)
    return [(each["status"], each["finalist"], each["reason"]) for each in listed["items"]]


async def chosen(show: Show, place: int) -> None:
    """The owner announces this creator, who hands over, and accepts."""
    winner = show.creators[place]
    await show.announce(winner)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(winner)
    await show.act("accept")
    await show.ended("completed")


async def test_from_the_qualifying_round_to_the_winner(house: House) -> None:
    show = await picking(house, 3)
    timers = await show.deadlines()
    assert list(timers) == ["finalists"]
    assert timers["finalists"]["stopped_by"] == ["initiator: pick finalists"]
    await show.act("finalists", entry_ids=ids(show, 0, 2), note="Calm lines")
    assert show.contest["phase"] == "final_round"
    out = ("eliminated", False, "not_a_finalist")
    assert await standings(show) == [("entered", True, None), out, ("entered", True, None)]

    revised = await revise(show, 2)
    assert revised.status_code == 201, revised.text
    assert [each["number"] for each in revised.json()["revisions"]] == [2, 1]
    await refused(await revise(show, 1), 409, "wrong_phase", "phase")
    newcomer = stranger("creator")
    body: Json = {"title": "Late", "file_ids": [await show.file(newcomer)]}
    late = await show.tries("entries", by=newcomer, **body)
    await refused(late, 409, "wrong_phase", "phase")
    await refused(
        await show.tries("announce", awards=[{"entry_id": ids(show, 0)[0]}]),
        409,
        "wrong_phase",
        "phase",
    )

    await show.let_pass(FINAL)
    await show.until("choosing")
    await refused(await revise(show, 2), 409, "wrong_phase", "phase")
    answer = await show.tries("announce", awards=[{"entry_id": ids(show, 1)[0]}])
    await refused(answer, 422, "invalid_input", "awards[0].entry_id")
    answer = await show.tries("shortlist", entry_ids=ids(show, 1))
    await refused(answer, 422, "invalid_input", "entry_ids[0]")
    await chosen(show, 2)
    assert await show.postings() == funded() + released("creator3", 90_000, 10_000)
    assert (await show.timeline())[3:] == [
        "entries_closed by system",
        "finalists_picked by initiator",
        "final_round_closed by system",
        "announced by initiator",
        "notice_passed by system",
        "handed_over by creator",
        "accepted by initiator",
    ]


async def test_who_cannot_be_a_finalist(house: House) -> None:
    show = await picking(house, 4, max_finalists=2)
    body: Json = {"entry_ids": ids(show, 0), "reason": "off_brief"}
    await house.post(f"{show.path}/eliminate", body, by=show.owner)
    await withdraws(show, 1)
    for place in (0, 1):
        answer = await show.tries("finalists", entry_ids=ids(show, 2, place))
        await refused(answer, 422, "invalid_input", "entry_ids[1]")
    await house.post(f"{show.path}/shortlist", {"entry_ids": ids(show, 0)}, by=show.owner)
    too_many = await show.tries("finalists", entry_ids=ids(show, 0, 2, 3))
    await refused(too_many, 422, "invalid_input", "entry_ids")
    elsewhere = await show.tries("finalists", entry_ids=["ent_01h45ytscbebyvny4gc8cr8ma2"])
    await refused(elsewhere, 422, "invalid_input", "entry_ids[0]")
    by_creator = await show.tries("finalists", by=show.creators[2], entry_ids=ids(show, 2))
    await refused(by_creator, 403, "forbidden")
    assert (await show.seen())["phase"] == "picking"
    await show.act("finalists", entry_ids=ids(show, 0))
    await show.let_pass(FINAL)
    await show.until("choosing")
    await chosen(show, 0)


async def test_silence_makes_the_shortlisted_the_finalists(house: House) -> None:
    show = await picking(house, 4, max_finalists=2, guaranteed=False)
    await show.shortlist(*show.creators[1:])
    await show.let_pass(PICKING)
    final = await show.until("final_round")
    assert final["guaranteed"] is True
    finalist, out = ("entered", True, None), ("eliminated", False, "not_a_finalist")
    assert await standings(show) == [out, finalist, finalist, out]

    # Finalists may still leave; the others come no nearer by that.
    await withdraws(show, 1)
    await refused(await revise(show, 1), 409, "wrong_phase", "status")
    await show.let_pass(FINAL)
    await show.until("choosing")
    await chosen(show, 2)


async def test_silence_without_shortlisted_is_a_choice_among_all(house: House) -> None:
    show = await picking(house, 2, guaranteed=False)
    await show.let_pass(PICKING)
    choosing = await show.until("choosing")
    assert choosing["guaranteed"] is False
    assert choosing["refundable_until"] is not None
    assert await standings(show) == [("entered", False, None)] * 2
    await show.act("take-back")
    await show.ended("refunded")
    assert await show.postings() == funded() + sent_back()
    assert "picking_lapsed by system" in await show.timeline()


async def test_all_finalists_leave_and_the_others_share(house: House) -> None:
    show = await picking(house, 3, windows={"choose_seconds": 6 * DAY})
    await show.act("finalists", entry_ids=ids(show, 0))
    await withdraws(show, 0)
    await show.let_pass(FINAL + 6 * DAY)
    await show.ended("split")
    assert await house.payable(show.creators[0]) == 0
    assert [await house.payable(creator) for creator in show.creators[1:]] == [45_000, 45_000]


async def test_a_revision_after_the_final_rounds_deadline_is_late(house: House) -> None:
    show = await picking(house, 1)
    await show.act("finalists", entry_ids=ids(show, 0))
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}',"
        " to_jsonb(clock_timestamp() - interval '1 millisecond')) WHERE id = %s",
        show.id,
    )
    await refused(await revise(show, 0), 409, "too_late", "final_round")
    await show.let_pass(FINAL)
    await show.until("choosing")
    assert len((await show.entry(show.creators[0]))["revisions"]) == 1
    await chosen(show, 0)
