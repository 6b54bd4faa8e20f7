"""Drafts that no campaign can be, each refused in plain words with what would be accepted."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.api.client import assert_problem
from tests.stories.funds import DAY, Fund, draft, in_days, money, people, tier
from tests.stories.house import House, Json

HALF = {"trigger": "start", "basis_points": 5_000}
QUESTION = {"key": "colour", "text": "Which colour?"}
TWO_ROUNDS = {"funding": "two_rounds", "round2_seconds": DAY, "optimum": money(50_000)}


def soon(**delta: int) -> str:
    """A moment to come, or one that is over."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


CASES: list[tuple[str, Json, str, str]] = [
    ("goal of 0", {"goal": 0}, "invalid_input", "goal.amount"),
    ("no title", {"title": " "}, "invalid_input", "title"),
    ("no such currency", {"currency": "QQQ"}, "unknown_currency", "goal.currency"),
    ("too short", {"live_seconds": DAY - 1}, "invalid_input", "live_seconds"),
    ("too long", {"live_seconds": 60 * DAY + 1}, "invalid_input", "live_seconds"),
    ("a fraction", {"live_seconds": DAY + 0.5}, "invalid_input", "live_seconds"),
    ("no file", {"file_ids": ["fil_01h45ytscbebyvny4gc8cr8ma2"]}, "unknown_file", "file_ids[0]"),
    ("no method", {"methods": []}, "invalid_input", "methods"),
    ("a method", {"methods": ["cash"]}, "invalid_input", "methods[0]"),
    ("a start that is over", {"starts_at": soon(minutes=-1)}, "invalid_input", "starts_at"),
    ("a start too far", {"starts_at": soon(days=91)}, "invalid_input", "starts_at"),
    ("no tiers", {"tiers": []}, "invalid_input", "tiers"),
    ("a donation with tiers", {"kind": "donation", "tiers": [tier()]}, "invalid_input", "tiers"),
    (
        "a donation with questions",
        {"kind": "donation", "survey": [QUESTION]},
        "invalid_input",
        "survey",
    ),
    (
        "no price",
        {"tiers": [{"title": "A", "deliver_on": in_days(9)}]},
        "invalid_input",
        "tiers[0].price",
    ),
    ("a price of 0", {"tiers": [tier(price=0)]}, "invalid_input", "tiers[0].price.amount"),
    (
        "two currencies",
        {"tiers": [tier(), tier(currency="EUR")]},
        "currency_mismatch",
        "tiers[1].price.currency",
    ),
    ("no seats", {"tiers": [tier(seats=0)]}, "invalid_input", "tiers[0].seats"),
    ("no delivery", {"tiers": [tier(deliver_on=None)]}, "invalid_input", "tiers[0].deliver_on"),
    (
        "an old delivery",
        {"tiers": [tier(deliver_on="2020-01-01")]},
        "invalid_input",
        "tiers[0].deliver_on",
    ),
    (
        "a zone twice",
        {"tiers": [tier(shipping=[{"zone": "CN", "cost": 1}, {"zone": "CN", "cost": 2}])]},
        "invalid_input",
        "tiers[0].shipping[1].zone",
    ),
    (
        "shipping below 0",
        {"tiers": [tier(shipping=[{"zone": "CN", "cost": -1}])]},
        "invalid_input",
        "tiers[0].shipping[0].cost",
    ),
    ("a tier for tiers", {"tiers": [tier(for_tiers=[1])]}, "invalid_input", "tiers[0].for_tiers"),
    (
        "an add-on for no tier",
        {"add_ons": [tier(for_tiers=[7])]},
        "invalid_input",
        "add_ons[0].for_tiers",
    ),
    ("a question twice", {"survey": [QUESTION, QUESTION]}, "invalid_input", "survey[1].key"),
    (
        "a question for no tier",
        {"survey": [{**QUESTION, "tiers": [2]}]},
        "invalid_input",
        "survey[0].tiers",
    ),
    ("half of it", {"tranches": [HALF]}, "shares_do_not_sum", "tranches"),
    ("a part twice", {"tranches": [HALF, HALF]}, "invalid_input", "tranches"),
    (
        "the wrong order",
        {"tranches": [{"trigger": "reserve", "basis_points": 5_000}, HALF]},
        "invalid_input",
        "tranches",
    ),
    ("an optimum of one round", {"optimum": money(50_000)}, "invalid_input", "optimum"),
    ("a second round of one", {"round2_seconds": DAY}, "invalid_input", "round2_seconds"),
    ("no optimum", {**TWO_ROUNDS, "optimum": None}, "invalid_input", "optimum"),
    ("a small optimum", {**TWO_ROUNDS, "optimum": money(20_000)}, "invalid_input", "optimum"),
    (
        "an optimum in euros",
        {**TWO_ROUNDS, "optimum": money(50_000, "EUR")},
        "currency_mismatch",
        "optimum.currency",
    ),
    ("a short round", {**TWO_ROUNDS, "round2_seconds": 60}, "invalid_input", "round2_seconds"),
    ("a misspelt field", {"goals": 1}, "invalid_input", "goals"),
]


async def test_bad_drafts(house: House) -> None:
    fund = await Fund.drafted(house)
    for name, changes, code, field in CASES:
        body = draft(**changes)
        for answer in (
            await house.call("POST", "/v1/campaigns", by=fund.creator, json=body),
            await house.call("PUT", f"/v1/campaigns/{fund.id}", by=fund.creator, json=body),
        ):
            assert answer.status_code == 422, (name, answer.text)
            problem: Any = answer.json()
            shown = [problem, *problem.get("errors", [])]
            assert problem["code"] == code, (name, problem)
            assert field in [each.get("field") for each in shown], (name, problem)
    same = await fund.now()
    assert same == fund.campaign
    await fund.act("withdraw", fund.creator)
    await house.assert_at_zero(fund.campaign)


async def test_no_deadline_lies_beyond_the_longest_hold(house: House) -> None:
    """The sandbox holds money for 180 days: slow money, mending and the waiting time count as well."""
    long = {
        "funding": "two_rounds",
        "live_seconds": 60 * DAY,
        "round2_seconds": 60 * DAY,
        "optimum": money(50_000),
    }
    fund = await Fund.submitted(house, **long)
    house.sql(
        "UPDATE campaigns SET terms = jsonb_set(terms, '{rules,policy}', terms #>"
        " '{rules,policy}' || jsonb_build_object('fix_seconds', %s, 'disbursal_seconds', %s))"
        " WHERE id = %s",
        30 * DAY,
        60 * DAY,
        fund.id,
    )
    problem = assert_problem(await fund.try_to("approve", "admin"), 422, "hold_too_long")
    assert problem["field"] == "live_seconds" and problem["accepted"]
    await fund.act("withdraw", fund.creator)
    await fund.ended("cancelled")


@pytest.mark.parametrize("kind", ["reward", "donation"])
async def test_the_parts_of_the_money_unless_the_creator_says_otherwise(
    house: House, kind: str
) -> None:
    fund = await Fund.drafted(house, kind=kind)
    parts = {part["trigger"]: part["basis_points"] for part in fund.campaign["tranches"]}
    if kind == "donation":
        assert parts == {"start": 10_000}
    else:
        assert parts == {"start": 4_000, "first_article": 3_000, "lots": 2_500, "reserve": 500}
    assert fund.campaign["rule"]["required"]["amount"] == 18_000
    unknown = await house.call("GET", "/v1/campaigns/cmp_01h45ytscbebyvny4gc8cr8ma2", by="ann")
    assert_problem(unknown, 404, "not_found")


async def test_a_frozen_account_begins_nothing(house: House) -> None:
    creator = people()[0]
    fund = await Fund.drafted(house, creator=creator)
    await house.post(
        f"/v1/users/{fund.campaign['creator_id']}/freeze", {"reason": "Why"}, by="admin"
    )
    answer = await house.call("POST", "/v1/campaigns", by=creator, json=draft())
    assert_problem(answer, 403, "account_frozen")
    assert_problem(await fund.try_to("submit", creator), 403, "account_frozen")
