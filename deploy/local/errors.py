"""What goes wrong on the person's own machine, said in one line."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

USAGE = 2
"""Exit code when what was asked for, or a setting, makes no sense."""
FAILED = 1
"""Exit code when the machine or a part does not play along."""


class LocalError(Exception):
    """One clear line for the person in front of the terminal.

    `exit_code` is what the command ends with: `FAILED` or `USAGE`.
    """

    def __init__(self, line: str, *, exit_code: int = FAILED) -> None:
        super().__init__(line)
        self.exit_code = exit_code


class PartFailed(LocalError):
    """A part of the platform did not start; `tail` is the end of its log."""

    def __init__(self, line: str, tail: str = "") -> None:
        super().__init__(line)
        self.tail = tail


def settings_line(error: ValidationError) -> str:
    """The first wrong setting of `error`, named as the environment variable that holds it."""
    first = error.errors()[0]
    name = "BAIGONG_" + "__".join(str(step).upper() for step in first["loc"])
    return f"{name}: {first['msg']} (it is {first['input']!r})"


def tail_of(log: Path, lines: int = 15) -> str:
    """The last `lines` lines of `log`, or nothing when there is no such file."""
    try:
        text = log.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    return "\n".join(text.rstrip().splitlines()[-lines:])
