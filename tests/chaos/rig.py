"""The platform as separate processes, as `make up` runs it, with windows of seconds and processes that can be killed."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.local.console import State
from deploy.local.parts import Part, local_parts
from deploy.local.process import Child, Command
from deploy.local.profile import Profile, local_profile
from deploy.local.supervisor import Patience, Supervisor
from tests.chaos.plan import Kill, Process
from tests.chaos.victim import FOLDER, armed_file, struck_file
from tests.servers import free_port

_MODULES = {
    Process.API: "api",
    Process.WORKER: "worker",
    Process.SANDBOX: "providers.sandbox_server",
}
_PORTS = (
    "POSTGRES",
    "TEMPORAL",
    "TEMPORAL_UI",
    "ISSUER",
    "SANDBOX",
    "WORKER_METRICS",
    "CODEC",
    "API",
)
_PATIENCE = Patience(
    ready_seconds=120, backoff_seconds=0.1, backoff_most_seconds=0.5, healthy_seconds=1
)

# By policy: who may take how many seconds. Nobody who is cut short leaves a path open for days.
_WINDOWS = {
    "SALE": "payment=60 accept=75 ship=75 lead_grace=5 scan_silence=40 confirm_express=40"
    " confirm_pickup=40 poll_first=2",
    "CONTEST": "card=60 bank=60 choose_again=20 ruling=10 hand_over=40 accept=40 poll_first=2 grace=2",
    "BALLOT": "grace=2",
    "TENDER": "payment=60 transfer=60 select=40 accept=40 milestone_payment=60 approve=40 changes=30"
    " late=20 ruling=20 poll_first=2 grace=2",
    "CAMPAIGN": "review=60 payment=60 slow=20 fix=40 remind=5 disbursal=4 milestone_review=30 vote=10"
    " vote_notice=2 reserve=8 received=30 poll_first=2 grace=2",
    "MATCH": "card=60 bank=60 project=60 settle=30 poll_first=2 grace=2",
    "IN_KIND": "offer=120 offer_again=30 deposit=60 hand_over=60 confirm=40 return=40 ruling=20"
    " poll_first=2",
    "PRODUCTION": "payment=60 transfer=60 deposit=60 kit_ship=60 scan_silence=40 kit_contest=10"
    " overdue=10 abandon=20 inspect=60 rework=60 appeal=15 ruling=30 poll_first=2 grace=2",
    "RETURN": "answer=40 ship_back=40 scan_silence=40 inspect=40 part_reply=20 refused=20",
    "DISPUTE": "talk=0 answer=40 reply=40 mediation=60 escalate=0 evidence=20 total=120 appeal=6"
    " appeal_ruling=40",
    "REFUND": "poll_first=2 poll_longest=4 offer=10",
    "PAYOUT": "availability=0 min_interval=0 destination_cooling=0 poll_first=2 poll_longest=4",
    "CHARGEBACK": "poll_first=2 poll_longest=4",
}
_RECURRING = {"REDELIVERY": 5, "PAYOUTS": 10, "CLAIMS": 15, "PROOFS": 10, "NOTICES": 15}


def environment(data_dir: Path, folder: Path) -> dict[str, str]:
    """Settings of a platform of its own, in which days are seconds."""
    found = {
        "BAIGONG_DATA_DIR": str(data_dir),
        "BAIGONG_LOG_LEVEL": "WARNING",
        "BAIGONG_PAYOUT_POLICY__RESERVE_BASIS_POINTS": "0",
        "BAIGONG_OPERATOR_POLICY__ALONE_AMOUNT": "100000000",
        FOLDER: str(folder),
    }
    for port in _PORTS:
        found[f"BAIGONG_{port}_PORT"] = str(free_port())
    for name, seconds in _RECURRING.items():
        found[f"BAIGONG_{name}_EVERY_SECONDS"] = str(seconds)
    for policy, windows in _WINDOWS.items():
        for window in windows.split():
            name, _, seconds_ = window.partition("=")
            found[f"BAIGONG_{policy}_POLICY__{name.upper()}_SECONDS"] = seconds_
    return found


class QuietScreen:
    """Writes down beside the other logs who started, ended and came back when."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        return None

    def part(self, title: str, state: State) -> None:
        self.say(f"{title}: {state.value}")

    def say(self, line: str) -> None:
        with self._log.open("a", encoding="utf-8") as log:
            log.write(f"{datetime.now(UTC).isoformat(timespec='milliseconds')} {line}\n")

    def settle(self) -> None:
        return None


class Rig:
    """The running platform, and who kills it. Use on the main thread."""

    def __init__(self, data_dir: Path, folder: Path) -> None:
        self._folder = folder
        # The profile and every child read the environment; a server of the person's own is none to kill.
        for name in [each for each in os.environ if each.startswith("BAIGONG_")]:
            del os.environ[name]
        os.environ.update(environment(data_dir, folder))
        self.profile: Profile = local_profile()
        self._screen = QuietScreen(self.profile.logs / "supervisor.log")
        parts = [self._killable(part) for part in local_parts(self.profile)]
        self.supervisor = Supervisor(parts, self._screen, _PATIENCE)
        self.killed: Counter[tuple[Process, str]] = Counter()
        """By process, and by point or "at random"."""
        self.ended_by_themselves: list[str] = []
        """Processes that ended without being killed."""
        self._armed: dict[Process, Kill] = {}
        self._children: dict[Process, Child] = {}

    def remove(self) -> None:
        """Deletes the database, which lies elsewhere when root runs it; everything must be stopped."""
        if self.profile.postgres is not None:
            self.profile.postgres.remove()

    def can_take(self, kill: Kill) -> bool:
        """Whether the process runs and has survived what it was told before."""
        return kill.process not in self._armed and self.supervisor.child(kill.process).running

    def strike(self, kill: Kill) -> None:
        """Kills the process now, or arms its point."""
        self._screen.say(f"{kill.process} is to die {kill.point or 'at once'}")
        if kill.point is None:
            self._kill(kill.process)
            self.killed[kill.process, "at random"] += 1
            return
        self._armed[kill.process] = kill
        armed = armed_file(self._folder, kill.process)
        draft = armed.with_suffix(".draft")
        draft.write_text(kill.model_dump_json())
        draft.replace(armed)

    def look(self) -> None:
        """Notes which of the armed points have been passed, and who has ended without being told."""
        for each in Process:
            child = self.supervisor.child(each)
            before = self._children.setdefault(each, child)
            if before is not child:
                self._children[each] = child
                if before.exit_code() != -signal.SIGKILL:
                    self.ended_by_themselves.append(f"{each} ended with {before.exit_code()}")
        for process, kill in list(self._armed.items()):
            struck = struck_file(self._folder, process)
            if struck.exists():
                struck.unlink()
                del self._armed[process]
                self.killed[process, str(kill.point)] += 1

    def disarm(self) -> list[Kill]:
        """Nobody dies any more; what was armed and never passed."""
        self.look()
        left = list(self._armed.values())
        for process in self._armed:
            armed_file(self._folder, process).unlink(missing_ok=True)
        self._armed.clear()
        return left

    def _kill(self, process: Process) -> None:
        """SIGKILL to the process, and to what it has forked: nobody gets to clean up."""
        pid = self.supervisor.child(process).pid
        with contextlib.suppress(ProcessLookupError):
            # Held still first, or it would replace the children while they die.
            os.kill(pid, signal.SIGSTOP)
            for each in (pid, *_children(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)

    def _killable(self, part: Part) -> Part:
        module = _MODULES.get(Process(part.name)) if part.name in set(Process) else None
        if module is None:
            return part

        def command() -> Command:
            ours = part.command()
            return replace(ours, argv=(sys.executable, "-m", "tests.chaos.victim", module))

        return replace(part, command=command)


def _children(pid: int) -> list[int]:
    """Processes that this one has forked."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(each) for each in listed.split()]
