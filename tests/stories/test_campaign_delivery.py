"""Campaigns after their success: money in parts, rewards, late pledges, and how they are completed."""

from __future__ import annotations

from tests.stories.chargebacks import borne
from tests.stories.deliveries import (
    HOME,
    REVIEW,
    WAITING,
    creators,
    fulfilling,
    last_loss,
    lost,
    on_part,
    parcel_tier,
    parcels,
    progress,
    put,
    refunds,
    released,
    say,
    sent_home,
    ship,
    soon,
    until_collected,
    until_happened,
    uploaded,
)
from tests.stories.funds import ADMIN, DAY, PRICE, Fund, in_days, paid_in, people, tier
from tests.stories.house import House
from tests.waiting import eventually

COLOUR = {"key": "colour", "text": "Which colour?", "choices": ["red", "blue"]}


async def test_a_campaign_is_paid_in_parts_and_delivers(house: House) -> None:
    fund = await sent_home(house, "card", "wallet", tiers=[parcel_tier()], survey=[COLOUR])
    total = 2 * PRICE
    promised = await fund.promised("disbursal")
    await fund.let_pass(WAITING + 1)
    await fund.until("fulfilling")
    parts = [total * 4_000 // 10_000]
    assert fund.postings("release") == released(*parts)
    assert [line.removeprefix("release: ") for line in released(*parts)] == promised

    # The first article: shown, refused with a word, shown again, approved.
    found = await on_part(fund, 2, "report", note="The first lamp")
    assert found["tranches"][1]["state"] == "reported"
    await on_part(fund, 2, "refuse", note="Show it lit, please")
    assert (await progress(fund))["tranches"][1]["state"] == "planned"
    await on_part(fund, 2, "report", note="Lit")
    promised = await fund.promised("review")
    await on_part(fund, 2, "approve")
    parts.append(total * 7_000 // 10_000 - sum(parts))
    assert [line.removeprefix("release: ") for line in released(*parts)[3:]] == promised

    # Lots: a part of them by silence, the rest approved.
    await on_part(fund, 3, "report", share=4_000, note="Lot 1")
    await fund.let_pass(REVIEW + 1)
    await until_happened(fund, "tranche_lapsed")
    parts.append(total * 8_000 // 10_000 - sum(parts))
    assert fund.postings("release") == released(*parts)
    fewer = await fund.try_to("tranches/3/report", fund.creator, share=4_000, note="Again")
    assert fewer.status_code == 422
    assert fewer.json()["accepted"] == "4001 to 10000"
    await on_part(fund, 3, "report", note="All lots")
    await on_part(fund, 3, "approve")
    parts.append(total * 9_500 // 10_000 - sum(parts))

    one, two = fund.backers
    await put(fund, one, "survey", {"answers": {"colour": "red"}})
    for backer in (one, two):
        await put(fund, backer, "address", HOME)
    assert (await fund.act("lock-rewards", fund.creator))["rewards_locked_at"]
    lacking = await house.get(f"/v1/campaigns/{fund.id}/rewards", fund.creator, which="incomplete")
    assert [each["backer_id"] for each in lacking["items"]] == [fund.pledges[two]["backer_id"]]
    await put(fund, one, "address", HOME, status=409)
    await put(fund, two, "survey", {"answers": {"colour": "blue"}})
    await fund.act("lock-rewards", fund.creator)
    ready = await house.get(f"/v1/campaigns/{fund.id}/rewards", ADMIN, which="locked")
    assert [each["answers"]["colour"] for each in ready["items"]] == ["red", "blue"]
    assert [each["address"]["name"] for each in ready["items"]] == ["Lin", "Lin"]

    assert await ship(fund, one, two) == {"shipped": 2, "unchanged": 0, "refused": []}
    assert await ship(fund, one, two) == {"shipped": 0, "unchanged": 2, "refused": []}
    await say(fund, one, "received")
    await say(fund, two, "missing")
    counted = (await progress(fund))["rewards"]
    assert (counted["received_share"], counted["missing_share"]) == (5_000, 5_000)
    assert (await ship(fund, two))["shipped"] == 1
    house.sql(
        "UPDATE pledges SET shipped_at = shipped_at - interval '31 days' WHERE campaign_id = %s",
        fund.id,
    )
    assert (await progress(fund))["rewards"]["received"] == 2

    await fund.let_pass(180 * DAY)
    await fund.until("completed")
    parts.append(total - sum(parts))
    found = await fund.ended("completed", *[paid_in(PRICE)] * 2, released(*parts))
    assert [part["state"] for part in found["tranches"]] == ["released"] * 4
    assert creators(fund) == total - total * 500 // 10_000


async def test_a_donation_is_paid_after_the_waiting_time_and_is_over(house: House) -> None:
    fund = await Fund.live(house, kind="donation", goal=500)
    await fund.back("giver", tier=None, extra=501, method="wallet")
    await fund.close()
    await fund.until("successful")
    assert set(await fund.deadlines()) == {"disbursal"}
    await fund.let_pass(WAITING + 1)
    await fund.ended("completed", paid_in(501), released(501))


async def test_late_pledges_are_paid_weekly_as_far_as_parts_are_reached(house: House) -> None:
    tiers = [*soon(40), *soon(90, title="A second batch")]
    fund = await fulfilling(house, late_pledges=True, tiers=tiers)
    first = 2 * PRICE * 4_000 // 10_000
    [late] = await fund.backed_by("wallet")
    assert (await fund.pledge_of(late))["late"] is True
    await until_collected(fund, late)
    await fund.let_pass(7 * DAY)
    await until_happened(fund, "late_pledges_paid")
    more = 3 * PRICE * 4_000 // 10_000 - first
    assert fund.postings("release") == released(first, more)
    await fund.adds_up()
    # Shortly before the promised day somebody is promised a later one, and it passes.
    await fund.let_pass(18 * DAY)
    [later] = await fund.backed_by("wallet", tier=2)
    await until_collected(fund, later)
    long_stop = (await fund.deadlines())["long_stop"]["due_at"]
    await fund.let_pass(3 * DAY)

    async def put_off() -> bool:
        due = await fund.deadlines()
        assert due["delivery"]["due_at"][:10] == in_days(91)
        assert due["long_stop"]["due_at"] > long_stop
        return True

    await eventually(put_off)
    assert (await progress(fund))["deliver_by"] == in_days(90)
    assert "delivery_late by system" not in await fund.timeline()
    # That day passes: no more weekly looks, and everybody is told that it is late.
    await fund.let_pass(55 * DAY)
    assert "delivery_late by system" in await fund.timeline()
    assert "late_pledges" not in await fund.deadlines()
    assert (await progress(fund))["late"] is False
    await fund.adds_up()
    await ship(fund, *fund.backers)
    assert set(await fund.deadlines()) == {"reserve", "long_stop"}


async def test_what_nobody_shipped_goes_back_at_the_long_stop(house: House) -> None:
    fund = await fulfilling(house, "wallet", "wallet", "card", tiers=soon())
    [served, *others] = fund.backers
    await ship(fund, served)
    total, paid = 3 * PRICE, 3 * PRICE * 4_000 // 10_000
    promised = await fund.promised("long_stop")
    await fund.let_pass(400 * DAY)
    await fund.until("stopped")
    back = [(total - paid + 1) // 2, (total - paid) // 2]
    assert sum(back) <= 2 * PRICE
    assert promised == [
        f"debit escrow:campaign {sum(back)}",
        f"credit refund_due:ref {sum(back)}",
    ]
    await fund.until_closed()
    assert refunds(fund) == sorted(back)
    assert [(await fund.pledge_of(each))["refunded"]["amount"] for each in others] == back
    stopped = (await progress(fund))["shortfall"]
    assert stopped["given_back"]["amount"] == sum(back)
    assert stopped["shortfall"]["amount"] == paid
    timeline = await fund.timeline()
    assert [each for each in timeline if each.startswith("update_due")]
    assert timeline.count("delivery_late by system") == 1
    assert timeline.count("reserve_due by system") == 1
    await fund.at_zero()
    # What a bank takes back afterwards is the creator's, who keeps what was released.
    await lost(fund, others[0])
    rest = PRICE - back[0]
    fee = (paid * 500 + 5_000) // 10_000 - ((paid - rest) * 500 + 5_000) // 10_000
    assert last_loss(fund) == borne(rest, payable=rest - fee, fee=fee)
    await fund.at_zero()


async def test_at_the_long_stop_a_creator_who_has_delivered_gets_the_rest(house: House) -> None:
    fund = await fulfilling(
        house,
        tiers=soon(),
        tranches=[
            {"trigger": "start", "basis_points": 5_000},
            {"trigger": "first_article", "basis_points": 5_000},
        ],
    )
    await ship(fund, *fund.backers)
    assert set(await fund.deadlines()) == {"reserve", "long_stop"}
    await fund.let_pass(420 * DAY)
    await fund.ended("completed", *[paid_in(PRICE)] * 2, released(PRICE, PRICE))


async def test_it_is_completed_when_the_last_reward_is_shipped_after_its_time(
    house: House,
) -> None:
    """Everything is paid at the start; the end waits for rewards, and comes with the next look after the last parcel."""
    start = [{"trigger": "start", "basis_points": 10_000}]
    fund = await fulfilling(house, tiers=soon(90), tranches=start)
    await fund.let_pass(190 * DAY)
    assert "delivery_late by system" in await until_happened(fund, "reserve_due")
    assert set(await fund.deadlines()) == {"update", "long_stop"}
    await ship(fund, *fund.backers)
    assert set(await fund.deadlines()) == {"reserve", "long_stop"}
    await fund.let_pass(31 * DAY)
    await fund.ended("completed", *[paid_in(PRICE)] * 2, released(2 * PRICE))


async def test_rights_and_refusals(house: House) -> None:
    fund = await fulfilling(house, "wallet", "wallet", tiers=[tier(), tier(title="Two")])
    one, two = fund.backers
    for verb, by, status in (
        ("tranches/2/report", one, 403),
        ("tranches/2/approve", fund.creator, 403),
        ("tranches/2/approve", ADMIN, 409),
        ("tranches/1/report", fund.creator, 409),
        ("tranches/9/report", fund.creator, 422),
        ("lock-rewards", one, 403),
        ("refund-vote", fund.creator, 403),
        ("refund-vote", one, 409),
    ):
        answer = await fund.try_to(verb, by, note="please")
        assert answer.status_code == status, (verb, by, answer.text)
    stranger = await house.call(
        "POST", f"/v1/campaigns/{fund.id}/shipments", by=one, json={"parcels": parcels(fund, one)}
    )
    assert stranger.status_code == 403
    unknown = await fund.act(
        "shipments", fund.creator, parcels=[{"pledge_id": fund.id.replace("cmp", "plg")}]
    )
    assert unknown["refused"][0]["reason"] == "no such pledge of this campaign"
    await fund.act("lock-rewards", fund.creator)
    await put(fund, one, "address", HOME, status=409)
    await say(fund, one, "unlock-reward", by=fund.creator)
    await put(fund, one, "address", HOME)
    refused = await house.call("GET", f"/v1/campaigns/{fund.id}/rewards", by=two)
    assert refused.status_code == 403
    early = await house.call(
        "POST", f"/v1/pledges/{fund.pledges[two]['id']}/received", by=two, json={}
    )
    assert early.status_code == 409
    hidden = await house.call("GET", f"/v1/pledges/{fund.pledges[one]['id']}/reward", by=two)
    assert hidden.status_code == 404
    nobody = await house.http.get(f"/v1/campaigns/{fund.id.replace('cmp', 'plg')}/fulfilment")
    assert nobody.status_code == 422


async def test_a_creator_writes_to_the_backers(house: House) -> None:
    fund = await Fund.live(house, tiers=[tier(deliver_on=in_days(60))])
    [backer] = await fund.backed_by("wallet", tier=1, quantity=3)
    await eventually(lambda: fund.states() == ["funded"])
    picture = await uploaded(house, fund.creator)
    await fund.act("updates", fund.creator, title="Wood", body="Bought", file_ids=[picture])
    hidden = await uploaded(house, fund.creator)
    secret = await fund.act(
        "updates", fund.creator, title="Seams", body="How", for_backers=True, file_ids=[hidden]
    )
    assert secret["number"] == 2
    for shown, by, status in (
        (picture, "passer-by", 200),
        (hidden, backer, 200),
        (hidden, "passer-by", 404),
    ):
        answer = await house.call("GET", f"/v1/files/{shown}", by=by)
        assert answer.status_code == status, (by, answer.text)
    path = f"/v1/campaigns/{fund.id}/updates"

    async def read(by: str | None) -> list[str]:
        answer = await (house.call("GET", path, by=by) if by else house.http.get(path))
        assert answer.status_code == 200, answer.text
        return [each["title"] for each in answer.json()["items"]]

    # A saved card makes a backer; who has only begun to pledge is none.
    begun, saved = people(2)[1]
    page = await fund.pledge(begun)
    await fund.pledge(saved)
    await fund.press(fund.pledges[saved])
    await eventually(lambda: "saved" in fund.states())
    assert page["state"] == "initiated"
    for outside in (None, "passer-by", begun):
        assert await read(outside) == ["Wood"]
    for inside in (backer, saved, ADMIN, fund.creator):
        assert await read(inside) == ["Seams", "Wood"]
    unasked = await house.get("/v1/campaigns", by=begun, which="backed")
    assert unasked["items"] == []
    refused = await fund.try_to("updates", backer, title="No", body="No")
    assert refused.status_code == 403
    await fund.close()
    await fund.until("successful")
    # A month of silence: a reminder that everybody sees; then they write, and it is put off.
    await fund.let_pass(31 * DAY)
    assert (await fund.timeline()).count("update_due by system") == 1
