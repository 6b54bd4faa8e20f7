"""Every pledge that is refused, in words that help, and without a trace in the totals."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from tests.stories.contest_checks import same_bank, same_person
from tests.stories.deals import refused
from tests.stories.funds import ADMIN, PRICE, Fund, money, people, tier
from tests.stories.house import House, Json
from tests.stories.pledging import act, backed, rows, sound, stands, taken, try_act, wound_up

_TRACES = (
    "SELECT id, state, amount, selection::text FROM pledges WHERE campaign_id = %(id)s ORDER BY id",
    "SELECT id, status FROM payments WHERE path_id = %(id)s ORDER BY id",
    "SELECT number, taken FROM campaign_items WHERE campaign_id = %(id)s ORDER BY number",
    "SELECT tier, pledges, amount, paid FROM pledge_stats WHERE campaign_id = %(id)s ORDER BY 1",
    "SELECT key FROM ledger_entries WHERE path_id = %(id)s AND kind <> 'settle' ORDER BY key",
)
OFFER: Json = {
    "methods": ["card", "wallet"],
    "tiers": [
        tier(seats=2, shipping=[{"zone": "CN", "cost": 700}, {"zone": "EU", "cost": 9_000}]),
        tier("Two lamps", 2 * PRICE, each_most=3),
    ],
    "add_ons": [
        {"title": "A bulb", "price": money(500), "for_tiers": [2], "seats": 3},
        {"title": "A sticker", "price": money(100)},
    ],
}
"""Numbers: tiers 1 and 2, add-ons 3 and 4."""


def traces(fund: Fund) -> list[list[tuple[Any, ...]]]:
    """Everything that a pledge could leave behind."""
    return [rows(fund, each) for each in _TRACES]


WRONG: dict[str, tuple[Json, int, str, str]] = {
    "below the price": ({"amount": PRICE + 699}, 422, "below_price", "amount"),
    "another currency": (
        {"amount": money(2 * PRICE, "EUR")},
        422,
        "currency_mismatch",
        "amount.currency",
    ),
    "something on top in another currency": (
        {"extra": money(5, "JPY")},
        422,
        "currency_mismatch",
        "extra.currency",
    ),
    "a total and something on top": (
        {"amount": money(2 * PRICE), "extra": money(5)},
        422,
        "invalid_input",
        "amount",
    ),
    "no such tier": ({"tier": {"number": 9}}, 422, "invalid_input", "tier.number"),
    "an add-on as a tier": ({"tier": {"number": 3}}, 422, "invalid_input", "tier.number"),
    "more than are left": ({"tier": {"number": 1, "quantity": 3}}, 409, "out_of_stock", "tier"),
    "more than go into one": (
        {"tier": {"number": 2, "quantity": 4}},
        422,
        "invalid_input",
        "tier.quantity",
    ),
    "an add-on of another tier": (
        {"add_ons": [{"number": 3}]},
        422,
        "invalid_input",
        "add_ons",
    ),
    "more add-ons than are left": (
        {"tier": {"number": 2}, "add_ons": [{"number": 3, "quantity": 4}]},
        409,
        "out_of_stock",
        "tier",
    ),
    "add-ons without a tier": (
        {"tier": None, "add_ons": [{"number": 4}]},
        422,
        "invalid_input",
        "add_ons",
    ),
    "not sent there": ({"zone": "US"}, 422, "invalid_input", "zone"),
    "sent nowhere": ({"zone": None}, 422, "invalid_input", "zone"),
    "a gift of nothing": ({"tier": None, "zone": None}, 422, "below_price", "amount"),
    "a way to pay it does not take": ({"method": "bank"}, 422, "invalid_input", "method"),
}


@pytest.fixture(scope="module")
def shared() -> dict[str, Fund]:
    """The campaign that all wrong pledges are made to."""
    return {}


async def offer(house: House, shared: dict[str, Fund]) -> Fund:
    if not shared:
        shared["fund"] = await Fund.live(house, **OFFER)
    return shared["fund"]


@pytest.mark.parametrize("name", WRONG)
async def test_a_wrong_choice(house: House, shared: dict[str, Fund], name: str) -> None:
    fund = await offer(house, shared)
    changes, status, code, field = WRONG[name]
    body = {"tier": {"number": 1}, "zone": "CN", "method": "card", **changes}
    if isinstance(body.get("amount"), int):
        body["amount"] = money(body["amount"])
    [backer] = people(1)[1]
    before = traces(fund)
    answer = await house.call("POST", f"/v1/campaigns/{fund.id}/pledges", by=backer, json=body)
    problem = await refused(answer, status, code, field)
    assert problem["detail"]
    assert traces(fund) == before


async def test_nothing_was_left_behind(house: House, shared: dict[str, Fund]) -> None:
    fund = await offer(house, shared)
    assert fund.states() == []
    await wound_up(fund)


async def test_what_is_priced(house: House) -> None:
    fund = await Fund.live(house, **OFFER)
    [name] = people(1)[1]
    made = await fund.pledge(
        name,
        tier=1,
        quantity=2,
        add_ons=[{"number": 4, "quantity": 3}],
        zone="EU",
        amount=money(2 * PRICE + 300 + 18_000 + 11),
    )
    assert (made["shipping"]["amount"], made["selection"]["extra"]["amount"]) == (18_000, 11)
    assert taken(fund) == 2
    await wound_up(fund)


async def test_by_the_creator_their_kin_and_the_frozen(house: House) -> None:
    fund = await Fund.live(house)
    twin, shares_bank, frozen = people(3)[1]
    await same_person(house, fund.creator, twin)
    await same_bank(house, fund.creator, shares_bank)
    before = traces(fund)
    for who in (fund.creator, twin, shares_bank):
        problem = await refused(await fund.try_pledge(who), 403, "self_dealing")
        assert fund.creator not in str(problem)
    user = (await house.get("/v1/me", by=frozen))["id"]
    await house.post(f"/v1/users/{user}/freeze", {"reason": "case 9"}, by=ADMIN)
    await refused(await fund.try_pledge(frozen), 403, "account_frozen")
    assert traces(fund) == before
    refusals = await house.get("/v1/self-dealing-refusals", by=ADMIN, path_id=fund.id)
    assert {each["tie"] for each in refusals["items"]} == {
        "same_person",
        "same_identity",
        "same_destination",
    }
    await house.post(f"/v1/users/{user}/unfreeze", {"reason": "case 9"}, by=ADMIN)
    assert (await fund.try_pledge(frozen)).status_code == 201
    await wound_up(fund)


async def test_one_person_begins_only_a_few_at_a_time(house: House) -> None:
    """Also when all of them come at the same moment; whoever pays or steps back may begin the next one."""
    fund = await Fund.live(house, tiers=[tier(seats=20)])
    greedy, other = people(2)[1]
    answers = await asyncio.gather(*(fund.try_pledge(greedy, method="wallet") for _ in range(9)))
    made = [each.json() for each in answers if each.status_code == 201]
    assert (len(made), taken(fund)) == (5, 5)
    before = traces(fund)
    for answer in [each for each in answers if each.status_code != 201]:
        problem = await refused(answer, 409, "limit_reached", "campaign_id")
        assert problem["accepted"].startswith("at most 5 at a time")
    await fund.pledge(other, method="wallet")
    await fund.press(made[0])
    fund.pledges[greedy] = made[0]
    await stands(fund, greedy, "funded")
    fund.pledges[greedy] = made[1]
    await act(fund, greedy, "cancel")
    for status in (201, 201, 409):
        assert (await fund.try_pledge(greedy)).status_code == status
    assert (taken(fund), len(traces(fund)[0]) - len(before[0])) == (7, 3)
    await sound(fund)
    await wound_up(fund)


async def test_after_the_deadline_and_in_other_phases(house: House) -> None:
    drafted = await Fund.drafted(house)
    [name] = people(1)[1]
    await refused(await drafted.try_pledge(name), 404, "not_found")
    fund = await Fund.live(house)
    await backed(fund, name)
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb("
        "now() - interval '1 ms')) WHERE id = %s",
        fund.id,
    )
    before = traces(fund)
    await refused(await fund.try_pledge(people(1)[1][0]), 409, "too_late", "pledging")
    await refused(await try_act(fund, name, "cancel"), 409, "too_late", "pledging")
    change = await try_act(fund, name, "change", tier={"number": 1}, extra=money(1))
    await refused(change, 409, "too_late", "pledging")
    assert traces(fund) == before
    await wound_up(fund)
    before = traces(fund)
    await refused(await fund.try_pledge(people(1)[1][0]), 409, "wrong_phase", "phase")
    for verb in ("cancel", "change"):
        await refused(await try_act(fund, name, verb), 409, "wrong_phase", "phase")
    for verb in ("mend", "retry"):
        await refused(await try_act(fund, name, verb), 409, "wrong_phase", "state")
    assert traces(fund) == before
    nobody = await house.http.post(
        f"/v1/campaigns/{fund.id}/pledges",
        json={"tier": {"number": 1}},
        headers={"Idempotency-Key": uuid.uuid4().hex},
    )
    await refused(nobody, 401, "unauthenticated", "Authorization")
    missing = await house.call(
        "POST", "/v1/campaigns/cmp_01h45ytscbebyvny4gc8cr8ma2/pledges", by=name, json={}
    )
    await refused(missing, 404, "not_found")


async def test_late_pledges_are_paid_at_once(house: House) -> None:
    """Of a campaign that has succeeded and still takes some, the seats of dropped pledges too."""
    closed = await Fund.successful(house)
    refusal = await closed.try_pledge(people(1)[1][0], method="wallet")
    await refused(refusal, 409, "wrong_phase", "phase")
    offer = [tier(seats=4), tier("Two")]
    fund = await Fund.successful(house, late_pledges=True, tiers=offer)
    early = await fund.now()
    by_card, by_wallet, by_bank, too_late = people(4)[1]
    await refused(await fund.try_pledge(by_bank, method="bank"), 422, "invalid_input", "method")
    for name, method in ((by_card, "card"), (by_wallet, "wallet")):
        made = await fund.pledge(name, method=method)
        assert (made["late"], made["to_do"]["action"]) == (True, "pay")
        await fund.press(made)
        found = await stands(fund, name, "collected")
        assert (found["reward"], found["paid"]["amount"]) == ("owed", PRICE)
    assert taken(fund) == 4
    await refused(
        await fund.try_pledge(people(1)[1][0], method="card"), 409, "out_of_stock", "tier"
    )
    now = await fund.now()
    assert now["totals"]["paid"]["amount"] == early["totals"]["paid"]["amount"] + 2 * PRICE
    # Who has only begun one is no backer yet.
    await fund.pledge(too_late, tier=2, method="wallet")
    await refused(await fund.try_to("refund-vote", too_late), 403, "forbidden")
    await refused(await try_act(fund, too_late, "received"), 409, "wrong_phase", "reward")
    # Late pledges are for what is still to be delivered, by a creator who is not late.
    house.sql(
        "UPDATE campaign_items SET deliver_on = current_date - 1"
        " WHERE campaign_id = %s AND number = 2",
        fund.id,
    )
    before = traces(fund)
    answer = await fund.try_pledge(too_late, tier=2, method="wallet")
    await refused(answer, 409, "too_late", "tier")
    house.sql("UPDATE campaigns SET deliver_by = current_date - 1 WHERE id = %s", fund.id)
    for tier_, gift in ((1, {}), (None, {"extra": 5})):
        answer = await fund.try_pledge(too_late, tier=tier_, method="wallet", **gift)
        await refused(answer, 409, "too_late", "deliver_by")
    assert traces(fund) == before
    await sound(fund)
