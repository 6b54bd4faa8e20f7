"""Outages: a part is down, requests say so, and when it is back nothing has been lost or done twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from temporalio import activity
from temporalio.client import Client
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from activities.redelivery import Redelivery
from deploy.local.temporal import TemporalServer
from domain.policy import SalePolicy
from runtime import correlation
from tests.api.issuer import Issuer
from tests.servers import (
    Databases,
    free_port,
    migrate,
    register_search_attributes,
    running_postgres,
)
from tests.stories.house import House, Json
from tests.stories.money import (
    PRICE,
    SHARE,
    assert_sound,
    at_provider,
    called_off,
    destination,
    earned,
    in_transit,
    inbox,
    payout_at,
    people,
    redeliver,
    refund_of,
    settled,
    take_out,
)
from tests.stories.parts import Parts, house_of_parts
from tests.stories.test_payments import FUNDED, SETTLED
from tests.waiting import eventually


def assert_down(answer: httpx.Response) -> None:
    """The answer to a request that needs a part that is down."""
    assert answer.status_code == 503, f"{answer.request.method} {answer.url}: {answer.text}"
    assert int(answer.headers["Retry-After"]) > 0
    if "problem" in answer.headers["content-type"]:
        assert answer.json()["code"] == "unavailable"


def order_of(listing: Json) -> Json:
    """The body of an order of one piece."""
    return {"lines": [{"listing_id": listing["id"], "quantity": 1}]}


async def until_it_works(ask: Callable[[], Awaitable[httpx.Response]]) -> httpx.Response:
    """Repeats a request, as a client that was told to come back later."""

    async def answered() -> httpx.Response | None:
        answer = await ask()
        assert answer.status_code < 500, answer.text
        return answer

    found = await eventually(answered, within_seconds=30)
    assert found is not None
    return found


@pytest.fixture
def own(
    dev_server: str, postgres_server: Databases, issuer: Issuer, tmp_path: Path
) -> Callable[..., Any]:
    """Opens a house of parts on the shared servers, with a database of its own."""

    @asynccontextmanager
    async def opened(**changes: Any) -> AsyncIterator[Parts]:
        with postgres_server.fresh() as url:
            async with house_of_parts(dev_server, url, issuer, tmp_path, **changes) as parts:
                yield parts

    return opened


async def test_the_database_is_down(dev_server: str, issuer: Issuer, tmp_path: Path) -> None:
    with running_postgres() as server:
        url = server.url_of("postgres")
        migrate(url)
        async with house_of_parts(dev_server, url, issuer, tmp_path) as parts:
            house = parts.house
            buyer, seller = people()
            listing = await house.listing(seller)
            sale = await house.order(listing, by=buyer)

            server.stop()
            for method, path in await every_address(house):
                assert_down(await house.call(method, path, by=buyer, json={}))
            ready = await house.http.get("/readyz")
            assert_down(ready)
            assert ready.json()["parts"] == {"database": "down", "temporal": "ok"}
            assert (await house.http.get("/healthz")).status_code == 200
            await house.pay(sale)

            async def webhook_refused() -> bool:
                log = await house.sandbox.get("/v1/deliveries")
                return any(each["last_status"] == 503 for each in log.json()["data"])

            await eventually(webhook_refused)
            assert_down(
                await house.call(
                    "POST", "/v1/sales", by=buyer, key="patient", json=order_of(listing)
                )
            )

            server.start()
            await house.until(sale, "paid", by=buyer, within_seconds=40)
            assert await inbox(house, sale["payment"]["id"]) == [("payment.captured", "consumed")]
            assert await house.postings(sale) == FUNDED + SETTLED
            again = await house.call(
                "POST", "/v1/sales", by=buyer, key="patient", json=order_of(listing)
            )
            assert again.status_code == 201, again.text
            for each in (sale, again.json()):
                await house.act(each, "cancel", by=buyer)
            await house.until(sale, "refunded", by=buyer)
            await house.assert_at_zero(sale)
            await house.assert_at_zero(again.json())


async def every_address(house: House) -> list[tuple[str, str]]:
    """Every operation of the API that needs a signed-in user, with an id of the right form."""
    document = (await house.http.get("/openapi.json")).json()
    found = []
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if not operation.get("security"):
                continue
            address = path
            for name, prefix in _PREFIXES.items():
                address = address.replace("{" + name + "}", f"{prefix}_01h45ytscbebyvny4gc8cr8ma2")
            found.append((method.upper(), address))
    assert len(found) > 20
    return found


_PREFIXES = {
    "user_id": "usr",
    "file_id": "fil",
    "listing_id": "lst",
    "sale_id": "sal",
    "path_id": "sal",
    "payment_id": "pay",
    "refund_id": "ref",
    "payout_id": "pyo",
    "account": "payable:usr",
}


async def test_temporal_is_down(postgres_server: Databases, issuer: Issuer, tmp_path: Path) -> None:
    server = TemporalServer(
        free_port(), log=tmp_path / "temporal.log", database=tmp_path / "temporal.db"
    )
    await server.start()
    try:
        await register_search_attributes(await Client.connect(server.address))
        with postgres_server.fresh() as url:
            async with house_of_parts(server.address, url, issuer, tmp_path) as parts:
                await _without_temporal(parts.house, server)
    finally:
        server.stop()


async def _without_temporal(house: House, server: TemporalServer) -> None:
    buyer, seller = people()
    listing = await house.listing(seller)
    sale = await house.order(listing, by=buyer)

    server.stop()
    placing: dict[str, Any] = {"by": buyer, "key": "patient", "json": order_of(listing)}
    assert_down(await house.call("POST", "/v1/sales", **placing))
    ready = await house.http.get("/readyz")
    assert_down(ready)
    assert ready.json()["parts"] == {"database": "ok", "temporal": "down"}
    assert (await house.get(f"/v1/sales/{sale['id']}", by=buyer))["phase"] == "pending_payment"
    await house.pay(sale)

    async def in_the_inbox() -> bool:
        return await inbox(house, sale["payment"]["id"]) == [("payment.captured", "received")]

    await eventually(in_the_inbox)
    log = await house.sandbox.get("/v1/deliveries")

    async def taken() -> bool:
        log = await house.sandbox.get("/v1/deliveries")
        return [each["last_status"] for each in log.json()["data"]] == [200]

    await eventually(taken)
    assert log.status_code == 200

    await server.start()

    async def place() -> httpx.Response:
        return await house.call("POST", "/v1/sales", **placing)

    second = await until_it_works(place)
    assert second.status_code == 201, second.text
    house.sql("UPDATE webhook_inbox SET next_attempt_at = now()")
    await redeliver(house)
    await house.until(sale, "paid", by=buyer)
    for each in (sale, second.json()):
        await house.act(each, "cancel", by=buyer)
    await house.until(sale, "refunded", by=buyer)
    assert house.sql("SELECT count(*) FROM sales") == [(2,)]
    await house.assert_at_zero(sale)
    await house.assert_at_zero(second.json())


async def test_the_worker_is_down(own: Callable[..., Any]) -> None:
    async with own() as parts:
        house = parts.house
        buyer, seller = people()
        listing = await house.listing(seller)
        await earned(house, seller)
        await destination(house, seller)
        await parts.worker.stop()
        placing: dict[str, Any] = {"by": buyer, "key": "patient", "json": order_of(listing)}
        assert_down(await house.call("POST", "/v1/sales", **placing))
        taking: dict[str, Any] = {"by": seller, "key": "patient", "json": {"amount": SHARE + 1}}
        assert_down(await house.call("POST", "/v1/payouts", **taking))
        assert house.sql(
            "SELECT count(*) FROM sales WHERE buyer_id = (SELECT id FROM users WHERE subject = %s)",
            buyer,
        ) == [(0,)]

        await parts.worker.start()
        refused = await until_it_works(lambda: house.call("POST", "/v1/payouts", **taking))
        assert (refused.status_code, refused.json()["code"]) == (409, "insufficient_funds")
        answer = await until_it_works(lambda: house.call("POST", "/v1/sales", **placing))
        assert answer.status_code == 201
        sale = answer.json()
        assert len(await at_provider(house, "payments", sale["payment"]["id"])) == 1
        await house.pay(sale)
        await house.until(sale, "paid", by=buyer)
        await house.act(sale, "cancel", by=buyer)
        await house.until(sale, "refunded", by=buyer)
        await house.assert_at_zero(sale)


async def test_a_payout_refused_while_nobody_waited_says_why(own: Callable[..., Any]) -> None:
    """The request timed out, the workflow refused later and has ended: the same key finds the refusal."""
    async with own() as parts:
        house = parts.house
        _, seller = people()
        await destination(house, seller)
        await parts.worker.stop()
        taking: dict[str, Any] = {"by": seller, "key": "patient", "json": {}}
        assert_down(await house.call("POST", "/v1/payouts", **taking))
        await parts.worker.start()
        [(payout_id,)] = house.sql("SELECT resource_id FROM idempotency_keys WHERE key = 'patient'")
        await house.workflow(f"payout-{payout_id}").result()
        refused = await until_it_works(lambda: house.call("POST", "/v1/payouts", **taking))
        assert (refused.status_code, refused.json()["code"]) == (409, "nothing_to_pay_out")


async def test_the_payment_company_is_down_at_the_order(own: Callable[..., Any]) -> None:
    async with own() as parts:
        house = parts.house
        buyer, seller = people()
        listing = await house.listing(seller)
        await parts.sandbox.stop()
        placing: dict[str, Any] = {"by": buyer, "key": "patient", "json": order_of(listing)}
        assert_down(await house.call("POST", "/v1/sales", **placing))
        await parts.sandbox.start()
        answer = await until_it_works(lambda: house.call("POST", "/v1/sales", **placing))
        assert answer.status_code == 201
        sale = answer.json()
        assert len(await at_provider(house, "payments", sale["payment"]["id"])) == 1
        await house.pay(sale)
        await house.until(sale, "paid", by=buyer)
        await house.act(sale, "cancel", by=buyer)
        await house.until(sale, "refunded", by=buyer)
        await house.assert_at_zero(sale)


async def test_the_payment_company_is_down_at_the_refund(own: Callable[..., Any]) -> None:
    async with own() as parts:
        house = parts.house
        buyer, seller = people()
        sale = await house.paid(await house.listing(seller), by=buyer)
        await settled(house, sale)
        await parts.sandbox.stop()
        assert (await house.act(sale, "cancel", by=buyer))["phase"] == "refunding"
        await parts.sandbox.start()
        await house.until(sale, "refunded", by=buyer)
        refund = await refund_of(house, sale, "succeeded", by=buyer)
        assert len(await at_provider(house, "refunds", refund["id"])) == 1
        await house.assert_at_zero(sale)


async def test_a_sale_goes_on_when_one_of_two_workers_stops(own: Callable[..., Any]) -> None:
    async with own(workers=2) as parts:
        house = parts.house
        buyer, seller = people()
        sales = [await house.paid(await house.listing(seller), by=buyer) for _ in range(2)]
        await parts.workers[0].stop()
        for sale in sales:
            act = f"/v1/sales/{sale['id']}/cancel"
            key = f"cancel-{sale['id']}"
            done = await until_it_works(
                partial(house.call, "POST", act, by=buyer, key=key, json={})
            )
            assert done.status_code == 200
            await house.until(sale, "refunded", by=buyer)
            await settled(house, sale)
            await house.assert_at_zero(sale)


class KilledAfterCommit(ActivityInboundInterceptor):
    """Every activity's first attempt does all its work, and its answer never leaves the process."""

    deaths: ClassVar[set[str]] = set()

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        done = await super().execute_activity(input)
        here = activity.info()
        if here.attempt == 1:
            self.deaths.add(here.activity_type)
            raise RuntimeError("killed between the commit and the completion")
        return done


@pytest.fixture
def killed_once(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Kills every first attempt after its commit; the activities that died so."""
    intercept = correlation.CorrelationInterceptor.intercept_activity

    def both(
        self: correlation.CorrelationInterceptor, next: ActivityInboundInterceptor
    ) -> ActivityInboundInterceptor:
        return KilledAfterCommit(intercept(self, next))

    monkeypatch.setattr(correlation.CorrelationInterceptor, "intercept_activity", both)
    KilledAfterCommit.deaths.clear()
    return KilledAfterCommit.deaths


STEPS = {
    "open_sale",
    "follow_payment",
    "move_sale",
    "follow_refund",
    "reserve_payout",
    "follow_payout",
}


async def test_killed_between_commit_and_completion(
    own: Callable[..., Any], killed_once: set[str]
) -> None:
    """Every step of a refunded sale, a completed one and a payout: each transition and posting is there once."""
    async with own(request_timeout_seconds=10) as parts:
        house = parts.house
        sale, buyer = await called_off(house)
        await house.until(sale, "refunded", by=buyer)
        kinds = [line.partition(":")[0] for line in await house.postings(sale)]
        assert kinds == ["fund"] * 2 + ["settle"] * 3 + ["refund"] * 2 + ["refund_paid"] * 2
        await house.assert_at_zero(sale)
        _, seller = people()
        await earned(house, seller)
        await destination(house, seller)
        payout = await take_out(house, seller)
        await payout_at(house, payout, "paid", by=seller)
        assert await house.payable(seller) == in_transit(house, payout) == 0
        assert killed_once >= STEPS
        await assert_sound(house)


@pytest.mark.parametrize("stock_left", [True, False], ids=["revived", "sent back"])
async def test_killed_after_committing_a_late_payment(
    own: Callable[..., Any], killed_once: set[str], stock_left: bool
) -> None:
    """Money that came late is followed up, although the answer that said so was lost."""
    hasty = SalePolicy(payment_seconds=3, poll_first_seconds=1)
    async with own(request_timeout_seconds=10, sale_policy=hasty) as parts:
        house = parts.house
        buyer, seller = people()
        listing = await house.listing(seller, stock=1)
        sale = await house.order(listing, by=buyer)
        await house.misbehave("payment", "late_capture", subject=sale["payment"]["id"])
        await house.workflow(f"payment-{sale['payment']['id']}").result()
        await house.until(sale, "expired", by=buyer)
        if not stock_left:
            await house.paid(listing, by=people()[0])
        assert (await house.pay(sale)).status_code == 200
        if stock_left:
            await house.until(sale, "paid", by=buyer)
            await eventually(lambda: house.runs(sale))
            await house.act(sale, "cancel", by=buyer)
        await house.until(sale, "refunded", by=buyer)
        assert "follow_payment" in killed_once
        await settled(house, sale)
        await house.assert_at_zero(sale)
        assert sale["total"]["amount"] == PRICE


async def test_payout_of_a_restarted_worker_is_not_sent_twice(own: Callable[..., Any]) -> None:
    """The worker stops while the provider holds the payout; another one finds it and does not send it again."""
    async with own() as parts:
        house = parts.house
        _, seller = people()
        await earned(house, seller)
        await destination(house, seller)
        await house.misbehave("payout", "delay", seconds=0.5)
        payout = await take_out(house, seller)
        await parts.worker.stop()
        await parts.worker.start()
        await payout_at(house, payout, "paid", by=seller)
        assert len(await at_provider(house, "payouts", payout["id"])) == 1
        assert await house.payable(seller) == 0
        await assert_sound(house)


async def test_rows_nobody_answers_rest_in_the_end(own: Callable[..., Any]) -> None:
    """After a long outage attempts keep their distance; after the last one the row says why it rests."""
    async with own() as parts:
        house = parts.house
        buyer, seller = people()
        sale = await house.order(await house.listing(seller), by=buyer)
        await parts.worker.stop()
        await house.pay(sale)
        await eventually(lambda: house.sql("SELECT 1 FROM webhook_inbox"))
        house.sql("UPDATE webhook_inbox SET next_attempt_at = now() - interval '3 days'")
        handed_on = Redelivery(house.database, house.temporal, house.settings)
        assert (await handed_on.redeliver()).rows == 1
        assert (await handed_on.redeliver()).rows == 0
        row = "SELECT status, reason, attempts, next_attempt_at > now() FROM webhook_inbox"
        assert house.sql(row) == [("received", None, 1, True)]
        house.sql("UPDATE webhook_inbox SET next_attempt_at = now(), attempts = 19")
        assert (await handed_on.redeliver()).rows == 1
        assert house.sql(row) == [("ignored", "nobody consumed it", 20, True)]
