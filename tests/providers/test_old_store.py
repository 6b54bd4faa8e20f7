"""A file that an older version of the sandbox wrote: it opens, keeps everything, and can do what is new."""

from __future__ import annotations

import sqlite3
from datetime import date
from pathlib import Path

import pytest

from domain.errors import ProviderRefused
from providers.base import (
    DisputeStatus,
    PaymentRequest,
    PaymentStatus,
    RefundRequest,
    RefundStatus,
)
from providers.sandbox_server.schema import STEPS
from tests.providers.conftest import MakeBox
from tests.providers.harness import charge_request

OLD = Path(__file__).parent / "data" / "sandbox_v1.sql"
"""What the first version had written of a captured, partly refunded and disputed payment, an open one with a decline,
a payout on its way, a parcel, two switches and three webhooks that had not arrived."""


def put_old_file(folder: Path) -> Path:
    """The file of version 1 where the sandbox of this test looks for its own."""
    path = folder / "sandbox.db"
    connection = sqlite3.connect(path)
    connection.executescript(OLD.read_text())
    connection.close()
    return path


def payment_request(name: str, amount: int) -> PaymentRequest:
    """What was asked of the old version."""
    return PaymentRequest(
        operation_id=f"payment-pay_{name}/create",
        subject=f"pay_{name}",
        amount=amount,
        currency="CNY",
        description="手工灯笼 Handmade lamp",
        return_url="http://127.0.0.1/orders/1",
    )


async def test_a_file_of_version_1_keeps_its_data(make_box: MakeBox, tmp_path: Path) -> None:
    put_old_file(tmp_path)
    for _start in range(2):
        async with make_box(payout_seconds=3_600) as box:
            asked = payment_request("captured", 10_000)
            captured = await box.client.create_payment(asked)
            assert captured == await box.client.find_payment(asked.operation_id)
            assert (captured.status, captured.fee) == (PaymentStatus.CAPTURED, 60)
            with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
                await box.client.create_payment(asked.model_copy(update={"amount": 1}))
            refund = await box.client.create_refund(
                RefundRequest(
                    operation_id="refund-ref_1/create",
                    subject="ref_1",
                    payment_reference=captured.reference,
                    amount=1_500,
                    currency="CNY",
                )
            )
            assert refund.status is RefundStatus.SUCCEEDED
            [dispute] = await box.client.list_disputes(captured.reference)
            assert dispute.status is DisputeStatus.NEEDS_RESPONSE
            assert dispute.due_by is not None and dispute.due_by.date() == date(2026, 3, 11)
            opened = await box.client.create_payment(payment_request("open", 5_000))
            assert opened.decline_reason == "card_declined"
            payout = await box.client.find_payout("payout-pyo_1/create")
            assert payout is not None and payout.amount == 2_000
            assert await box.balance() == 10_000 - 60 - 1_500 - 2_000 - 1_000 - 1_500

            first = (await box.client.statement(date(2026, 2, 28))).lines
            assert [line.amount for line in first] == [10_000, -60]
            page = (await box.control.get("/v1/statements/2026-03-01")).json()
            assert (page["opening"], page["closing"]) == ({"CNY": 9_940}, {"CNY": 3_940})
            switches = (await box.control.get("/v1/behaviours")).json()["data"]
            assert [(each["times_left"], each["percent"]) for each in switches] == [
                (2, 100),
                (1, 100),
            ]
            await box.platform.expect("ref_1", "refund.succeeded")
            await box.platform.expect("pay_captured", "dispute.opened")


async def test_a_file_of_version_1_can_do_what_is_new(make_box: MakeBox, tmp_path: Path) -> None:
    put_old_file(tmp_path)
    async with make_box() as box:
        charged = await box.client.charge(charge_request(await box.saved_card()))
        assert charged.status is PaymentStatus.CAPTURED
        assert await box.client.get_payments([charged.reference]) == [charged]
        await box.platform.expect(charged.subject, "payment.captured")
        opened = await box.client.create_payment(payment_request("open", 5_000))
        for status in (402, 402, 200):
            assert (await box.pay(opened.reference)).status_code == status


async def test_an_old_file_ends_with_the_tables_of_a_new_one(
    make_box: MakeBox, tmp_path: Path
) -> None:
    path = put_old_file(tmp_path)
    async with make_box():
        pass
    old = tables(path)
    path.unlink()
    async with make_box():
        pass
    assert old == tables(path)


def tables(path: Path) -> tuple[int, list[tuple[str, str]]]:
    """Version, and every table and index with the words that made it."""
    connection = sqlite3.connect(path)
    [version] = connection.execute("PRAGMA user_version").fetchone()
    made = connection.execute(
        "SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name"
    ).fetchall()
    connection.close()
    assert version == len(STEPS)
    return version, made
