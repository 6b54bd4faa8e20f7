"""The end of a campaign that had succeeded, against its creator's will or by it: who gets what is left, and who owes what.

Everything in escrow is planned to go back in shares (`pledges.to_refund`); the story's run sends it. A share of a pledge
that a bank disputes waits until the bank has decided. What match calls had added goes back to them at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, select

from activities import payees
from activities.campaign_case import Case, Change
from activities.match_call_money import back_to_sponsors
from db import fulfilment_rows, match_rows
from db.match_rows import Matched
from db.tables import Path
from domain import accounts, postings, postings_match
from domain.campaign import Event, Phase, TrancheState
from domain.campaign_delivery import (
    Clawback,
    Delivery,
    clawback_of,
    clawed_back,
    divided,
    release_entry,
    released,
)
from domain.cases import RefundCase
from domain.postings import JournalEntry
from ledger import journal


@dataclass
class Shared:
    """What is on its way to whom."""

    entries: list[JournalEntry] = field(default_factory=list)
    refunds: tuple[RefundCase, ...] = ()
    calls: tuple[str, ...] = ()
    """Workflows of the match calls that have got something back."""


async def stopped(case: Case) -> Change:
    """Called off by the creator or by operators: what was released comes back as far as it can, all backers share."""
    calls = await lock_calls(case)
    back, payee = await _clawback(case, calls)
    ledger = clawed_back(case.ledger, back)
    fulfilment_rows.keep_ledger(case.row, ledger)
    entries = _clawback_entries(case, back, payee)
    shared = await _shared(case, ledger.left, calls)
    who = "operators" if case.event is Event.BANNED else "the creator"
    owed = f"; the creator owes {case.money(back.owed)}" if back.owed else ""
    words = f"Called off by {who} after the success; {case.money(ledger.left)} goes back{owed}"
    return await _ended(case, words, entries, shared)


async def voted(case: Case) -> Change:
    """The backers want what is left: all of it goes back to those who have received nothing, at most what they paid."""
    calls = await lock_calls(case)
    waiting = fulfilment_rows.is_waiting(case.terms.policy.received_seconds)
    return await _rest_shared(case, calls, "The backers want it back", waiting)


async def long_stop(case: Case, now: Delivery) -> Change:
    """The time is up: those whose reward was never shipped get what is left, at most what they paid."""
    words = f"The time is up and {now.owed} rewards were never shipped"
    return await _rest_shared(case, (), words, fulfilment_rows.is_unshipped())


async def _rest_shared(
    case: Case, calls: Sequence[Matched], words: str, those: ColumnElement[bool]
) -> Change:
    """Shares what is in escrow; what is beyond all that they have paid is the creator's."""
    before = case.ledger
    paid_in = await fulfilment_rows.weight(case.session, case.path.id, those)
    back = min(before.left, paid_in + sum(each.amount for each in calls))
    after = released(before, before.left - back, case.terms.policy.fee_basis_points)
    rest = release_entry(case.terms, before, after, f"{case.key}/release")
    fulfilment_rows.keep_ledger(case.row, after)
    shared = await _shared(case, back, calls, those)
    entries = [rest] if rest else []
    change = await _ended(case, f"{words}; {case.money(back)} goes back", entries, shared)
    change.earner = case.terms.creator_id if rest else None
    return change


async def _shared(
    case: Case, amount: int, calls: Sequence[Matched], *those: ColumnElement[bool]
) -> Shared:
    """Plans what goes back to pledges; what goes back to match calls is given back now."""
    campaign_id = case.path.id
    total = await fulfilment_rows.weight(case.session, campaign_id, *those)
    of_pledges, *of_calls = divided(amount, [total, *(each.amount for each in calls)])
    await fulfilment_rows.share_out(case.session, campaign_id, of_pledges, total, *those)
    parts = [
        each.model_copy(update={"amount": part})
        for each, part in zip(calls, of_calls, strict=True)
        if part
    ]
    return await give_back(case, parts)


async def give_back(case: Case, parts: Sequence[Matched]) -> Shared:
    """So much goes back to match calls; of those that have closed it goes on to the sponsor."""
    if not parts:
        return Shared()
    await match_rows.give_back(case.session, case.path.id, parts)
    onward = await back_to_sponsors(case.session, parts, key=case.key, at=case.at)
    stories = await case.session.scalars(
        select(Path.workflow_id)
        .where(Path.id.in_([each.call_id for each in parts]))
        .order_by(Path.id)
    )
    returned = [
        postings_match.match_returned(
            f"{case.key}/match/{each.call_id}",
            each.call_id,
            case.path.id,
            each.amount,
            each.currency,
        )
        for each in parts
    ]
    return Shared([*returned, *onward.entries], onward.cases, tuple(stories))


async def lock_calls(case: Case) -> Sequence[Matched]:
    """What match calls have added, they are locked: they come before users and accounts in everybody's order."""
    await match_rows.lock_for_return(case.session, case.path.id)
    return await match_rows.used(case.session, case.path.id)


async def _clawback(case: Case, calls: Sequence[Matched]) -> tuple[Clawback, accounts.Account]:
    """What the creator's balance holds of what they got; of a frozen one what is held. Stays locked."""
    creator_id = case.terms.creator_id
    payee = await payees.payee_account(case.session, creator_id)
    touched = [
        payee,
        accounts.receivable(creator_id),
        accounts.claim(case.path.id),
        accounts.escrow(case.path.id),
        accounts.FEE,
        *(accounts.match(each.call_id) for each in calls),
    ]
    held = await journal.balances(
        case.session, touched, case.terms.currency, for_update=True, path_id=case.path.id
    )
    return clawback_of(case.ledger, held[payee].available), payee


def _clawback_entries(case: Case, back: Clawback, payee: accounts.Account) -> list[JournalEntry]:
    made = []
    creator_id, currency = case.terms.creator_id, case.terms.currency
    if back.amount:
        made.append(
            postings.clawback(
                f"{case.key}/clawback",
                case.path.id,
                creator_id,
                back.from_balance,
                back.from_balance,
                currency,
                fee=back.fee,
                payee=payee,
            )
        )
    if back.owed:
        made.append(
            postings_match.claim(f"{case.key}/claim", case.path.id, creator_id, back.owed, currency)
        )
    return made


async def _ended(case: Case, words: str, entries: list[JournalEntry], shared: Shared) -> Change:
    """Nothing more is released; the run sends every share."""
    parts = [
        fulfilment_rows.as_part(each)
        for each in await fulfilment_rows.tranches(case.session, case.path.id)
    ]
    stopped_parts = [
        each
        if each.state is TrancheState.RELEASED
        else each.model_copy(update={"state": TrancheState.STOPPED, "claimed": 0})
        for each in parts
    ]
    await fulfilment_rows.keep_parts(case.session, case.path.id, stopped_parts, case.at)
    case.row.ballot_id = None
    return Change(
        phase=Phase.STOPPED,
        summary=words,
        entries=[*entries, *shared.entries],
        refunds=shared.refunds,
        match_calls=shared.calls,
    )
