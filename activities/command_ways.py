"""What every way of carrying out a command gets and gives; the ways themselves are registered in activities.commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio.client import Client

from domain.commands import CommandOrder, Executed
from domain.money import Money


@dataclass(frozen=True)
class Ordered:
    """One command at work, in one transaction."""

    session: AsyncSession
    temporal: Client
    command_id: str
    key: str
    """Begins the keys of whatever it writes: the same at every try, another in every rehearsal."""
    order: CommandOrder
    by: str
    case_id: str | None
    at: datetime


@dataclass(frozen=True)
class Told:
    """A command at work that goes through the path's own story, outside any transaction."""

    temporal: Client
    id: str
    """The same at every try, so that the story acts once."""
    by: str | None
    """None: nobody, the platform itself."""
    workflow_id: str
    kind: str
    phase: str


@dataclass(frozen=True)
class Done:
    """What a command has done in its transaction."""

    executed: Executed = field(default_factory=Executed)
    amounts: tuple[Money, ...] = ()
    """What counts towards the limit of one operator alone."""
    words: tuple[str, ...] = ()
    """What has happened besides postings."""


@dataclass(frozen=True)
class Way:
    """How commands of one kind are carried out.

    `work` happens in a transaction: rehearsed when the command is proposed, and done, together with the comparison,
    when it is executed. It locks the path first, if there is one. On paths of the kinds in `stories` the work is only
    rehearsed, also the moment before it is done: `tell` has the path's own story do it.
    """

    work: Callable[[Ordered], Awaitable[Done]]
    tell: Callable[[Told], Awaitable[None]] | None = None
    stories: frozenset[str] = frozenset()
