"""What is not for somebody does not exist for them: the same answer, word for word, as for an id that never was."""

from __future__ import annotations

import re

import httpx
import pytest

from domain.ids import new_id
from tests.security.asking import ask, expect_none
from tests.security.rights import ROLES, YES, Row, document, operations, table
from tests.security.world import PARAMETER, World
from tests.stories.house import Json

pytestmark = pytest.mark.xdist_group("world")
_PREFIX = re.compile(r"\^\(?([a-z]{3})[|_]")


def ids_of(row: Row) -> dict[str, str]:
    """The path parameters that are ids, in their order: name -> prefix."""
    parameters = operations()[row.method, row.path].get("parameters", [])
    return {
        parameter["name"]: found[1]
        for parameter in parameters
        if parameter["in"] == "path"
        and (found := _PREFIX.match(parameter["schema"].get("pattern", "")))
    }


def _told(answer: httpx.Response) -> tuple[int, Json]:
    """Status and words of a refusal, without what names the request."""
    problem: Json = answer.json()
    kept = {each: problem[each] for each in problem if each not in ("instance", "request_id")}
    return answer.status_code, kept


def _page_of(row: Row, last: str) -> str:
    """The address of the thing itself whose id comes last in the path of the operation."""
    named = f"{{{last}}}"
    thing = row.path[: row.path.index(named) + len(named)]
    # Of paths as such, the world has the sale.
    return PARAMETER.sub("{}", thing.replace("/paths/", "/sales/"))


async def test_what_is_hidden_is_answered_as_what_never_was(world: World) -> None:
    pages = {PARAMETER.sub("{}", row.path): row for row in table() if row.method == "GET"}
    found, asked = [], 0
    for row in table():
        *_, last = ids_of(row) or [""]
        if not last:
            continue
        page = pages.get(_page_of(row, last))
        for role in ROLES[1:]:
            seen = page is not None and page.cells[role] == YES
            if seen or row.cells[role] == YES:
                continue
            asked += 1
            real = _told(await ask(world, row, role))
            never = _told(await ask(world, row, role, {last: new_id(ids_of(row)[last])}))
            if real != never:
                found.append(f"{row.operation} by {role}: {real} but {never}")
    assert asked > 300
    expect_none(found)


def _names_files(row: Row) -> str | None:
    """The field of the body that names files, if there is one."""
    content = operations()[row.method, row.path].get("requestBody", {}).get("content", {})
    reference = content.get("application/json", {}).get("schema", {}).get("$ref", "")
    schema = document()["components"]["schemas"].get(reference.rpartition("/")[2], {})
    fields = {"file_ids", "picture_ids"} & set(schema.get("properties", {}))
    return next(iter(fields), None)


async def test_a_private_file_of_somebody_else_is_as_unknown_as_one_that_never_was(
    world: World,
) -> None:
    secret = world.things["file"].ids["file_id"]
    found, refused = [], 0
    for row in table():
        field = _names_files(row)
        role = next((each for each in row.may if row.of != "me" or each == "stranger"), None)
        if field is None or role is None:
            continue
        never = new_id("fil")
        answers = [
            (await ask(world, row, role, body={field: [file_id]})) for file_id in (secret, never)
        ]
        known, unknown = (str(_told(each)) for each in answers)
        if known.replace(secret, "") != unknown.replace(never, ""):
            found.append(f"{row.operation} by {role}: {known} but {unknown}")
        refused += answers[0].json().get("code") == "unknown_file"
    expect_none(found)
    assert refused >= 12, "most of them go as far as to look for the files"
