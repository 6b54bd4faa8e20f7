"""`python -m tests.chaos.victim MODULE`: runs a program of the platform that kills itself where it is told.

The program's code knows nothing of it. Around each commit, each call to a payment company, each message to Temporal and
each webhook stands a named point. The runner arms one point at a time with a file; at the n-th passage from then on the
process notes that it dies and sends itself SIGKILL.
"""

from __future__ import annotations

import functools
import inspect
import os
import runpy
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

from tests.chaos.plan import Kill, Point

FOLDER = "CHAOS_FOLDER"
"""Environment variable: where the runner arms points."""
_Answer = TypeVar("_Answer")


def armed_file(folder: Path, process: str) -> Path:
    """The file that arms a point of a process."""
    return folder / f"{process}.armed"


def struck_file(folder: Path, process: str) -> Path:
    """What the file becomes when the process dies of it."""
    return folder / f"{process}.struck"


class Trap:
    """Counts the passages of the point that is armed, and dies at the right one."""

    def __init__(self, folder: Path, process: str) -> None:
        self._armed = armed_file(folder, process)
        self._struck = struck_file(folder, process)
        self._seen = 0
        self._passages = 0

    def pass_by(self, point: Point) -> None:
        """Returns, or does not."""
        try:
            written = self._armed.stat().st_mtime_ns
        except FileNotFoundError:
            return
        if written != self._seen:
            self._seen, self._passages = written, 0
        kill = Kill.model_validate_json(self._armed.read_text())
        if kill.point is not point:
            return
        self._passages += 1
        if self._passages >= kill.passage:
            self._armed.replace(self._struck)
            os.kill(os.getpid(), signal.SIGKILL)


def _around(
    trap: Trap, before: Point, after: Point, call: Callable[..., Awaitable[_Answer]]
) -> Callable[..., Awaitable[_Answer]]:
    @functools.wraps(call)
    async def watched(*args: Any, **kwargs: Any) -> _Answer:
        trap.pass_by(before)
        answer = await call(*args, **kwargs)
        trap.pass_by(after)
        return answer

    return watched


def _watch_commits(trap: Trap) -> None:
    """Around each commit of a transaction that has written something; those that only read matter to nobody."""
    from sqlalchemy import event
    from sqlalchemy.dialects.postgresql.psycopg import PGDialectAsync_psycopg
    from sqlalchemy.engine import Engine

    wrote = "chaos_wrote"

    def note(connection: Any, _c: Any, statement: str, _p: Any, _x: Any, _m: bool) -> None:
        if statement.lstrip()[:6].upper() in ("INSERT", "UPDATE", "DELETE"):
            connection.connection.info[wrote] = True

    event.listen(Engine, "before_cursor_execute", note)
    commit: Callable[[Any, Any], None] = PGDialectAsync_psycopg.do_commit

    def watched(dialect: Any, connection: Any) -> None:
        matters = connection.info.pop(wrote, False)
        if matters:
            trap.pass_by(Point.BEFORE_COMMIT)
        commit(dialect, connection)
        if matters:
            trap.pass_by(Point.AFTER_COMMIT)

    PGDialectAsync_psycopg.do_commit = watched  # type: ignore[method-assign]


def _watch_signals(trap: Trap) -> None:
    """Around each message to Temporal, by an interceptor like the platform's own."""
    from temporalio import client

    from runtime import temporal

    told = (
        "start_workflow",
        "signal_workflow",
        "start_workflow_update",
        "start_update_with_start_workflow",
    )

    class Watching(client.Interceptor):
        def intercept_client(self, next: client.OutboundInterceptor) -> client.OutboundInterceptor:
            outbound = client.OutboundInterceptor(next)
            for name in told:
                call = _around(
                    trap, Point.BEFORE_SIGNAL, Point.AFTER_SIGNAL, getattr(outbound, name)
                )
                setattr(outbound, name, call)
            return outbound

    temporal.INTERCEPTORS = (*temporal.INTERCEPTORS, Watching())


def _watch_provider(trap: Trap) -> None:
    """Around each call of the port to payment companies."""
    from providers.base import PaymentProvider
    from providers.sandbox import SandboxProvider

    for name, call in inspect.getmembers(SandboxProvider, inspect.iscoroutinefunction):
        if hasattr(PaymentProvider, name) and name != "aclose":
            watched = _around(trap, Point.BEFORE_PROVIDER, Point.AFTER_PROVIDER, call)
            setattr(SandboxProvider, name, watched)


def _watch_sandbox(trap: Trap) -> None:
    """Around each commit of the sandbox provider that changes something, and each webhook it sends."""
    from providers.sandbox_server.sender import Sender
    from providers.sandbox_server.store import Store, Tx

    transaction = Store.transaction

    @contextmanager
    def watched(store: Store) -> Iterator[Tx]:
        with transaction(store) as tx:
            before = tx.connection.total_changes
            yield tx
            changed = tx.connection.total_changes != before
            if changed:
                trap.pass_by(Point.BEFORE_COMMIT)
        if changed:
            trap.pass_by(Point.AFTER_COMMIT)

    Store.transaction = watched  # type: ignore[method-assign,assignment]
    posting = _around(trap, Point.BEFORE_WEBHOOK, Point.AFTER_WEBHOOK, Sender.post)
    Sender.post = posting  # type: ignore[method-assign,assignment]


_SECONDS_AT_MOST = {"MONEY": 8, "PROVIDER": 12, "PRESENT": 10, "UPKEEP": 15, "NOTE": 8}
_HEARTBEAT = timedelta(seconds=6)
_LONGEST_PAUSE = timedelta(seconds=4)


def _hurry() -> None:
    """What a killed worker had begun is begun again after seconds, as windows of days are seconds here too."""
    from activities import options

    for name, seconds in _SECONDS_AT_MOST.items():
        getattr(options, name)["start_to_close_timeout"] = timedelta(seconds=seconds)
    for watched in (options.PLEDGES, options.INTAKE, options.COUNT):
        watched["heartbeat_timeout"] = _HEARTBEAT
    for name in (*_SECONDS_AT_MOST, "PLEDGES", "INTAKE", "COUNT"):
        tried = getattr(options, name)
        tried["retry_policy"] = replace(tried["retry_policy"], maximum_interval=_LONGEST_PAUSE)


def main() -> None:
    """Sets the traps of this program and runs it as if it had been started itself."""
    module = sys.argv[1]
    process = module.rpartition(".")[2].removesuffix("_server")
    trap = Trap(Path(os.environ[FOLDER]), process)
    if process == "sandbox":
        _watch_sandbox(trap)
    else:
        _watch_commits(trap)
        _watch_signals(trap)
    if process == "worker":
        _watch_provider(trap)
        _hurry()
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
