"""What does not go on by itself is found, set going again, and forgotten once it goes on."""

from __future__ import annotations

import uuid

import httpx
import pytest

from tests.api.client import assert_problem
from tests.stories.deals import Deal
from tests.stories.house import House, Json
from tests.stories.money import called_off, provider_moves, refund_of
from tests.stories.operators import REASON, operator
from tests.waiting import eventually
from workflows.upkeep import FindStuck


async def look(house: House) -> tuple[int, int]:
    """One round of the schedule, now: how much is stuck, and how much goes on again."""
    done = await house.temporal.execute_workflow(
        FindStuck.run,
        id=f"look-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )
    return done.stuck, done.recovered


async def case_of(house: House, by: str, subject: str) -> Json:
    """The open case about a workflow, once a look has found it; Temporal tells of an end a little later."""

    async def there() -> Json | None:
        await look(house)
        found = (await house.get("/v1/cases", by=by, kind="stuck", limit=100))["items"]
        return next((each for each in found if each["subject"] == subject), None)

    return await eventually(there) or {}


async def gone(house: House, by: str, case: Json) -> Json:
    """The case, once a look has found that all is well."""

    async def ended() -> Json | None:
        await look(house)
        now = await house.get(f"/v1/cases/{case['id']}", by=by)
        return now if now["case"]["state"] == "closed" else None

    found = await eventually(ended) or {}
    assert found["case"]["outcome"] == "goes_on"
    return found


async def retry(house: House, by: str, case: Json, how: str) -> httpx.Response:
    """An attempt whose answer is for the test to judge."""
    body = {"how": how, "reason": REASON}
    return await house.patiently(f"/v1/cases/{case['id']}/retry", body, by=by)


async def test_a_story_that_was_terminated_goes_on(house: House) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    await deal.told("paid")
    story = house.story_of(deal.sale)
    await house.workflow(story).terminate("by mistake")
    case = await case_of(house, one, story)
    assert case["path_id"] == deal.id
    assert await case_of(house, one, story) == case, "one case, however often it is found"

    assert_problem(await retry(house, deal.seller, case, "reset"), 403, "forbidden")
    assert_problem(await retry(house, one, case, "wake"), 409, "wrong_phase")
    assert_problem(await retry(house, one, case, "start"), 409, "wrong_phase")
    done = await retry(house, one, case, "reset")
    assert done.status_code == 200, done.text
    assert done.json()["events"][-1]["words"] == f"reset: {REASON}"
    assert await house.runs(deal.sale)
    assert_problem(await retry(house, one, case, "reset"), 409, "wrong_phase")
    assert (await retry(house, one, case, "wake")).status_code == 200

    await deal.accept()
    await deal.act("cancel", deal.buyer)
    await deal.until("refunded")
    await house.assert_at_zero(deal.sale)
    await gone(house, one, case)
    assert_problem(await retry(house, one, case, "reset"), 409, "wrong_phase")


async def test_a_refund_whose_story_was_lost_is_sent_once(house: House) -> None:
    one = await operator(house)
    sale, buyer = await called_off(house, "refund_pending")
    refund = await refund_of(house, sale, "pending", by=buyer)
    story = f"refund-{refund['id']}"
    await house.workflow(story).terminate("by mistake")
    [(reference,)] = house.sql(
        "UPDATE refunds SET created_at = now() - interval '4 days' WHERE id = %s"
        " RETURNING reference",
        refund["id"],
    )
    case = await case_of(house, one, story)
    await provider_moves(house, "refunds", reference, to="succeeded")
    assert (await refund_of(house, sale, "pending", by=buyer))["status"] == "pending"
    started = await retry(house, one, case, "start")
    assert started.status_code == 200, started.text
    await refund_of(house, sale, "succeeded", by=buyer)
    paid = [each for each in await house.postings(sale) if each.startswith("refund_paid: credit")]
    assert paid == ["refund_paid: credit cash:sandbox 20000"]
    await gone(house, one, case)


@pytest.mark.parametrize(
    ("spoil", "mend"),
    [
        (
            "deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(now() - interval '1 hour'))",
            "deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(now() + interval '1 hour'))",
        ),
        ("paused_at = now() - interval '1 hour'", "paused_at = NULL"),
        (
            "deadlines = '[]', updated_at = now() - interval '31 days'",
            "updated_at = now()",
        ),
        ("closed_at = now(), deadlines = '[]'", "closed_at = NULL"),
    ],
    ids=["missed timer", "paused orphan", "forgotten", "closed with money"],
)
async def test_what_the_rows_tell(house: House, spoil: str, mend: str) -> None:
    one = await operator(house)
    deal = await Deal.paid(house)
    await deal.told("paid")
    story = house.story_of(deal.sale)
    [(kept,)] = house.sql("SELECT deadlines::text FROM paths WHERE id = %s", deal.id)
    house.sql(f"UPDATE paths SET {spoil} WHERE id = %s", deal.id)
    case = await case_of(house, one, story)
    assert case["path_id"] == deal.id
    house.sql(f"UPDATE paths SET {mend} WHERE id = %s", deal.id)
    house.sql("UPDATE paths SET deadlines = %s::jsonb WHERE id = %s", kept, deal.id)
    await gone(house, one, case)
