"""Who may act on a production order and when: every act by everybody, and every act in every phase."""

from __future__ import annotations

import uuid
from typing import Any

from tests.api.client import assert_problem
from tests.stories.house import House
from tests.stories.test_production import gives_back, says_lots_over, takes_on
from tests.stories.workshop import ADMIN, RATE, UNITS, Workshop, body_of, funded, returned

MAY = """
             requester operator inspector stranger
    fund     ok        403      403       403
    cancel   ok        ok       403       403
    stop     ok        ok       403       403
    edit     ok        403      403       403
    view     ok        ok       ok        ok
"""
"""Of a published order: `ok` is whatever the phase lets happen."""
WHEN = """
               draft funding published closing completed cancelled
    fund       200   409     409       409     409       409
    cancel     200   200     403       409     409       409
    stop       409   409     200       409     409       409
    edit       200   409     409       409     409       409
"""
"""By the requester; the answer to the first of such requests."""


async def doing(shop: Workshop, act: str, by: str) -> int:
    """The status of the answer to somebody's act."""
    path = f"/v1/production-orders/{shop.id}"
    if act == "view":
        return (await shop.house.call("GET", path, by=by)).status_code
    if act == "edit":
        return (await shop.house.call("PUT", path, by=by, json=body_of())).status_code
    return (await shop.try_to(act, by=by)).status_code


def table(text: str) -> dict[str, dict[str, str]]:
    """Row -> column -> cell."""
    head, *rows = (line.split() for line in text.strip().splitlines())
    return {name: dict(zip(head, cells, strict=True)) for name, *cells in rows}


async def test_every_act_by_everybody(house: House) -> None:
    tail = uuid.uuid4().hex[:8]
    inspector, stranger = f"inspector-{tail}", f"stranger-{tail}"
    certifier_id = (await house.get("/v1/me", by=inspector))["id"]
    shop = await Workshop.published(house, certifier_id=certifier_id)
    people = {
        "requester": shop.requester,
        "operator": ADMIN,
        "inspector": inspector,
        "stranger": stranger,
    }
    takes_on(shop, 1)
    for act, cells in table(MAY).items():
        for who, cell in cells.items():
            if cell == "403":
                assert await doing(shop, act, people[who]) == 403, (act, who)
    for act, allowed in {"view": {200}, "fund": {409}, "edit": {409}}.items():
        for who, cell in table(MAY)[act].items():
            if cell == "ok":
                assert await doing(shop, act, people[who]) in allowed, (act, who)
    assert await doing(shop, "stop", ADMIN) == 200
    assert "claims_stopped by operator" in await shop.timeline()
    gives_back(shop, 1)
    await says_lots_over(shop)
    await shop.ended("completed", funded(), returned(UNITS * RATE))


async def test_every_act_in_every_phase(house: House) -> None:
    closing = await Workshop.published(house)
    takes_on(closing, 1)
    await closing.act("stop")
    completed = await Workshop.published(house)
    await completed.act("stop")
    cancelled = await Workshop.drafted(house)
    await cancelled.act("cancel")
    fresh = {
        "draft": Workshop.drafted,
        "funding": Workshop.funding,
        "published": Workshop.published,
    }
    for act, cells in table(WHEN).items():
        for phase, cell in cells.items():
            if phase in fresh:
                shop = await fresh[phase](house) if cell == "200" else await kept(house, phase)
            else:
                shop = {"closing": closing, "completed": completed, "cancelled": cancelled}[phase]
            assert await doing(shop, act, shop.requester) == int(cell), (act, phase)
    gives_back(closing, 1)
    await says_lots_over(closing)
    await closing.ended("completed", funded(), returned(UNITS * RATE))


_KEPT: dict[str, Workshop] = {}


async def kept(house: House, phase: str) -> Workshop:
    """An order in this phase that no refused act changes."""
    if phase not in _KEPT or _KEPT[phase].house is not house:
        make: Any = getattr(Workshop, {"draft": "drafted"}.get(phase, phase))
        _KEPT[phase] = await make(house)
    return _KEPT[phase]


async def test_operators_do_not_give_up_somebodys_draft_and_a_frozen_requester_begins_nothing(
    house: House,
) -> None:
    shop = await Workshop.drafted(house)
    assert_problem(await shop.try_to("cancel", by=ADMIN), 403, "forbidden")
    assert_problem(await shop.try_to("stop", by=ADMIN), 409, "wrong_phase")
    user_id = shop.order["requester_id"]
    await house.post(f"/v1/users/{user_id}/freeze", {"reason": "case 7"}, by=ADMIN)
    assert_problem(await shop.try_to("fund"), 403, "account_frozen")
    again = await house.call("POST", "/v1/production-orders", by=shop.requester, json=body_of())
    assert_problem(again, 403, "account_frozen")
