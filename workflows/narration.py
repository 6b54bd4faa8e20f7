"""What operators read in the Temporal UI: plain words, amounts, deadlines and consequences."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import SearchAttributeUpdate

with workflow.unsafe.imports_passed_through():
    from domain.money import format_money
    from domain.path import Standing
    from domain.sale import FINAL, Phase, SaleTerms, deadlines
    from domain.text import as_markdown
    from runtime import search_attributes as attributes
    from workflows.following import in_words


_WAITING = {
    Phase.PENDING_PAYMENT: "waiting for the buyer to pay",
    Phase.PAID: "waiting for the seller to accept",
    Phase.ACCEPTED: "waiting for the seller to ship",
    Phase.SHIPPED: "on its way to the buyer",
    Phase.DELIVERED: "waiting for the buyer to confirm",
    Phase.REFUNDING: "the money is on its way back to the buyer",
    Phase.COMPLETED: "finished; the seller has the money on their balance",
    Phase.EXPIRED: "finished; nobody paid",
    Phase.REFUNDED: "finished; the buyer has everything back",
}


def describe_sale(terms: SaleTerms, phase: Phase, due: datetime | None) -> str:
    """Phase, what we wait for, until when, what happens then, and where the money is."""
    amount = format_money(terms.total, terms.currency)
    lines = [f"**{phase}**: {_WAITING[phase]}", "", f"- Amount: **{amount}**"]
    for receipt in deadlines(terms, phase, due):
        lines += [
            f"- Next deadline: **{receipt.name}, {in_words(receipt.due_at)}**",
            f"- If nothing comes: {receipt.outcome}",
            f"- Stopped by: {', '.join(receipt.stopped_by)}",
            *(f"- Would post: {posting}" for posting in receipt.postings),
        ]
    lines.append(f"- In escrow: {amount if _in_escrow(phase) else 'nothing'}")
    lines.append(f"- Buyer {terms.buyer_id}, seller {terms.seller_id}")
    lines += [
        f"- {line.quantity} x {as_markdown(line.title)}: {format_money(line.total, terms.currency)}"
        for line in terms.lines
    ]
    return "\n".join(lines)


def keep_attributes(updates: Sequence[SearchAttributeUpdate[Any]]) -> None:
    """Tells Temporal what has changed; what it knows already would be an event for nothing."""
    known = workflow.info().typed_search_attributes
    changed = [each for each in updates if known.get(each.key) != each.value]
    if changed:
        workflow.upsert_search_attributes(changed)


def sale_attributes(
    terms: SaleTerms, phase: Phase, due: datetime | None
) -> Sequence[SearchAttributeUpdate[str] | SearchAttributeUpdate[datetime]]:
    """Phase, next deadline and whose sale it is, for finding sales in the UI.

    Whose it is was told at the start, but not to a sale that a late payment has brought back.
    """
    deadline = (
        attributes.DEADLINE.value_unset() if due is None else attributes.DEADLINE.value_set(due)
    )
    return [
        attributes.PATH.value_set("sale"),
        attributes.INITIATOR.value_set(terms.buyer_id),
        attributes.CURRENCY.value_set(terms.currency),
        attributes.PHASE.value_set(phase),
        deadline,
    ]


def describe_standing(standing: Standing, now: datetime) -> str:
    """Phase, what each timer waits for, how long still, what silence will do, and where the money is."""
    lines = [f"**{standing.phase}**", ""]
    if standing.over:
        lines.append("- Finished; nothing is waited for")
    for receipt in standing.deadlines:
        days = days_until(receipt.due_at, now)
        about = f" ({receipt.subject})" if receipt.subject else ""
        lines += [
            f"- Deadline: **{receipt.name}{about}, {in_words(receipt.due_at)}** "
            f"({days} days left on {now:%Y-%m-%d})",
            f"- If nothing comes: {receipt.outcome}",
            f"- Stopped by: {', '.join(receipt.stopped_by)}",
            *(f"- Would post: {posting}" for posting in receipt.postings),
        ]
    lines += [f"- {as_markdown(fact)}" for fact in standing.facts]
    return "\n".join(lines)


def days_until(moment: datetime, now: datetime) -> int:
    """How many days are left, a begun one counted."""
    return max(0, -int((now - moment).total_seconds() // 86_400))


def standing_attributes(
    standing: Standing,
) -> Sequence[SearchAttributeUpdate[str] | SearchAttributeUpdate[datetime]]:
    """Phase and next deadline, for finding paths in the UI."""
    due = min((each.due_at for each in standing.deadlines), default=None)
    deadline = (
        attributes.DEADLINE.value_unset() if due is None else attributes.DEADLINE.value_set(due)
    )
    return [attributes.PHASE.value_set(standing.phase), deadline]


def _in_escrow(phase: Phase) -> bool:
    return phase not in FINAL and phase not in (Phase.PENDING_PAYMENT, Phase.REFUNDING)
