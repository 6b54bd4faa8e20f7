"""A production order from draft to end: wages are paid in first, and what nobody earns goes back, to the last minor unit."""

from __future__ import annotations

from tests.stories.house import House
from tests.stories.jobs import lines
from tests.stories.workshop import (
    CLAIMS,
    DAY,
    RATE,
    UNITS,
    Workshop,
    body_of,
    funded,
    people,
    returned,
    standard_of,
    uploaded,
)
from tests.waiting import eventually

PAID = funded()
BACK = returned(UNITS * RATE)
ALL_OPEN = {"open": UNITS}


def takes_on(shop: Workshop, units: int) -> None:
    """A lot of so many units runs, as far as the order is concerned."""
    shop.house.sql(
        "UPDATE production_orders SET open = open - %s, running = running + %s,"
        " lots = lots + 1, lots_running = lots_running + 1 WHERE id = %s",
        units,
        units,
        shop.id,
    )


def gives_back(shop: Workshop, units: int) -> None:
    """That lot is over, and nothing of it was made."""
    shop.house.sql(
        "UPDATE production_orders SET open = open + %s, running = running - %s,"
        " lots_running = lots_running - 1 WHERE id = %s",
        units,
        units,
        shop.id,
    )


def rejected(shop: Workshop, units: int) -> None:
    """That lot is over, and all of it was rejected."""
    shop.house.sql(
        "UPDATE production_orders SET rejected = rejected + %s, running = running - %s,"
        " lots_running = lots_running - 1 WHERE id = %s",
        units,
        units,
        shop.id,
    )


async def says_lots_over(shop: Workshop) -> None:
    """The last lot tells the order's story that it is over."""
    await shop.house.workflow(shop.story).signal("lots_over")


async def test_from_the_draft_to_the_end_of_the_claims(house: House) -> None:
    shop = await Workshop.drafted(house, materials=[])
    stranger = people()[1][0]
    assert shop.order["phase"] == "draft"
    unseen = await house.call("GET", f"/v1/production-orders/{shop.id}", by=stranger)
    assert unseen.status_code == 404

    changed = body_of(title="Round baskets", lot_least=5, lot_most=40)
    answer = await house.call(
        "PUT", f"/v1/production-orders/{shop.id}", by=shop.requester, json=changed
    )
    assert answer.status_code == 200, answer.text
    shop.order = await shop.act("fund", pay_by="bank_transfer")
    assert shop.order["to_fund"]["amount"] == shop.order["payment"]["amount"]["amount"] == 50_000
    assert shop.order["payment"]["purpose"] == "wages"
    still = await house.call("GET", f"/v1/production-orders/{shop.id}", by=stranger)
    assert still.status_code == 404, "what is not paid is nobody's business"

    await shop.pay(shop.order["payment"])
    await shop.until("published")
    shown = await shop.now(stranger)
    assert shown["payment"] is None
    assert (shown["title"], shown["lot_least"], shown["lot_most"]) == ("Round baskets", 5, 40)
    assert [each["code"] for each in shown["standard"]["defects"]] == [
        "splinter",
        "handle",
        "stain",
    ]
    assert shown["materials"] == [
        {
            "number": 1,
            "title": "Bamboo strips",
            "pieces": 2,
            "cost": {"amount": 100, "currency": "CNY", "text": "CNY 1.00"},
        }
    ]
    assert await shop.units() == ALL_OPEN
    listed = await house.get("/v1/production-orders", by=stranger)
    assert shop.id in [each["id"] for each in listed["items"]]

    due = await shop.deadlines()
    assert due["claims"]["due_at"] == shown["claims_close_at"]
    assert [
        (each["side"], each["account"].split(":")[0], each["amount"]["amount"])
        for each in due["claims"]["postings"]
    ] == [("debit", "escrow", 50_000), ("credit", "refund_due", 50_000)]
    await shop.let_pass(CLAIMS + 11)
    done = await shop.ended("completed", PAID, BACK)
    assert done["end_reason"] == "claims_over"
    assert await shop.timeline() == [
        "funding_asked by initiator",
        "funded by provider",
        "claims_over by system",
        "refund_arrived by provider",
    ]
    mine = await house.get("/v1/production-orders", by=shop.requester, which="requester")
    assert [each["id"] for each in mine["items"]] == [shop.id]


async def test_wages_that_are_not_paid_in_cancel_the_order_and_late_ones_go_back(
    house: House,
) -> None:
    shop = await Workshop.funding(house)
    payment = shop.order["payment"]
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    handle = house.workflow(f"payment-{payment['id']}")
    await house.skipper.fast_forward(handle, DAY)
    await handle.result()
    done = await shop.ended("cancelled")
    assert done["end_reason"] == "unpaid"
    await shop.pay(payment)
    await shop.ended("cancelled", PAID, BACK)
    listed = await house.get("/v1/production-orders", by="admin", which="inspector")
    assert listed["items"] == []


async def test_called_off_before_it_is_paid(house: House) -> None:
    draft = await Workshop.drafted(house)
    gone = await draft.act("cancel", note="Too early")
    assert (gone["phase"], gone["end_reason"]) == ("cancelled", "cancelled")
    assert await draft.timeline() == ["cancelled by initiator"]

    shop = await Workshop.funding(house)
    cancelled = await shop.act("cancel")
    assert cancelled["phase"] == "cancelled"
    await shop.ended("cancelled")
    by_operator = await Workshop.funding(house)
    await by_operator.act("cancel", by="admin")
    await by_operator.ended("cancelled")
    assert "cancelled by operator" in await by_operator.timeline()


async def test_stopped_while_a_lot_runs_the_order_waits_for_it(house: House) -> None:
    shop = await Workshop.published(house)
    takes_on(shop, 40)
    assert (await shop.deadlines())["claims"]["postings"] == []
    stopped = await shop.act("stop", note="Enough for now")
    assert (stopped["phase"], stopped["lots_running"]) == ("closing", 1)
    assert list(await shop.deadlines()) == ["look"]
    await says_lots_over(shop)
    await shop.let_pass(1)
    await shop.until("closing")
    assert "lots_over by system" not in await shop.timeline(), "a lot still runs"
    rejected(shop, 40)
    await says_lots_over(shop)
    done = await shop.ended("completed", PAID, BACK)
    assert done["end_reason"] == "claims_stopped"
    assert await shop.units() == {"open": 60, "rejected": 40}
    assert "lots_over by system" in await shop.timeline()


async def test_an_order_of_which_nobody_has_claimed_anything_is_over_when_it_is_stopped(
    house: House,
) -> None:
    shop = await Workshop.published(house)
    assert (await shop.act("stop"))["phase"] == "completed"
    await shop.ended("completed", PAID, BACK)


async def test_when_everything_is_made_the_order_ends_before_its_time(house: House) -> None:
    shop = await Workshop.published(house)
    takes_on(shop, 60)
    takes_on(shop, 40)
    assert await shop.units() == {"running": UNITS}
    listed = await house.get("/v1/production-orders", by=shop.requester)
    assert shop.id not in [each["id"] for each in listed["items"]], "nothing is left to claim"
    rejected(shop, 60)
    gives_back(shop, 40)
    await says_lots_over(shop)
    takes_on(shop, 40)
    rejected(shop, 40)
    await says_lots_over(shop)
    done = await shop.ended("completed", PAID, BACK)
    assert done["end_reason"] == "lots_over"


async def test_operators_stop_a_published_order_through_the_api_or_temporal(house: House) -> None:
    shop = await Workshop.published(house)
    refused = await shop.try_to("cancel")
    assert refused.status_code == 403, "the requester stops it instead"
    takes_on(shop, 1)
    assert (await shop.act("cancel", by="admin", note="Fraud"))["phase"] == "closing"
    gives_back(shop, 1)
    await says_lots_over(shop)
    await shop.ended("completed", PAID, BACK)

    other = await Workshop.published(house)
    await house.workflow(other.story).cancel()
    await other.ended("completed", PAID, BACK)
    assert "cancelled by operator" in await other.timeline()


async def test_operators_read_where_the_units_are_and_no_news_is_needed_for_the_end(
    house: House,
) -> None:
    """The order is looked at now and then; that also ends it when the last lot's word was lost."""
    shop = await Workshop.published(house, claims_seconds=40 * DAY)
    handle = house.workflow(shop.story)
    takes_on(shop, 40)
    await shop.let_pass(30 * DAY + 1)

    async def seen() -> bool:
        facts = (await handle.query("watch"))["standing"]["facts"]
        assert f"Units: {UNITS}, of which 60 open, 40 running" in facts
        assert "In escrow: CNY 500.00" in facts
        return True

    await eventually(seen)
    assert len(await shop.timeline()) == 2, "a look is no event"
    await shop.let_pass(15 * DAY)
    await shop.until("closing")
    gives_back(shop, 40)
    await shop.let_pass(31 * DAY)
    done = await shop.ended("completed", PAID, BACK)
    assert done["end_reason"] == "claims_over"
    assert "looked by system" in await shop.timeline()

    made = await Workshop.published(house, claims_seconds=40 * DAY)
    takes_on(made, UNITS)
    rejected(made, UNITS)
    await made.let_pass(30 * DAY + 1)
    done = await made.ended("completed", PAID, BACK)
    assert done["end_reason"] == "looked"


async def test_samples_freight_and_an_inspector_are_paid_in_as_well(house: House) -> None:
    certifier = f"certifier-{people()[0]}"
    certifier_id = (await house.get("/v1/me", by=certifier))["id"]
    terms = {
        "sample_fee": 300,
        "samples": 2,
        "freight": 10,
        "certifier_id": certifier_id,
        "certifier_fee": 7,
    }
    shop = await Workshop.drafted(house, **terms)
    shop.order = await shop.act("fund")
    total = UNITS * (RATE + 3 * 10 + 7) + 2 * 300
    assert shop.order["to_fund"]["amount"] == total
    unseen = await house.get("/v1/production-orders", by=certifier, which="inspector")
    assert unseen["items"] == []
    await shop.pay(shop.order["payment"])
    await shop.until("published")
    asked = await house.get("/v1/production-orders", by=certifier, which="inspector")
    assert [each["id"] for each in asked["items"]] == [shop.id]
    assert (await shop.now(certifier))["samples_left"] == 2
    await shop.act("stop")
    await shop.ended("completed", funded(total), returned(total))


async def test_the_files_of_the_contract_are_shown_once_it_is_published(house: House) -> None:
    requester, [maker] = people()
    ids = [await uploaded(house, requester) for _ in range(4)]
    defects = standard_of()["defects"]
    defects[0]["file_ids"] = [ids[3]]
    standard = standard_of(good_file_ids=[ids[1]], bad_file_ids=[ids[2]], defects=defects)
    shop = await Workshop.funding(house, by=requester, file_ids=[ids[0]], standard=standard)
    for file_id in ids:
        answer = await house.call("GET", f"/v1/files/{file_id}", by=maker)
        assert answer.status_code == 404
    await shop.pay(shop.order["payment"])
    await shop.until("published")
    for file_id in ids:
        answer = await house.call("GET", f"/v1/files/{file_id}", by=maker)
        assert answer.status_code == 200
    await shop.act("stop")
    await shop.ended("completed", PAID, BACK)


async def test_wages_the_provider_does_not_send_back_become_balance(house: House) -> None:
    shop = await Workshop.published(house)
    payment_id = shop.order["payment"]["id"]
    [(reference,)] = house.sql("SELECT reference FROM payments WHERE id = %s", payment_id)
    await house.misbehave("refund", "refund_refused", subject=reference)
    assert (await shop.act("stop"))["phase"] == "completed"

    async def refused() -> str:
        rows = house.sql(
            "SELECT id FROM refunds WHERE path_id = %s AND status = 'refused'", shop.id
        )
        return str(rows[0][0]) if rows else ""

    refund_id = await eventually(refused)
    assert set(await shop.deadlines()) == {"refund_offer"}
    await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=shop.requester)
    total = UNITS * RATE
    await shop.ended(
        "completed",
        PAID,
        lines(
            ("refund", "debit escrow:order", total),
            ("refund", "credit refund_due:ref", total),
            ("refund_to_balance", "debit refund_due:ref", total),
            ("refund_to_balance", "credit payable:requester", total),
        ),
    )
    assert await house.payable(shop.requester) == total
