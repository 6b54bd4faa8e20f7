"""Choosing a bid, and everything that can come between the draft and the first paid milestone."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.house import House, Json
from tests.stories.jobs import (
    DAY,
    DEPOSIT,
    Job,
    listing_fee,
    paid_in,
    people,
    plan,
    released,
    sent_back,
)

FEE = 1_000
"""A tenth of the deposit."""
PAID = paid_in("deposit:buyer", DEPOSIT)
BACK = sent_back("deposit:buyer", DEPOSIT)
BACK_LESS_FEE = [*listing_fee(FEE), *sent_back("deposit:buyer", DEPOSIT - FEE)]


async def test_a_draft_is_its_buyers_until_it_is_funded(house: House) -> None:
    job = await Job.drafted(house)
    assert (job.tender["phase"], job.tender["payment"]) == ("draft", None)
    hidden = await house.call("GET", f"/v1/tenders/{job.id}", by="stranger")
    assert_problem(hidden, 404, "not_found")
    body = {
        "title": "Fifty lamps",
        "brief": "Paper only",
        "deposit": {"amount": 500, "currency": "JPY"},
        "cap": {"amount": 9_000, "currency": "JPY"},
        "weights": {"price": 60, "sample": 40},
    }
    path = f"/v1/tenders/{job.id}"
    changed = (await house.call("PUT", path, by=job.buyer, json=body)).json()
    assert (changed["title"], changed["cap"]["text"]) == ("Fifty lamps", "JPY 9,000")
    assert changed["bidding_seconds"] == 7 * DAY
    refused: list[tuple[Json, str, str]] = [
        ({"bidding_seconds": 86_399}, "invalid_input", "bidding_seconds"),
        ({"bidding_seconds": 30 * DAY + 1}, "invalid_input", "bidding_seconds"),
        ({"weights": {"price": 99}}, "shares_do_not_sum", "weights"),
        ({"cap": {"amount": 1, "currency": "CNY"}}, "currency_mismatch", "cap.currency"),
        ({"brief": ""}, "invalid_input", "brief"),
        ({"colour": "red"}, "invalid_input", "colour"),
        ({"file_ids": [_unknown_file(job)]}, "unknown_file", "file_ids[0]"),
    ]
    for change, code, field in refused:
        answer = await house.call("PUT", path, by=job.buyer, json={**body, **change})
        assert assert_problem(answer, 422, code)["field"] == field
    assert (await job.now())["title"] == "Fifty lamps"
    await job.act("fund", job.buyer)
    answer = await house.call("PUT", path, by=job.buyer, json=body)
    assert_problem(answer, 409, "wrong_phase")


def _unknown_file(job: Job) -> str:
    return job.id.replace("ten_", "fil_")


async def test_a_draft_that_is_given_up_moves_no_money(house: House) -> None:
    job = await Job.drafted(house)
    done = await job.act("cancel", job.buyer, note="Another time")
    assert (done["phase"], done["end_reason"]) == ("cancelled", "cancelled")
    assert job.postings() == []
    await house.assert_at_zero(job.tender)
    assert await job.timeline() == ["cancelled by initiator"]
    hidden = await house.call("GET", f"/v1/tenders/{job.id}", by="stranger")
    assert_problem(hidden, 404, "not_found")
    for verb in ("cancel", "fund"):
        assert_problem(await job.try_to(verb, job.buyer), 409, "wrong_phase")


async def test_a_deposit_that_is_not_paid_lets_the_tender_expire(house: House) -> None:
    job = await Job.funding(house, pay_by="bank_transfer")
    await job.leave_unpaid(job.tender["payment"], 3 * DAY + 1)
    await job.ended("expired")


async def test_called_off_before_it_is_paid(house: House) -> None:
    job = await Job.funding(house)
    assert_problem(await job.try_to("fund", job.buyer), 409, "wrong_phase")
    await job.act("cancel", job.buyer)
    await job.ended("cancelled")


async def test_called_off_while_nobody_has_bid(house: House) -> None:
    job = await Job.opened(house)
    await job.act("cancel", job.buyer)
    await job.ended("cancelled", PAID, BACK)


async def test_called_off_when_somebody_has_bid_costs_the_listing_fee(house: House) -> None:
    job = await Job.opened(house)
    await job.bid(people(1)[1][0], 30_000)
    await job.act("cancel", job.buyer)
    await job.ended("cancelled", PAID, BACK_LESS_FEE)


async def test_called_off_while_choosing_costs_the_same(house: House) -> None:
    job = await Job.selecting(house, 30_000)
    await job.act("cancel", job.buyer)
    await job.ended("cancelled", PAID, BACK_LESS_FEE)


async def test_nobody_chosen_in_four_days(house: House) -> None:
    job = await Job.selecting(house, 30_000)
    promised = await job.promised("selection")
    await job.let_pass(4 * DAY + 1)
    await job.ended("expired", PAID, BACK_LESS_FEE)
    assert [line.split(": ", 1)[1] for line in job.postings("release", "refund")] == promised


async def test_a_no_and_silence_pass_the_award_on_and_then_back_to_the_buyer(
    house: House,
) -> None:
    job = await Job.selecting(house, 30_000, 40_000, 50_000)
    first, second, third = job.makers
    await job.award(first, 30_000, reserves=[(second, (15_000, 25_000)), (third, (50_000,))])
    assert_problem(await job.try_to("accept-award", second), 403, "forbidden")
    found = await job.act("decline-award", first)
    assert (found["phase"], found["worker_id"]) == ("awarded", None)
    assert (await job.now())["worker_id"] == job.bids[second]["bidder_id"]
    await job.let_pass(2 * DAY + 1)
    await job.until_worker(third)
    assert job.outcomes() == ["declined", "lapsed", "offered"]
    await job.act("decline-award", third)
    await job.until("selecting")
    assert job.outcomes() == ["declined", "lapsed", "declined"]
    # Fresh time to choose, and the one who said no can be asked again.
    assert set(await job.deadlines()) == {"selection"}
    await job.award(second, 40_000)
    await job.act("accept-award", second)
    await job.pay_milestone(1)
    await job.done(1)
    await job.ended("completed", PAID, paid_in("escrow:tender", 40_000), released(40_000), BACK)
    record = await job.house.get(f"/v1/tenders/{job.id}/bids/{job.bids[second]['id']}", by=second)
    assert record["reliability"] == {"accepted": 1, "not_kept": 1}


async def test_whoever_steps_back_gives_way_and_money_that_comes_all_the_same_goes_back(
    house: House,
) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    first, second = job.makers
    await job.award(first, 30_000, reserves=[(second, (40_000,))])
    await job.act("accept-award", first)
    payment = await job.payment_of(1)
    await house.misbehave("payment", "late_capture", subject=payment["id"])
    await job.act("retract", first)
    await house.workflow(f"payment-{payment['id']}").result()
    await job.until_worker(second)
    assert (await job.now())["milestones"] == []
    assert job.outcomes() == ["retracted", "offered"]
    assert_problem(await job.try_to("retract", first), 403, "forbidden")
    await job.pay(payment)
    job.worker = second
    await job.act("accept-award", second)
    await job.pay_milestone(1)
    await job.done(1)
    await job.ended(
        "completed",
        PAID,
        paid_in("escrow:tender", 30_000),
        sent_back("escrow:tender", 30_000),
        paid_in("escrow:tender", 40_000),
        released(40_000),
        BACK,
    )


async def test_awards_that_cannot_be(house: House) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    other = await Job.selecting(house, 30_000)
    first, second = job.makers
    gone = await _withdrawn(house)
    good = job.award_body(first, 30_000)
    refused: list[tuple[Json, int, str, str]] = [
        ({"milestones": plan(29_999)}, 422, "shares_do_not_sum", "milestones"),
        ({"milestones": plan(15_000, 15_001)}, 422, "shares_do_not_sum", "milestones"),
        ({"milestones": []}, 422, "invalid_input", "milestones"),
        ({"milestones": plan(*[1] * 21)}, 422, "invalid_input", "milestones"),
        ({"milestones": plan(30_000, due_days=61)}, 422, "invalid_input", "milestones[0].due_days"),
        ({"bid_id": other.bids[other.makers[0]]["id"]}, 422, "unknown_bid", "bid_id"),
        ({"bid_id": gone.bids[gone.makers[0]]["id"]}, 422, "unknown_bid", "bid_id"),
        (
            {"reserves": [{"bid_id": job.bids[second]["id"], "milestones": plan(1)}]},
            422,
            "shares_do_not_sum",
            "reserves[0].milestones",
        ),
        (
            {"reserves": [{"bid_id": good["bid_id"], "milestones": plan(30_000)}]},
            422,
            "invalid_input",
            "reserves",
        ),
    ]
    for change, status, code, field in refused:
        answer = await job.try_to("award", job.buyer, **{**good, **change})
        assert assert_problem(answer, status, code)["field"] == field
    withdrawn = gone.award_body(gone.makers[0], 30_000)
    answer = await gone.try_to("award", gone.buyer, **withdrawn)
    assert_problem(answer, 422, "unknown_bid")
    for tender in (job, gone):
        assert (await tender.now())["phase"] == "selecting"
        assert tender.outcomes() == []


async def _withdrawn(house: House) -> Job:
    """A tender with one bid that was withdrawn and one that stands."""
    job = await Job.opened(house)
    _, (one, two) = people(2)
    await job.bid(one, 30_000)
    await job.on_bid(one, "withdraw", one)
    await job.bid(two, 30_000)
    await job.let_pass(DAY + 11)
    await job.until("selecting")
    return job


async def test_a_bidder_who_turns_out_to_be_the_buyer_is_not_awarded(house: House) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    twin, honest = job.makers
    account: Json = {"account": f"6222{job.id[-12:]}", "holder": "Lin", "automatic": False}
    body = job.award_body(honest, 40_000, reserves=[(twin, (30_000,))])
    await house.post("/v1/payout-destinations", account, by=job.buyer)
    await job.act("award", job.buyer, **body)
    # It comes out only now: the reserve is passed over.
    await house.post("/v1/payout-destinations", account, by=twin)
    assert (await job.act("decline-award", honest))["phase"] == "selecting"
    answer = await job.try_to("award", job.buyer, **job.award_body(twin, 30_000))
    assert_problem(answer, 403, "self_dealing")
    await job.let_pass(4 * DAY + 1)
    await job.ended("expired", PAID, BACK_LESS_FEE)


async def test_frozen_people_begin_nothing_but_what_runs_goes_on(house: House) -> None:
    job = await Job.selecting(house, 30_000, 40_000)
    worker, other = job.makers
    await job.award(worker, 30_000, reserves=[(other, (40_000,))])

    async def decide(who: str, what: str) -> None:
        me = await house.get("/v1/me", by=who)
        await house.post(f"/v1/users/{me['id']}/{what}", {"reason": "case 9"}, by="admin")

    await decide(other, "freeze")
    await decide(worker, "freeze")
    assert_problem(await job.try_to("accept-award", worker), 403, "account_frozen")
    fresh = await Job.opened(house)
    assert_problem(await fresh.try_bid(worker, 1), 403, "account_frozen")
    await decide(worker, "unfreeze")
    await job.act("accept-award", worker)
    await job.pay_milestone(1)
    await decide(worker, "freeze")
    await job.done(1)
    lines = [line.replace("payable:worker", "held:worker") for line in released(30_000)]
    await job.ended("completed", PAID, paid_in("escrow:tender", 30_000), lines, BACK)
    assert await house.payable(worker) == 0
