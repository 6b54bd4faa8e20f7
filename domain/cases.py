"""Inputs of the stories that follow one movement of money with a provider."""

from __future__ import annotations

from datetime import timedelta

from pydantic import Field

from domain.model import Instant, Message
from domain.money import Currency, MinorUnits
from domain.policy import Backoff, ChargebackPolicy, PayoutPolicy, RefundPolicy


class PaymentCase(Message):
    """Input of the Payment workflow: follow one payment until it is captured or expired."""

    payment_id: str
    path_id: str
    payer_id: str
    amount: MinorUnits
    currency: Currency
    expires_at: Instant
    poll: Backoff
    silence_seconds: int
    """A provider that cannot be reached for this long calls the operators."""
    refund_policy: RefundPolicy
    late: bool = False
    """Woken after the path stopped waiting: money may have come all the same."""

    @property
    def silence(self) -> timedelta:
        """How long the provider may be out of reach."""
        return timedelta(seconds=self.silence_seconds)


class RefundCase(Message):
    """Input of the Refund workflow."""

    refund_id: str
    path_id: str
    amount: MinorUnits
    currency: Currency
    policy: RefundPolicy


class ChargebackCase(Message):
    """Input of the Chargeback workflow: follow everything the payer's bank takes back of one payment."""

    payment_id: str
    amount: MinorUnits
    """Of the payment."""
    currency: Currency
    policy: ChargebackPolicy


class PayoutCase(Message):
    """Input of the Payout workflow. `amount` None: all that is available."""

    payout_id: str
    user_id: str
    currency: Currency
    amount: int | None = Field(default=None, gt=0)
    policy: PayoutPolicy
