"""Drafts that no production order can be, each refused in plain words with what would be accepted."""

from __future__ import annotations

from typing import Any

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.workshop import DAY, Workshop, body_of, people, standard_of

NO_FILE = "fil_01h45ytscbebyvny4gc8cr8ma2"
NOBODY = "usr_01h45ytscbebyvny4gc8cr8ma2"
SPLINTER = {"code": "splinter", "text": "A splinter", "severity": "critical"}


def sampled(**changes: object) -> Json:
    """A standard inspected in this way."""
    return {"standard": standard_of(sampling=changes)}


CASES: list[tuple[str, Json, str, str]] = [
    ("no title", {"title": " "}, "invalid_input", "title"),
    ("no process", {"process": ""}, "invalid_input", "process"),
    ("no units", {"units": 0}, "invalid_input", "units"),
    ("too many units", {"units": 1_000_001}, "invalid_input", "units"),
    ("half a unit", {"units": 1.5}, "invalid_input", "units"),
    ("wages of 0", {"rate": {"amount": 0}}, "invalid_input", "rate.amount"),
    (
        "no currency",
        {"rate": {"amount": 1, "currency": "QQQ"}},
        "unknown_currency",
        "rate.currency",
    ),
    ("dear wages", {"rate": {"amount": 10_000_000_000_000}}, "amount_out_of_range", "rate"),
    ("a deposit above the materials", {"deposit": 201}, "invalid_input", "deposit"),
    ("a deposit for nothing", {"materials": [], "deposit": 1}, "invalid_input", "deposit"),
    ("a deposit below 0", {"deposit": -1}, "invalid_input", "deposit"),
    ("too large a lot", {"lot_most": 101}, "invalid_input", "lot_most"),
    ("too small a lot", {"lot_least": 9, "lot_most": 8}, "invalid_input", "lot_most"),
    ("no lots", {"lots_at_once": 0}, "invalid_input", "lots_at_once"),
    ("a fee for no sample", {"sample_fee": 1}, "invalid_input", "samples"),
    ("samples for no fee", {"samples": 1}, "invalid_input", "samples"),
    ("a fee for nobody", {"certifier_fee": 1}, "invalid_input", "certifier_fee"),
    ("no inspector", {"certifier_id": NOBODY}, "invalid_input", "certifier_id"),
    ("no time", {"make_seconds": DAY - 1}, "invalid_input", "make_seconds"),
    ("too much time", {"make_seconds": 61 * DAY}, "invalid_input", "make_seconds"),
    ("no time to claim", {"claims_seconds": 0}, "invalid_input", "claims_seconds"),
    ("too much time to claim", {"claims_seconds": 61 * DAY}, "invalid_input", "claims_seconds"),
    ("a label", {"label": "mine"}, "invalid_input", "label"),
    ("no file", {"file_ids": [NO_FILE]}, "unknown_file", "file_ids[0]"),
    (
        "no picture",
        {"standard": standard_of(bad_file_ids=[NO_FILE])},
        "unknown_file",
        "standard.bad_file_ids[0]",
    ),
    (
        "no picture of a defect",
        {"standard": standard_of(defects=[{**SPLINTER, "file_ids": [NO_FILE]}])},
        "unknown_file",
        "standard.defects[0].file_ids[0]",
    ),
    ("no defects", {"standard": standard_of(defects=[])}, "invalid_input", "standard.defects"),
    (
        "a defect twice",
        {"standard": standard_of(defects=[SPLINTER, SPLINTER])},
        "invalid_input",
        "standard.defects",
    ),
    (
        "a bad defect",
        {"standard": standard_of(defects=[{**SPLINTER, "severity": "odd"}])},
        "invalid_input",
        "standard.defects[0].severity",
    ),
    ("a level", sampled(level="IV"), "invalid_input", "standard.sampling.level"),
    ("a limit", sampled(major_aql="2.7"), "invalid_input", "standard.sampling.major_aql"),
    (
        "materials for nothing",
        {"materials": [{"title": "Air", "pieces": 1, "cost": 0}]},
        "invalid_input",
        "materials[0].cost",
    ),
    (
        "no pieces",
        {"materials": [{"title": "Air", "pieces": 0, "cost": 1}]},
        "invalid_input",
        "materials[0].pieces",
    ),
    ("a misspelt field", {"wage": 1}, "invalid_input", "wage"),
]


async def test_bad_drafts(house: House) -> None:
    shop = await Workshop.drafted(house)
    path = f"/v1/production-orders/{shop.id}"
    for name, changes, code, field in CASES:
        body = body_of(**changes)
        for answer in (
            await house.call("POST", "/v1/production-orders", by=shop.requester, json=body),
            await house.call("PUT", path, by=shop.requester, json=body),
        ):
            assert answer.status_code == 422, (name, answer.text)
            problem: Any = answer.json()
            shown = [problem, *problem.get("errors", [])]
            assert problem["code"] == code, (name, problem)
            assert field in [each.get("field") for each in shown], (name, problem)
    assert await shop.now() == shop.order
    await shop.act("cancel")
    await house.assert_at_zero(shop.order)


async def test_nobody_inspects_for_themselves(house: House) -> None:
    requester = people()[0]
    own = (await house.get("/v1/me", by=requester))["id"]
    body = body_of(certifier_id=own)
    answer = await house.call("POST", "/v1/production-orders", by=requester, json=body)
    assert_problem(answer, 403, "self_dealing")
    shop = await Workshop.drafted(house, by=requester)
    path = f"/v1/production-orders/{shop.id}"
    answer = await house.call("PUT", path, by=requester, json=body)
    assert_problem(answer, 403, "self_dealing")


async def test_wages_are_not_taken_that_could_lie_longer_than_the_provider_holds_them(
    house: House,
) -> None:
    """The sandbox holds money for 180 days; the draft can be mended and funded after all."""
    shop = await Workshop.drafted(house, claims_seconds=60 * DAY, make_seconds=60 * DAY)
    problem = assert_problem(await shop.try_to("fund"), 422, "hold_too_long")
    assert problem["field"] == "claims_seconds" and problem["accepted"]
    assert (await shop.now())["phase"] == "draft"
    answer = await house.call(
        "PUT", f"/v1/production-orders/{shop.id}", by=shop.requester, json=body_of()
    )
    assert answer.status_code == 200
    assert (await shop.act("fund"))["phase"] == "funding"
    assert_problem(await shop.try_to("fund"), 409, "wrong_phase")
    await shop.act("cancel")
    await shop.ended("cancelled")
    unknown = "/v1/production-orders/prd_01h45ytscbebyvny4gc8cr8ma2"
    assert_problem(await house.call("GET", unknown, by="ann"), 404, "not_found")
