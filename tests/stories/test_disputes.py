"""Disputes about a sale: who may open one, what each act and each silence brings, and that only what is disputed waits."""

from __future__ import annotations

import pytest

from tests.api.client import assert_problem
from tests.stories.chargebacks import balance, decided, disputed, opened
from tests.stories.comebacks import Back, completed, delivered
from tests.stories.deals import Deal, refused
from tests.stories.house import House
from tests.stories.operators import operator
from tests.stories.quarrels import DAY, Quarrel, talked
from tests.waiting import eventually

PRICE, SHARE = 20_000, 18_400


async def quarrel(house: House, deal: Deal, **body: object) -> Quarrel:
    """The buyer has talked and disputes."""
    await talked(house, deal.id, deal.buyer)
    return await Quarrel.opened(house, deal.id, deal.buyer, deal.seller, **body)


async def finish(deal: Deal) -> None:
    """The buyer confirms what is left, and the sale ends with all of its accounts at 0."""
    found = await deal.house.get(f"/v1/sales/{deal.id}", by=deal.buyer)
    if found["phase"] == "delivered":
        await deal.act("confirm", deal.buyer)
    await deal.closed()


async def test_ruled_seventy_to_thirty(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == 0
    await case.to_ruling()
    [ruling] = await case.deadlines()
    assert deal.promised(ruling) == [f"debit escrow:sale {PRICE}", f"credit refund_due:ref {PRICE}"]
    preview = f"/v1/disputes/{case.id}/preview"
    shown = await house.get(preview, by="admin", to_payer=7_000)
    assert deal.promised(shown) == [
        "debit escrow:sale 14000",
        "credit refund_due:ref 14000",
        "debit escrow:sale 6000",
        "credit payable:seller 5520",
        "credit fee:platform 480",
        "debit payable:seller 1000",
        "credit fee:platform 1000",
    ]
    mine = await house.get(preview, by=case.respondent, to_payer=7_000)
    assert {each["user_id"] for each in mine["who"]} == {deal.sale["seller_id"]}
    wrong = await house.call("GET", f"{preview}?to_payer=10001", by="admin")
    await refused(wrong, 422, "invalid_input", "to_payer")
    assert_problem(
        await house.call("GET", f"{preview}?to_payer=1", by="stranger"), 404, "not_found"
    )
    await case.ruled(7_000)
    [appeal] = await case.deadlines()
    assert (appeal["name"], deal.promised(appeal)[0]) == ("appeal", "debit escrow:sale 14000")
    assert await house.payable(deal.seller) == 0
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=14_000, outcome=7_000, fee=1_000)
    await deal.closed()
    # 30 % less commission, less the fee of the ruling that the seller has lost.
    assert await house.payable(deal.seller) == 6_000 - 480 - 1_000
    cases = await house.get("/v1/cases", by="admin", kind="dispute_ruling")
    assert case.id not in {each["subject"] for each in cases["items"]}


async def test_an_answer_that_never_comes_loses(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal, to_payer=5_000)
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=10_000, outcome=5_000)
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE // 2


@pytest.mark.parametrize(
    ("who", "back", "outcome"), [("respondent", 5_000, 2_500), ("claimant", 0, 0)]
)
async def test_either_side_gives_in(house: House, who: str, back: int, outcome: int) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal, to_payer=2_500)
    await case.act("concede", getattr(case, who))
    await case.ended("settled", back=back, outcome=outcome)
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE - back * 92 // 100


async def test_offers_are_made_rejected_and_taken(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await refused(
        await case.try_to("offer", case.respondent, to_payer=1), 409, "wrong_phase", "phase"
    )
    await case.act("answer", case.respondent, note="It was fine when it left")
    await refused(await case.try_to("take", case.claimant), 409, "wrong_phase", "phase")
    await case.act("offer", case.respondent, to_payer=1_000)
    assert_problem(await case.try_to("take", case.respondent), 403, "forbidden")
    await case.act("reject", case.claimant)
    await case.act("offer", case.claimant, to_payer=4_000)
    await case.act("offer", case.respondent, to_payer=3_000)
    names = [each["name"] for each in await case.deadlines()]
    assert names == ["reply", "mediation"]
    await case.act("take", case.claimant)
    await case.ended("settled", back=6_000, outcome=3_000)
    await finish(deal)
    assert await house.payable(deal.seller) == 14_000 * 92 // 100


async def test_silence_takes_an_offer(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.act("answer", case.respondent)
    await case.act("offer", case.respondent, to_payer=1)
    await case.let_pass(5 * DAY + 1)
    await case.ended("settled", back=2, outcome=1)
    await finish(deal)


async def test_ten_offers_are_enough(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.act("answer", case.respondent)
    for share in range(10):
        await case.act("offer", case.respondent, to_payer=share)
    answer = await case.try_to("offer", case.respondent, to_payer=1)
    await refused(answer, 409, "limit_reached")
    await case.act("withdraw", case.claimant)
    await case.ended("withdrawn", back=0, outcome=None)
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE


async def test_another_operator_rules_on_an_appeal(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.to_ruling()
    first = await case.ruled(10_000)
    await case.act("appeal", case.respondent, note="Look at the parcel's scans")
    assert_problem(await case.try_to("rule", first, to_payer=0, note="Again"), 403, "forbidden")
    await case.ruled(0, by=await operator(house))
    await case.ended("decided", back=0, outcome=0)
    await finish(deal)
    # The buyer has lost; who has no balance pays no fee.
    assert await house.payable(deal.seller) == SHARE


async def test_two_operators_rule_on_a_large_amount(house: House) -> None:
    deal = await delivered(house, price=200_000)
    case = await quarrel(house, deal)
    await case.to_ruling()
    first = await case.ruled(10_000)
    assert (await case.now())["phase"] == "proposed"
    again = await case.try_to("rule", first, to_payer=10_000, note="Once more")
    assert_problem(again, 403, "forbidden")
    second = await case.ruled(5_000)
    assert (await case.now())["phase"] == "proposed"
    assert_problem(await case.try_to("rule", second, to_payer=5_000, note="Yes"), 403, "forbidden")
    await case.ruled(5_000, by=first)
    await case.act("appeal", case.claimant)
    for judge in (first, second):
        answer = await case.try_to("rule", judge, to_payer=0, note="No")
        assert_problem(answer, 403, "forbidden")
    await case.ruled(6_000)
    await case.ended("decided", back=120_000, outcome=6_000)
    await finish(deal)
    # The sale was not complete yet: the seller had no balance to pay the fee of.
    assert await house.payable(deal.seller) == 80_000 * 92 // 100


@pytest.mark.parametrize(
    ("verb", "phase", "back", "outcome"),
    [
        ("concede", "settled", 0, 0),
        ("withdraw", "withdrawn", 0, None),
        ("", "decided", 200_000, 10_000),
    ],
)
async def test_a_ruling_nobody_has_confirmed(
    house: House, verb: str, phase: str, back: int, outcome: int | None
) -> None:
    deal = await delivered(house, price=200_000)
    case = await quarrel(house, deal)
    await case.to_ruling()
    await case.ruled(3_000)
    assert (await case.now())["phase"] == "proposed"
    if verb:
        await case.act(verb, case.claimant)
    else:
        await case.let_pass(57 * DAY + 1)
    await case.ended(phase, back=back, outcome=outcome)
    await finish(deal)


@pytest.mark.parametrize("answered", [False, True])
async def test_the_buyer_leaves_it_early(house: House, answered: bool) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    if answered:
        await case.act("answer", case.respondent)
        await case.act("concede", case.claimant)
        await case.ended("settled", back=0, outcome=0)
    else:
        await case.act("withdraw", case.claimant)
        await case.ended("withdrawn", back=0, outcome=None)
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE


async def test_an_appeal_nobody_rules_on_leaves_the_first_ruling(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.to_ruling()
    await case.ruled(5_000)
    await case.act("appeal", case.claimant)
    await case.let_pass(14 * DAY + 1)
    await case.ended("decided", back=10_000, outcome=5_000)
    await finish(deal)


async def test_without_a_ruling_the_buyer_gets_everything_back(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.act("answer", case.respondent)
    await case.let_pass(30 * DAY + 1)
    await case.until("ruling")
    await case.let_pass(30 * DAY + 1)
    await case.ended("decided", back=PRICE, outcome=10_000)
    await finish(deal)
    assert await house.payable(deal.seller) == 0


async def test_a_ruling_is_asked_for_after_a_while(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    await case.act("answer", case.respondent)
    await refused(await case.try_to("escalate", case.claimant), 409, "talk_first", "phase")
    await case.let_pass(3 * DAY + 1)
    await case.act("escalate", case.claimant)
    cases = await house.get("/v1/cases", by="admin", kind="dispute_ruling")
    assert case.id in {each["subject"] for each in cases["items"]}
    await case.act("withdraw", case.claimant)
    await case.ended("withdrawn", back=0, outcome=None)
    await finish(deal)


async def test_only_the_lines_that_are_disputed_wait(house: House) -> None:
    deal = await delivered(house)
    lines = house.sql("SELECT terms->'lines' FROM sales WHERE id = %s", deal.id)[0][0]
    assert len(lines) == 1
    case = await quarrel(house, deal, lines=[0])
    answer = await Quarrel.try_to_open(house, deal.id, deal.buyer, lines=[0])
    await refused(answer, 409, "wrong_phase", "about_id")
    await refused(await Back.try_to_open(deal), 422, "invalid_input", "lines[0].line")
    await case.act("concede", case.respondent)
    await case.ended("settled", back=PRICE, outcome=10_000)
    await finish(deal)


async def test_a_refused_return_goes_on_as_a_dispute(house: House) -> None:
    deal = await delivered(house, quantity=2, price=10_000)
    back = await Back.received(deal)
    await back.act("refuse", deal.seller)
    case = await Quarrel.opened(house, deal.id, deal.buyer, deal.seller, return_id=back.id)
    assert (await back.now())["phase"] == "disputed"
    assert (await case.now())["amount"]["amount"] == 10_000
    await deal.act("confirm", deal.buyer)
    assert await house.payable(deal.seller) == SHARE // 2
    await case.act("concede", case.respondent)
    await case.ended("settled", back=10_000, outcome=10_000)
    await deal.closed()
    assert not await house.runs_workflow(f"return-{back.id}")


async def test_a_seller_who_was_paid_owes_what_is_ruled(house: House) -> None:
    deal = await completed(house)
    destination = {"account": f"6222{deal.id[-12:]}", "holder": "Lin", "automatic": False}
    await house.post("/v1/payout-destinations", destination, by=deal.seller)
    await house.post("/v1/payouts", {}, by=deal.seller)
    case = await quarrel(house, deal)
    await case.act("concede", case.respondent)
    await case.ended("settled", back=PRICE, outcome=10_000)
    assert balance(house, "receivable", deal.sale["seller_id"]) == SHARE
    await deal.closed()


async def test_a_parcel_that_never_comes_is_disputed_and_lost(house: House) -> None:
    deal, _ = await Deal.shipped(house)
    case = await quarrel(house, deal)
    await deal.let_pass(10 * DAY + 1)
    await deal.until("refunded")
    await case.let_pass(5 * DAY + 1)
    await case.ended("decided", back=0, outcome=10_000)
    await deal.closed()


async def test_who_cannot_dispute_what_and_when(house: House) -> None:
    deal = await Deal.accepted(house)
    await talked(house, deal.id, deal.buyer)
    answer = await Quarrel.try_to_open(house, deal.id, deal.buyer)
    await refused(answer, 409, "wrong_phase", "phase")
    deal = await delivered(house)
    answer = await Quarrel.try_to_open(house, deal.id, deal.buyer)
    await refused(answer, 409, "talk_first")
    await talked(house, deal.id, deal.buyer, days=1)
    answer = await Quarrel.try_to_open(house, deal.id, deal.buyer)
    await refused(answer, 409, "talk_first")
    await talked(house, deal.id, deal.seller)
    assert_problem(await Quarrel.try_to_open(house, deal.id, deal.seller), 403, "forbidden")
    assert_problem(await Quarrel.try_to_open(house, deal.id, "stranger"), 404, "not_found")
    await talked(house, deal.id, deal.buyer)
    for body, field in (
        ({"to_payer": 10_001}, "to_payer"),
        ({"lines": [1]}, "lines"),
        ({"lines": [-1]}, "lines[0]"),
    ):
        answer = await house.call(
            "POST",
            f"/v1/paths/{deal.id}/disputes",
            by=deal.buyer,
            json={"words": "No", **body},
        )
        await refused(answer, 422, "invalid_input", field)
    house.sql(
        "UPDATE sales SET delivered_at = delivered_at - interval '100 days' WHERE id = %s", deal.id
    )
    answer = await Quarrel.try_to_open(house, deal.id, deal.buyer)
    await refused(answer, 409, "too_late")
    await finish(deal)
    assert await house.payable(deal.seller) == SHARE


async def test_who_cannot_act_on_a_dispute(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    assert_problem(await case.try_to("answer", case.claimant), 403, "forbidden")
    assert_problem(await case.try_to("answer", "stranger"), 404, "not_found")
    assert_problem(await case.try_to("withdraw", case.respondent), 403, "forbidden")
    body = {"to_payer": 0, "note": "Mine"}
    assert_problem(await case.try_to("rule", case.claimant, **body), 403, "forbidden")
    await refused(await case.try_to("rule", "admin", **body), 409, "wrong_phase", "phase")
    await case.to_ruling()
    answer = await case.try_to("rule", "admin", to_payer=10_001, note="Too much")
    await refused(answer, 422, "invalid_input", "to_payer")
    await case.act("concede", case.claimant)
    await case.ended("settled", back=0, outcome=0)
    await finish(deal)


async def test_evidence_is_taken_until_its_deadline(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    path = f"/v1/disputes/{case.id}/evidence"
    shown = await house.post(path, {"words": "It is blue"}, by=case.respondent)
    assert [each["words"] for each in shown["evidence"]] == ["It is blue"]
    body = {"body": "See the listing"}
    await house.post(f"/v1/paths/{case.id}/messages", body, by=case.claimant)
    assert_problem(
        await house.call("POST", path, by="stranger", json={"words": "I"}), 404, "not_found"
    )
    pack = f"/v1/disputes/{case.id}/pack"
    everything = (await house.get(pack, by="admin"))["pack"]
    assert [each["body"] for each in everything["messages"]] == ["This is not what we agreed on"]
    assert everything["paths"][0]["path_id"] == deal.id
    assert (await house.get(pack, by=case.claimant))["pack"]["messages"]
    assert_problem(await house.call("GET", pack, by="stranger"), 404, "not_found")
    await case.act("answer", case.respondent)
    house.sql(
        "UPDATE disputes SET course = jsonb_set(course, '{mediation_since}',"
        " to_jsonb(now() - interval '14 days')) WHERE id = %s",
        case.id,
    )
    answer = await house.call("POST", path, by=case.claimant, json={"words": "It is green"})
    await refused(answer, 409, "too_late")
    assert len((await case.now())["evidence"]) == 1
    await case.act("concede", case.claimant)
    answer = await house.call("POST", path, by=case.claimant, json={"words": "It is green"})
    await refused(answer, 409, "wrong_phase", "phase")
    await finish(deal)


async def test_a_dispute_waits_for_the_bank(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    dispute = await opened(house, deal.sale)
    await refused(await case.try_to("concede", case.respondent), 409, "wrong_phase", "phase")
    await case.let_pass(5 * DAY + 1)
    assert (await case.now())["phase"] == "open"
    await decided(house, dispute, won=True)
    await case.act("concede", case.respondent)
    await case.ended("settled", back=PRICE, outcome=10_000)
    await finish(deal)


async def test_what_the_bank_kept_is_not_divided_again(house: House) -> None:
    deal = await delivered(house)
    case = await quarrel(house, deal)
    dispute = await disputed(house, deal.sale, 15_000)
    await decided(house, dispute, won=False)
    await case.act("concede", case.respondent)
    await case.ended("settled", back=5_000, outcome=10_000)
    await finish(deal)


async def test_the_story_of_a_frozen_seller(house: House) -> None:
    """What is ruled back is taken from what is held for them."""
    deal = await completed(house)
    frozen = deal.sale["seller_id"]
    await house.post(f"/v1/users/{frozen}/freeze", {"reason": "A look"}, by="admin")
    await eventually(lambda: balance(house, "held", frozen) == SHARE)
    case = await quarrel(house, deal)
    await case.act("concede", case.respondent)
    await case.ended("settled", back=PRICE, outcome=10_000)
    assert balance(house, "held", frozen) == 0
    assert balance(house, "receivable", frozen) == 0
    await deal.closed()
