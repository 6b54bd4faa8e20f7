"""`make bench`: measures on this machine, prints ratios with their goals, writes them as JSON."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from runtime.leaving import leave
from tests.bench import campaigns, ledger, pledging

RESULT = Path("test-artifacts/bench.json")


def main() -> None:
    """Runs every measurement."""
    figures = [*ledger.measure(), pledging.measure(), *campaigns.measure()]
    table = Table(title=f"{os.cpu_count()} cores, Python {sys.version.split()[0]}")
    for column in ("figure", "ours", "yardstick", "ratio", "goal"):
        table.add_column(column, justify="left" if column == "figure" else "right")
    for each in figures:
        sign = "<= " if each.at_most else ""
        goal = f"{sign}{each.goal:.2f}{'' if each.reached else '  missed'}"
        table.add_row(
            each.name, f"{each.ours:.0f}", f"{each.yardstick:.0f}", f"{each.ratio:.2f}", goal
        )
    Console().print(table)
    RESULT.parent.mkdir(exist_ok=True)
    rows = [{**each.model_dump(), "ratio": round(each.ratio, 3)} for each in figures]
    RESULT.write_text(json.dumps(rows, indent=2) + "\n", encoding="utf-8")
    print(f"written to {RESULT}; more measurements come with the proof step")


if __name__ == "__main__":
    main()
    leave()
