"""Payments, refunds and payouts, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field

from api.schemas.base import Body, MoneyView, Remark, Utc, View
from db.tables import Payee, Payment, Payout, PayoutWish, Refund
from domain.money import Currency, MinorUnits
from domain.payees import PayeeStatus
from domain.payouts import PayoutEvery


class PaymentView(View):
    """One payment for one path."""

    id: str
    path_id: str
    status: str = Field(examples=["captured"], description="requested, open, captured or expired.")
    amount: MoneyView
    checkout_url: str | None
    expires_at: Utc
    captured_at: Utc | None

    @classmethod
    def of(cls, row: Payment) -> Self:
        """The view of a payment's row."""
        return cls(
            id=row.id,
            path_id=row.path_id,
            status=row.status,
            amount=MoneyView.of(row.amount, row.currency),
            checkout_url=row.checkout_url,
            expires_at=row.expires_at,
            captured_at=row.captured_at,
        )


class RefundView(View):
    """Money on its way back to a payer."""

    id: str
    path_id: str
    payment_id: str
    status: str = Field(
        examples=["succeeded"],
        description="requested, pending, succeeded, refused (take it as balance) or credited.",
    )
    amount: MoneyView
    reason: str = Field(examples=["declined"])
    created_at: Utc
    ended_at: Utc | None

    @classmethod
    def of(cls, row: Refund) -> Self:
        """The view of a refund's row."""
        return cls(
            id=row.id,
            path_id=row.path_id,
            payment_id=row.payment_id,
            status=row.status,
            amount=MoneyView.of(row.amount, row.currency),
            reason=row.reason,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )


class NewPayout(Body):
    """How much of the own balance shall leave; without an amount, all that is available."""

    currency: Currency = Field(default="CNY", examples=["CNY"])
    amount: MinorUnits | None = Field(default=None, examples=[43_700])


class PayoutView(View):
    """Money on its way to a payee."""

    id: str
    status: str = Field(
        examples=["paid"],
        description="held (an operator looks at it first), requested, submitted (the provider was asked), awaiting_payee"
        " (confirm it at `confirm_url`, or it lapses), in_transit, paid, failed, returned (paid, but the bank"
        " sent it back) or cancelled (never sent).",
    )
    amount: MoneyView
    destination_id: str
    failure_reason: str | None
    confirm_url: str | None = Field(description="Where the payee confirms it.")
    held_reason: str | None = Field(description="Why an operator looks, or has looked, at it.")
    created_at: Utc
    ended_at: Utc | None

    @classmethod
    def of(cls, row: Payout) -> Self:
        """The view of a payout's row."""
        return cls(
            id=row.id,
            status=row.status,
            amount=MoneyView.of(row.amount, row.currency),
            destination_id=row.destination_id,
            failure_reason=row.failure_reason,
            confirm_url=row.confirm_url,
            held_reason=row.held_reason,
            created_at=row.created_at,
            ended_at=row.ended_at,
        )


class PayeeView(View):
    """Somebody as the payment company knows them."""

    id: str
    provider: str
    status: PayeeStatus = Field(
        description="Money leaves while it is active; income is kept in every state."
    )
    requirements: list[str] = Field(description="What the payment company wants to know.")
    url: str | None = Field(description="Where the payee answers that.")
    checked_at: Utc | None

    @classmethod
    def of(cls, row: Payee) -> Self:
        """The view of a payee's row."""
        return cls(
            id=row.id,
            provider=row.provider,
            status=PayeeStatus(row.status),
            requirements=row.requirements,
            url=row.url,
            checked_at=row.checked_at,
        )


class PayoutReason(Body):
    """Why a held payout is sent, or is not."""

    reason: Remark = Field(min_length=10, examples=["Called back: the bank account is theirs"])


class PayoutWishIn(Body):
    """When the balance of one currency leaves by itself."""

    every: PayoutEvery
    weekday: Annotated[int, Field(ge=1, le=7)] | None = Field(
        default=None, description="Of a weekly one: 1 Monday to 7 Sunday, UTC."
    )
    minimum: MinorUnits | None = Field(
        default=None, description="Less than so many minor units stays on the balance."
    )


class PayoutWishView(View):
    """What a payee wishes; without a wish the balance leaves each day."""

    currency: str
    every: PayoutEvery
    weekday: int | None
    minimum: MoneyView | None

    @classmethod
    def of(cls, row: PayoutWish) -> Self:
        """The view of a wish's row."""
        return cls(
            currency=row.currency,
            every=PayoutEvery(row.every),
            weekday=row.weekday,
            minimum=None if row.minimum is None else MoneyView.of(row.minimum, row.currency),
        )
