"""Habits of the house that no linter knows."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from deploy.local.profile import PROJECT

CODE = (
    "api",
    "activities",
    "db",
    "deploy",
    "domain",
    "ledger",
    "providers",
    "runtime",
    "worker",
    "workflows",
)


def python_files(*folders: str) -> Iterator[Path]:
    """Every Python file of these folders."""
    for folder in folders:
        yield from sorted((PROJECT / folder).rglob("*.py"))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function of a module, nested ones too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def test_files_stay_short() -> None:
    long = {
        str(file.relative_to(PROJECT)): lines
        for file in python_files(*CODE, "tests")
        if (lines := len(file.read_text(encoding="utf-8").splitlines())) > 500
    }
    assert long == {}


def test_functions_fit_a_screen() -> None:
    long = [
        f"{file.relative_to(PROJECT)}:{function.lineno} {function.name}"
        for file in python_files(*CODE)
        if "migrations" not in file.parts
        for function in functions(ast.parse(file.read_text(encoding="utf-8")))
        if (function.end_lineno or 0) - function.lineno > 70
    ]
    assert long == []


def test_stories_hold_no_durations() -> None:
    """Timers are policies: bounded, validated and fixed when the path starts."""
    literal = [
        f"{file.name}:{node.lineno}"
        for file in python_files("workflows")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and ast.unparse(node.func).endswith("timedelta")
        and (node.args or node.keywords)
    ]
    assert literal == []


def test_no_floats_near_money() -> None:
    floats = [
        f"{file.relative_to(PROJECT)}:{node.lineno}"
        for file in python_files("domain", "ledger", "activities", "workflows")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id == "float")
        or (isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div))
    ]
    assert floats == []
