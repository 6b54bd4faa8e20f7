"""A maker who is not at home on the web: told each step in short words, answers by one tap."""

from __future__ import annotations

import asyncio
import json
import uuid
from datetime import timedelta
from typing import Any

import httpx

from domain.taps import Does, Tap, tap_key, token_of
from domain.time import utc_now
from tests.api.client import assert_problem
from tests.stories.house import DAY, House, Json
from tests.stories.lots import decided
from tests.stories.test_brokers import give, trio
from tests.stories.test_frozen import user_id
from tests.stories.workshop import Lot, Workshop, people
from workflows.upkeep import SendNotices


async def delivered(house: House, to: str) -> list[Json]:
    """Everything that has been sent to somebody, after one more round of sending."""
    await house.temporal.execute_workflow(
        SendNotices.run,
        id=f"send-notices-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )
    lines = (house.settings.data_dir / "notices.jsonl").read_text(encoding="utf-8").splitlines()
    return [each for each in map(json.loads, lines) if each["user_id"] == to]


def links_of(notice: Json) -> list[str]:
    """The paths of a notice's links."""
    return [line.rpartition(" ")[2].rpartition("/v1/")[2] for line in notice["links"]]


async def look(house: House, link: str) -> httpx.Response:
    """What a phone does when it shows a link: no token, no key."""
    return await house.http.get(f"/v1/{link}")


async def press(house: House, link: str) -> httpx.Response:
    """What the one button does."""
    return await house.http.post(f"/v1/{link}")


async def pressed(house: House, link: str) -> Json:
    """The same, when it must succeed."""
    answer = await press(house, link)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


def token_for(house: House, lot: Lot, **changes: Any) -> str:
    """A link that the platform could have sent."""
    made = Tap.model_validate(
        {
            "lot_id": lot.id,
            "does": Does.WORKING,
            "number": 999,
            "expires_at": utc_now() + timedelta(hours=1),
            **changes,
        }
    )
    return f"taps/{token_of(house.settings.tap_key.get_secret_value().encode(), made)}"


async def test_a_maker_is_told_each_step_and_answers_by_one_tap(house: House) -> None:
    _, [maker] = people()
    me = await user_id(house, maker)
    chosen = {"language": "en", "time_zone": "Asia/Urumqi"}
    shop = await Workshop.published(house, units=4, lot_most=4, deposit=0)
    lot = await shop.claim(maker, 4)
    assert await house.get("/v1/me/notice-settings", by=maker) == {
        "language": "zh",
        "time_zone": None,
    }
    answer = await house.call("PUT", "/v1/me/notice-settings", by=maker, json=chosen)
    assert answer.json() == chosen
    await lot.supply("send-kit")

    claimed, sent = await delivered(house, me)
    assert claimed["words"].startswith("《Baskets》4件：接单成功。请等着，材料会在北京时间")
    assert claimed["links"] == []
    assert sent["words"] == (
        "4 x “Baskets”: The materials are on their way. Tell us when they are there:"
        " your time begins then. You earn CNY 19.00 if all are accepted."
    )
    [arrived] = links_of(sent)

    # Looking changes nothing, however often; one press does it, and a second one does nothing more.
    for _ in range(2):
        seen = await look(house, arrived)
        assert (seen.status_code, seen.json()["done"]) == (200, False)
        assert seen.headers["cache-control"] == "no-store"
        assert "you say that the materials are there" in seen.json()["words"]
    assert (await lot.now())["phase"] == "kit_shipped"
    first = await pressed(house, arrived)
    assert (first["done"], first["does"]) == (True, "kit_received")
    assert (await lot.now())["phase"] == "making"
    assert await pressed(house, arrived) == first == (await look(house, arrived)).json()

    await lot.let_pass(7 * DAY + 60)
    asked = (await delivered(house, me))[-1]
    assert "Are you still working?" in asked["words"]
    assert "your time" in asked["words"]
    working, all_sent = links_of(asked)
    twice = list(await asyncio.gather(pressed(house, working), pressed(house, working)))
    # A process that died before it had kept the answer: the next try goes on with the same act.
    house.sql(
        "UPDATE idempotency_keys SET status_code = NULL, body = NULL WHERE key = %s",
        tap_key(working.removeprefix("taps/")),
    )
    assert twice == [await pressed(house, working)] * 2
    assert (await lot.timeline())[-2:] == ["silent by system", "heartbeat by maker"]
    assert "all 4 units are made and sent" in (await look(house, all_sent)).json()["words"]
    await pressed(house, all_sent)
    now = await lot.now()
    assert now["phase"] == "return_shipped"
    # What was done stays answered; what would be done now is too late for the phase.
    assert (await pressed(house, arrived)) == first
    for ask in (look, press):
        outdated = await ask(house, token_for(house, lot))
        assert assert_problem(outdated, 409, "wrong_phase")["accepted"]
        expired = token_for(house, lot, expires_at=utc_now() - timedelta(seconds=1))
        assert_problem(await ask(house, expired), 409, "too_late")
        for forged in (arrived[:-1] + ("A" if arrived[-1] != "A" else "B"), "taps/never"):
            assert_problem(await ask(house, forged), 404, "not_found")
    assert (await lot.timeline()).count("goods_sent by maker") == 1

    sent_words = [each["words"] for each in await delivered(house, me)]
    mine = await house.get("/v1/me/notices", by=maker)
    assert [each["words"] for each in mine["items"]][::-1] == sent_words
    assert {each["state"] for each in mine["items"]} == {"sent"}
    page = await house.get("/v1/me/notices", by=maker, limit=1, after=mine["items"][0]["id"])
    assert page["items"] == [mine["items"][1]]
    bad = await house.call(
        "PUT", "/v1/me/notice-settings", by=maker, json={**chosen, "time_zone": "Mars/Olympus"}
    )
    assert assert_problem(bad, 422, "invalid_input")["field"] == "time_zone"
    assert (await house.call("GET", "/v1/me/notices", by="stranger")).json()["items"] == []


async def test_a_broker_is_told_too_and_taps_for_the_worker(house: House) -> None:
    worker, _, broker = trio()
    shop = await Workshop.published(house, units=2, lot_most=2, deposit=0)
    await give(house, worker, broker)
    ids = {who: await user_id(house, who) for who in (worker, broker)}
    lot = await shop.claim(broker, 2, **{"for": ids[worker]})
    await lot.supply("send-kit")
    [_, to_worker], [_, to_broker] = [await delivered(house, ids[who]) for who in (worker, broker)]
    assert to_broker["words"].endswith(to_worker["words"])
    assert to_broker["words"].startswith("代")
    [of_worker], [of_broker] = links_of(to_worker), links_of(to_broker)
    assert of_worker != of_broker
    await pressed(house, of_broker)
    assert (await lot.timeline())[-1] == "kit_received by maker"
    # The worker's own link has nothing left to do, and says so.
    assert_problem(await press(house, of_worker), 409, "wrong_phase")


async def test_mended_units_and_the_last_word_by_one_tap(house: House) -> None:
    shop = await Workshop.published(house, units=4, lot_most=4, deposit=0)
    lot = await shop.handed_in(4)
    me = str(lot.lot["maker_id"])
    await decided(lot, 2, rework=1, rejected=1)
    await lot.until("rework")
    to_mend = (await delivered(house, me))[-1]
    assert "：验收完：合格2件。已给您工钱9.50元。1件要修，请在北京时间" in to_mend["words"]
    [sent] = links_of(to_mend)
    await pressed(house, sent)
    assert (await lot.now())["hand_in"]["made"] == 1
    await lot.supply("receive-goods")
    await decided(lot, 1)
    await lot.until("decided")
    last = (await delivered(house, me))[-1]
    assert "1件不合格，没有工钱。不服请在北京时间" in last["words"]
    [agreed] = links_of(last)
    assert "同意1件不合格、不申诉" in (await look(house, agreed)).json()["words"]
    done = await pressed(house, agreed)
    await house.workflow(lot.story).result()
    assert (await lot.now())["phase"] == "settled"
    # Repeated after the lot's end it is still the same answer.
    assert await pressed(house, agreed) == done
    assert (await delivered(house, me))[-1]["words"].endswith("您同意了验收结果。这批活结清了。")
    await house.assert_at_zero(lot.lot)
