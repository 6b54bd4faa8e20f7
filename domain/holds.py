"""Money that a payment company will soon let go of, while its path still needs it."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import StrEnum

from domain.commands import Executed
from domain.model import Instant, Message
from domain.operator_policy import HoldPolicy


class HeldMoney(Message):
    """Captured money of one payment that stands in the accounts of one open path."""

    payment_id: str
    path_id: str
    deadline: Instant
    """When the provider lets it go."""


class HoldsAsked(Message):
    """Ask for one page of what is due."""

    after: str = ""
    limit: int = 50


class DueHolds(Message):
    """One page of it."""

    due: tuple[HeldMoney, ...]
    next: str | None
    """Where the next page begins."""


class Kept(StrEnum):
    """What became of it."""

    EXTENDED = "extended"
    REFUSED = "refused"
    """Operators have been called."""
    TO_GO_BACK = "to_go_back"
    """Nobody has found a way in time: its path is to be called off."""
    WAITING = "waiting"
    """The provider does not answer; it is asked again in the next round."""


class KeptMoney(Message):
    """The answer about one payment."""

    result: Kept


class LetGo(Message):
    """What calling the path off has done."""

    executed: Executed | None = None
    """None: it cannot be called off, and operators were called at once."""


class HoldFacts(Message):
    """What operators are told in the case."""

    payment_id: str
    deadline: Instant
    ways: tuple[str, ...] = (
        "complete the path, so that its money is released",
        "cancel_path, so that it goes back",
        "refund_path, for a part of a sale",
        "ask the provider by hand: it is asked again each hour",
    )


def is_last_call(deadline: datetime, now: datetime, policy: HoldPolicy) -> bool:
    """Whether money goes back that could not be kept until now."""
    return deadline - now <= timedelta(seconds=policy.last_seconds)
