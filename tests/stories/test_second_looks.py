"""What the platform finds by looking again, with no news or no workflow left; and what makes it call an operator."""

from __future__ import annotations

import json
import uuid
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from db.wakeups import CARRIER_PREFIX
from domain.payments import Forgotten
from domain.policy import RefundPolicy, SalePolicy
from domain.time import utc_now
from providers.sandbox_server.events import signed_headers
from tests.api.issuer import Issuer
from tests.servers import Databases
from tests.stories.deals import Deal, funded, people, refunded
from tests.stories.house import AT_ONCE, House, Json, running_house
from tests.stories.money import (
    PRICE,
    SHARE,
    all_answered,
    assert_sound,
    at_provider,
    called_off,
    destination,
    earned,
    in_transit,
    inbox,
    needs_operator,
    payout_at,
    payout_postings,
    provider_moves,
    redeliver,
    refund_of,
    rewrite_at_provider,
    settled,
    take_out,
)
from tests.stories.test_webhooks import FOREIGN_SECRET, event, new_id, send, signed
from tests.waiting import eventually
from workflows.upkeep import KeepHouse

CARRIER = "carriers/sandbox"
POLL = 1_500
SILENCE = 2_000
"""In the house of short patience: looks so far apart, and for how long a provider may be silent; seconds."""


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def impatient(
    dev_server: str,
    postgres_server: Databases,
    issuer: Issuer,
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[House]:
    """A house that calls operators soon and looks rarely: each look costs a second of skipped time."""
    patience = {
        "poll_first_seconds": POLL,
        "poll_longest_seconds": POLL,
        "silence_seconds": SILENCE,
    }
    policies = {
        "sale_policy": SalePolicy(poll_first_seconds=900),
        "refund_policy": RefundPolicy(**patience),
        "payout_policy": AT_ONCE.model_copy(update=patience),
    }
    folder = tmp_path_factory.mktemp("impatient")
    with postgres_server.fresh() as url:
        async with running_house(dev_server, url, issuer, folder, **policies) as running:
            yield running


def grown_older(house: House, table: str, column: str, row: str, by: str) -> None:
    """Moves a moment of one row into the past."""
    house.sql(f"UPDATE {table} SET {column} = now() - %s::interval WHERE id = %s", by, row)


async def calls_operator(house: House, workflow_id: str, called: bool = True) -> None:
    """Waits until the workflow calls an operator, or does so no more."""

    async def there() -> bool:
        return await needs_operator(house, workflow_id) is called

    await eventually(there)


async def gone(house: House, workflow_id: str) -> None:
    """The workflow is lost: an operator has terminated it, or a cluster was restored from an old copy."""
    await house.workflow(workflow_id).terminate("lost")


async def news(house: House, kind: str, subject: str) -> None:
    """A true webhook, signed now."""
    body = event(subject, kind)
    assert (await send(house, body, signed(house, body))).status_code == 200


async def held_payout(house: House) -> tuple[Json, str]:
    """A payout that the bank has not answered, and its payee."""
    _, seller = people()
    await earned(house, seller)
    await destination(house, seller)
    await house.misbehave("payout", "payout_hold")
    payout = await take_out(house, seller)
    await payout_at(house, payout, "in_transit", by=seller)
    return payout, seller


async def paid_unheard(house: House, deal: Deal) -> None:
    """Late money of which no news comes."""
    await house.misbehave("webhook", "drop", subject=deal.sale["payment"]["id"], times=9)
    await deal.pay_late()


async def test_late_money_nobody_told_of_is_found_and_revives_its_order(
    impatient: House,
) -> None:
    deal = await Deal.placed(impatient)
    await deal.expire()
    await paid_unheard(impatient, deal)
    payment = deal.sale["payment"]["id"]
    story = impatient.workflow(f"payment-{payment}")
    ended = (await story.describe()).run_id
    for age in ("23 hours", "25 hours", "4 days"):
        grown_older(impatient, "payments", "expires_at", payment, age)
        await redeliver(impatient)
        assert (await story.describe()).run_id == ended, f"looked at after {age}"
    grown_older(impatient, "payments", "expires_at", payment, "1 day")
    await redeliver(impatient)
    await deal.until("paid")
    # No webhook brought it back.
    assert ("payment.captured", "consumed") not in await inbox(impatient, payment)
    assert await impatient.postings(deal.sale) == funded(PRICE)
    await eventually(lambda: impatient.runs(deal.sale))
    await deal.act("decline", deal.seller)
    events = ["placed by buyer", "payment_expired by system", "late_payment_accepted by provider"]
    await deal.assert_refunded("declined", stock=5, events=[*events, "declined by seller"])


async def test_late_money_nobody_told_of_goes_back_when_the_pieces_are_gone(
    impatient: House,
) -> None:
    late = await Deal.placed(impatient, stock_kind="one_of_a_kind", stock=1)
    await late.expire()
    second = await Deal.of(impatient, late.lamp, people()[0], late.seller)
    await paid_unheard(impatient, late)
    grown_older(impatient, "payments", "expires_at", late.sale["payment"]["id"], "3 days")
    await redeliver(impatient)
    events = ["placed by buyer", "payment_expired by system", "late_payment_returned by provider"]
    await late.assert_refunded("late_payment_returned", stock=0, events=events)
    await second.act("cancel", second.buyer)
    await impatient.assert_at_zero(second.sale)


async def test_a_refund_whose_workflow_is_gone_goes_on(house: House) -> None:
    sale, buyer = await called_off(house, "refund_pending")
    refund = await refund_of(house, sale, "pending", by=buyer)
    await gone(house, f"refund-{refund['id']}")
    await house.misbehave("webhook", "drop", subject=refund["id"], times=9)
    [theirs] = await at_provider(house, "refunds", refund["id"])
    await provider_moves(house, "refunds", theirs["reference"])
    await redeliver(house)
    assert (await house.get(f"/v1/refunds/{refund['id']}", by=buyer))["status"] == "pending"
    grown_older(house, "refunds", "created_at", refund["id"], "2 days")
    await redeliver(house)
    await house.until(sale, "refunded", by=buyer)
    assert await house.postings(sale) == funded(PRICE) + refunded(PRICE)
    assert len(await at_provider(house, "refunds", refund["id"])) == 1
    await house.assert_at_zero(sale)


async def test_a_payout_whose_workflow_is_gone_goes_on(house: House) -> None:
    payout, seller = await held_payout(house)
    await gone(house, f"payout-{payout['id']}")
    await house.misbehave("webhook", "drop", subject=payout["id"], times=9)
    [theirs] = await at_provider(house, "payouts", payout["id"])
    await provider_moves(house, "payouts", theirs["reference"], to="paid")
    await redeliver(house)
    assert (await house.get(f"/v1/payouts/{payout['id']}", by=seller))["status"] == "in_transit"
    grown_older(house, "payouts", "created_at", payout["id"], "1 day")
    await redeliver(house)
    await payout_at(house, payout, "paid", by=seller)
    assert len(await at_provider(house, "payouts", payout["id"])) == 1
    assert in_transit(house, payout) == await house.payable(seller) == 0
    await assert_sound(house)


async def test_a_refund_without_an_answer_for_too_long_calls_an_operator(
    impatient: House,
) -> None:
    sale, buyer = await called_off(impatient, "refund_pending")
    refund = await refund_of(impatient, sale, "pending", by=buyer)
    story = f"refund-{refund['id']}"
    await impatient.skipper.fast_forward(impatient.workflow(story), POLL + 1)
    assert not await needs_operator(impatient, story)
    await impatient.skipper.fast_forward(impatient.workflow(story), POLL)
    await calls_operator(impatient, story)
    [theirs] = await at_provider(impatient, "refunds", refund["id"])
    await provider_moves(impatient, "refunds", theirs["reference"])
    await impatient.until(sale, "refunded", by=buyer)
    await calls_operator(impatient, story, called=False)
    assert await impatient.postings(sale) == funded(PRICE) + refunded(PRICE)
    await impatient.assert_at_zero(sale)


async def test_a_payout_without_an_answer_for_too_long_calls_an_operator(
    impatient: House,
) -> None:
    payout, seller = await held_payout(impatient)
    story = f"payout-{payout['id']}"
    await impatient.skipper.fast_forward(impatient.workflow(story), POLL + 1)
    assert not await needs_operator(impatient, story)
    await impatient.skipper.fast_forward(impatient.workflow(story), POLL)
    await calls_operator(impatient, story)
    [theirs] = await at_provider(impatient, "payouts", payout["id"])
    await provider_moves(impatient, "payouts", theirs["reference"], to="paid")
    await payout_at(impatient, payout, "paid", by=seller)
    await calls_operator(impatient, story, called=False)
    assert in_transit(impatient, payout) == 0
    await assert_sound(impatient)


@pytest.mark.parametrize("ending", ["failed", "returned"])
async def test_a_payout_put_back_here_and_paid_there_calls_an_operator(
    house: House, ending: str
) -> None:
    payout, seller = await held_payout(house)
    story = f"payout-{payout['id']}"
    [theirs] = await at_provider(house, "payouts", payout["id"])
    await provider_moves(house, "payouts", theirs["reference"], to=ending)
    await payout_at(house, payout, ending, by=seller)
    await all_answered(house, payout["id"])
    await house.workflow(story).result()
    posted = payout_postings(house, payout)

    change = "UPDATE payouts SET status = ? WHERE subject = ?"
    rewrite_at_provider(house, change, "paid", payout["id"])
    await news(house, "payout.paid", payout["id"])
    await calls_operator(house, story)
    assert (await house.get(f"/v1/payouts/{payout['id']}", by=seller))["status"] == ending
    assert payout_postings(house, payout) == posted
    assert await house.payable(seller) == SHARE

    rewrite_at_provider(house, change, ending, payout["id"])
    await house.workflow(story).signal("wake")
    await house.workflow(story).result()
    assert await needs_operator(house, story) is False
    assert payout_postings(house, payout) == posted
    await all_answered(house, payout["id"])
    await assert_sound(house)


def scans_of(house: House, number: str) -> list[tuple[str, str, str | None]]:
    """Kind, status and reason of every scan of a parcel in the inbox, oldest first."""
    rows = house.sql(
        "SELECT kind, status, reason FROM webhook_inbox WHERE source = %s"
        " AND encode(body, 'escape') LIKE %s ORDER BY id",
        f"{CARRIER_PREFIX}sandbox",
        f"%{number}%",
    )
    return [(kind, status, reason) for kind, status, reason in rows]


async def test_a_scan_older_than_the_order_is_of_another_parcel(house: House) -> None:
    """Carriers use their numbers again; and what the old parcel was told stays away from the new one."""
    deal, number = await Deal.shipped(house)
    scan = {
        "tracking_number": number,
        "kind": "delivered",
        "label_paid_by": "platform",
        "occurred_at": "2020-01-02T03:04:05Z",
    }
    now = utc_now()
    body = json.dumps({"type": "parcel.delivered", "timestamp": now.isoformat(), "data": scan})
    secret = house.settings.carrier_webhook_secrets["sandbox"].get_secret_value()
    answer = await send(house, body, signed_headers(secret, new_id(), body, now), to=CARRIER)
    assert answer.status_code == 200, answer.text
    reason = "older than the order: another parcel had this number"
    assert scans_of(house, number) == [("delivered", "ignored", reason)]
    assert (await deal.until("shipped"))["parcel"]["last_scan_at"] is None
    assert house.sql("SELECT label_paid_by FROM sales WHERE id = %s", deal.id) == [(None,)]

    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    assert (await deal.timeline())[-2:] == ["delivered by carrier", "confirmed by buyer"]
    await house.assert_at_zero(deal.sale)


async def keep_house(house: House) -> Forgotten:
    """One round of the housekeeping schedule, now."""
    return await house.temporal.execute_workflow(
        KeepHouse.run,
        id=f"keep-house-{uuid.uuid4().hex}",
        task_queue=house.settings.temporal_task_queue,
    )


async def test_old_keys_and_rejected_webhooks_are_forgotten(house: House) -> None:
    _, seller = people()
    body = {"title": "Lamp", "unit_price": {"amount": 1}, "stock_kind": "in_stock", "stock": 1}
    ages = {f"{uuid.uuid4().hex}": age for age in ("31 days", "29 days")}
    for key, age in ages.items():
        made = await house.call("POST", "/v1/listings", by=seller, key=key, json=body)
        assert made.status_code == 201
        house.sql(
            "UPDATE idempotency_keys SET created_at = now() - %s::interval WHERE key = %s", age, key
        )
    sale = await house.paid(await house.listing(seller), by=people()[0])
    await settled(house, sale)
    payment = sale["payment"]["id"]
    grown = "UPDATE webhook_inbox SET received_at = now() - %s::interval WHERE {} = %s"
    forged: dict[str, str] = {}
    for age in ("31 days", "29 days"):
        refused = event(payment, nonce=age)
        answer = await send(house, refused, signed(house, refused, secret=FOREIGN_SECRET))
        assert answer.status_code == 401
        forged[age] = refused
        house.sql(grown.format("encode(body, 'escape')"), age, refused)
    house.sql(grown.format("subject"), "90 days", payment)

    assert await keep_house(house) == Forgotten(idempotency_keys=1, rejected_webhooks=1)
    assert await keep_house(house) == Forgotten(idempotency_keys=0, rejected_webhooks=0)
    old, young = ages
    left = house.sql("SELECT key FROM idempotency_keys WHERE key = ANY(%s)", list(ages))
    assert left == [(young,)]
    rejected = "SELECT count(*) FROM webhook_inbox WHERE encode(body, 'escape') = %s"
    assert [house.sql(rejected, forged[age])[0][0] for age in forged] == [0, 1]
    # What was true is kept for ever: it is how a repeated event is known.
    assert await inbox(house, payment) == [("payment.captured", "consumed")]
    for key, status, replayed in ((old, 201, None), (young, 201, "true")):
        again = await house.call("POST", "/v1/listings", by=seller, key=key, json=body)
        assert again.status_code == status
        assert again.headers.get("Idempotency-Replayed") == replayed
