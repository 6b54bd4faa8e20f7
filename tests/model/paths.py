"""What a model of a path is: who takes part, what they may do in which phase, what silence does, and what the path holds."""

from __future__ import annotations

import uuid
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import httpx

from ledger import invariants
from tests.stories.house import House, Json
from tests.waiting import eventually

STRANGER = "stranger"
"""Signed in, and no part of the path."""
NOT_YOURS = frozenset({403, 404})
WRONG_PHASE = frozenset({409})
BAD_BODY = frozenset({422})


async def _nothing(path: Path) -> None:
    """Nothing happens besides what was asked for."""


@dataclass(frozen=True)
class Move:
    """Something people do by a POST to the path."""

    verb: str
    by: frozenset[str]
    leads: Mapping[str, str | frozenset[str]]
    """Phase in which it is possible -> phase that follows, or those among which the platform decides."""
    body: Callable[[Any], Awaitable[Json]] | None = None
    bad: tuple[Json, ...] = ()
    """Changes of the body that no phase accepts."""
    when: Callable[[Any], bool] = lambda path: True
    """Whether it is possible besides; the answer is 409 or 422 otherwise."""
    after: Callable[[Any], Awaitable[None]] = _nothing
    """What the model makes of it."""
    rights_first: bool = True
    """Whether wrong people hear that before all; else they may hear of the phase or of what they ask for first."""


@dataclass(frozen=True)
class Turn:
    """Something that happens outside the API: a payment, a carrier's scan."""

    name: str
    leads: Mapping[str, str | frozenset[str]]
    do: Callable[[Any], Awaitable[None]]
    when: Callable[[Any], bool] = lambda path: True


@dataclass(frozen=True)
class Silence:
    """What happens when nobody does anything for so many seconds."""

    seconds: int
    leads: str | frozenset[str]
    pass_by: Callable[[Any, int], Awaitable[None]] | None = None
    """Skips time on another clock than the path's story, such as a payment's."""
    exact: bool = True
    """Whether nothing happens before; else it is at most so long."""


@dataclass
class Path(ABC):
    """One path as the model sees it. Subclasses know one kind."""

    house: House
    people: dict[str, str]
    """Role -> token subject."""
    path_id: str
    phase: str
    """As the platform calls it; what the model tells apart besides follows after a slash."""
    elapsed: int = 0
    """Seconds of silence in this phase so far."""
    notes: dict[str, Any] = field(default_factory=dict)

    kind: ClassVar[str]
    segment: ClassVar[str]
    moves: ClassVar[tuple[Move, ...]]
    turns: ClassVar[tuple[Turn, ...]] = ()
    silences: ClassVar[Mapping[str, Silence]]
    final: ClassVar[frozenset[str]]
    untold: ClassVar[frozenset[str]] = frozenset({"draft"})
    """Phases in which no story runs."""
    query: ClassVar[str] = "watch"

    @classmethod
    @abstractmethod
    async def begin(cls, house: House) -> Path:
        """A path at its beginning."""

    @abstractmethod
    def held(self) -> int | None:
        """What the accounts of the path hold for others, minor units, by the model's own count; None: it does not count."""

    @property
    def url(self) -> str:
        return f"/v1/{self.segment}/{self.path_id}"

    @property
    def over(self) -> bool:
        return self.phase in self.final

    @property
    def initiator(self) -> str:
        return next(iter(self.people.values()))

    def hats(self, role: str) -> frozenset[str]:
        """What somebody is to the path now."""
        return frozenset({role})

    def story(self) -> str:
        """Id of the workflow that tells the path now."""
        return self.house.story_of({"id": self.path_id})

    def address(self, move: Move) -> str:
        """Where the move is posted."""
        return f"{self.url}/{move.verb}"

    def expects(self, move: Move, role: str) -> frozenset[int]:
        """Statuses that may answer; 200 and 201 only when the move is possible."""
        mine, now = bool(self.hats(role) & move.by), self.phase in move.leads and move.when(self)
        if mine and now:
            return frozenset({200, 201})
        wrong: frozenset[int] = frozenset()
        if not mine:
            wrong |= NOT_YOURS
        if not now:
            wrong |= WRONG_PHASE if self.phase not in move.leads else WRONG_PHASE | BAD_BODY
        if not mine and not move.rights_first:
            wrong |= WRONG_PHASE | BAD_BODY
        return wrong

    async def send(
        self, move: Move, role: str, body: Json, key: str | None = None
    ) -> httpx.Response:
        """Posts it; whoever is told that something is not to be had for a moment repeats it with its key."""
        key = key or uuid.uuid4().hex

        async def answered() -> httpx.Response | None:
            answer = await self.house.call(
                "POST", self.address(move), by=self.people[role], key=key, json=body
            )
            return None if answer.status_code == 503 else answer

        found = await eventually(answered, what=f"an answer to {move.verb}")
        assert found is not None
        return found

    async def moved(self, to: str | frozenset[str]) -> None:
        """The model's phase follows; of several the platform chooses one."""
        if not isinstance(to, str):
            to = await self.one_of(to)
        if to != self.phase:
            self.elapsed = 0
        self.phase = to

    async def one_of(self, phases: frozenset[str]) -> str:
        """The one of these phases in which the path now stands."""

        async def there() -> str | None:
            phase = await self.stands()
            return phase if phase in phases else None

        return await eventually(there, what=f"one of {sorted(phases)}") or ""

    async def lapsed(self, silence: Silence) -> None:
        """Silence has decided."""
        await self.moved(silence.leads)

    async def seen(self) -> Json:
        """The path as its initiator sees it."""
        return await self.house.get(self.url, self.initiator)

    async def stands(self) -> str:
        """The phase in the books."""
        return str((await self.seen())["phase"])

    async def arrive(self) -> None:
        """Books and story stand where the model is, and what the path holds is what the model counts."""

        async def there() -> bool:
            phase, wanted = await self.stands(), self.phase.partition("/")[0]
            assert phase == wanted, f"{phase} instead of {wanted}"
            if not self.over and phase not in self.untold:
                told = await self.told()
                assert told == wanted, f"the story tells {told} instead of {wanted}"
            holds, held = self.holds(), self.held()
            assert held is None or holds == held, f"holds {holds} instead of {held} in {self.phase}"
            return True

        await eventually(there, what=f"{self.kind} in {self.phase}")

    async def told(self) -> str:
        """The phase in the story."""
        found = await self.house.workflow(self.story()).query(self.query)
        return str((found.get("standing") or found)["phase"])

    def holds(self) -> int:
        """What the path's accounts hold by the postings."""
        return int(
            self.house.sql(
                "SELECT coalesce(sum(credits_posted - debits_posted), 0) FROM ledger_accounts"
                " WHERE path_id = %s AND kind <> 'clearing'",
                self.path_id,
            )[0][0]
        )

    async def let_pass(self, seconds: int) -> None:
        """Nothing but time."""
        silence = self.silences[self.phase]
        if silence.pass_by is not None:
            await silence.pass_by(self, seconds)
        else:
            await self.house.skipper.fast_forward(self.house.workflow(self.story()), seconds)

    async def give_up(self) -> None:
        """Ends what no silence would end."""
        raise NotImplementedError(f"{self.kind} in {self.phase} does not end by itself")

    async def at_zero(self) -> None:
        """Ended, closed, and every account of it at 0."""

        await self.closed(self.path_id)

    async def closed(self, path_id: str) -> None:
        """Waits until a path is closed with all its accounts at 0."""

        async def there() -> bool:
            await self.house.assert_at_zero({"id": path_id})
            return True

        await eventually(there, what=f"{path_id} closed at 0")


UNBALANCED = """
    SELECT p.entry_id FROM ledger_postings p JOIN ledger_accounts a ON a.id = p.account_id
    GROUP BY p.entry_id, a.currency
    HAVING sum(CASE p.side WHEN 'debit' THEN p.amount ELSE -p.amount END) <> 0
"""
MISCOUNTED = """
    SELECT a.kind, a.owner FROM ledger_accounts a LEFT JOIN ledger_postings p
        ON p.account_id = a.id AND p.balance_after IS NOT NULL
    GROUP BY a.id
    HAVING coalesce(sum(p.amount) FILTER (WHERE p.side = 'debit'), 0) <> a.debits_posted
        OR coalesce(sum(p.amount) FILTER (WHERE p.side = 'credit'), 0) <> a.credits_posted
"""


async def assert_books(house: House) -> None:
    """The ledger's own invariants, and the same sums once more without its code."""
    async with house.database.transaction() as session:
        assert await invariants.check(session) == []
    assert house.sql(UNBALANCED) == []

    def counted() -> bool:
        assert house.sql(MISCOUNTED) == []
        return True

    await eventually(counted)
