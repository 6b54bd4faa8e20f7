"""Spendings out of a match call's budget: asked for, agreed to by enough approvers, paid, refused or lapsed."""

from __future__ import annotations

from sqlalchemy import select

from activities.match_call_case import Case, Change, kept, wound_up
from db import match_queue
from db.queries import file_access, kinship
from db.tables import MatchApproval, MatchSpending, User
from domain import accounts, postings
from domain.errors import (
    Forbidden,
    InsufficientFunds,
    InvalidInput,
    LimitReached,
    NotFound,
    SelfDealing,
    WrongPhase,
)
from domain.ids import new_id, step_key
from domain.match_call import Phase, SpendingState
from domain.match_call_deadlines import spending_deadline
from domain.postings import Share


async def spending_asked(case: Case) -> Change:
    """Somebody is to be paid: the money is kept back until enough approvers agree, one refuses, or nobody speaks."""
    wish, asker = case.act.spending, case.act.user_id
    if wish is None or asker is None:
        raise InvalidInput("no spending was named", field="amount")
    if not case.terms.approvals_needed:
        raise InvalidInput(
            "nothing is spent from this call but by matching",
            field="amount",
            accepted="a call that names approvers",
        )
    if await case.session.get(User, wish.payee_id) is None:
        raise InvalidInput("there is no such user", field="payee_id", accepted="a user's id")
    if await kinship.tie(case.session, wish.payee_id, [case.terms.sponsor_id]) is not None:
        raise SelfDealing("the sponsor is not paid out of their own call", field="payee_id")
    await _require_enough(case, asker, wish.payee_id)
    left = case.row.budget.left
    if wish.amount > left:
        raise InsufficientFunds(
            f"{case.money(left)} of the budget is promised to nobody",
            field="amount",
            accepted=f"at most {left}",
        )
    spending_id = new_id("spd")
    case.session.add(
        MatchSpending(
            id=spending_id,
            call_id=case.path.id,
            asked_by=asker,
            payee_id=wish.payee_id,
            amount=wish.amount,
            purpose=wish.purpose,
            file_ids=list(wish.file_ids),
            state=SpendingState.ASKED,
            asked_at=case.at,
        )
    )
    case.row.reserved += wish.amount
    for reader in (case.terms.sponsor_id, *case.terms.approvers):
        await file_access.grant(case.session, wish.file_ids, case.path.id, reader)
    return Change(
        phase=case.phase,
        summary=f"A spending of {case.money(wish.amount)} is asked for: {wish.purpose}",
        deadlines=(*kept(case), spending_deadline(case.terms, spending_id, case.at)),
        subject=spending_id,
    )


async def spending_approved(case: Case) -> Change:
    """An approver agrees; with the last approval that is needed the payee has the money."""
    spending = await _asked(case, case.act.spending_id)
    approver = _require_approver(case)
    agreed = await _agreed(case, spending)
    if approver in agreed:
        raise LimitReached("you have agreed already", accepted="each approver once")
    others = [spending.asked_by, spending.payee_id, *agreed]
    if await kinship.tie(case.session, approver, others) is not None:
        raise SelfDealing(
            "who asks, who is paid and each who agrees must be different people",
            accepted="another approver",
        )
    case.session.add(MatchApproval(spending_id=spending.id, approver_id=approver, at=case.at))
    count, needed = len(agreed) + 1, case.terms.approvals_needed
    if count < needed:
        return Change(
            phase=case.phase,
            summary=f"{count} of {needed} agree to a spending of {case.money(spending.amount)}",
            deadlines=kept(case),
            subject=spending.id,
        )
    _end(case, spending, SpendingState.PAID)
    case.row.spent += spending.amount
    change = await _after(case, spending, f"{count} of {needed} agree: paid")
    change.earners += (spending.payee_id,)
    change.entries.append(
        postings.release(
            step_key(case.key, spending.id),
            case.path.id,
            [Share(account=accounts.payable(spending.payee_id), amount=spending.amount)],
            case.terms.currency,
            source=case.terms.account,
        )
    )
    return change


async def spending_refused(case: Case) -> Change:
    """One approver says no, and that is the end of it."""
    spending = await _asked(case, case.act.spending_id)
    spending.refused_by, spending.note = _require_approver(case), case.act.note
    _end(case, spending, SpendingState.REFUSED)
    return await _after(case, spending, "Refused")


async def spending_lapsed(case: Case) -> Change:
    """Too few have agreed in time."""
    spending = await _asked(case, case.subject)
    _end(case, spending, SpendingState.LAPSED)
    return await _after(case, spending, "Not agreed to in time")


async def call_off_spendings(case: Case) -> int:
    """Whatever is asked for and not approved is not spent. Answers how much that frees, minor units."""
    rows = (
        await case.session.scalars(
            select(MatchSpending).where(
                MatchSpending.call_id == case.path.id, MatchSpending.state == SpendingState.ASKED
            )
        )
    ).all()
    for spending in rows:
        _end(case, spending, SpendingState.CALLED_OFF)
    return sum(each.amount for each in rows)


async def _after(case: Case, spending: MatchSpending, how: str) -> Change:
    """A spending has ended: what is free again goes to those who wait or, once the call has closed, to the sponsor."""
    words = f"{how}: a spending of {case.money(spending.amount)}"
    if case.phase is Phase.CLOSED:
        change = await wound_up(case, words, but=spending.id)
    else:
        await match_queue.settle(case.session, [case.row])
        change = Change(phase=case.phase, summary=words, deadlines=kept(case, but=spending.id))
    change.subject = spending.id
    return change


def _end(case: Case, spending: MatchSpending, state: SpendingState) -> None:
    spending.state, spending.ended_at = state, case.at
    case.row.reserved -= spending.amount


async def _asked(case: Case, spending_id: str) -> MatchSpending:
    spending = await case.session.get(MatchSpending, spending_id)
    if spending is None or spending.call_id != case.path.id:
        raise NotFound("there is no such spending")
    if spending.state != SpendingState.ASKED:
        raise WrongPhase(
            f"the spending is {spending.state}", field="state", accepted=SpendingState.ASKED
        )
    return spending


def _require_approver(case: Case) -> str:
    approver = case.act.user_id
    if approver is None or approver not in case.terms.approvers:
        raise Forbidden("only approvers of the call decide", accepted="approver")
    return approver


async def _agreed(case: Case, spending: MatchSpending) -> list[str]:
    rows = await case.session.scalars(
        select(MatchApproval.approver_id)
        .where(MatchApproval.spending_id == spending.id)
        .order_by(MatchApproval.at)
    )
    return list(rows)


async def _require_enough(case: Case, asker: str, payee: str) -> None:
    """Raises InvalidInput when too few approvers are neither who asks nor who is paid: it could never be approved."""
    free: list[str] = []
    for approver in case.terms.approvers:
        if await kinship.tie(case.session, approver, [asker, payee, *free]) is None:
            free.append(approver)
    if len(free) < case.terms.approvals_needed:
        raise InvalidInput(
            "too few approvers are left who neither ask for it nor are paid",
            field="payee_id",
            accepted=f"{case.terms.approvals_needed} other people among the approvers",
        )
