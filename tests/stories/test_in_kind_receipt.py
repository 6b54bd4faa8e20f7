"""Materials and tasks of which the asker says that nothing has come."""

from __future__ import annotations

import pytest

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.in_kind import ADMIN, DAY, Aid
from tests.stories.test_in_kind_offer import may_see, upload


@pytest.mark.parametrize(
    ("received", "phase"), [(True, "completed"), (False, "failed")], ids=["came", "did not"]
)
async def test_operators_rule_on_an_objection(house: House, received: bool, phase: str) -> None:
    aid = await Aid.matched(house, "material")
    shown, missing = await upload(house, aid.supporter), await upload(house, aid.picked)
    await aid.act("hand-over", aid.supporter, file_ids=[shown])
    assert await may_see(house, aid.picked, shown)
    assert not await may_see(house, "stranger", shown)
    foreign = await aid.try_to("object", aid.picked, note="Nothing", file_ids=[shown])
    assert assert_problem(foreign, 422, "unknown_file")["field"] == "file_ids[0]"
    await aid.act("object", aid.picked, note="The box was empty", file_ids=[missing])
    assert await may_see(house, aid.supporter, missing)
    wrong = await aid.try_to("rule", ADMIN, lender_amount=1, note="Half each")
    assert assert_problem(wrong, 422, "invalid_input")["field"] == "received"
    await aid.act("rule", ADMIN, received=received, note="The pictures show it")
    done = await aid.ended(phase)
    records = done["agreement"]["records"]
    assert [each["kind"] for each in records] == ["handed_over", "objected", "ruled"]
    assert records[1]["file_ids"] == [missing]
    assert "ruled by operator" in await aid.timeline()


async def test_silent_operators_leave_it_completed(house: House) -> None:
    aid = await Aid.handed_over(house, "task")
    await aid.act("object", aid.picked, note="Nobody came")
    assert set(await aid.deadlines()) == {"ruling"}
    await aid.let_pass(14 * DAY + 1)
    done = await aid.ended("completed")
    assert done["agreement"]["end_reason"] == "ruling_lapsed"


async def test_an_objection_ends_with_a_confirmation(house: House) -> None:
    aid = await Aid.handed_over(house)
    await aid.act("object", aid.picked, note="Nothing has come")
    await aid.act("confirm", aid.picked, note="The neighbour had it")
    await aid.ended("completed")
