"""Who may do what, of every operation of the API: the table of docs/access.md is whole, and the API keeps to it."""

from __future__ import annotations

from collections.abc import Iterable

import httpx
import pytest

from api.gates import NEEDED, STEP_UP
from tests.security.asking import ask, expect_none
from tests.security.rights import PAGE, ROLES, YES, Row, operations, table
from tests.security.world import World

pytestmark = pytest.mark.xdist_group("world")
_ENDS = ("withdrawBid", "voidBid", "closeAccount")
"""Take away the part that somebody has: they come last, in this order."""


def test_every_operation_has_a_row() -> None:
    rows = {(row.method, row.path): row.operation for row in table()}
    known = {at: str(operation["operationId"]) for at, operation in operations().items()}
    missing = [
        f"| `{method} {path}` | {known[method, path]} | {' | '.join('?' * 9)} |"
        for method, path in known
        if (method, path) not in rows
    ]
    words = f"{PAGE.name}: say who may do this, a row each:\n" + "\n".join(missing)
    assert not missing, words
    surplus = [f"{method} {path}" for method, path in rows if (method, path) not in known]
    assert not surplus, f"{PAGE.name}: the API does not have (any more): {surplus}"
    assert rows == known, f"{PAGE.name}: an operation has another name now"
    assert len(rows) == len(table()), f"{PAGE.name}: an operation has two rows"


def test_rows_say_what_the_account_needs_as_the_gates_ask() -> None:
    for row in table():
        needs = [str(NEEDED[row.operation])] if row.operation in NEEDED else []
        needs += ["fresh sign-in"] if row.operation in STEP_UP else []
        assert row.needs == (", ".join(needs) or "-"), row.operation


def _fits(answer: httpx.Response, cell: str) -> bool:
    """Whether it is the answer of the cell: of reading exactly, of acts anything that is not about who asks."""
    if cell == YES and answer.request.method == "GET":
        return answer.status_code == 200
    if cell == YES:
        return answer.status_code < 500 and answer.status_code not in (401, 403, 404)
    return answer.status_code == int(cell)


async def _differences(world: World, cells: Iterable[tuple[Row, str, str]]) -> list[str]:
    found = []
    for row, role, cell in cells:
        answer = await ask(world, row, role)
        if not _fits(answer, cell):
            told = f"{answer.status_code} {answer.text[:200]}"
            found.append(f"{row.operation} by {role}: {cell} expected, was {told}")
    return found


async def test_readers(world: World) -> None:
    reading = [row for row in table() if row.method == "GET"]
    cells = [(row, role, row.cells[role]) for row in reading for role in ROLES]
    expect_none(await _differences(world, cells))


async def test_who_may_not_act(world: World) -> None:
    acts = [row for row in table() if row.method != "GET"]
    cells = [(row, role, row.cells[role]) for row in acts for role in ROLES]
    expect_none(await _differences(world, [each for each in cells if each[2] != YES]))


async def test_who_may_act_and_whether_also_with_a_frozen_account(world: World) -> None:
    acts = sorted(
        (row for row in table() if row.method != "GET" and row.may),
        key=lambda row: _ENDS.index(row.operation) if row.operation in _ENDS else -1,
    )
    subjects = [
        subject
        for row in acts
        if (subject := world.subject(row.may[0], world.things[row.of])) is not None
    ]
    world.house.sql(
        "UPDATE users SET frozen_at = now(), frozen_reason = 'case' WHERE subject = ANY(%s)",
        subjects,
    )
    going_on = [row for row in acts if row.operation not in _ENDS]
    tried = [(row, row.may[0], row.frozen.replace("-", YES)) for row in going_on]
    found = await _differences(world, tried)
    world.house.sql("UPDATE users SET frozen_at = NULL, frozen_reason = NULL")
    rest = [
        (row, role, YES)
        for row in acts
        for role in row.may
        if row.frozen != "-" or role != row.may[0] or row not in going_on
    ]
    expect_none(found + await _differences(world, rest))
