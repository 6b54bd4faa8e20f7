"""Awards that operators take back: what was paid is clawed back also while other prizes are under way."""

from __future__ import annotations

from tests.stories.contest_checks import ADMIN, object_to, place_files
from tests.stories.contests import Show, funded, released, stranger
from tests.stories.house import DAY, House
from tests.waiting import eventually

PRIZES = [60_000, 40_000]
CLAWED_BACK = [
    "clawback: debit payable:creator1 54000",
    "clawback: debit fee:platform 6000",
    "clawback: credit escrow:contest 60000",
]


async def with_one_prize_paid(house: House) -> Show:
    """The first winner has the money, the second has to hand over, and a third entry follows."""
    show = await Show.choosing(house, 3, prizes=PRIZES)
    first, second, third = show.creators
    await show.announce(first, second, runners_up=(third,))
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(first)
    await show.act("accept")
    assert await house.payable(first) == 54_000
    return show


async def finish(show: Show, *prizes: tuple[str, int]) -> None:
    """The winners hand over, and the owner accepts."""
    for winner, prize in prizes:
        await show.hand_over(winner, prize)
        await show.act("accept", prize=prize)
    await show.ended("completed")


async def test_a_paid_prize_goes_on_while_another_is_under_way(house: House) -> None:
    show = await with_one_prize_paid(house)
    first, second, third = show.creators
    void = {"entry_id": show.entries[first]["id"], "reason": "A copy."}
    await show.act("void-award", by=ADMIN, **void)
    assert show.contest["prizes"][0]["entry_id"] == show.entries[third]["id"]
    assert await house.payable(first) == 0
    await finish(show, (third, 1), (second, 2))
    posted = await show.postings()
    assert sorted(posted) == sorted(
        [
            *funded(),
            *released("creator1", 54_000, 6_000),
            *CLAWED_BACK,
            *released("creator3", 54_000, 6_000),
            *released("creator2", 36_000, 4_000),
        ]
    )


async def test_an_upheld_report_against_a_paid_prize_does_the_same(house: House) -> None:
    show = await with_one_prize_paid(house)
    first, second, third = show.creators
    report = await object_to(show, first, stranger("reader"))
    ruling = {"upheld": True, "reason": "From a catalogue of 1987."}
    ruled = await house.post(f"{show.path}/objections/{report['id']}/rule", ruling, by=ADMIN)
    assert ruled["status"] == "upheld"
    assert await house.payable(first) == 0
    assert (await show.entry(first))["status"] == "void"
    await finish(show, (third, 1), (second, 2))


async def test_a_sealed_entry_that_lost_its_prize_is_sealed_again(house: House) -> None:
    show = await Show.announced(house)
    winner, _ = show.creators
    reader = stranger("reader")
    entry = await show.entry(winner)
    place = f"{show.path}/entries/{entry['id']}"
    file_id = entry["revisions"][0]["files"][0]["id"]

    async def seen() -> list[object]:
        page = await house.call("GET", place, by=reader)
        return [page.status_code, *await place_files(house, file_id, reader)]

    assert await seen() == [200, 200]
    objection = await object_to(show, winner, reader)
    await show.until("contested")
    ruling = {"upheld": True, "reason": "From a catalogue."}
    await house.post(f"{show.path}/objections/{objection['id']}/rule", ruling, by=ADMIN)
    await show.until("choosing")
    await eventually(seen)
    assert await seen() == [404, 404]
    assert await place_files(house, file_id, show.owner) == {200}
    assert await place_files(house, file_id, winner) == {200}
