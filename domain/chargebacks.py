"""Messages about payments that the payer's bank takes back."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum

from domain.model import Instant, Message
from domain.money import Currency, MinorUnits
from domain.path import Standing


class ChargebackState(StrEnum):
    """Where a chargeback stands on our side."""

    OPEN = "open"
    """The money has left our balance; the bank has not decided."""
    UNDER_REVIEW = "under_review"
    """Our evidence is in; the bank has not decided."""
    WON = "won"
    LOST = "lost"


UNDECIDED = frozenset({ChargebackState.OPEN, ChargebackState.UNDER_REVIEW})
CHARGEBACK_MOVES: Mapping[ChargebackState, frozenset[ChargebackState]] = {
    ChargebackState.OPEN: frozenset(
        {ChargebackState.UNDER_REVIEW, ChargebackState.WON, ChargebackState.LOST}
    ),
    ChargebackState.UNDER_REVIEW: frozenset({ChargebackState.WON, ChargebackState.LOST}),
    # A bank may decide anew: it takes the money a second time.
    ChargebackState.WON: frozenset({ChargebackState.OPEN}),
    # What it gives back after all is in the books and a case; the chargeback stays lost.
    ChargebackState.LOST: frozenset(),
}
"""The whole state machine of a chargeback."""


class FollowChargebacks(Message):
    """Ask to read the chargebacks of a payment from the provider and to post what has happened."""

    payment_id: str
    at: Instant
    story: str
    """Names the story that asks. What it has brought about is told to it until it has an answer."""


class OpenChargeback(Message):
    """A chargeback that the bank has not decided."""

    chargeback_id: str
    reference: str
    """The provider's name of it."""
    amount: MinorUnits
    currency: Currency
    due_by: Instant | None
    """Until when evidence counts."""
    answered: bool = False
    """Whether evidence was handed in or refused, or operators have given in: nothing is left to be said."""


class HandIn(Message):
    """Ask to hand in the evidence of a chargeback now."""

    chargeback_id: str
    at: Instant
    by: str | None = None
    """The operator who wants it; nobody when it is simply time."""


class HandInWish(Message):
    """What an operator tells the story: hand the evidence in now."""

    chargeback_id: str
    by: str


class GiveIn(Message):
    """What an operator tells the story: the chargeback is accepted, and lost."""

    chargeback_id: str
    by: str
    reason: str


class Lost(Message):
    """The bank has decided for the payer: somebody else bears the amount now."""

    key: str
    """Idempotency key of what it posts, and of the path's own event."""
    at: Instant
    chargeback_id: str
    amount: MinorUnits
    """What was taken; may be less or more than the payment."""
    currency: Currency


class PathSignal(StrEnum):
    """What the path's own story is told."""

    NONE = "none"
    PAUSE = "pause"
    RESUME = "resume"
    """With the standing: the path goes on, or has ended."""
    TOLD = "told"
    """With the standing: the path has moved, but still stands still for another chargeback."""
    WAKE = "wake"


class ChargebackNews(Message):
    """What a look has brought about, for the path's story and for operators."""

    key: str
    workflow_id: str
    """The path's own story."""
    signal: PathSignal
    standing: Standing | None = None
    stuck: str = ""
    """Why the path cannot go on by itself; empty when it can, or had ended."""


class ChargebacksSeen(Message):
    """What a look at the chargebacks of a payment has found."""

    open: tuple[OpenChargeback, ...] = ()
    stuck: tuple[str, ...] = ()
    """Why the path cannot go on by itself, as long as it has not ended."""
    news: tuple[ChargebackNews, ...] = ()
    """All that this story has brought about so far, oldest first."""
