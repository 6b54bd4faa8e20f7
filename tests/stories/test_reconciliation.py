"""Reconciliation: each of the ways in which a provider and the books can differ is found, and nothing else is."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from domain import postings
from domain.reconciliation import ReconcileRun
from ledger import journal
from tests.api.client import assert_problem
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.chargebacks import decided, disputed
from tests.stories.comebacks import Back, delivered
from tests.stories.deals import Deal
from tests.stories.house import House, Json, running_house
from tests.stories.money import (
    destination,
    earned,
    payment_reference,
    payout_at,
    people,
    provider_moves,
    rewrite_at_provider,
    settled,
    take_out,
)
from workflows.reconciliation import Reconcile


@pytest.fixture(scope="module")
async def house(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A platform of its own: its books are compared as a whole."""
    with postgres_server.fresh() as url:
        folder = tmp_path_factory.mktemp("books")
        async with running_house(dev_server, url, issuer, folder) as running:
            yield running


async def reconcile(house: House, days: int = 4) -> None:
    """The comparison as it will be made so many days from now.

    The days of the future were read as empty by the comparison before.
    """
    house.sql("DELETE FROM statement_days")
    run = ReconcileRun(upto=datetime.now(UTC).date() + timedelta(days=days))
    await house.temporal.execute_workflow(
        Reconcile.run,
        run,
        id=f"reconcile-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def differences(house: House) -> list[tuple[str, str, str]]:
    """What is open: (kind, part, subject)."""
    page = await house.get("/v1/reconciliation/differences", by="admin")
    found = [(each["kind"], each["part"], each["subject"]) for each in page["items"]]
    cases = await house.get("/v1/cases", by="admin", kind="difference")
    open_cases = {each["subject"] for each in cases["items"] if each["ended_at"] is None}
    assert open_cases == {each["id"] for each in page["items"]}
    return found


async def explained(house: House) -> None:
    """Operators have explained everything, so that the next test begins with nothing open."""
    page = await house.get("/v1/reconciliation/differences", by="admin")
    for each in page["items"]:
        path = f"/v1/reconciliation/differences/{each['id']}/explain"
        await house.post(path, {"reason": "It was planted"}, by="admin")
    assert await differences(house) == []
    await reconcile(house)
    assert await differences(house) == []


async def paid(house: House) -> Json:
    """A sale whose money has been settled."""
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    await settled(house, sale)
    return sale


async def told(house: House, effect: str, kind: str = "payment", **more: float) -> Json:
    """A sale whose payment the statement shows wrongly."""
    await house.misbehave("statement", effect, event=kind, **more)
    return await paid(house)


@pytest.mark.parametrize(
    ("effect", "line", "kind", "part"),
    [
        ("line_missing", "payment", "missing_there", "payment"),
        ("line_doubled", "payment", "doubled_there", "payment"),
        ("line_amount", "payment", "amount", "payment"),
        ("line_amount", "fee", "fee", "fee"),
        ("line_currency", "payment", "currency", "payment"),
        ("line_sign", "payment", "sign", "payment"),
        ("line_kind", "payment", "wrong_kind", "payment"),
        ("line_subject", "payment", "wrong_subject", "other"),
    ],
)
async def test_a_line_that_is_wrong_is_found(
    house: House, effect: str, line: str, kind: str, part: str
) -> None:
    sale = await told(house, effect, line)
    await reconcile(house)
    assert await differences(house) == [(kind, part, sale["payment"]["id"])]
    await reconcile(house)
    assert await differences(house) == [(kind, part, sale["payment"]["id"])]
    await explained(house)


async def test_money_that_nobody_asked_for_is_found(house: House) -> None:
    await paid(house)
    rewrite_at_provider(
        house,
        "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
        " SELECT 'spyo_x', 'payout', 'pyo_x', -5, 'CNY', booked_at, day FROM movements LIMIT 1",
    )
    rewrite_at_provider(house, "UPDATE day_totals SET amount = amount - 5 WHERE currency = 'CNY'")
    await reconcile(house)
    assert await differences(house) == [("unknown_subject", "payout", "pyo_x")]
    await explained(house)


async def test_what_the_provider_moved_and_we_do_not_know_is_found(house: House) -> None:
    sale = await paid(house)
    rewrite_at_provider(
        house,
        "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
        " SELECT reference, 'dispute', subject, -7, currency, booked_at, day FROM movements"
        " WHERE subject = ? LIMIT 1",
        sale["payment"]["id"],
    )
    rewrite_at_provider(house, "UPDATE day_totals SET amount = amount - 7 WHERE currency = 'CNY'")
    await reconcile(house)
    assert await differences(house) == [("missing_here", "dispute", sale["payment"]["id"])]
    await explained(house)


async def test_what_we_have_written_down_twice_is_found(house: House) -> None:
    sale = await paid(house)
    payment = sale["payment"]["id"]
    async with house.database.transaction() as session:
        twice = postings.fund(f"{payment}/again", sale["id"], "sandbox", 20_000, "CNY")
        again = postings.settle(f"{payment}/again2", sale["id"], "sandbox", 20_000, 120, "CNY")
        await journal.post(session, twice, again)
    await reconcile(house)
    assert await differences(house) == [
        ("doubled_here", "payment", payment),
        ("doubled_here", "fee", payment),
    ]
    await explained(house)


async def test_a_day_that_does_not_add_up_is_found(house: House) -> None:
    await told(house, "balance_off")
    await reconcile(house)
    assert await differences(house) == [
        ("balance", "balance", datetime.now(UTC).date().isoformat())
    ]
    # The company mends its books, and the difference is gone by itself.
    rewrite_at_provider(house, "UPDATE day_totals SET amount = amount - 1 WHERE currency = 'CNY'")
    await reconcile(house)
    assert await differences(house) == []


async def test_a_line_that_comes_late_is_matched_by_itself(house: House) -> None:
    sale = await told(house, "line_missing")
    await reconcile(house, days=2)
    assert await differences(house) == []
    await reconcile(house)
    assert len(await differences(house)) == 1
    rewrite_at_provider(
        house,
        "INSERT INTO movements (reference, kind, subject, amount, currency, booked_at, day)"
        " SELECT reference, 'payment', subject, 20000, currency, booked_at, day FROM movements"
        " WHERE subject = ? LIMIT 1",
        sale["payment"]["id"],
    )
    rewrite_at_provider(
        house, "UPDATE day_totals SET amount = amount + 20000 WHERE currency = 'CNY'"
    )
    await reconcile(house)
    assert await differences(house) == []
    page = await house.get("/v1/reconciliation/differences", by="admin", only_open="false")
    assert page["items"][0]["outcome"] == "matched"


async def test_a_statement_that_cannot_be_read_is_no_difference(house: House) -> None:
    await paid(house)
    await house.misbehave("read", "unavailable", times=2)
    await reconcile(house)
    assert await differences(house) == []


async def test_who_sees_it_and_who_explains(house: House) -> None:
    await told(house, "line_missing")
    await reconcile(house)
    [found] = (await house.get("/v1/reconciliation/differences", by="admin"))["items"]
    days = await house.call("GET", "/v1/reconciliation/days", by="admin")
    assert days.json()[0]["provider"] == "sandbox"
    path = f"/v1/reconciliation/differences/{found['id']}/explain"
    body = {"reason": "Mine"}
    assert_problem(await house.call("POST", path, by="somebody", json=body), 403, "forbidden")
    await explained(house)
    assert_problem(await house.call("POST", path, by="admin", json=body), 409, "wrong_phase")


async def test_a_clean_month_has_no_difference(house: House) -> None:
    """Everything that moves money, spread over the days of a month at the provider."""
    for _ in range(3):
        await paid(house)
    await house.misbehave("payment", "settle_later")
    buyer, seller = people()
    waiting = await house.paid(await house.listing(seller), by=buyer)
    called_off = await paid(house)
    await house.act(called_off, "cancel", by="admin")
    back = await Back.received(await delivered(house))
    await back.act("accept", back.deal.seller)
    await back.ended("refunded", back=20_000)
    await _payouts(house)
    for won in (True, False):
        deal = await Deal.paid(house)
        await settled(house, deal.sale)
        await decided(house, await disputed(house, deal.sale, 5_000), won=won)
    await told(house, "line_late", seconds=86_400)
    await reconcile(house, days=5)
    assert await differences(house) == []
    rewrite_at_provider(
        house,
        "UPDATE movements SET day = date(day, '-' || (id % 28) || ' days'),"
        " booked_at = datetime(booked_at, '-' || (id % 28) || ' days') || '+00:00'",
    )
    rewrite_at_provider(house, "DELETE FROM day_totals")
    rewrite_at_provider(
        house,
        "INSERT INTO day_totals (day, currency, amount)"
        " SELECT day, currency, SUM(amount) FROM movements GROUP BY day, currency",
    )
    house.sql("DELETE FROM statement_days; DELETE FROM statement_lines")
    house.sql("UPDATE payments SET captured_at = captured_at - interval '29 days'")
    await reconcile(house, days=5)
    assert await differences(house) == []
    await house.sandbox.post(f"/v1/payments/{payment_reference(house, waiting)}/advance")
    await settled(house, waiting)
    await reconcile(house, days=6)
    assert await differences(house) == []


async def _payouts(house: House) -> None:
    """One arrives, one fails, one is returned after it was paid, one is still on its way."""
    for effect in (None, "payout_failed", "payout_hold"):
        _, seller = people()
        await earned(house, seller)
        await destination(house, seller)
        if effect is not None:
            await house.misbehave("payout", effect)
        payout = await take_out(house, seller)
        if effect == "payout_failed":
            await payout_at(house, payout, "failed", by=seller)
        if effect is None:
            await payout_at(house, payout, "paid", by=seller)
            [(reference,)] = house.sql("SELECT reference FROM payouts WHERE id = %s", payout["id"])
            await provider_moves(house, "payouts", str(reference), to="returned")
            await payout_at(house, payout, "returned", by=seller)
