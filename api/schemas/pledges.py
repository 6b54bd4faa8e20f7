"""Pledges, as the API takes and shows them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, field_validator

from api.schemas.base import Body, MoneyIn, MoneyView, Remark, Utc, View, distinct
from api.schemas.sales import ReturnUrl
from db.pledge_rows import NewWish, Wish
from db.queries.pledges import PledgeRows
from db.tables import PledgeEvent
from domain.pledge import (
    Address,
    Chosen,
    Method,
    PendingChange,
    PledgeState,
    Selection,
    SurveyAnswers,
)

ItemNumber = Annotated[int, Field(ge=1, le=10_000, strict=True)]
Zone = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class ChosenIn(Body):
    """So many pieces of a tier or an add-on."""

    number: ItemNumber = Field(examples=[1])
    quantity: int = Field(default=1, ge=1, le=100, strict=True)


class SelectionIn(Body):
    """What a backer wants, and what they give for it: something on top of the prices, or a total."""

    tier: ChosenIn | None = Field(default=None, description="None for a gift.")
    add_ons: tuple[ChosenIn, ...] = Field(default=(), max_length=20)
    zone: Zone | None = Field(default=None, description="Where rewards are sent.", examples=["CN"])
    extra: MoneyIn | None = Field(default=None, description="Given on top of the prices.")
    amount: MoneyIn | None = Field(
        default=None,
        description="What the pledge is to amount to, shipping included; instead of `extra`.",
    )
    return_url: ReturnUrl | None = Field(
        default=None, description="Where the payment page leads afterwards."
    )

    @field_validator("add_ons")
    @classmethod
    def _once(cls, value: tuple[ChosenIn, ...]) -> tuple[ChosenIn, ...]:
        distinct(tuple(str(each.number) for each in value))
        return value

    def wish(self) -> Wish:
        """What was said, as the database's rules read it."""
        named = {"extra": self.extra, "amount": self.amount}
        return Wish(
            selection=Selection(
                tier=_chosen(self.tier),
                add_ons=tuple(Chosen(**each.model_dump()) for each in self.add_ons),
                zone=self.zone,
                extra=self.extra.amount if self.extra else 0,
            ),
            total=self.amount.amount if self.amount else None,
            currencies={field: money.currency for field, money in named.items() if money},
        )


def _chosen(item: ChosenIn | None) -> Chosen | None:
    return None if item is None else Chosen(number=item.number, quantity=item.quantity)


class NewPledge(SelectionIn):
    """A pledge to a campaign."""

    method: Method = Field(
        default=Method.CARD,
        description="card: saved now and charged if the campaign succeeds; others are paid now.",
    )
    anonymous: bool = Field(
        default=False, strict=True, description="Others do not see who has pledged."
    )
    note: Remark = Field(default="", description="A word to the creator.")

    def new_wish(self) -> NewWish:
        """The same with how it is paid."""
        return NewWish(
            **self.wish().model_dump(),
            method=self.method,
            anonymous=self.anonymous,
            note=self.note,
        )


class SelectionView(View):
    """What was chosen."""

    tier: ChosenIn | None
    add_ons: list[ChosenIn]
    zone: str | None
    extra: MoneyView

    @classmethod
    def of(cls, stored: Mapping[str, object] | Selection, currency: str) -> Self:
        """The view of a stored selection."""
        chosen = Selection.model_validate(stored)
        return cls(
            tier=_chosen_view(chosen.tier) if chosen.tier else None,
            add_ons=[_chosen_view(each) for each in chosen.add_ons],
            zone=chosen.zone,
            extra=MoneyView.of(chosen.extra, currency),
        )


def _chosen_view(item: Chosen) -> ChosenIn:
    return ChosenIn(number=item.number, quantity=item.quantity)


class ToDoView(View):
    """What the backer does next, and where."""

    action: Literal["save_card", "pay", "pay_change", "mend"]
    amount: MoneyView = Field(description="To be paid; of a saved card, to be charged later.")
    checkout_url: str | None = Field(description="The payment company's page.")
    until: Utc | None


class PendingView(View):
    """A change that waits for more money."""

    amount: MoneyView = Field(description="What the pledge then amounts to.")
    selection: SelectionView
    payment_id: str


class AddressView(View):
    """Where a reward is sent."""

    name: str
    lines: list[str]
    postal_code: str
    country: str
    phone: str


class PledgeView(View):
    """A pledge as it stands."""

    id: str = Field(examples=["plg_01h45ytscbebyvny4gc8cr8ma2"])
    campaign_id: str
    campaign_title: str
    backer_id: str
    state: str = Field(examples=["saved"], description=", ".join(PledgeState))
    method: Method
    round: int
    late: bool = Field(description="Made after the campaign had succeeded.")
    amount: MoneyView
    shipping: MoneyView
    selection: SelectionView
    holds_seats: bool = Field(description="Whether what is limited is reserved for it.")
    matched: MoneyView = Field(description="What match calls add if the campaign succeeds.")
    paid: MoneyView
    refunded: MoneyView = Field(description="Of it, what goes or has gone back.")
    to_do: ToDoView | None
    pending: PendingView | None
    decline_reason: str | None
    attempts: int = Field(description="How often the card was charged.")
    anonymous: bool
    note: str
    reward: str
    answers: dict[str, str] = Field(description="To the creator's questions.")
    address: AddressView | None = Field(
        description="For the backer; for the creator and operators once the campaign has succeeded."
    )
    carrier: str | None
    tracking_number: str | None
    shipped_at: Utc | None
    received_at: Utc | None
    created_at: Utc
    stands_since: Utc | None = Field(description="When it was saved or paid.")

    @classmethod
    def of(cls, rows: PledgeRows, *, own: bool) -> Self:
        """The view for its backer, or for the creator and operators."""
        row, currency = rows.pledge, rows.pledge.currency

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        told = own or (rows.succeeded and row.state == PledgeState.COLLECTED)
        stored = row.survey if told else None
        return cls(
            id=row.id,
            campaign_id=row.campaign_id,
            campaign_title=rows.title,
            backer_id=row.backer_id,
            state=row.state,
            method=Method(row.method),
            round=row.round,
            late=row.late,
            amount=money(row.amount),
            shipping=money(row.shipping),
            selection=SelectionView.of(row.selection, currency),
            holds_seats=row.holds_seats,
            matched=money(rows.matched),
            paid=money(row.paid),
            refunded=money(row.refunded),
            to_do=_to_do(rows) if own else None,
            pending=_pending(rows),
            decline_reason=row.decline_reason,
            attempts=row.attempts,
            anonymous=row.anonymous,
            note=row.note,
            reward=row.reward,
            answers=dict(SurveyAnswers.model_validate(stored).answers) if stored else {},
            address=_address(rows) if told else None,
            carrier=row.carrier,
            tracking_number=row.tracking_number,
            shipped_at=row.shipped_at,
            received_at=row.received_at,
            created_at=row.created_at,
            stands_since=row.stands_since,
        )


def _pending(rows: PledgeRows) -> PendingView | None:
    if rows.pledge.pending is None:
        return None
    change, currency = PendingChange.model_validate(rows.pledge.pending), rows.pledge.currency
    return PendingView(
        amount=MoneyView.of(change.amount, currency),
        selection=SelectionView.of(change.selection, currency),
        payment_id=change.payment_id,
    )


def _address(rows: PledgeRows) -> AddressView | None:
    if rows.pledge.address is None:
        return None
    stored = Address.model_validate(rows.pledge.address)
    return AddressView(**stored.model_dump(exclude={"lines"}), lines=list(stored.lines))


def _to_do(rows: PledgeRows) -> ToDoView | None:
    """What the backer can do now; nothing while the card waits for the campaign's success."""
    row = rows.pledge
    action: Literal["save_card", "pay", "pay_change", "mend"]
    amount, page = row.amount, rows.payment or rows.card
    if row.state == PledgeState.INITIATED:
        action = "pay" if rows.payment else "save_card"
    elif row.state == PledgeState.ERRORED:
        action = "mend"
    elif rows.pending is not None:
        action, amount, page = "pay_change", rows.pending.amount, rows.pending
    else:
        return None
    return ToDoView(
        action=action,
        amount=MoneyView.of(amount, row.currency),
        checkout_url=page.checkout_url if page else None,
        until=row.expires_at,
    )


class PledgeEventView(View):
    """Something that happened to a pledge."""

    id: int
    kind: str
    summary: str
    at: Utc

    @classmethod
    def of(cls, row: PledgeEvent) -> Self:
        """The view of an event's row."""
        return cls(id=row.id, kind=row.kind, summary=row.summary, at=row.at)
