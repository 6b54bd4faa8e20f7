"""The supervisor on small programs: order, restarts, giving up, stopping."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio

from deploy.local.console import PlainScreen, State
from deploy.local.errors import PartFailed
from deploy.local.parts import Part
from deploy.local.process import Command
from deploy.local.supervisor import Patience, Supervisor

QUICK = Patience(ready_seconds=10, backoff_seconds=0.01, backoff_most_seconds=0.05)

# Says it is ready by making a file, and notes when it is asked to stop.
SERVICE = """
import pathlib, signal, sys
name, folder = sys.argv[1], pathlib.Path(sys.argv[2])
def stop(*_):
    with (folder / "stopped").open("a") as file:
        file.write(name + " ")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
(folder / f"{name}.ready").touch()
while True:
    signal.pause()
"""
STUBBORN = SERVICE.replace("sys.exit(0)", "pass")


class Recorder(PlainScreen):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self.states: list[tuple[str, State]] = []

    def part(self, title: str, state: State) -> None:
        self.states.append((title, state))

    def say(self, line: str) -> None:
        self.lines.append(line)


class Bench:
    """Makes supervisors of small programs and stops them after the test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.screen = Recorder()
        self.supervisors: list[Supervisor] = []

    def supervisor(self, *parts: Part, patience: Patience = QUICK) -> Supervisor:
        made = Supervisor(parts, self.screen, patience)
        self.supervisors.append(made)
        return made

    def service(self, name: str, program: str = SERVICE, **options: object) -> Part:
        async def ready() -> bool:
            return (self.folder / f"{name}.ready").exists()

        return Part(
            name=name,
            title=name,
            command=self._command(name, program),
            ready=ready,
            **options,  # type: ignore[arg-type]
        )

    def step(self, name: str, program: str) -> Part:
        return Part(name=name, title=name, command=self._command(name, program), ready=None)

    def _command(self, name: str, program: str) -> Callable[[], Command]:
        return lambda: Command(
            argv=(sys.executable, "-c", program, name, str(self.folder)),
            log=self.folder / f"{name}.log",
            cwd=self.folder,
            env={"PATH": os.defpath},
            grace_seconds=20,
        )


@pytest_asyncio.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    yield made
    for supervisor in made.supervisors:
        supervisor.hurry()
        await supervisor.stop()


async def eventually(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.01)


async def test_parts_start_when_what_they_need_is_ready_and_stop_in_order(bench: Bench) -> None:
    supervisor = bench.supervisor(
        bench.service("database", stop_order=2),
        bench.step("migrate", "print('done')"),
        bench.service("worker", needs=("database", "migrate"), stop_order=1),
        bench.service("api", needs=("database", "migrate"), stop_order=0),
    )
    await supervisor.start()
    shown = bench.screen.states
    assert shown.index(("database", State.READY)) < shown.index(("worker", State.STARTING))
    assert shown.index(("migrate", State.DONE)) < shown.index(("api", State.STARTING))
    await supervisor.stop()
    assert (bench.folder / "stopped").read_text() == "api worker database "
    assert not any(supervisor.child(name).running for name in ("database", "worker", "api"))


async def test_a_killed_part_is_started_again(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.service("worker"))
    await supervisor.start()
    watching = asyncio.create_task(supervisor.watch())
    first = supervisor.child("worker").pid
    (bench.folder / "worker.ready").unlink()
    os.kill(first, signal.SIGKILL)
    await eventually((bench.folder / "worker.ready").exists)
    assert supervisor.child("worker").pid != first
    assert any("worker ended (SIGKILL), starting it again" in line for line in bench.screen.lines)
    assert not watching.done()
    watching.cancel()


async def test_a_part_that_cannot_start_ends_everything_with_its_last_words(bench: Bench) -> None:
    broken = "import sys; print('no lamp oil'); sys.exit(3)"
    supervisor = bench.supervisor(bench.service("database"), bench.service("worker", broken))
    with pytest.raises(PartFailed, match=r"worker ended 3 times while starting .exit code 3.") as e:
        await supervisor.start()
    assert e.value.tail.splitlines() == ["no lamp oil"] * 3
    await supervisor.stop()
    assert not supervisor.child("database").running


async def test_a_failed_step_is_not_tried_again(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.step("migrate", "raise SystemExit('no such table')"))
    with pytest.raises(PartFailed, match="migrate failed") as e:
        await supervisor.start()
    assert e.value.tail == "no such table"


async def test_a_part_that_never_becomes_ready_is_stopped(bench: Bench) -> None:
    silent = "import signal; signal.pause()"
    patience = Patience(attempts=1, ready_seconds=0.2)
    supervisor = bench.supervisor(bench.service("worker", silent), patience=patience)
    with pytest.raises(PartFailed, match="worker"):
        await supervisor.start()
    assert supervisor.child("worker").exit_code() == -signal.SIGTERM


async def test_hurrying_ends_a_part_that_does_not_stop(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.service("worker", STUBBORN))
    await supervisor.start()
    stopping = asyncio.create_task(supervisor.stop())
    await eventually((bench.folder / "stopped").exists)
    assert not stopping.done()
    supervisor.hurry()
    await stopping
    assert supervisor.child("worker").exit_code() == -signal.SIGKILL


async def test_an_older_log_is_kept(bench: Bench) -> None:
    (bench.folder / "migrate.log").write_text("yesterday")
    supervisor = bench.supervisor(bench.step("migrate", "print('today')"))
    await supervisor.start()
    assert (bench.folder / "migrate.log").read_text() == "today\n"
    assert (bench.folder / "migrate.log.1").read_text() == "yesterday"
