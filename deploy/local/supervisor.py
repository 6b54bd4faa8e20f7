"""Starts the parts, keeps them running, and stops them in order."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

from deploy.local.checks import (
    check_exposure,
    check_external,
    check_ports,
    locked_data_folder,
)
from deploy.local.console import Screen, State, show_ready
from deploy.local.errors import PartFailed, tail_of
from deploy.local.parts import Part, Ready, local_parts
from deploy.local.process import Child, rotate
from deploy.local.profile import Profile

_POLL_SECONDS = 0.1
_HURRIED_GRACE_SECONDS = 1.0


@dataclass(frozen=True)
class Patience:
    """How long and how often the supervisor tries; all in seconds but `attempts`."""

    attempts: int = 3
    """Failed starts of a part before the platform gives up coming up."""
    ready_seconds: float = 60.0
    """How long one start may take."""
    backoff_seconds: float = 0.5
    """Pause before the first restart; doubled for each further one in a row."""
    backoff_most_seconds: float = 30.0
    healthy_seconds: float = 30.0
    """A part that ran this long starts its row of restarts anew."""


class Supervisor:
    """Runs `parts` from the first start to the last stop.

    Use on the main thread: children are tied to the life of the thread that starts them.
    """

    def __init__(
        self, parts: Sequence[Part], screen: Screen, patience: Patience | None = None
    ) -> None:
        self._parts = {part.name: part for part in parts}
        self._screen = screen
        self._patience = patience or Patience()
        self._ready = {part.name: asyncio.Event() for part in parts}
        self._children: dict[str, Child] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._hurry = asyncio.Event()

    def child(self, name: str) -> Child:
        """The newest child of the part `name`; KeyError before its first start."""
        return self._children[name]

    def hurry(self) -> None:
        """Whatever is still stopping is stopped by force."""
        self._hurry.set()

    async def start(self) -> None:
        """Start everything and return when all of it is ready.

        LocalError as soon as one part cannot be started; the caller then calls `stop`.
        """
        for part in self._parts.values():
            self._screen.part(part.title, State.WAITING)
        self._tasks = [
            asyncio.create_task(self._keep(part), name=part.name) for part in self._parts.values()
        ]
        await self._until_failure(asyncio.create_task(self._all_ready()))
        self._screen.settle()

    async def watch(self) -> None:
        """Keep the parts running for ever; LocalError if one cannot even be started again."""
        await self._until_failure(asyncio.create_task(asyncio.Event().wait()))

    async def stop(self) -> None:
        """Stop every part in order. Safe to call at any moment after the constructor."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        in_order = sorted(self._parts.values(), key=lambda part: part.stop_order)
        for _, together in itertools.groupby(in_order, key=lambda part: part.stop_order):
            await asyncio.gather(*(self._stop_part(part) for part in together))
        self._screen.settle()

    async def _all_ready(self) -> bool:
        for event in self._ready.values():
            await event.wait()
        return True

    async def _until_failure(self, goal: asyncio.Task[bool]) -> None:
        pending: set[asyncio.Task[bool] | asyncio.Task[None]] = {goal, *self._tasks}
        try:
            while not goal.done():
                done, pending = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
        finally:
            goal.cancel()

    async def _keep(self, part: Part) -> None:
        for name in part.needs:
            await self._ready[name].wait()
        self._screen.part(part.title, State.STARTING)
        if part.prepare is not None:
            await self._prepare(part, part.prepare)
        if part.ready is None:
            await self._run_step(part)
        else:
            await self._keep_service(part, part.ready)

    async def _prepare(self, part: Part, prepare: Callable[[], None]) -> None:
        try:
            await asyncio.to_thread(prepare)
        except OSError as error:
            self._screen.part(part.title, State.FAILED)
            raise PartFailed(f"{part.title} cannot be prepared: {error}") from error

    async def _run_step(self, part: Part) -> None:
        child = self._spawn(part)
        code = await _ended(child)
        if code != 0:
            raise self._failure(part, child, f"failed ({_how(code)})")
        self._screen.part(part.title, State.DONE)
        self._ready[part.name].set()

    async def _keep_service(self, part: Part, ready: Ready) -> None:
        failures = 0
        while True:
            child = self._spawn(part)
            started = time.monotonic()
            came_up = await self._comes_up(child, ready)
            if came_up:
                self._screen.part(part.title, State.READY)
                self._ready[part.name].set()
                code = await _ended(child)
            elif (ended := child.exit_code()) is not None:
                code = ended
            else:
                code = await self._give_up_on(part, child)
            if came_up and time.monotonic() - started > self._patience.healthy_seconds:
                failures = 0
            failures += 1
            if not self._ready[part.name].is_set() and failures >= self._patience.attempts:
                raise self._failure(
                    part, child, f"ended {failures} times while starting ({_how(code)})"
                )
            await self._pause_before_restart(part, child, code, failures)

    async def _comes_up(self, child: Child, ready: Ready) -> bool:
        deadline = time.monotonic() + self._patience.ready_seconds
        while child.running and time.monotonic() < deadline:
            if await ready():
                # Somebody else may answer at this address; ours must be alive to count.
                return child.running
            await asyncio.sleep(_POLL_SECONDS)
        return False

    async def _give_up_on(self, part: Part, child: Child) -> int:
        seconds = self._patience.ready_seconds
        self._screen.say(f"{part.title} is not ready after {seconds:.0f} s, stopping it")
        return await self._stop_child(child)

    async def _pause_before_restart(
        self, part: Part, child: Child, code: int, failures: int
    ) -> None:
        pause = min(
            self._patience.backoff_seconds * 2 ** min(failures - 1, 16),
            self._patience.backoff_most_seconds,
        )
        self._screen.say(
            f"{part.title} ended ({_how(code)}), starting it again in {pause:.1f} s;"
            f" log: {child.command.log}"
        )
        if not all(event.is_set() for event in self._ready.values()):
            self._screen.part(part.title, State.RESTARTING)
        await asyncio.sleep(pause)

    def _spawn(self, part: Part) -> Child:
        child = Child(part.command())
        if part.name not in self._children:
            rotate(child.command.log)
        self._children[part.name] = child
        try:
            child.spawn()
        except OSError as error:
            raise PartFailed(f"{part.title} cannot be started: {error}") from error
        return child

    def _failure(self, part: Part, child: Child, what: str) -> PartFailed:
        self._screen.part(part.title, State.FAILED)
        log = child.command.log
        return PartFailed(f"{part.title} {what}; its log is {log}", tail_of(log))

    async def _stop_part(self, part: Part) -> None:
        child = self._children.get(part.name)
        if child is None or not child.running:
            return
        self._screen.part(part.title, State.STOPPING)
        await self._stop_child(child)
        self._screen.part(part.title, State.STOPPED)

    async def _stop_child(self, child: Child) -> int:
        child.signal(child.command.stop_signal)
        if not await self._ends_in_time(child):
            child.hurry()
            with contextlib.suppress(TimeoutError):
                return await asyncio.wait_for(_ended(child), child.command.grace_seconds)
            child.signal(signal.SIGKILL)
        return await _ended(child)

    async def _ends_in_time(self, child: Child) -> bool:
        ended = asyncio.create_task(_ended(child))
        hurried = asyncio.create_task(self._hurry.wait())
        try:
            await asyncio.wait(
                {ended, hurried},
                timeout=child.command.grace_seconds,
                return_when=asyncio.FIRST_COMPLETED,
            )
            if hurried.done() and not ended.done():
                await asyncio.wait({ended}, timeout=_HURRIED_GRACE_SECONDS)
            return ended.done()
        finally:
            ended.cancel()
            hurried.cancel()


async def up(profile: Profile, screen: Screen) -> None:
    """Run the local platform until Ctrl-C or SIGTERM, and stop it.

    LocalError when it cannot be started; nothing is left running then either.
    """
    with locked_data_folder(profile.settings.data_dir):
        await _check(profile, screen)
        async with _stop_requests() as requests:
            with screen:
                await _run(profile, Supervisor(local_parts(profile), screen), screen, requests)


async def _check(profile: Profile, screen: Screen) -> None:
    if profile.postgres is not None:
        pid = await asyncio.to_thread(profile.postgres.stop_leftover)
        if pid is not None:
            screen.say(f"stopped PostgreSQL (pid {pid}), left behind by a killed start")
    check_exposure(profile)
    await check_external(profile)
    check_ports(profile.ports())


async def _run(
    profile: Profile, supervisor: Supervisor, screen: Screen, requests: asyncio.Queue[str]
) -> None:
    began = time.monotonic()

    async def run() -> None:
        await supervisor.start()
        show_ready(profile, time.monotonic() - began)
        await supervisor.watch()

    running = asyncio.create_task(run())
    asked = asyncio.create_task(requests.get())
    try:
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        if asked.done():
            screen.say(f"{asked.result()}: stopping (once more to hurry)")
        else:
            running.result()
    finally:
        hurrying = asyncio.create_task(_hurry_when_asked(supervisor, requests))
        running.cancel()
        asked.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await supervisor.stop()
        hurrying.cancel()
    screen.say("stopped")


async def _hurry_when_asked(supervisor: Supervisor, requests: asyncio.Queue[str]) -> None:
    await requests.get()
    supervisor.hurry()


@contextlib.asynccontextmanager
async def _stop_requests() -> AsyncIterator[asyncio.Queue[str]]:
    """A queue that gets the name of each signal that asks us to stop."""
    requests: asyncio.Queue[str] = asyncio.Queue()
    loop = asyncio.get_running_loop()
    names = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM", signal.SIGHUP: "SIGHUP"}
    for number, name in names.items():
        loop.add_signal_handler(number, requests.put_nowait, name)
    try:
        yield requests
    finally:
        for number in names:
            loop.remove_signal_handler(number)


async def _ended(child: Child) -> int:
    while (code := child.exit_code()) is None:
        await asyncio.sleep(_POLL_SECONDS)
    return code


def _how(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return signal.Signals(-code).name
    return f"signal {-code}"
