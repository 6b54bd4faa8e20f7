"""Child processes that never outlive their parent and that only we stop."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
# Loaded before any fork: the child between fork and exec must not run the dynamic loader.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None

_LOGS_KEPT = 5


@dataclass(frozen=True)
class Owner:
    """The system user a process runs as."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True, kw_only=True)
class Command:
    """A program to run, and how it likes to be stopped."""

    argv: tuple[str, ...]
    log: Path
    """File that gets its output, appended."""
    cwd: Path
    env: Mapping[str, str] = field(default_factory=dict)
    """The whole environment, nothing is inherited beside it."""
    owner: Owner | None = None
    stop_signal: signal.Signals = signal.SIGTERM
    hurry_signal: signal.Signals = signal.SIGKILL
    grace_seconds: float = 10.0
    """How long it may take to stop before `hurry_signal` is sent."""


class Child:
    """One run of a command, in a session of its own.

    The session keeps a terminal's Ctrl-C away from the child, so that the parts stop in order.
    On Linux the kernel stops the child (with its ordinary stop signal) when the parent is killed.
    """

    def __init__(self, command: Command) -> None:
        self.command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Process id; RuntimeError before `spawn`."""
        if self._process is None:
            raise RuntimeError("not started")
        return self._process.pid

    def spawn(self) -> None:
        """Start it; OSError when the program is not there or may not be run."""
        command = self.command
        with command.log.open("ab") as log:
            self._process = subprocess.Popen(
                command.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=command.cwd,
                env=dict(command.env),
                start_new_session=True,
                preexec_fn=_stop_when_parent_dies(command.stop_signal),  # noqa: PLW1509
                user=command.owner.uid if command.owner else None,
                group=command.owner.gid if command.owner else None,
                extra_groups=[] if command.owner else None,
            )

    def exit_code(self) -> int | None:
        """None while it runs (or was never started); negative is the signal that ended it."""
        return None if self._process is None else self._process.poll()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        """Send `number` to the child itself, if it still runs."""
        if self._process is not None:
            self._process.send_signal(number)

    def hurry(self) -> None:
        """End it now, with everything it started in its own session when the signal is SIGKILL."""
        number = self.command.hurry_signal
        if not self.running:
            return
        if number == signal.SIGKILL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, number)
        else:
            self.signal(number)

    def stop(self) -> int | None:
        """Ask it to stop, wait, and force it when its grace is over; returns its exit code."""
        if self._process is None:
            return None
        self.signal(self.command.stop_signal)
        try:
            return self._process.wait(self.command.grace_seconds)
        except subprocess.TimeoutExpired:
            self.hurry()
        try:
            return self._process.wait(self.command.grace_seconds)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()


def run_as(
    owner: Owner | None, argv: tuple[str, ...], *, cwd: Path, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a short program to its end as `owner`; the caller looks at the return code."""
    return subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        cwd=cwd,
        env=dict(env),
        start_new_session=True,
        check=False,
        user=owner.uid if owner else None,
        group=owner.gid if owner else None,
        extra_groups=[] if owner else None,
    )


def rotate(log: Path) -> None:
    """Make room for a new log: `x.log` becomes `x.log.1` and so on, the oldest is dropped."""
    for number in range(_LOGS_KEPT, 0, -1):
        older = log.with_name(f"{log.name}.{number}")
        newer = log.with_name(f"{log.name}.{number - 1}") if number > 1 else log
        if newer.exists():
            newer.replace(older)


def wait_until(condition: Callable[[], bool], *, seconds: float, every: float = 0.05) -> bool:
    """Whether `condition` came true within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(every)
    return True


def _stop_when_parent_dies(number: signal.Signals) -> Callable[[], None] | None:
    # The kernel watches the thread that forks, not the process: only the main thread lives
    # as long as we do. Elsewhere than on Linux the next start finds what was left behind.
    if _LIBC is None or threading.current_thread() is not threading.main_thread():
        return None
    libc, parent = _LIBC, os.getpid()

    def in_child() -> None:
        libc.prctl(_PR_SET_PDEATHSIG, int(number))
        if os.getppid() != parent:
            os._exit(1)

    return in_child
