"""The table of docs/access.md: of every operation of the API, what each role is answered."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pydantic import SecretStr

from api.app import create_app
from runtime.settings import Settings
from tests.stories.house import Json

PAGE = Path(__file__).parents[2] / "docs" / "access.md"
ROLES = ("nobody", "stranger", "first", "second", "operator", "admin")
YES = "yes"
_ROW = re.compile(r"^\| `([A-Z]+) (/[^`]*)` \| (\w+) \|(.*)\|$", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """What one operation answers."""

    method: str
    path: str
    operation: str
    of: str
    """What it is about: a name of tests.security.world."""
    cells: dict[str, str]
    """Role -> `yes`, `401`, `403` or `404`."""
    frozen: str
    """What the first of those who may is answered with a frozen account; `-`: as before."""
    needs: str
    """What an account needs besides: a capability, or a fresh sign-in."""

    @property
    def may(self) -> list[str]:
        """The roles that may, a side of the thing before others."""
        order = ("first", "second", "stranger", "admin", "operator", "nobody")
        return [role for role in order if self.cells[role] == YES]


@cache
def table() -> tuple[Row, ...]:
    """All rows, as they stand on the page."""
    return tuple(_read(PAGE.read_text()))


def _read(page: str) -> Iterator[Row]:
    for method, path, operation, rest in _ROW.findall(page):
        of, *cells, frozen, needs = (cell.strip() for cell in rest.split("|"))
        by_role = dict(zip(ROLES, cells, strict=True))
        yield Row(method, path, operation, of, by_role, frozen, needs)


@cache
def document() -> Json:
    """The OpenAPI document of the API."""
    settings = Settings(database_url=SecretStr("postgresql://nowhere/none"))
    found: Json = create_app(settings).openapi()
    return found


def operations() -> dict[tuple[str, str], Json]:
    """Every operation by method and path."""
    return {
        (method.upper(), path): operation
        for path, methods in document()["paths"].items()
        for method, operation in methods.items()
    }
