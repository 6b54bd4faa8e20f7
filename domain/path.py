"""What the stories of all paths, their activities and the API tell each other."""

from __future__ import annotations

from pydantic import JsonValue

from domain.cases import PaymentCase, RefundCase
from domain.deadlines import Deadline
from domain.model import Message


class Act(Message):
    """Somebody's act on a path: who it was, in which role, and what they said."""

    actor: str
    """Role: initiator, creator, bidder, operator, provider, system, …"""
    user_id: str | None = None
    note: str = ""
    phase_seen: str | None = None
    """Phase in the books when they decided to act; the workflow may hear of it a moment later."""


class Collection(Message):
    """A payment to be collected: presented to its payer, then followed."""

    case: PaymentCase
    description: str
    """What the payer reads on the provider's page."""
    return_url: str
    asked: bool = False
    """The provider was asked for the page before; its answer may have been lost."""
    presented: bool = False
    """The page is there, and the payment is followed."""


class Standing(Message):
    """Where a path stands after a transition, and what its story has to see to now."""

    path_id: str
    phase: str
    deadlines: tuple[Deadline, ...] = ()
    """All pending timers."""
    collections: tuple[Collection, ...] = ()
    """Payments that this transition asks for."""
    refunds: tuple[RefundCase, ...] = ()
    """Refunds that this transition has decided."""
    title: str = ""
    facts: tuple[str, ...] = ()
    """Lines for operators: amounts, people, where the money is."""
    over: bool = False
    """Whether the phase is a final one; money may still be on its way back."""
    subject: str = ""
    """What the transition made or decided, such as a ballot's id."""
    version: int = 0
    """Grows with each transition, for paths whose story can hear of one after a later one."""
    details: JsonValue = None
    """What only the path's own story understands: lets it refuse at once what cannot be done."""
