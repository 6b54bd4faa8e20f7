"""`make bench`: measures on this machine, prints figures with their goals, writes them as JSON.

`make bench PARTS=ledger,api` measures only these parts.
"""

from __future__ import annotations

import importlib
import sys
import time
import traceback

from rich.console import Console

from runtime.leaving import leave
from tests.bench.figures import RESULT, Figure, Part, keep, machine, table

PARTS = {
    "ledger": "tests.bench.ledger",
    "paths": "tests.bench.paths",
    "webhooks": "tests.bench.webhooks",
    "api": "tests.bench.reading",
    "memory": "tests.bench.memory",
    "pledging": "tests.bench.pledging",
    "campaigns": "tests.bench.campaigns",
}
"""By name: the module whose `measure()` answers the figures of a part."""


def main() -> int:
    """Measures the parts that are named, or all: 0 when each could be measured, whatever its figures."""
    wanted = [name for given in sys.argv[1:] for name in given.split(",") if name] or list(PARTS)
    unknown = set(wanted) - set(PARTS)
    if unknown:
        print(f"no such part: {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
        return 2
    console, done, failed = Console(), list[Part](), list[str]()
    console.print(", ".join(f"{name} {value}" for name, value in machine().items()))
    for name in wanted:
        began = time.monotonic()
        try:
            figures = _measure(name)
        except Exception:
            # The other parts are worth having all the same.
            traceback.print_exc()
            failed.append(name)
            continue
        done.append(Part(name=name, figures=figures, seconds=time.monotonic() - began))
        console.print(table(done[-1]))
        keep(done)
    print(f"written to {RESULT}")
    if failed:
        print(f"not measured: {', '.join(failed)}")
    return 1 if failed else 0


def _measure(name: str) -> list[Figure]:
    measured: list[Figure] = importlib.import_module(PARTS[name]).measure()
    return measured


if __name__ == "__main__":
    leave(main())
