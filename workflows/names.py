"""Workflow ids and types by name, for stories that must not import each other in a circle."""

from __future__ import annotations

from datetime import datetime

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.ids import revived_workflow_id
    from domain.model import Message
    from domain.sale_messages import SaleStart


def sale_workflow_id(sale_id: str) -> str:
    return f"sale-{sale_id}"


def payment_workflow_id(payment_id: str) -> str:
    return f"payment-{payment_id}"


def refund_workflow_id(refund_id: str) -> str:
    return f"refund-{refund_id}"


def payout_workflow_id(payout_id: str) -> str:
    return f"payout-{payout_id}"


class Revival(Message):
    """How to start a path again that a late payment has brought back."""

    workflow: str
    workflow_id: str
    start: SaleStart


def revival_of(path_id: str, at: datetime) -> Revival:
    """The path's own story and the input with which it goes on."""
    return Revival(
        workflow="Sale",
        workflow_id=revived_workflow_id(sale_workflow_id(path_id)),
        start=SaleStart(sale_id=path_id, paid_late_at=at),
    )
