"""`make chaos`: a seeded run in which everything is killed while people trade, and the verdict of an independent checker."""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import time
import traceback
from collections import Counter
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from deploy.local.checks import locked_data_folder
from runtime.leaving import leave
from tests.chaos.plan import make_plan
from tests.chaos.runner import Outcome, carry_out
from tests.servers import data_folder

RESULT = Path("test-artifacts/chaos.json")
LOGS = Path("test-artifacts/chaos-logs")
_SHOWN = 20
_INTERRUPTED = 130


def main() -> int:
    """Runs one plan; 0 when nothing differs and everything has come to its end."""
    asked = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    asked.add_argument("--seed", type=int, default=1, help="the same seed gives the same plan")
    asked.add_argument("--rounds", type=int, default=3, help="how often each story is played")
    asked.add_argument("--short", action="store_true", help="about a minute instead of many")
    given = asked.parse_args()
    plan = make_plan(given.seed, None if given.short else given.rounds)
    console = Console(soft_wrap=True)
    console.print(
        f"seed {plan.seed}, plan {plan.digest}: {len(plan.stories)} stories, "
        f"{len(plan.kills)} kills, {len(plan.misbehaviours)} misbehaviours",
        highlight=False,
    )
    began = time.monotonic()

    def say(line: str) -> None:
        console.print(f"[{time.monotonic() - began:5.0f} s] {line}", highlight=False, markup=False)

    with data_folder() as data_dir, locked_data_folder(data_dir):
        points = data_dir / "points"
        points.mkdir()
        try:
            outcome = asyncio.run(carry_out(plan, data_dir, points, say))
        finally:
            shutil.rmtree(LOGS, ignore_errors=True)
            shutil.copytree(data_dir / "logs", LOGS)
    write(outcome)
    show(outcome, console)
    return 0 if outcome.passed else 1


def write(outcome: Outcome) -> None:
    """The figures as JSON."""
    verdict = outcome.verdict
    figures = {
        "seed": outcome.plan.seed,
        "plan": outcome.plan.digest,
        "passed": outcome.passed,
        "kills": {f"{process} {point}": n for (process, point), n in outcome.kills.items()},
        "not_reached": [each.model_dump(mode="json") for each in outcome.not_reached],
        "finished": dict(sorted(verdict.finished.items())),
        "unfinished": verdict.unfinished,
        "webhooks": asdict(verdict.webhooks),
        "entries": verdict.entries,
        "movements": verdict.movements,
        "payouts": verdict.payouts,
        "differences": [asdict(each) for each in verdict.differences],
        "unexpected": outcome.unexpected,
        "cut_short": outcome.cut_short,
        "called_off": outcome.called_off,
        "asked_again": dict(outcome.repeated),
        "seconds": outcome.seconds,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(figures, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def show(outcome: Outcome, console: Console) -> None:
    """The figures as a table, and what is wrong below it."""
    verdict, hooks = outcome.verdict, outcome.verdict.webhooks
    table = Table(title=f"Chaos, seed {outcome.plan.seed}, plan {outcome.plan.digest}")
    table.add_column("figure")
    table.add_column("number", justify="right")
    table.add_column("of these")
    table.add_row("kills survived", str(sum(outcome.kills.values())), _kills(outcome))
    closed = sum(verdict.finished.values())
    table.add_row("paths finished", str(closed), _list(verdict.finished))
    table.add_row("stories cut short", str(len(outcome.cut_short)), "their paths end by themselves")
    table.add_row("paths called off", str(len(outcome.called_off)), "by operators, in the end")
    table.add_row("provider's events", str(hooks.events), f"{hooks.attempts} attempts to send them")
    for name, number in (
        ("delivered", hooks.delivered),
        ("duplicated", hooks.duplicated),
        ("dropped", hooks.dropped),
    ):
        table.add_row(f"  {name}", str(number), "")
    movements = f"{verdict.movements} movements at the provider"
    table.add_row("journal entries", str(verdict.entries), movements)
    table.add_row("payouts arrived", str(verdict.payouts), "")
    table.add_row("requests repeated", str(outcome.repeated.total()), _list(outcome.repeated))
    table.add_row("unfinished", str(len(verdict.unfinished)), "")
    differences = len(verdict.differences) + len(outcome.unexpected)
    table.add_row("differences", str(differences), "")
    console.print(table)
    wrong = [f"{each.check}: {each.subject}: {each.detail}" for each in verdict.differences]
    for title, lines in (
        ("Differences", wrong + outcome.unexpected),
        ("Unfinished", verdict.unfinished),
        ("Cut short", outcome.cut_short),
    ):
        for line in lines[:_SHOWN]:
            console.print(f"{title}: {line}", highlight=False, markup=False)
    console.print(f"Written to {RESULT}; logs are in {LOGS}.", highlight=False)


def _kills(outcome: Outcome) -> str:
    by_process: Counter[str] = Counter()
    for (process, _), number in outcome.kills.items():
        by_process[process] += number
    left = f"; {len(outcome.not_reached)} points not reached" if outcome.not_reached else ""
    return _list(by_process) + left


def _list(counted: Counter[str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counted.items()))


def _ended() -> int:
    """The exit code, whatever happened: everything is stopped and removed by then, only people still wait for answers."""
    try:
        return main()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception:
        traceback.print_exc()
        return 1


if __name__ == "__main__":
    leave(_ended())
