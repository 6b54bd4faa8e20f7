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
    # It works as long as the step lasts.
    [ends] = [each["due_at"] for each in (await lot.deadlines()).values()]
    assert (await look(house, arrived)).json()["expires_at"][:19] == ends[:19]

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
    # Nor does the answer depend on when it is asked for again, as long as the story knows of the first try.
    house.sql(
        "UPDATE idempotency_keys SET status_code = NULL, body = NULL WHERE key = %s",
        tap_key(arrived.removeprefix("taps/")),
    )
    assert (await pressed(house, arrived))["done"] is True
    assert (await lot.timeline()).count("kit_received by maker") == 1

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
    due = (await lot.deadlines())["rework"]["due_at"]
    assert (await look(house, sent)).json()["expires_at"][:19] == due[:19]
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


async def test_a_link_that_was_refused_once_does_not_work_for_ever(house: House) -> None:
    """What it may be used for is looked at with every try, not only with the first one."""
    shop = await Workshop.published(house, units=2, lot_most=2, deposit=0)
    lot = await shop.claim(units=2)
    await lot.supply("send-kit")
    [first] = links_of((await delivered(house, str(lot.lot["maker_id"])))[-1])
    story = house.workflow(lot.story)
    standing = (await story.query("watch"))["standing"]
    await story.signal("pause")
    assert_problem(await press(house, first), 409, "wrong_phase")
    await story.signal("resume", standing)
    await lot.let_pass(10 * DAY + 1)
    await lot.until("kit_paid")
    await lot.supply("send-kit")

    # Another kit is on its way now: the link for the first one says nothing about it.
    problem = assert_problem(await press(house, first), 409, "wrong_phase")
    assert problem["accepted"] == "the link of a newer notice"
    assert (await lot.now())["phase"] == "kit_shipped"
    [second] = links_of((await delivered(house, str(lot.lot["maker_id"])))[-1])
    assert (await pressed(house, second))["done"] is True
    assert (await lot.now())["phase"] == "making"


async def test_a_broker_whose_consent_has_ended_may_only_look(house: House) -> None:
    worker, _, broker = trio()
    shop = await Workshop.published(house, units=2, lot_most=2, deposit=0)
    consent = await give(house, worker, broker)
    ids = {who: await user_id(house, who) for who in (worker, broker)}
    lot = await shop.claim(broker, 2, **{"for": ids[worker]})
    await lot.supply("send-kit")
    [arrived] = links_of((await delivered(house, ids[broker]))[-1])
    await house.post(f"/v1/broker-consents/{consent['id']}/end", by=worker)

    for act, body in (("receive-kit", {}), ("withdraw", {}), ("send-goods", {"made": 2})):
        assert_problem(await lot.try_to(act, broker, **body), 403, "forbidden")
    for ask in (look, press):
        problem = assert_problem(await ask(house, arrived), 403, "forbidden")
        assert problem["accepted"] == "the worker's own link"
    assert (await lot.now(broker))["phase"] == "kit_shipped"
    for what in ("materials", "timeline", "inspections", "statement"):
        assert (await house.get(f"/v1/lots/{lot.id}/{what}", by=broker)) is not None
    assert len((await house.get("/v1/me/lots", by=broker, which="broker"))["items"]) == 1

    # The worker goes on alone, and is told alone.
    lot.maker = worker
    await lot.act("receive-kit")
    heard = {who: len(await delivered(house, ids[who])) for who in (worker, broker)}
    assert heard == {worker: 3, broker: 2}
    await give(house, worker, broker)
    await lot.act("send-goods", broker, made=2)
    assert (await lot.timeline())[-2:] == ["kit_received by maker", "goods_sent by maker"]


async def test_everybody_around_a_lot_is_told_what_to_do_by_when(house: House) -> None:
    requester, [maker, certifier, second] = people(3)
    ids = {who: await user_id(house, who) for who in (requester, certifier, second)}
    english = {"language": "en", "time_zone": None}
    await house.call("PUT", "/v1/me/notice-settings", by=certifier, json=english)
    shop = await Workshop.published(
        house,
        by=requester,
        units=3,
        lot_most=3,
        deposit=0,
        certifier_id=ids[certifier],
        sample_fee=300,
        samples=1,
    )

    async def told(who: str) -> list[str]:
        return [each["words"] for each in await delivered(house, ids[who])]

    lot = await shop.claim(maker, 3)
    assert await told(requester) == []
    await lot.show_sample()
    await lot.supply("approve-sample")
    [look_at_it, send_it] = await told(requester)
    assert look_at_it.startswith("《Baskets》3件：样品交上来了，请在北京时间")
    assert send_it.startswith("《Baskets》3件：有人接单了，请在北京时间")
    assert await told(certifier) == []
    await lot.supply("send-kit")
    await lot.act("receive-kit")
    await lot.act("send-goods", made=3)
    assert (await told(requester))[-1].startswith("《Baskets》3件：做好的3件已寄出")
    assert await told(certifier) == [
        "3 x “Baskets”: 3 made units are on their way. Say on the web when they are there:"
        " the time for the inspection begins then."
    ]

    # The certifier was never asked: the requester may take the goods in, and only the certifier inspects them.
    await lot.supply("receive-goods")
    assert (await lot.timeline())[-1] == "goods_received by requester"
    assert (await told(certifier))[-1].startswith(
        "3 x “Baskets”: The goods are there, 3 made. Inspect them by "
    )
    assert len(await told(requester)) == 3
    await decided(lot, 2, rejected=1, by=certifier)
    await lot.until("decided")
    await lot.act("appeal", note="It holds 2 kg")
    assert "工匠不服验收，1件不合格的要再看" in (await told(requester))[-1]
    named = {"inspector_id": ids[second]}
    await house.post(f"/v1/lots/{lot.id}/name-inspector", named, by="admin")
    [asked] = await told(second)
    assert asked.startswith("《Baskets》3件：工匠不服验收，请您在北京时间")
    assert "复验1件不合格的" in asked
    await lot.act("rule", "admin", accepted=1, note="It does")
    await house.workflow(lot.story).result()
    assert (await told(requester))[-1] == "《Baskets》3件：这批活结清了：合格3件，不合格0件。"
    assert (len(await told(requester)), len(await told(certifier))) == (5, 2)
