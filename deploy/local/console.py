"""What the person sees while the platform starts, runs and stops."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from enum import Enum
from types import TracebackType
from typing import Protocol, Self

from rich.console import Console
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from deploy.local.profile import Profile


class State(Enum):
    """How far a part is."""

    WAITING = "waiting"
    STARTING = "starting"
    READY = "ready"
    DONE = "done"
    RESTARTING = "restarting"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


class Screen(Protocol):
    """Where progress goes."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None: ...

    def part(self, title: str, state: State) -> None:
        """A part has reached `state`."""

    def say(self, line: str) -> None:
        """One line that stays."""

    def settle(self) -> None:
        """Starting or stopping is over: what moves comes to rest."""


class PlainScreen:
    """One flushed line per change: for pipes, files and CI."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def part(self, title: str, state: State) -> None:
        if state is not State.WAITING:
            self.say(f"[{time.monotonic() - self._started:6.1f} s] {title}: {state.value}")

    def say(self, line: str) -> None:
        print(line, flush=True)

    def settle(self) -> None:
        return None


_STYLES = {
    State.READY: "green",
    State.DONE: "green",
    State.FAILED: "red",
    State.RESTARTING: "yellow",
    State.WAITING: "dim",
    State.STOPPED: "dim",
}
_MOVING = frozenset({State.STARTING, State.RESTARTING, State.STOPPING})


class RichScreen:
    """A live list of the parts with a spinner for each that is on its way."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rows: dict[str, tuple[Spinner | Text, Text]] = {}
        self._since: dict[str, float] = {}
        self._live: Live | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.settle()

    def part(self, title: str, state: State) -> None:
        words = Text(state.value, style=_STYLES.get(state, "cyan"))
        if state is State.STARTING:
            self._since[title] = time.monotonic()
        elif state in (State.READY, State.DONE) and title in self._since:
            words.append(f"  {time.monotonic() - self._since[title]:.1f} s", style="dim")
        mark = Spinner("dots") if state in _MOVING else Text("•", style=words.style)
        self._rows[title] = (mark, words)
        if self._live is None:
            self._live = Live(console=self._console, refresh_per_second=8)
            self._live.start()
        self._live.update(self._table())

    def say(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False)

    def settle(self) -> None:
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _table(self) -> Table:
        table = Table.grid(padding=(0, 2))
        for title, (mark, words) in self._rows.items():
            table.add_row(mark, title, words)
        return table


def screen() -> Screen:
    """The screen that fits standard output."""
    if sys.stdout.isatty():
        return RichScreen(Console())
    return PlainScreen()


def show_ready(profile: Profile, seconds: float) -> None:
    """Print what runs where, how to get a token and what to type next."""
    console = Console(soft_wrap=True)
    table = Table(title=f"Baigong 百工 is ready ({seconds:.1f} s)", title_justify="left")
    table.add_column("what")
    table.add_column("where", overflow="fold")
    for what, where in _addresses(profile):
        table.add_row(what, where)
    console.print(table)
    for line in _next_steps(profile):
        console.print(line, highlight=False, markup=False)
    sys.stdout.flush()


def _addresses(profile: Profile) -> Sequence[tuple[str, str]]:
    ours = profile.settings
    database = "embedded, " if profile.postgres is not None else "yours, BAIGONG_DATABASE_URL"
    if profile.postgres is not None:
        database += f"127.0.0.1:{ours.postgres_port}"
    return (
        ("API", ours.api_url),
        ("API docs", f"{ours.api_url}/docs"),
        ("Temporal UI", profile.temporal_ui_url or "yours, BAIGONG_TEMPORAL_UI_URL is not set"),
        ("Temporal", profile.temporal_address),
        ("Sandbox payment provider", ours.sandbox_base_url),
        ("Token issuer", ours.issuer_url),
        ("PostgreSQL", database),
        ("Data and logs", str(ours.data_dir)),
    )


def _next_steps(profile: Profile) -> Sequence[str]:
    api = profile.settings.api_url
    token = ["Tokens come from your own issuer (BAIGONG_ISSUER)."]
    if profile.runs_issuer:
        token = [
            "Token for a demo user:  make token USER=alice      (USER=admin is an administrator)",
            f'Try it:                 curl -H "Authorization: Bearer $(make token USER=alice)"'
            f" {api}/v1/me",
        ]
    return (
        *token,
        "See every path run:     make demo                  (in a second terminal)",
        "Stop:                   Ctrl-C; the next `make up` goes on where this one stopped",
    )
