"""What silence does, read from the deadlines that the code makes: name, who can stop it, what happens else."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_ELSEWHERE = "…"
"""What only the path's own terms can tell."""
_NOTE = f"`{_ELSEWHERE}` depends on the terms of the path: `GET /v1/paths/{{id}}/deadlines` tells it in full, with the postings."
_ARGUMENTS = ("name", "due_at", "stopped_by", "outcome")


class Timer(NamedTuple):
    """One deadline, as far as the code says it for all paths alike."""

    name: str
    stopped_by: str
    outcome: str


def table(modules: tuple[str, ...]) -> str:
    """The deadlines of these modules of domain/, as a table."""
    lines = [
        f"| {each.name.replace('_', ' ')} | {each.stopped_by} | {each.outcome} |"
        for module in modules
        for each in dict.fromkeys(_timers(f"domain.{module}"))
    ]
    note = f"\n{_NOTE}\n" if any(_ELSEWHERE in each for each in lines) else ""
    head = ["", "| deadline | stopped by | if nobody does |", "|---|---|---|"]
    return "\n".join([*head, *lines, ""]) + note


def _timers(module: str) -> Iterator[Timer]:
    found = importlib.import_module(module)
    names = {name: value for name, value in vars(found).items() if isinstance(value, str | tuple)}
    for node in ast.walk(ast.parse(Path(found.__file__ or "").read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("Deadline", "timer"):
            given = dict(zip(_ARGUMENTS, node.args, strict=False))
            given |= {each.arg: each.value for each in node.keywords if each.arg}
            told = [_text(given.get(each), names) for each in ("name", "stopped_by", "outcome")]
            if all(told) and not any(each == _ELSEWHERE for each in told):
                yield Timer(*told)


def _text(node: ast.expr | None, names: dict[str, str | tuple[str, ...]]) -> str:
    """A text, or several, as far as they are written down; empty for nothing."""
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.Name(id=name):
            value = names.get(name, _ELSEWHERE)
            return value if isinstance(value, str) else ", ".join(value)
        case ast.JoinedStr(values=parts):
            return "".join(_text(part, names) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _text(left, names) + _text(right, names)
        case ast.Tuple(elts=parts):
            return ", ".join(filter(None, (_text(part, names) for part in parts))) or "nobody"
        case ast.Starred(value=value):
            return _text(value, names)
        case _:
            return _ELSEWHERE
