"""How a pledge is made, as rows: one short transaction that no workflow hears of.

All of it is called with the campaign's path share-locked (db.admission.admit). Locks come in the house's order: the
pledge, then items by number, then match calls, then the totals. Nothing here writes money: what is to go back is noted
in `to_refund`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Self

from sqlalchemy import ColumnElement, case, exists, func, null, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from db import campaign_seats, match_rows
from db.admission import Admitted, Arrival, admit
from db.pledge_states import facts_of, now_of
from db.tables import Campaign, MatchProject, Path, Payment, Pledge, SavedCard
from domain.campaign import LATE_PLEDGES, OPEN_FOR_PLEDGES, CampaignTerms
from domain.campaign_delivery import require_in_time
from domain.errors import CurrencyMismatch, InvalidInput, LimitReached, NotFound, WrongPhase
from domain.ids import new_id
from domain.match_call import ProjectState
from domain.model import Message
from domain.payments import PaymentState, Purpose
from domain.pledge import (
    CardState,
    Item,
    Method,
    PledgeState,
    Priced,
    Selection,
    priced,
    with_total,
)

PLEDGING = "pledging"
"""Name of the deadline of a round."""
AT_ONCE = frozenset({Method.CARD, Method.WALLET})
"""How a late pledge may be paid: it is paid at once."""
_S = PledgeState


class Wish(Message):
    """What a backer wants, as they said it."""

    selection: Selection
    total: int | None = None
    """What the pledge is to amount to, minor units; None: the prices and what is given on top."""
    currencies: Mapping[str, str] = {}
    """Field of the request -> currency it named."""


class NewWish(Wish):
    """What a backer pledges."""

    method: Method
    anonymous: bool = False
    note: str = ""


@dataclass(frozen=True)
class Ground:
    """The campaign of a pledge, with its path share-locked, and when the request arrived."""

    path: Path
    at: datetime
    terms: CampaignTerms
    round: int
    matched: bool
    """Whether match calls may add to its pledges."""
    items: Sequence[Item]
    deliver_by: date | None
    """The latest delivery that was promised, of a campaign that has succeeded."""

    @property
    def late(self) -> bool:
        """Whether the campaign has succeeded already."""
        return self.path.phase in LATE_PLEDGES


@dataclass(frozen=True)
class Page:
    """A page of the payment company that a backer is to see: to save a card (`amount` None), or to pay."""

    id: str
    provider: str
    operation_id: str
    currency: str
    amount: int | None = None
    """Minor units."""
    checkout_url: str | None = None

    @classmethod
    def of(cls, row: SavedCard | Payment) -> Self:
        """The page of a card's or payment's row."""
        return cls(
            id=row.id,
            provider=row.provider,
            operation_id=row.operation_id,
            currency=row.currency,
            amount=row.amount if isinstance(row, Payment) else None,
            checkout_url=row.checkout_url,
        )


@dataclass(frozen=True)
class Placed:
    """A pledge that was written down a moment ago."""

    pledge: Pledge
    page: SavedCard | Payment
    title: str
    matched: int
    """What match calls have reserved for it, minor units."""


class AlreadyPlaced(Exception):
    """A former try of the same request has written this pledge."""


async def ground(
    session: AsyncSession,
    campaign_id: str,
    arrival: Arrival,
    *,
    late: bool = False,
    backer_id: str | None = None,
) -> Ground:
    """The campaign while it takes pledges; with `late` also one that has succeeded and takes late ones.

    Pledges to it of one `backer_id` come one after the other. Raises NotFound, WrongPhase, TooLate.
    """
    phases = OPEN_FOR_PLEDGES | (LATE_PLEDGES if late else frozenset())
    admitted = await admit(session, campaign_id, arrival, phases=phases, deadline=PLEDGING)
    found = await _ground(session, admitted, backer_id)
    if found.late and not found.terms.late_pledges:
        raise WrongPhase(
            "this campaign takes no late pledges",
            field="phase",
            accepted=" or ".join(sorted(OPEN_FOR_PLEDGES)),
        )
    return found


async def _ground(session: AsyncSession, admitted: Admitted, backer_id: str | None) -> Ground:
    path = admitted.path
    matched = exists().where(
        MatchProject.campaign_id == path.id,
        MatchProject.state == ProjectState.ACCEPTED,
        MatchProject.decided_at.is_(None),
    )
    row = (
        await session.execute(
            select(
                Campaign.terms,
                Campaign.round,
                matched,
                Campaign.deliver_by,
                _turn(path.id, backer_id),
            ).where(Campaign.id == path.id)
        )
    ).first()
    if row is None:
        raise NotFound("there is no such campaign")
    return Ground(
        path=path,
        at=admitted.at,
        terms=CampaignTerms.model_validate(row[0]),
        round=row[1],
        matched=bool(row[2]),
        items=await campaign_seats.items_of(session, path.id),
        deliver_by=row[3],
    )


def _turn(campaign_id: str, backer_id: str | None) -> ColumnElement[None]:
    """Waits, until the transaction ends, for whoever pledges for the same person at the same moment.

    What they have begun is counted by a later statement, whose snapshot is taken after this wait.
    """
    if backer_id is None:
        return null()
    return func.pg_advisory_xact_lock(func.hashtextextended(f"{campaign_id}/{backer_id}", 0))


async def place(
    session: AsyncSession,
    on: Ground,
    *,
    pledge_id: str,
    backer_id: str,
    wish: NewWish,
    provider: str,
) -> Placed:
    """A new pledge with its seats, its page to be and what match calls add to it.

    Raises AlreadyPlaced for a repeated request, CurrencyMismatch, InvalidInput, BelowPrice, OutOfStock, LimitReached,
    and TooLate for a late pledge whose delivery would be late already.
    """
    _require_method(on, wish.method)
    selection, cost = agreed(on, on.items, wish)
    if on.late:
        require_in_time(on.deliver_by, _chosen(on, selection), on.at)
    row, page, unpaid = await _insert(
        session,
        on,
        wish,
        {
            "id": pledge_id,
            "campaign_id": on.path.id,
            "backer_id": backer_id,
            "state": _S.INITIATED,
            "method": wish.method,
            "round": on.round,
            "late": on.late,
            "currency": on.terms.currency,
            "amount": cost.total,
            "shipping": cost.shipping,
            "selection": selection.model_dump(mode="json"),
            "tier": selection.tier.number if selection.tier else None,
            "expires_at": window(on, wish.method),
            "anonymous": wish.anonymous,
            "note": wish.note,
            "created_at": on.at,
        },
        provider,
    )
    most = on.terms.policy.unpaid_each
    if unpaid >= most:
        raise LimitReached(
            f"{unpaid} pledges that you have begun are not paid yet",
            field="campaign_id",
            accepted=f"at most {most} at a time; pay or cancel one of them first",
        )
    await campaign_seats.take(session, on.path.id, cost.seats)
    matched = 0
    if on.matched and not on.late:
        matched = await match_rows.reserve(
            session, facts_of(row), await now_of(session, on.path.id, on.terms.goal)
        )
    return Placed(pledge=row, page=page, title=on.terms.title, matched=matched)


def _chosen(on: Ground, selection: Selection) -> dict[str, Item]:
    """What is chosen, by the field of the request that names it."""
    by_number = {each.number: each for each in on.items}
    found = {f"add_ons[{n}]": by_number[each.number] for n, each in enumerate(selection.add_ons)}
    return found if selection.tier is None else {"tier": by_number[selection.tier.number], **found}


def _require_method(on: Ground, method: Method) -> None:
    """Raises InvalidInput for a method that the campaign does not take now."""
    taken = set(on.terms.methods) & AT_ONCE if on.late else set(on.terms.methods)
    if method not in taken:
        raise InvalidInput(
            f"this campaign does not take {method} now",
            field="method",
            accepted=", ".join(sorted(taken)) or "nothing",
        )


def agreed(on: Ground, items: Sequence[Item], wish: Wish) -> tuple[Selection, Priced]:
    """What is chosen and what it costs. Raises CurrencyMismatch, InvalidInput, BelowPrice, OutOfStock."""
    for field, currency in wish.currencies.items():
        if currency != on.terms.currency:
            raise CurrencyMismatch(
                f"this campaign is in {on.terms.currency}, not in {currency}",
                field=f"{field}.currency",
                accepted=on.terms.currency,
            )
    chosen = wish.selection
    if wish.total is not None and chosen.extra:
        raise InvalidInput(
            "a total leaves open what is given on top",
            field="amount",
            accepted="either amount or extra",
        )
    if wish.total is not None:
        # Without a tier all of it is a gift, and add-ons are refused below.
        goods = chosen.tier is not None
        extra = with_total(priced(items, chosen), wish.total) if goods else wish.total
        chosen = chosen.model_copy(update={"extra": extra})
    return chosen, priced(items, chosen)


def window(on: Ground, method: Method) -> datetime:
    """Until when it may be paid or saved. Transfers take days, and seats are kept no longer for them than that."""
    policy = on.terms.policy
    seconds = policy.slow_seconds if method is Method.BANK else policy.payment_seconds
    return on.at + timedelta(seconds=seconds)


async def _insert(
    session: AsyncSession, on: Ground, wish: NewWish, values: dict[str, Any], provider: str
) -> tuple[Pledge, SavedCard | Payment, int]:
    """The pledge and its card or payment, which point at each other, in one statement.

    Also answers how many pledges of the same person to this campaign were begun before and are not paid.
    """
    pledge_id = values["id"]
    common = {
        "payer_id": values["backer_id"],
        "provider": provider,
        "currency": values["currency"],
    }
    page: SavedCard | Payment
    if wish.method is Method.CARD and not on.late:
        common |= {"id": new_id("crd"), "operation_id": f"{pledge_id}/card"}
        common |= {"status": CardState.REQUESTED}
        statement, page = insert(SavedCard).values(common), SavedCard(**common)
        values = {**values, "card_id": page.id}
    else:
        common |= {"id": new_id("pay"), "operation_id": f"{pledge_id}/pay"}
        common |= {"path_id": on.path.id, "pledge_id": pledge_id, "purpose": Purpose.PLEDGE}
        common |= {"amount": values["amount"], "expires_at": values["expires_at"]}
        common |= {"status": PaymentState.REQUESTED}
        statement, page = insert(Payment).values(common), Payment(**common)
        values = {**values, "payment_id": page.id}
    before = aliased(Pledge)
    unpaid = select(func.count()).where(
        before.campaign_id == on.path.id,
        before.backer_id == values["backer_id"],
        before.state == _S.INITIATED,
    )
    try:
        made = await session.execute(
            insert(Pledge)
            .values(values)
            .add_cte(statement.cte("page"))
            .returning(Pledge, unpaid.scalar_subquery())
        )
    except IntegrityError as known:
        raise AlreadyPlaced from known
    row, count = made.one()
    return row, page, count


async def presented(session: AsyncSession, page: Page, reference: str, checkout_url: str) -> None:
    """The provider has made the page."""
    table = SavedCard if page.amount is None else Payment
    # Cards and payments begin with the same two states.
    is_new = table.status == CardState.REQUESTED
    await session.execute(
        update(table)
        .where(table.id == page.id)
        .values(
            reference=reference,
            checkout_url=checkout_url,
            # What the provider has told of it meanwhile stands.
            status=case((is_new, CardState.OPEN), else_=table.status),
        )
        .execution_options(synchronize_session=False)
    )


async def locked(session: AsyncSession, pledge_id: str) -> Pledge:
    """The pledge, alone for this transaction; its campaign's path is locked already. Raises NotFound."""
    row: Pledge | None = await session.scalar(
        select(Pledge)
        .where(Pledge.id == pledge_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if row is None:
        raise NotFound("there is no such pledge")
    return row
