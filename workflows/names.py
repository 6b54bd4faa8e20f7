"""Workflow ids and types by name, for stories that must not import each other in a circle."""

from __future__ import annotations

from datetime import datetime

from pydantic import SerializeAsAny
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from domain.ids import revived_workflow_id, step_key
    from domain.model import Message
    from domain.order_messages import OrderStart
    from domain.sale_messages import SaleStart


def sale_workflow_id(sale_id: str) -> str:
    return f"sale-{sale_id}"


def order_workflow_id(order_id: str) -> str:
    return f"order-{order_id}"


def contest_workflow_id(contest_id: str) -> str:
    return f"contest-{contest_id}"


def chargeback_workflow_id(payment_id: str) -> str:
    return f"chargeback-{payment_id}"


def payment_workflow_id(payment_id: str) -> str:
    return f"payment-{payment_id}"


def refund_workflow_id(refund_id: str) -> str:
    return f"refund-{refund_id}"


def payout_workflow_id(payout_id: str) -> str:
    return f"payout-{payout_id}"


def payee_workflow_id(payee_id: str) -> str:
    return f"payee-{payee_id}"


def ballot_workflow_id(ballot_id: str) -> str:
    return f"ballot-{ballot_id}"


def retally_workflow_id(ballot_id: str, number: int) -> str:
    """Re-tallies after the end are counted from 1."""
    return f"ballot-{ballot_id}-retally-{number}"


def retally_key(ballot_id: str, request_id: str) -> str:
    """Key of a re-tally: the same at every try of one request, whichever run it meets."""
    return step_key(ballot_workflow_id(ballot_id), f"retally-{request_id}")


def tender_workflow_id(tender_id: str) -> str:
    return f"tender-{tender_id}"


def campaign_workflow_id(campaign_id: str) -> str:
    return f"campaign-{campaign_id}"


def pledge_workflow_id(pledge_id: str) -> str:
    """Of the story of a pledge whose charge has failed."""
    return f"pledge-{pledge_id}"


def pledge_run_workflow_id(campaign_id: str, goal: str, round_: int, shard: int) -> str:
    """Of one part of what is done with every pledge of a campaign."""
    return f"pledge-run-{campaign_id}-{goal}-{round_}-{shard}"


def return_workflow_id(return_id: str) -> str:
    return f"return-{return_id}"


def dispute_workflow_id(dispute_id: str) -> str:
    return f"dispute-{dispute_id}"


def in_kind_workflow_id(in_kind_id: str) -> str:
    return f"in-kind-{in_kind_id}"


def match_call_workflow_id(call_id: str) -> str:
    return f"match_call-{call_id}"


def production_workflow_id(order_id: str) -> str:
    return f"production-{order_id}"


def lot_workflow_id(lot_id: str) -> str:
    return f"lot-{lot_id}"


def inspection_workflow_id(inspection_id: str) -> str:
    return f"inspection-{inspection_id}"


def account_workflow_id(change_key: str) -> str:
    return f"account-{change_key}"


def command_workflow_id(command_id: str) -> str:
    return f"command-{command_id}"


def bulk_workflow_id(command_id: str) -> str:
    """Of the story that goes through the paths of a bulk command."""
    return f"bulk-{command_id}"


class Revival(Message):
    """How to start a path again that a late payment has brought back."""

    workflow: str
    workflow_id: str
    start: SerializeAsAny[Message]


def revival_of(path_id: str, at: datetime) -> Revival:
    """The path's own story and the input with which it goes on."""
    if path_id.startswith("ord_"):
        return Revival(
            workflow="Order",
            workflow_id=revived_workflow_id(order_workflow_id(path_id)),
            start=OrderStart(order_id=path_id, paid_late_at=at),
        )
    return Revival(
        workflow="Sale",
        workflow_id=revived_workflow_id(sale_workflow_id(path_id)),
        start=SaleStart(sale_id=path_id, paid_late_at=at),
    )
