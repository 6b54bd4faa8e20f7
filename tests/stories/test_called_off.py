"""Called off in the worst moment: by an operator, by a buyer who is just paying, by a payment company out of reach."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.common import RetryPolicy
from temporalio.service import RPCError

from activities.options import PRESENT, PROVIDER
from api.app import create_app
from tests.api.client import assert_problem
from tests.api.issuer import Issuer
from tests.providers.harness import address_of, listening_socket, served
from tests.servers import Databases
from tests.stories.deals import Deal, funded, people, refunded
from tests.stories.house import House, Json
from tests.stories.money import assert_sound, at_provider, settled
from tests.stories.parts import house_of_parts
from tests.waiting import eventually

ROUNDS = 10
AT_A_TIME = 5
PAID = ["placed by buyer", "payment_captured by provider"]
PAUSE = timedelta(seconds=1)
"""Between attempts at a payment company: all of them take longer than the API waits."""


@contextmanager
def busy(house: House, table: str, row: str) -> Iterator[psycopg.Connection]:
    """Somebody else's transaction holds a row until the block ends."""
    with psycopg.connect(house.settings.require_database_url()) as connection:
        locked = f"SELECT 1 FROM {table} WHERE id = %s FOR UPDATE"
        connection.execute(locked.encode(), (row,))
        yield connection


async def under_way(house: House, workflow_id: str, activity: str) -> None:
    """Waits until the workflow's activity has begun."""

    async def begun() -> bool:
        described = await house.workflow(workflow_id).describe()
        pending = described.raw_description.pending_activities
        return any(each.activity_type.name == activity and each.attempt for each in pending)

    await eventually(begun)


async def heard_cancellation(house: House, workflow_id: str) -> None:
    """Waits until the workflow has seen that an operator cancelled it."""

    async def heard() -> bool:
        kinds = [e.event_type for e in (await house.workflow(workflow_id).fetch_history()).events]
        asked = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
        if asked not in kinds:
            return False
        return EventType.EVENT_TYPE_WORKFLOW_TASK_COMPLETED in kinds[kinds.index(asked) :]

    await eventually(heard)


@asynccontextmanager
async def impatient_api(house: House) -> AsyncIterator[House]:
    """The same house through an API that waits a second for a workflow."""
    listener = listening_socket()
    url = address_of(listener)
    settings = house.settings.model_copy(update={"request_timeout_seconds": 1, "public_url": url})
    app = create_app(settings, database=house.database, temporal=house.temporal)
    async with (
        served(app, listener),
        httpx.AsyncClient(base_url=url, timeout=30, trust_env=False) as http,
    ):
        yield House(**{**vars(house), "settings": settings, "http": http})


@asynccontextmanager
async def fresh_connections(house: House) -> AsyncIterator[House]:
    """The same house, whose clients never reuse a connection: the server may just be closing an idle one."""
    none = httpx.Limits(max_keepalive_connections=0)

    def client(like: httpx.AsyncClient) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=like.base_url, headers=like.headers, timeout=30, limits=none, trust_env=False
        )

    async with client(house.http) as http, client(house.sandbox) as sandbox:
        yield House(**{**vars(house), "http": http, "sandbox": sandbox})


async def test_an_operator_cancels_the_workflow_while_the_money_has_just_come(house: House) -> None:
    deal = await Deal.placed(house)
    await house.misbehave("webhook", "drop", subject=deal.sale["payment"]["id"])
    assert (await house.pay(deal.sale)).status_code == 200
    await house.workflow(f"sale-{deal.id}").cancel()
    events = [*PAID, "cancelled by operator"]
    await deal.assert_refunded("cancelled", stock=5, events=events)


async def test_an_operator_cancels_the_workflow_while_the_seller_accepts(house: House) -> None:
    deal = await Deal.paid(house)
    story = f"sale-{deal.id}"
    await deal.told("paid")
    with busy(house, "paths", deal.id):
        accepting = asyncio.create_task(deal.try_to("accept", deal.seller))
        await under_way(house, story, "move_sale")
        await house.workflow(story).cancel()
        await heard_cancellation(house, story)
        assert not accepting.done()
    answer = await accepting
    assert answer.status_code == 200, answer.text
    events = [*PAID, "accepted by seller", "cancelled by operator"]
    await deal.assert_refunded("cancelled", stock=5, events=events)


async def test_an_operator_cancels_the_workflow_while_the_buyer_cancels(house: House) -> None:
    deal = await Deal.paid(house)
    story = f"sale-{deal.id}"
    await deal.told("paid")
    with busy(house, "paths", deal.id):
        cancelling = asyncio.create_task(deal.try_to("cancel", deal.buyer))
        await under_way(house, story, "move_sale")
        await house.workflow(story).cancel()
        await heard_cancellation(house, story)
    assert (await cancelling).status_code == 200
    # Once, and by the one who came first.
    await deal.assert_refunded("cancelled", stock=5, events=[*PAID, "cancelled by buyer"])


async def test_cancelled_in_the_moment_of_the_payment(house: House) -> None:
    """Whoever is faster, nobody gets an error, and the buyer has the money or everything back."""
    buyer, seller = people()
    lamp = await house.listing(seller, stock=ROUNDS)
    phases: list[str] = []
    async with fresh_connections(house) as crowded:
        for begin in range(0, ROUNDS, AT_A_TIME):
            numbers = range(begin, begin + AT_A_TIME)
            phases += await asyncio.gather(
                *(_pay_and_cancel(crowded, lamp, seller, number) for number in numbers)
            )
    assert len(phases) == ROUNDS
    left = (await house.get(f"/v1/listings/{lamp['id']}", by=buyer))["stock"]
    assert left == ROUNDS
    await assert_sound(house)


async def _pay_and_cancel(house: House, lamp: Json, seller: str, number: int) -> str:
    """Both at once; in every second round the cancelling waits until the news of the payment is there."""
    deal = await Deal.of(house, lamp, people()[0], seller)
    payment = deal.sale["payment"]["id"]

    async def pay() -> int:
        return (await house.pay(deal.sale)).status_code

    async def cancel() -> httpx.Response:
        if number % 2:
            await eventually(
                lambda: house.sql("SELECT 1 FROM webhook_inbox WHERE subject = %s", payment)
            )
        return await deal.try_to("cancel", deal.buyer)

    paid, cancelled = await asyncio.gather(pay(), cancel())
    assert cancelled.status_code == 200, cancelled.text
    phase = "refunded" if paid == 200 else "expired"
    await deal.until(phase)
    if phase == "refunded":
        await settled(house, deal.sale)
        assert sorted(await house.postings(deal.sale)) == sorted(
            funded(deal.total) + refunded(deal.total)
        )
    else:
        assert await house.postings(deal.sale) == []
    await house.assert_at_zero(deal.sale)
    return phase


@pytest.mark.parametrize("ended", [False, True], ids=["goes on", "has ended"])
async def test_an_act_whose_answer_came_too_late_is_answered_by_its_key(
    house: House, ended: bool
) -> None:
    deal = await Deal.paid(house)
    await deal.told("paid")
    act: dict[str, Any] = {"by": deal.seller, "key": f"accept-{deal.id}", "json": {}}
    path = f"/v1/sales/{deal.id}/accept"
    async with impatient_api(house) as impatient:
        with busy(house, "paths", deal.id):
            first, second = await asyncio.gather(
                *(impatient.call("POST", path, **act) for _ in range(2))
            )
            for unanswered in (first, second):
                assert_problem(unanswered, 503, "unavailable")
                assert int(unanswered.headers["Retry-After"]) > 0
    await deal.until("accepted")
    if ended:
        await deal.act("cancel", deal.buyer)
        await deal.until("refunded")
        await house.workflow(f"sale-{deal.id}").result()
    answers = [await house.call("POST", path, **act) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 200], answers[0].text
    assert answers[0].json() == answers[1].json()
    assert answers[0].json()["phase"] == ("refunded" if ended else "accepted")
    assert answers[1].headers["Idempotency-Replayed"] == "true"
    assert (await deal.timeline()).count("accepted by seller") == 1
    if not ended:
        await deal.act("cancel", deal.buyer)
    events = [*PAID, "accepted by seller", "cancelled by buyer"]
    await deal.assert_refunded("cancelled", stock=5, events=events)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Payment companies are given up after three attempts: no clock can skip the waits between them."""
    quick = RetryPolicy(initial_interval=PAUSE, maximum_interval=PAUSE, maximum_attempts=3)
    for options in (PRESENT, PROVIDER):
        monkeypatch.setitem(options, "retry_policy", quick)


async def until(
    ask: Callable[[], Awaitable[httpx.Response]], status: int
) -> tuple[httpx.Response, set[int]]:
    """Repeats a request until it has this status; the answer, and the statuses before."""
    before: set[int] = set()

    async def there() -> httpx.Response | None:
        answer = await ask()
        if answer.status_code == status:
            return answer
        before.add(answer.status_code)
        return None

    answer = await eventually(there, within_seconds=30)
    assert answer is not None
    return answer, before


async def test_the_payment_company_stays_out_of_reach(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path: Path,
    hurried: None,
) -> None:
    """First "come back", in the end "order again"; the pieces are free as soon as it is sure that nobody can pay."""
    with postgres_server.fresh() as url:
        async with house_of_parts(
            dev_server, url, issuer, tmp_path, request_timeout_seconds=1
        ) as parts:
            house = parts.house
            buyer, seller = people()
            lamp = await house.listing(seller)
            body = {"lines": [{"listing_id": lamp["id"], "quantity": 2}]}
            await parts.sandbox.stop()

            async def place(key: str) -> httpx.Response:
                return await house.call("POST", "/v1/sales", by=buyer, key=key, json=body)

            for unanswered in await asyncio.gather(place("patient"), place("late")):
                assert_problem(unanswered, 503, "unavailable")
            gone, before = await until(lambda: place("patient"), 409)
            problem = assert_problem(gone, 409, "provider_unreachable")
            assert "order again" in problem["detail"]
            assert before <= {503}
            sales = [sale for (sale,) in house.sql("SELECT id FROM sales ORDER BY id")]
            assert len(sales) == 2
            assert house.sql("SELECT stock FROM listings") == [(1,)], "it may have made the payment"

            await parts.sandbox.start()
            for sale_id in sales:
                sale = await house.get(f"/v1/sales/{sale_id}", by=buyer)
                with suppress(RPCError):  # it may have looked by itself, and ended
                    await house.workflow(f"payment-{sale['payment']['id']}").signal("wake")
                await house.until(sale, "expired", by=buyer)
                assert await at_provider(house, "payments", sale["payment"]["id"]) == []
                assert await house.postings(sale) == []
                await house.assert_at_zero(sale)
            assert house.sql("SELECT stock FROM listings") == [(5,)]
            again = await place("patient")
            assert (again.status_code, again.json()) == (409, gone.json())
            # Who asks only now, when all is over, hears the same.
            assert_problem(await place("late"), 409, "provider_unreachable")
            assert (await place("another")).status_code == 201
