"""A path that has closed leaves a hash behind, and the hashes hold each other."""

from __future__ import annotations

import asyncio
import uuid

import psycopg
import pytest

from db import path_proofs
from domain.path_proof import FIRST
from tests.stories.chargebacks import decided, opened
from tests.stories.deals import Deal
from tests.stories.house import House, Json
from workflows.records import PublishProofs


async def publish(house: House) -> int:
    """One round of the schedule, now; how many proofs it made."""
    done = await house.temporal.execute_workflow(
        PublishProofs.run,
        id=f"publish-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )
    return done.made


async def proof(house: House, path_id: str) -> Json | None:
    """The newest proof as anybody reads it, without a token."""
    answer = await house.http.get(f"/v1/paths/{path_id}/proof")
    found: Json = answer.json()
    return found if answer.status_code == 200 else None


async def whole_chain(house: House) -> list[Json]:
    """All places of the chain, page by page."""
    found: list[Json] = []
    after = "0"
    while after:
        answer = await house.http.get("/v1/proofs", params={"limit": 100, "after": after})
        page = answer.json()
        found += page["items"]
        after = page["next"]
    return found


async def differences(house: House) -> list[str]:
    """What `python -m ledger.proofs` would print."""
    async with house.database.transaction() as session:
        return [each async for each in path_proofs.differences(session)]


async def completed(house: House) -> Deal:
    """A sale handed over in person."""
    deal = await Deal.accepted(house, order={"delivery": "pickup"})
    await deal.act("ship", deal.seller)
    await deal.act("confirm", deal.buyer)
    await house.until(deal.sale, "completed", by=deal.buyer)
    return deal


async def test_each_closing_gets_a_proof_and_the_chain_holds(house: House) -> None:
    going_on = await Deal.paid(house)
    first = await completed(house)
    await publish(house)
    assert await proof(house, going_on.id) is None
    found = await proof(house, first.id)
    assert found is not None
    assert found["number"] == 1
    assert found["postings"] == len(await house.postings(first.sale))
    timeline = await house.get(f"/v1/paths/{first.id}/timeline", by=first.buyer)
    assert found["events"] == len(timeline["items"])

    # Several at once, published by two at once: one after the other in the chain.
    more = [await completed(house) for _ in range(3)]
    made = await asyncio.gather(publish(house), publish(house))
    assert sum(made) == 3
    assert await publish(house) == 0
    chain = await whole_chain(house)
    assert [each["position"] for each in chain] == list(range(1, len(chain) + 1))
    assert [each["previous"] for each in chain] == [FIRST, *(each["sha256"] for each in chain[:-1])]
    hashes = [(await proof(house, each.id) or {})["sha256"] for each in more]
    assert set(hashes) <= {each["sha256"] for each in chain}
    assert "path_id" not in chain[0]
    assert await differences(house) == []


async def test_a_path_opened_again_by_a_bank_gets_another_proof(house: House) -> None:
    deal = await completed(house)
    await publish(house)
    before = await proof(house, deal.id)
    await decided(house, await opened(house, deal.sale), won=False)
    await publish(house)
    after = await proof(house, deal.id)
    assert before is not None
    assert after is not None
    assert (before["number"], after["number"]) == (1, 2)
    assert after["postings"] > before["postings"]
    assert await differences(house) == []


async def test_what_is_changed_past_the_platform_is_found(house: House) -> None:
    deal = await completed(house)
    await publish(house)
    with pytest.raises(psycopg.errors.RestrictViolation, match="stays as it is"):
        house.sql("UPDATE path_proofs SET sha256 = 'x' WHERE path_id = %s", deal.id)
    with pytest.raises(psycopg.errors.RestrictViolation, match="never deleted"):
        house.sql("DELETE FROM path_proofs WHERE path_id = %s", deal.id)
    change = "UPDATE events SET summary = summary || %s WHERE path_id = %s AND kind = 'accepted'"
    house.sql(change, "!", deal.id)
    [found] = await differences(house)
    assert found.startswith(f"{deal.id}: ")
    undo = "UPDATE events SET summary = left(summary, -1) WHERE path_id = %s AND kind = 'accepted'"
    house.sql(undo, deal.id)
    assert await differences(house) == []
