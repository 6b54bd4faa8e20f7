"""Random ways to use one path through the API, side by side with its model: `machine_of(Model, house)`."""

from __future__ import annotations

import asyncio
import uuid
from collections import Counter
from collections.abc import Coroutine
from typing import Any, ClassVar, TypeVar

import httpx
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.model.paths import STRANGER, Move, Path, Silence, Turn, assert_books
from tests.stories.house import House, Json

T = TypeVar("T")
Choice = Turn | Silence | tuple[Move, str]
MARGIN = 600
"""Nobody waits so close to a deadline that the machine's own speed decides, seconds."""
_STEP_SECONDS = 180
KINDS = ("possible",) * 6 + ("impossible",) * 2 + ("silence",)
ENDS = (False,) * 5 + (True,)
TWISTS = ("none", "none", "none", "same key", "other body", "bad body")


class PathMachine(RuleBasedStateMachine):
    """Acts, pays, waits and goes wrong at random; the platform answers and stands as the model says."""

    model: ClassVar[type[Path]]
    house: ClassVar[House]
    loop: ClassVar[asyncio.AbstractEventLoop]
    seen: ClassVar[Counter[str]] = Counter()
    """Steps by what they were, of all examples."""

    path: Path
    rest: int
    """So often people still try something when the path has ended; then another one begins."""

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Runs it where the platform runs."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(_STEP_SECONDS)

    @initialize()
    def begin(self) -> None:
        self.rest = 2
        self.path = self.do(self.model.begin(self.house))
        tail = uuid.uuid4().hex[:8]
        self.path.people = {**self.path.people, STRANGER: f"stranger-{tail}"}
        self.do(self.path.arrive())

    @rule(data=st.data(), kind=st.sampled_from(KINDS), ends=st.sampled_from(ENDS))
    def step(self, data: st.DataObject, kind: str, ends: bool) -> None:
        """Somebody does what they may, or what they may not, or nobody does anything."""
        if self.path.over:
            self.rest -= 1
            if self.rest < 0:
                self.do(self.end())
                self.begin()
        if kind == "possible":
            self.possible(data, ends)
        elif kind == "silence" and self.path.phase in self.path.silences:
            self.do(self.silent(data.draw(st.sampled_from((0.3, 0.6)), label="share")))
        else:
            self.impossible(data)

    def possible(self, data: st.DataObject, ends: bool) -> None:
        """What can happen now: most often what leads on, and what ends the path only now and then."""
        path = self.path
        choices: list[Choice] = [
            turn for turn in path.turns if path.phase in turn.leads and turn.when(path)
        ]
        choices += [
            (move, role)
            for move in path.moves
            for role in path.people
            if 200 in path.expects(move, role)
        ]
        choices += [path.silences[path.phase]] if path.phase in path.silences else []
        further = [each for each in choices if ends or not _targets(each, path) & path.final]
        onward = [each for each in further if path.phase not in _targets(each, path)]
        if not choices:
            return
        chosen = data.draw(st.sampled_from([*onward, *onward, *further] or choices), label="what")
        if isinstance(chosen, Turn):
            self.do(self.turn(chosen))
        elif isinstance(chosen, Silence):
            self.do(self.silent(1.0))
        else:
            self.do(self.act(*chosen, data.draw(st.sampled_from(TWISTS), label="twist")))

    def impossible(self, data: st.DataObject) -> None:
        """What is not theirs or not now."""
        refused = [
            (move, role)
            for move in self.path.moves
            for role in self.path.people
            if 200 not in self.path.expects(move, role)
        ]
        move, role = data.draw(st.sampled_from(refused), label="refused")
        self.do(self.act(move, role, "none"))

    def teardown(self) -> None:
        """Whatever stands is driven to its end by silence, and all of its accounts are at 0."""
        if hasattr(self, "path"):
            self.do(self.end())

    # How it is done.

    async def act(self, move: Move, role: str, twist: str) -> None:
        """One request, and what is to be said of its answer."""
        path, was = self.path, self.path.phase
        expected = path.expects(move, role)
        body, complete = await _body(move, path)
        spoiled = twist == "bad body" and bool(move.bad)
        if spoiled:
            body = {**body, **move.bad[0]}
            expected = (expected - {200, 201}) | {422}
        elif not complete:
            expected |= {422}
        key = uuid.uuid4().hex
        answer = await path.send(move, role, body, key)
        story = f"{role}: {move.verb} in {was}"
        assert answer.status_code in expected, f"{story}: {answer.status_code} {answer.text}"
        assert_answer(answer)
        self.seen[f"{story} -> {answer.status_code}"] += 1
        if answer.status_code < 300:
            await move.after(path)
            await path.moved(move.leads[was])
        await path.arrive()
        if twist == "same key":
            again = await path.send(move, role, body, key)
            assert (again.status_code, again.json()) == (answer.status_code, answer.json()), story
        elif twist == "other body":
            other = await path.send(move, role, {**body, "note": "something else"}, key)
            assert other.status_code in {422, *path.expects(move, role)} - {200, 201}, story
        await path.arrive()
        await assert_books(self.house)

    async def turn(self, turn: Turn) -> None:
        """Something happens outside."""
        was = self.path.phase
        self.seen[f"{turn.name} in {was}"] += 1
        await turn.do(self.path)
        await self.path.moved(turn.leads[was])
        await self.path.arrive()
        await assert_books(self.house)

    async def silent(self, share: float) -> None:
        """Time passes: a part of what is left, or all of it."""
        path, was = self.path, self.path.phase
        silence = path.silences[was]
        left = silence.seconds - path.elapsed
        if share < 1 and not silence.exact:
            return
        if share < 1:
            seconds = min(int(left * share), left - MARGIN)
            if seconds <= 0:
                return
            await path.let_pass(seconds)
            path.elapsed += seconds
            self.seen[f"silence in {was}"] += 1
        else:
            self.seen[f"silence decides in {was}"] += 1
            await path.let_pass(left + 1)
            await path.lapsed(silence)
        await path.arrive()
        await assert_books(self.house)

    async def end(self) -> None:
        """Silence decides until nothing is left to decide."""
        for _ in range(30):
            if self.path.over:
                break
            if self.path.phase in self.path.silences:
                await self.silent(1.0)
            else:
                await self.path.give_up()
                await self.path.arrive()
        await self.path.at_zero()


def _targets(choice: Choice, path: Path) -> frozenset[str]:
    """Where it may lead."""
    if isinstance(choice, Silence):
        to = choice.leads
    else:
        to = (choice if isinstance(choice, Turn) else choice[0]).leads[path.phase]
    return frozenset({to}) if isinstance(to, str) else to


async def _body(move: Move, path: Path) -> tuple[Json, bool]:
    """What the request says, and whether that is all: before its time there may be nothing to name."""
    if move.body is None:
        return {}, True
    try:
        return await move.body(path), True
    except (KeyError, IndexError):
        return {}, False


def assert_answer(answer: httpx.Response) -> None:
    """A success is JSON, a refusal a problem document that names its code."""
    if answer.status_code < 300:
        assert answer.headers["content-type"] == "application/json", answer.headers
        return
    assert answer.headers["content-type"] == "application/problem+json", answer.text
    problem = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["code"], problem
