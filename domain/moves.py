"""What may become what: the state machines of money on its way, of commands and of cases, which are rows without a path."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import TypeVar

StateT = TypeVar("StateT", bound=StrEnum)


class ImpossibleMove(RuntimeError):
    """A row was about to take an arrow that its state machine does not have: the transaction must not commit."""


def moved(moves: Mapping[StateT, frozenset[StateT]], old: str | None, new: str) -> str:
    """The new state, if it may follow the old one; a row that is being made, or stays as it is, may always.

    Raises ImpossibleMove, which is a defect of the platform and never an answer to a caller.
    """
    if old is not None and old != new and new not in _after(moves, old):
        raise ImpossibleMove(f"what is {old} cannot become {new}")
    return new


def may_follow(moves: Mapping[StateT, frozenset[StateT]], old: StateT, new: StateT) -> bool:
    """Whether a row in the old state may be in the new one next, or stays as it is."""
    return new == old or new in moves[old]


def before(moves: Mapping[StateT, frozenset[StateT]], new: StateT) -> frozenset[StateT]:
    """All states in which a row may be before it is in the new one, and the new one itself."""
    return frozenset({new, *(old for old, targets in moves.items() if new in targets)})


def _after(moves: Mapping[StateT, frozenset[StateT]], old: str) -> frozenset[str]:
    return frozenset(new for each, targets in moves.items() if each == old for new in targets)
