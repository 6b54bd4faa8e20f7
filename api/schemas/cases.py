"""Cases and commands of operators, as the API shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field, JsonValue

from api.schemas.base import Body, MoneyView, Remark, Utc, View
from api.schemas.ledger import AccountBalanceView
from api.schemas.paths import DeadlineView, EventView, PlannedPostingView
from db.queries.cases import Evidence
from db.tables import Case, CaseEvent, Chargeback, Command, CommandItem, Payment, Payout, Refund
from domain.commands import (
    CommandKind,
    CommandOrder,
    CommandState,
    ItemState,
    Offered,
    Party,
    Preview,
    legal,
)
from domain.ids import CaseId, UserId
from domain.operator_cases import CaseKind, CaseState
from domain.operator_policy import OperatorPolicy
from domain.stuck import How


class Assignment(Body):
    """Who sees to a case."""

    to: UserId | None = Field(default=None, description="An operator; without one the caller.")


class CaseWords(Body):
    """What somebody has to say about a case."""

    words: Remark = Field(min_length=1, examples=["The buyer has sent the carrier's letter"])


class Retry(Body):
    """How something that is stuck is set going again."""

    how: How = Field(
        description="wake: the running story looks again; start: a payment, refund or payout begins anew where its rows"
        " stand; reset: a story that has failed goes on from its last task."
    )
    reason: Remark = Field(min_length=10, examples=["The database was full; it is mended"])


class CaseView(View):
    """Something that needs a person."""

    id: str
    kind: CaseKind
    subject: str = Field(description="Id of what it is about.")
    state: CaseState
    path_id: str | None
    user_id: str | None
    summary: str
    amount: MoneyView | None
    assignee_id: str | None
    opened_at: Utc
    due_at: Utc = Field(description="Until when somebody must have decided.")
    overdue: bool
    ended_at: Utc | None
    outcome: str | None

    @classmethod
    def of(cls, case: Case, now: Utc) -> Self:
        """The view of a case at that moment."""
        return cls(
            id=case.id,
            kind=CaseKind(case.kind),
            subject=case.subject,
            state=CaseState(case.state),
            path_id=case.path_id,
            user_id=case.user_id,
            summary=case.summary,
            amount=_money(case.amount, case.currency),
            assignee_id=case.assignee_id,
            opened_at=case.opened_at,
            due_at=case.due_at,
            overdue=case.ended_at is None and case.due_at < now,
            ended_at=case.ended_at,
            outcome=case.outcome,
        )


class CaseEventView(View):
    """What was done about a case."""

    id: int
    at: Utc
    kind: str = Field(examples=["note"])
    by_id: str | None = Field(description="Null: the platform itself.")
    words: str

    @classmethod
    def of(cls, event: CaseEvent) -> Self:
        """The view of an event."""
        return cls(id=event.id, at=event.at, kind=event.kind, by_id=event.by_id, words=event.words)


class PersonOfCase(View):
    """Somebody whom a case concerns."""

    id: str
    display_name: str
    verified: bool
    frozen: bool


class MovementView(View):
    """Money that came, went back, was taken by a bank, or was paid out."""

    id: str
    what: str = Field(examples=["payment", "refund", "chargeback", "payout"])
    status: str
    amount: MoneyView
    at: Utc | None

    @classmethod
    def of(cls, row: Payment | Refund | Chargeback | Payout) -> Self:
        """The view of one of the four."""
        match row:
            case Payment():
                what, at = "payment", row.captured_at
            case Refund():
                what, at = "refund", row.created_at
            case Chargeback():
                what, at = "chargeback", row.opened_at
            case Payout():
                what, at = "payout", row.created_at
        return cls(
            id=row.id,
            what=what,
            status=row.status,
            amount=MoneyView.of(row.amount, row.currency),
            at=at,
        )


class PathOfCase(View):
    """The path of a case as it stands."""

    id: str
    kind: str
    phase: str
    workflow_id: str
    paused: bool
    closed_at: Utc | None
    deadlines: list[DeadlineView]
    timeline: list[EventView] = Field(description="The newest events, oldest first.")
    balances: list[AccountBalanceView]


class PartyView(View):
    """What somebody would get and give."""

    user_id: str | None = Field(description="Null: the platform, or a pot that is nobody's own.")
    account: str = Field(examples=["payable"])
    gets: MoneyView
    gives: MoneyView

    @classmethod
    def of(cls, party: Party) -> Self:
        """The view of a party."""
        return cls(
            user_id=party.user_id,
            account=party.account,
            gets=MoneyView.of(party.gets, party.currency),
            gives=MoneyView.of(party.gives, party.currency),
        )


class PreviewView(View):
    """What a command does, exactly: with the hash only this can be approved and executed."""

    postings: list[PlannedPostingView]
    who: list[PartyView]
    words: list[str]
    amounts: list[MoneyView] = Field(description="What counts towards the limit of one operator.")
    items: int = Field(description="Of a bulk command: for how many paths.")
    refused: int = Field(description="Of a bulk command: for how many of them it is not possible.")

    @classmethod
    def of(cls, preview: Preview) -> Self:
        """The view of a preview."""
        return cls(
            postings=[PlannedPostingView.of(each) for each in preview.postings],
            who=[PartyView.of(each) for each in preview.who],
            words=list(preview.words),
            amounts=[MoneyView.of(each.amount, each.currency) for each in preview.amounts],
            items=preview.items,
            refused=preview.refused,
        )


class CommandView(View):
    """Something operators want done."""

    id: str
    kind: CommandKind
    state: CommandState
    case_id: str | None
    path_id: str | None
    user_id: str | None
    input: JsonValue
    reason: str
    needs_two: bool = Field(description="Whether a second operator has to approve it.")
    preview: PreviewView
    preview_sha256: str
    proposed_by: str
    approved_by: str | None
    executed_by: str | None
    refusal: str | None = Field(description="Why it was rejected, or could not be executed.")
    proposed_at: Utc
    executed_at: Utc | None
    lapses_at: Utc

    @classmethod
    def of(cls, row: Command) -> Self:
        """The view of a command."""
        return cls(
            id=row.id,
            kind=CommandKind(row.kind),
            state=CommandState(row.state),
            case_id=row.case_id,
            path_id=row.path_id,
            user_id=row.user_id,
            input=row.input,
            reason=row.reason,
            needs_two=row.needs_two,
            preview=PreviewView.of(Preview.model_validate(row.preview)),
            preview_sha256=row.preview_sha256,
            proposed_by=row.proposed_by,
            approved_by=row.approved_by,
            executed_by=row.executed_by,
            refusal=row.refusal,
            proposed_at=row.proposed_at,
            executed_at=row.executed_at,
            lapses_at=row.lapses_at,
        )


class CommandItemView(View):
    """One path of a bulk command."""

    number: int
    path_id: str
    state: ItemState
    preview: PreviewView | None
    refusal: str | None

    @classmethod
    def of(cls, item: CommandItem) -> Self:
        """The view of an item."""
        shown = None if item.preview is None else Preview.model_validate(item.preview)
        return cls(
            number=item.number,
            path_id=item.path_id,
            state=ItemState(item.state),
            preview=None if shown is None else PreviewView.of(shown),
            refusal=item.refusal,
        )


class NewCommand(Body):
    """What an operator wants done, and why."""

    order: CommandOrder
    reason: Remark = Field(min_length=10, examples=["The seller has died; the heirs agree"])
    case_id: CaseId | None = None


class Seen(Body):
    """Which preview somebody has seen."""

    preview_sha256: str = Field(pattern="^[0-9a-f]{64}$")


class Rejection(Body):
    """Why a command is not to be executed."""

    reason: Remark = Field(min_length=1)


class OfferedView(View):
    """A command that can be proposed now."""

    command: CommandKind
    words: str
    needs_two: bool
    timer: str
    subject: str

    @classmethod
    def of(cls, offered: Offered) -> Self:
        """The view of what is possible."""
        return cls(**offered.model_dump())


class CaseDetail(View):
    """A case with everything that is known about it, and what can be done."""

    case: CaseView
    facts: JsonValue
    events: list[CaseEventView]
    people: list[PersonOfCase]
    path: PathOfCase | None
    movements: list[MovementView]
    commands: list[CommandView]
    next: list[OfferedView]

    @classmethod
    def of(cls, case: Case, known: Evidence, policy: OperatorPolicy, now: Utc) -> Self:
        """The view of a case with its evidence."""
        moved: list[Payment | Refund | Chargeback | Payout] = [
            *known.payments,
            *known.refunds,
            *known.chargebacks,
            *known.payouts,
        ]
        return cls(
            case=CaseView.of(case, now),
            facts=case.facts,
            events=[CaseEventView.of(each) for each in known.events],
            people=[
                PersonOfCase(
                    id=each.id,
                    display_name=each.display_name,
                    verified=each.verified_at is not None,
                    frozen=each.frozen_at is not None,
                )
                for each in known.people
            ],
            path=_path(known),
            movements=[MovementView.of(each) for each in moved],
            commands=[CommandView.of(each) for each in known.commands],
            next=[
                OfferedView.of(each) for each in (legal(known.facts, policy) if known.facts else ())
            ],
        )


def _path(known: Evidence) -> PathOfCase | None:
    if known.path is None or known.pending is None:
        return None
    return PathOfCase(
        id=known.path.id,
        kind=known.path.kind,
        phase=known.path.phase,
        workflow_id=known.path.workflow_id,
        paused=known.path.paused_at is not None,
        closed_at=known.path.closed_at,
        deadlines=[DeadlineView.of(each) for each in known.pending.deadlines],
        timeline=[EventView.of(each) for each in known.timeline],
        balances=[AccountBalanceView.of(each) for each in known.balances],
    )


def _money(amount: int | None, currency: str | None) -> MoneyView | None:
    return None if amount is None or currency is None else MoneyView.of(amount, currency)
