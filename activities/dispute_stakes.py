"""What money a dispute is about, by kind of path: who may dispute it, how it is locked, and how it is divided in the end."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.returns import hand_to_dispute
from activities.sale_money import PartOf, bank_has_money, give_back, go_on, left, lock, unlock
from activities.sales import sale_of
from activities.settlement import net_debts
from db import dispute_rows, return_rows
from db.queries import messages
from db.tables import Path, Tender
from db.tender_rows import work_of
from domain import accounts, postings_back, returns
from domain.cases import RefundCase
from domain.disputes import MOST_DISPUTES, DisputeStep, OpenDispute, Stake, StakeKind, StakePart
from domain.errors import (
    Forbidden,
    InvalidInput,
    LimitReached,
    NotFound,
    TalkFirst,
    TooLate,
    WrongPhase,
)
from domain.ids import step_key
from domain.milestones import ENDED, State, has_something_to_show
from domain.path import Standing
from domain.payments import RefundCause
from domain.postings import JournalEntry
from domain.sale import Phase as SalePhase
from domain.tender import Phase as TenderPhase
from domain.tender import TenderTerms
from ledger import journal

_DISPUTABLE = frozenset({SalePhase.SHIPPED, SalePhase.DELIVERED, SalePhase.COMPLETED})


@dataclass(frozen=True)
class Divided:
    """What the end of a dispute has done with its money."""

    to_payer: int
    """Minor units that go back."""
    refund: RefundCase | None = None


async def claim(session: AsyncSession, path: Path, wish: OpenDispute, at: datetime) -> Stake:
    """What is disputed. Raises Forbidden, InvalidInput, TalkFirst, TooLate, WrongPhase."""
    if path.kind == "sale":
        stake = await _claim_of_sale(session, path, wish, at)
    elif path.kind == "tender" and wish.milestone:
        stake = await _claim_of_milestone(session, path, wish)
    else:
        stake = await _claim_of_released(session, path, wish, at)
    if await dispute_rows.count(session, path.id, wish.claimant_id) >= MOST_DISPUTES:
        raise LimitReached(
            f"nobody disputes one path more than {MOST_DISPUTES} times",
            accepted="writing to the other side",
        )
    if wish.return_id is None:
        await _require_talk(session, stake, wish, at)
    return stake


async def _require_talk(
    session: AsyncSession, stake: Stake, wish: OpenDispute, at: datetime
) -> None:
    """Raises TalkFirst unless the claimant wrote to the other side some time ago."""
    other = stake.payee_id if wish.claimant_id == stake.payer_id else stake.payer_id
    since = await messages.first_word(session, stake.about_id, wish.claimant_id, other)
    wait = timedelta(seconds=wish.policy.talk_seconds)
    if since is not None and since + wait <= at:
        return
    if not wait:
        return
    when = f"from {since + wait:%Y-%m-%d %H:%M:%S} UTC on" if since else "write to them first"
    raise TalkFirst("talk with the other side before you dispute", accepted=when)


# Sales.


async def _claim_of_sale(
    session: AsyncSession, path: Path, wish: OpenDispute, at: datetime
) -> Stake:
    sale = await sale_of(session, path.id)
    if wish.claimant_id != sale.buyer_id:
        raise Forbidden("only the buyer disputes a sale", accepted="the buyer")
    await _require_undisputed(session, path.id, "")
    if path.phase not in _DISPUTABLE:
        raise WrongPhase(
            f"a sale that is {path.phase} is cancelled, not disputed",
            field="phase",
            accepted=", ".join(sorted(_DISPUTABLE)),
        )
    if sale.delivered_at is not None:
        _require_window(wish, sale.delivered_at, at)
    of_sale = PartOf(session, path, sale, RefundCause.DISPUTE, wish.dispute_id)
    asked = await _lines_of_return(session, wish) or await _wanted_lines(of_sale, wish)
    parts = tuple(StakePart(line=n, amount=a) for n, a in asked.items() if a)
    if not parts:
        raise InvalidInput(
            "nothing of this is left to dispute", field="lines", accepted="lines with a price left"
        )
    return Stake(
        kind=StakeKind.SALE,
        about_id=path.id,
        payer_id=sale.buyer_id,
        payee_id=sale.seller_id,
        amount=sum(each.amount for each in parts),
        currency=path.currency,
        parts=parts,
    )


async def _wanted_lines(of_sale: PartOf, wish: OpenDispute) -> dict[int, int]:
    there = await left(of_sale)
    for line in wish.lines:
        if line >= len(there):
            raise InvalidInput(
                "the sale has no such line", field="lines", accepted=f"0 to {len(there) - 1}"
            )
    return {line: there[line] for line in sorted(set(wish.lines) or range(len(there)))}


async def _lines_of_return(session: AsyncSession, wish: OpenDispute) -> dict[int, int] | None:
    """What the return was about that the dispute takes over."""
    if wish.return_id is None:
        return None
    known = await return_rows.found(session, wish.return_id)
    if known is None or known[0].sale_id != wish.about_id:
        raise NotFound("there is no such return", field="return_id")
    returns.require_possible(known[1].phase, returns.Event.DISPUTED)
    terms = return_rows.terms_of(known[0])
    return {each.line: each.amount for each in terms.lines}


async def lock_sale(
    session: AsyncSession, path: Path, stake: Stake, wish: OpenDispute, step: DisputeStep
) -> tuple[dict[int, int], Standing | None]:
    """Locks what is in escrow, minor units by line; takes over what a return had locked, and tells where that stands."""
    left_by = None
    if wish.return_id is not None:
        key = step_key(step.key, "return")
        left_by = await hand_to_dispute(session, path, wish.return_id, key, "buyer", step.at)
    of_sale = await _of_sale(session, path, wish.dispute_id)
    return await lock(of_sale, {each.line: each.amount for each in stake.parts}), left_by


async def divide_sale(
    session: AsyncSession,
    path: Path,
    stake: Stake,
    dispute_id: str,
    locked: dict[int, int],
    to_payer: int,
    key: str,
    at: datetime,
) -> Divided:
    """So much of the parts goes back to the buyer, the rest on to the seller as soon as the sale is complete."""
    of_sale = await _of_sale(session, path, dispute_id)
    await unlock(of_sale, locked)
    back = await give_back(
        of_sale, split_parts(stake, to_payer), step_key(key, "back"), reason="dispute"
    )
    await go_on(of_sale, step_key(key, "free"), at)
    return Divided(to_payer=back.amount if back else 0, refund=back)


def split_parts(stake: Stake, amount: int) -> dict[int, int]:
    """So much of the stake by line, each its share; never more than a line's part."""
    found, gone, before = {}, 0, 0
    for each in stake.parts:
        before += each.amount
        upto = amount * before // stake.amount
        found[each.line] = upto - gone
        gone = upto
    return found


async def _of_sale(session: AsyncSession, path: Path, dispute_id: str) -> PartOf:
    sale = await sale_of(session, path.id)
    return PartOf(session, path, sale, RefundCause.DISPUTE, dispute_id)


# Milestones of tenders. The tender's own story locks and divides them: it asks for the next payment then.


async def _claim_of_milestone(session: AsyncSession, path: Path, wish: OpenDispute) -> Stake:
    row = await session.get_one(Tender, path.id)
    terms = TenderTerms.model_validate(row.terms)
    if row.worker_id is None or path.phase != TenderPhase.IN_PROGRESS:
        raise WrongPhase("no work is under way", field="phase", accepted=TenderPhase.IN_PROGRESS)
    if wish.claimant_id not in (terms.buyer_id, row.worker_id):
        raise Forbidden("only buyer and worker dispute a milestone", accepted="a side of the work")
    found = (await work_of(session, row)).milestone(wish.milestone)
    await _require_undisputed(session, path.id, found.subject)
    if found.state in ENDED | {State.WAITING, State.FUNDING}:
        raise WrongPhase(
            f"milestone {found.number} is {found.state}",
            field="milestone",
            accepted="a milestone that is paid and not released",
        )
    return Stake(
        kind=StakeKind.MILESTONE,
        about_id=path.id,
        subject=found.subject,
        payer_id=terms.buyer_id,
        payee_id=row.worker_id,
        amount=found.total,
        currency=path.currency,
        milestone=found.number,
    )


async def milestone_state(session: AsyncSession, stake: Stake) -> State:
    """Where the disputed milestone stands."""
    row = await session.get_one(Tender, stake.about_id)
    return (await work_of(session, row)).milestone(stake.milestone).state


async def divided_milestone(session: AsyncSession, stake: Stake) -> Divided:
    """What the tender's own story has sent back."""
    row = await session.get_one(Tender, stake.about_id)
    return Divided(to_payer=(await work_of(session, row)).milestone(stake.milestone).refunded)


# Money that somebody got out of any path.


async def _claim_of_released(
    session: AsyncSession, path: Path, wish: OpenDispute, at: datetime
) -> Stake:
    got = [each for each in await dispute_rows.released(session, path.id) if each.gross]
    got = [each for each in got if wish.against_id in (None, each.user_id)]
    got = [each for each in got if each.user_id != wish.claimant_id]
    if not got:
        raise WrongPhase(
            "nobody has got any money out of this path yet that could be disputed",
            field="phase",
            accepted="once money was released; until then the path has ways of its own to object",
        )
    if len(got) > 1:
        raise InvalidInput(
            "several people have got money", field="against_id", accepted="the id of one of them"
        )
    [other] = got
    await _require_undisputed(session, path.id, other.user_id)
    _require_window(wish, other.last_at, at)
    paid = await dispute_rows.paid_in(session, path.id, wish.claimant_id)
    if not paid:
        raise Forbidden("only who has paid disputes what was released", accepted="a payer")
    gone = await dispute_rows.given_back(session, path.id, other.user_id)
    most = min(paid, other.gross - gone)
    amount = most if wish.amount is None else wish.amount
    if not 1 <= amount <= most:
        raise InvalidInput("so much cannot be disputed", field="amount", accepted=f"1 to {most}")
    return Stake(
        kind=StakeKind.RELEASED,
        about_id=path.id,
        subject=other.user_id,
        payer_id=wish.claimant_id,
        payee_id=other.user_id,
        amount=amount,
        currency=path.currency,
        fee=amount * other.fee // other.gross,
    )


async def divide_released(session: AsyncSession, stake: Stake, to_payer: int, key: str) -> Divided:
    """So much goes from who got it, and out of the commission in it, to the balance of who paid."""
    if not to_payer:
        return Divided(to_payer=0)
    found = await payees.payee_accounts(session, [stake.payer_id, stake.payee_id])
    payee = found[stake.payee_id]
    debt = accounts.receivable(stake.payee_id)
    touched = [
        payee,
        debt,
        accounts.FEE,
        found[stake.payer_id],
        accounts.receivable(stake.payer_id),
    ]
    held = await journal.balances(session, touched, stake.currency, for_update=True)
    await payees.post(
        session, ruled_entry(stake, to_payer, key, held[payee].available, frozen=payee)
    )
    await net_debts(session, stake.payer_id, stake.currency, key, stake.about_id)
    return Divided(to_payer=to_payer)


def ruled_entry(
    stake: Stake, to_payer: int, key: str, balance: int, frozen: accounts.Account | None = None
) -> JournalEntry:
    """What is posted when released money goes back: from who got it as far as they have it, the rest is owed."""
    fee = stake.fee * to_payer // stake.amount
    return postings_back.take_back(
        key,
        stake.about_id,
        "",
        payee=frozen or accounts.payable(stake.payee_id),
        user_id=stake.payee_id,
        seller=to_payer - fee,
        balance=balance,
        fee=fee,
        royalties=(),
        currency=stake.currency,
        into=accounts.payable(stake.payer_id),
    )


# What all kinds share.


async def _require_undisputed(session: AsyncSession, about_id: str, subject: str) -> None:
    if await dispute_rows.is_open(session, about_id, subject):
        raise WrongPhase(
            "this is disputed already", field="about_id", accepted="taking part in that dispute"
        )


def _require_window(wish: OpenDispute, since: datetime, at: datetime) -> None:
    until = since + timedelta(seconds=wish.policy.window_seconds)
    if at >= until:
        raise TooLate(
            "it is too late to dispute this", accepted=f"until {until:%Y-%m-%d %H:%M:%S} UTC"
        )


async def default_share(session: AsyncSession, stake: Stake) -> int:
    """The payer's share by the path's own rule, basis points, when operators never rule.

    A sale goes back to its buyer (Sharetribe); of a milestone what was submitted is released; what was released long ago
    stays.
    """
    match stake.kind:
        case StakeKind.SALE:
            return 10_000
        case StakeKind.MILESTONE:
            row = await session.get_one(Tender, stake.about_id)
            found = (await work_of(session, row)).milestone(stake.milestone)
            before = found.model_copy(update={"disputed_from": found.disputed_from or found.state})
            return 0 if has_something_to_show(before) else 10_000
        case StakeKind.RELEASED:
            return 0


async def waits_for_bank(session: AsyncSession, stake: Stake) -> bool:
    """Whether the payer's bank has money of the path for the moment."""
    if stake.kind is StakeKind.SALE:
        return await bank_has_money(session, await sale_of(session, stake.about_id))
    return await dispute_rows.bank_has_money(session, stake.about_id, stake.payer_id)
