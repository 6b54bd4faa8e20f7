"""What the stories of inspections share: looking at units, deciding, and waiting until the lot has taken note."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import httpx

from tests.stories.house import Json
from tests.stories.workshop import Lot
from tests.waiting import eventually

MAJOR = "handle"
"""A defect of the workshop's contract; up to 15 units of a lot every one is looked at."""
TRANCHE = 500


async def newest(lot: Lot) -> Json:
    """The lot's newest inspection, whole."""
    return await lot.house.get(
        f"/v1/inspections/{(await lot.inspection())['id']}", lot.shop.requester
    )


def units_of(inspection: Json) -> list[int]:
    """The units to look at, in the order of drawing."""
    return list(inspection["drawn"]) or list(range(1, inspection["units"] + 1))


def found_on(units: Iterable[int], *defects: str) -> list[Json]:
    """The same seen on several units."""
    return [{"unit": unit, "defects": list(defects)} for unit in units]


async def report(lot: Lot, inspection: Json, seen: Sequence[Json], by: str | None = None) -> Json:
    """Findings that must be taken, in tranches; the inspection afterwards."""
    answer = inspection
    for first in range(0, len(seen), TRANCHE):
        body = {"findings": list(seen[first : first + TRANCHE])}
        path = f"/v1/inspections/{inspection['id']}/findings"
        answer = await lot.house.post(path, body, by=by or lot.shop.requester)
    return answer


async def try_to(
    lot: Lot, inspection: Json, verb: str, by: str | None = None, **body: Any
) -> httpx.Response:
    """An act of the inspector whose answer is for the test to judge."""
    path = f"/v1/inspections/{inspection['id']}/{verb}"
    return await lot.house.call("POST", path, by=by or lot.shop.requester, json=body)


async def looked(lot: Lot, bad: int, by: str | None = None) -> Json:
    """Looks at every drawn unit and finds so many defective; at all units, if the sample fails by it.

    A lot of which everything is refused needs no full look.
    """
    await lot.until("inspecting")
    sample = await newest(lot)
    units = units_of(sample)
    await report(lot, sample, [*found_on(units[:bad], MAJOR), *found_on(units[bad:])], by)
    if not bad or bad == sample["units"]:
        return sample
    answer = await try_to(lot, sample, "look-at-all", by)
    if answer.status_code != 201:
        return sample
    full: Json = answer.json()
    rest = [unit for unit in range(1, sample["units"] + 1) if unit not in units]
    more = max(0, bad - len(units))
    await report(lot, full, [*found_on(rest[:more], MAJOR), *found_on(rest[more:])], by)
    return full


async def concluded(lot: Lot, inspection: Json, by: str | None = None, **decision: Any) -> Json:
    """A decision that must be taken, once the lot has taken note of it."""
    answer = await try_to(lot, inspection, "decide", by, **decision)
    assert answer.status_code == 200, answer.text
    await until_noted(lot)
    found: Json = answer.json()
    return found


async def until_noted(lot: Lot) -> None:
    """The lot is not being inspected any more."""

    async def noted() -> bool:
        return bool((await lot.now())["phase"] != "inspecting")

    await eventually(noted, within_seconds=20)
