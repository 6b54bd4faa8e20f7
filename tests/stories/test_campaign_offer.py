"""What everybody reads of a campaign, and what its creator may change while backers choose."""

from __future__ import annotations

import httpx

from tests.api.client import assert_problem
from tests.stories.funds import ADMIN, PRICE, Fund, in_days, money, tier
from tests.stories.house import House, Json
from tests.stories.test_campaign import unwound
from tests.waiting import eventually


async def change(fund: Fund, number: int, **body: object) -> httpx.Response:
    """The creator changes a tier or an add-on."""
    path = f"/v1/campaigns/{fund.id}/items/{number}"
    return await fund.house.call("PATCH", path, by=fund.creator, json=body)


async def test_changing_tiers_while_backers_choose(house: House) -> None:
    fund = await Fund.drafted(
        house,
        goal=PRICE,
        tiers=[tier(seats=3, shipping=[{"zone": "CN", "cost": 0}]), tier("Two", price=500)],
        add_ons=[tier("Shade", price=300, for_tiers=[1])],
    )
    assert_problem(await change(fund, 1, title="Early"), 409, "wrong_phase")
    await fund.act("submit", fund.creator)
    await fund.act("approve", ADMIN)
    await fund.backed_by("card", "wallet", zone="CN")
    assert (await fund.now())["tiers"][0]["seats_left"] == 1
    problem = assert_problem(await change(fund, 1, seats=1), 422, "below_sold")
    assert (problem["field"], problem["accepted"]) == ("seats", "at least 2")
    lowered = (await change(fund, 1, seats=2, title="The last lamps")).json()["tiers"][0]
    assert (lowered["seats_left"], lowered["title"]) == (0, "The last lamps")
    assert_problem(await fund.try_pledge("late", zone="CN"), 409, "out_of_stock")
    assert (await change(fund, 1, seats=5)).json()["tiers"][0]["seats_left"] == 3
    problem = assert_problem(await change(fund, 2, seats=100), 422, "invalid_input")
    assert problem["field"] == "seats"
    assert (await change(fund, 1, seats=None)).json()["tiers"][0]["seats_left"] is None
    assert_problem(await change(fund, 1, seats=100), 422, "invalid_input")
    assert_problem(await change(fund, 9, title="None"), 404, "not_found")
    await change(fund, 2, on_sale=False, description="Gone")
    assert_problem(await fund.try_pledge("late", tier=2), 409, "out_of_stock")
    made = await fund.act("items", fund.creator, **tier("Four lamps", price=40_000, seats=1))
    assert [each["number"] for each in made["tiers"]] == [1, 2, 4]
    bad = await fund.try_to("items", fund.creator, **tier(currency="EUR"))
    assert assert_problem(bad, 422, "currency_mismatch")["field"] == "item.price.currency"
    bad = await fund.try_to("items", fund.creator, **tier(kind="add_on", for_tiers=[3]))
    assert assert_problem(bad, 422, "invalid_input")["field"] == "item.for_tiers"
    assert (await fund.timeline())[-1] == "offer_changed by initiator"
    await fund.back("late", tier=4, method="wallet")
    await fund.close()
    found = await fund.until("successful")
    assert found["tiers"][2]["seats_left"] == 0
    assert_problem(await fund.try_to("items", fund.creator, **tier("Too late")), 409, "wrong_phase")
    await unwound(fund)


async def test_a_donation_gets_no_tiers(house: House) -> None:
    fund = await Fund.live(house, kind="donation")
    bad = await fund.try_to("items", fund.creator, **tier())
    assert assert_problem(bad, 422, "invalid_input")["field"] == "kind"
    await fund.act("cancel", fund.creator)
    await fund.ended("cancelled")


async def test_totals_lists_and_plots(house: House) -> None:
    fund = await Fund.live(house, goal=4 * PRICE, tiers=[tier(), tier("Two", price=500)])
    card, wallet = await fund.backed_by("card", "wallet")
    await fund.back("second", tier=2, extra=7, method="wallet")

    async def taken_in() -> Json:
        found = await fund.now()
        assert found["totals"]["pledges"] == 3
        return found

    totals = (await eventually(taken_in))["totals"]
    shown = {name: each["amount"] for name, each in totals.items() if isinstance(each, dict)}
    assert shown == {
        "pledged": 2 * PRICE + 507,
        "matched": 0,
        "paid": PRICE + 507,
        "refunded": 0,
        "released": 0,
        "in_escrow": PRICE + 507,
    }
    assert totals["percent"] == (2 * PRICE + 507) * 100 // (4 * PRICE)
    stats = await house.get(f"/v1/campaigns/{fund.id}/stats", by="anybody")
    assert stats["tiers"] == [
        {"number": 1, "pledges": 2, "pledged": 2 * PRICE},
        {"number": 2, "pledges": 1, "pledged": 507},
    ]
    assert sum(each["pledged"] for each in stats["hours"]) == 2 * PRICE + 507
    for who, which in (
        ("anybody", "live"),
        (fund.creator, "mine"),
        (card, "backed"),
        (wallet, "backed"),
    ):
        page = await house.get("/v1/campaigns", who, which=which, limit=100)
        [mine] = [each for each in page["items"] if each["id"] == fund.id]
        assert (mine["pledges"], mine["pledged"]["amount"]) == (3, 2 * PRICE + 507)
    statement = await house.call("GET", f"/v1/campaigns/{fund.id}/statement", by=card)
    assert_problem(statement, 403, "forbidden")
    fund.creator, creator = ADMIN, fund.creator
    await fund.adds_up()
    fund.creator = creator
    due = (await fund.deadlines())["pledging"]
    assert due["stopped_by"] == ["initiator: cancel", "operator: ban"]
    await fund.close()
    found = await fund.until("failed")
    await fund.until_closed()
    found = await fund.adds_up()
    assert found["totals"]["refunded"]["amount"] == PRICE + 507
    assert (found["totals"]["pledges"], found["totals"]["in_escrow"]["amount"]) == (0, 0)
    assert found["goal"] == {**money(4 * PRICE), "text": found["goal"]["text"]}
    assert found["tiers"][0]["deliver_on"] == in_days(200)
    await fund.at_zero()
