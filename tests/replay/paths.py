"""The stories of contests, ballots, tenders, production, chargebacks and accounts whose histories are recorded."""

from __future__ import annotations

from domain.campaign_messages import RunGoal
from tests.stories.chargebacks import chargeback_at, decided, disputed, opened
from tests.stories.comebacks import Back, delivered
from tests.stories.contests import Show
from tests.stories.deals import Deal
from tests.stories.funds import FINAL_CHARGES, FIX, Fund
from tests.stories.house import DAY, House, Json
from tests.stories.in_kind import DUE_DAYS, Aid, in_days
from tests.stories.jobs import Job
from tests.stories.lots import decided as inspected
from tests.stories.lots import inspection_of, nobody_inspects
from tests.stories.money import earned, people
from tests.stories.operators import act, executed_bulk, operator, proposed
from tests.stories.quarrels import Quarrel, talked
from tests.stories.test_campaign import decline
from tests.stories.test_contest_vote import decided as crowd_decided
from tests.stories.test_contest_vote import vote, voting
from tests.stories.test_match_call_spendings import ask, with_approvers
from tests.stories.workshop import MAKE, Workshop
from tests.waiting import eventually
from workflows.names import (
    account_workflow_id,
    bulk_workflow_id,
    command_workflow_id,
    dispute_workflow_id,
    pledge_run_workflow_id,
    pledge_workflow_id,
    return_workflow_id,
)
from workflows.upkeep import PledgeIntake

Recorded = dict[str, str]
"""Name of the history -> workflow id."""


async def awarded_contest(house: House) -> Recorded:
    """Extended, objected to, handed over in two deliveries, accepted by silence, taken back after the end."""
    show = await Show.with_entries(house, 2)
    await show.act("extend", amount=10_000)
    await show.pay()
    await show.let_pass(9 * DAY + 60)
    await show.until("choosing")
    copied, honest = show.creators
    await show.announce(copied, runners_up=(honest,))
    said = await house.post(
        f"{show.path}/objections",
        {"entry_id": show.entries[honest]["id"], "ground": "other", "words": "Only a report."},
        by="reporter",
    )
    assert said["status"] == "open"
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(copied)
    await show.act("request-revision", note="Bolder, please.")
    await show.hand_over(copied)
    await show.let_pass(7 * DAY)
    await show.ended("completed")
    first = show.story
    entry_id = show.entries[copied]["id"]
    await show.act("void-award", by="admin", entry_id=entry_id, reason="A copy")
    await show.until("hand_over")
    await show.hand_over(honest)
    await show.act("accept")
    await show.ended("completed")
    return {"contest_awarded": first, "contest_reopened": show.story}


async def silent_contest(house: House) -> Recorded:
    """The crowd decides for a silent owner; votes found void afterwards change nothing that is paid."""
    show, poll = await voting(house, 2)
    await vote(show, poll, "1", "1", "0")
    await crowd_decided(show, poll)
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    await show.hand_over(show.creators[1])
    await show.act("accept")
    await show.ended("completed")
    return {"contest_voted": show.story, "ballot_child": f"ballot-{poll.id}"}


async def refunded_contest(house: House) -> Recorded:
    """No entries."""
    show = await Show.opened(house)
    await show.entries_close()
    await show.ended("refunded")
    return {"contest_refunded": show.story}


async def charged_back_contest(house: House) -> Recorded:
    """The owner's bank takes the bounty back while the owner chooses."""
    show = await Show.choosing(house, 1)
    payment_id = show.id.replace("con_", "pay_", 1)
    dispute = await opened(house, {"id": show.id, "payment": {"id": payment_id}})
    await decided(house, dispute, won=False)
    await show.ended("charged_back")
    return {"contest_charged_back": show.story, "chargeback_lost": f"chargeback-{payment_id}"}


async def answered_chargebacks(house: House) -> Recorded:
    """One is answered by an operator before it is due, one at once by itself; both are decided."""
    _, seller = people()
    sale = await earned(house, seller)
    by_hand = await opened(house, sale, 5_000)
    chargeback = await chargeback_at(house, by_hand, "open")
    submission = await house.patiently(f"/v1/chargebacks/{chargeback}/submission", by="admin")
    submission.raise_for_status()
    by_itself = await disputed(house, sale, due_seconds=DAY)
    await chargeback_at(house, by_itself, "under_review")
    await decided(house, by_hand, won=True)
    await decided(house, by_itself, won=False)
    return {"chargeback_answered": f"chargeback-{sale['payment']['id']}"}


async def done_tender(house: House) -> Recorded:
    """Two milestones, the first after a change, the second by silence."""
    job = await Job.working(house, 60_000, 40_000)
    await job.shown(1)
    await job.on(1, "request-changes", job.buyer, note="The frame is not straight.")
    await job.done(1)
    await job.pay_milestone(2)
    await job.shown(2)
    await job.let_pass(14 * DAY + 1)
    await job.until("completed")
    return {"tender_done": f"tender-{job.id}"}


async def settled_match_call(house: House) -> Recorded:
    """Topped up; a spending approved, one refused, one lapsed after the end; long unsettled, then decided."""
    call, [lin, wu, he] = await with_approvers(house)
    campaign = await call.accepted()
    await call.topped_up(5_000)
    await call.pledge(campaign, 6_000)
    potter = call.somebody("potter")
    paid = await ask(call, call.sponsor, potter, 2_000)
    await call.act(f"spendings/{paid['id']}/approve", lin)
    await call.act(f"spendings/{paid['id']}/approve", wu)
    refused = await ask(call, wu, potter, 1_000)
    await call.act(f"spendings/{refused['id']}/refuse", he, note="Too dear")
    await ask(call, he, potter, 500)
    await call.let_pass(DAY + 11)
    await call.until("closed")
    await call.let_pass(180 * DAY)

    async def looked() -> bool:
        return "settlement_overdue by system" in await call.timeline()

    await eventually(looked)
    await call.succeed(campaign)
    await call.until("ended")
    return {"match_call_settled": call.story}


async def claimed_in_kind(house: House) -> Recorded:
    """The first borrower steps back; the second is late, sends it back and contests the claim."""
    aid = await Aid.matched(house, askers=2)
    await aid.act("call-off", aid.picked)
    await aid.pick(list(aid.asks)[1])
    await aid.pay_deposit()
    await aid.act("hand-over", aid.supporter, note="At the gate")
    await aid.let_pass((DUE_DAYS + 7) * DAY + 1)
    await aid.until("overdue")
    await aid.act("extend", aid.supporter, due_at=in_days(60))
    await aid.act("send-back", aid.picked)
    await aid.claim(4_000)
    await aid.act("answer-claim", aid.picked, agree=False, note="It was broken before.")
    await aid.act("rule", "admin", lender_amount=1_000, note="A part of it")
    await aid.until("returned")
    return {"in_kind_claimed": aid.story}


async def returned_goods(house: House) -> Recorded:
    """One return with a parcel that is scanned, an offer that silence takes; another that is exchanged."""
    deal = await delivered(house, quantity=2, price=10_000)
    back = await Back.received(deal)
    await back.act("offer", deal.seller, amount={"amount": 500})
    await back.let_pass(5 * DAY + 1)
    await back.ended("refunded", back=500)
    other = await Back.received(deal, remedy="exchange")
    await other.act("accept", deal.seller)
    await other.ship("exchange", by=deal.seller)
    await other.act("confirm", deal.buyer)
    await other.ended("exchanged")
    return {
        "return_offered": return_workflow_id(back.id),
        "return_exchanged": return_workflow_id(other.id),
    }


async def disputed_sale(house: House) -> Recorded:
    """A return that was refused, disputed, ruled on and appealed about; and a milestone that is divided by an offer."""
    deal = await delivered(house)
    back = await Back.received(deal)
    await back.act("refuse", deal.seller)
    case = await Quarrel.opened(house, deal.id, deal.buyer, deal.seller, return_id=back.id)
    await case.to_ruling()
    await case.ruled(7_000)
    await case.act("appeal", deal.seller)
    await case.let_pass(14 * DAY + 1)
    await case.until("decided")
    job = await Job.working(house, 30_000)
    await talked(house, job.id, job.worker, to_id=job.tender["buyer_id"])
    other = await Quarrel.opened(house, job.id, job.worker, job.buyer, milestone=1, to_payer=0)
    await other.act("answer", job.buyer)
    await other.act("offer", job.buyer, to_payer=5_000)
    await other.let_pass(5 * DAY + 1)
    await other.until("settled")
    return {
        "return_disputed": return_workflow_id(back.id),
        "dispute_appealed": dispute_workflow_id(case.id),
        "dispute_offered": dispute_workflow_id(other.id),
    }


async def stopped_campaign(house: House) -> Recorded:
    """Sent back and mended; one charge fails and is paid by hand; released in part; called off, with its story's runs."""
    fund = await Fund.submitted(house)
    await fund.act("send-back", "admin", note="Show a lamp")
    await fund.act("submit", fund.creator)
    await fund.act("approve", "admin")
    backer, _ = await fund.backed_by("card", "wallet")
    await decline(house, backer, fund, times=1)
    await fund.close()
    await fund.until("collecting")
    mended = await _errored(fund, backer)
    await fund.press(mended)
    await fund.until("successful")
    await fund.let_pass(14 * DAY)
    await fund.until("fulfilling")
    await fund.act("tranches/2/report", fund.creator, note="The first lamp is lit")
    await fund.act("tranches/2/approve", "admin")
    await fund.act("cancel", fund.creator, note="The kiln has burst")
    await fund.until("stopped")
    return {
        "campaign_stopped": f"campaign-{fund.id}",
        "pledge_mended": pledge_workflow_id(str(mended["id"])),
        "pledge_run_collect": pledge_run_workflow_id(fund.id, RunGoal.COLLECT, 1, 0),
    }


async def failed_campaign(house: House) -> Recorded:
    """Failed charges below the rule: reminded, dropped after a week as the last one, and all goes back."""
    fund = await Fund.live(house)
    backer, _ = await fund.backed_by("card", "wallet")
    await decline(house, backer, fund)
    await fund.close()
    await fund.until("collecting")
    dropped = pledge_workflow_id(str((await _errored(fund, backer))["id"]))
    # The campaign's clock is ahead of the pledge's by the time for pledges, which was skipped.
    await house.skipper.fast_forward(house.workflow(dropped), DAY + FIX + FINAL_CHARGES)
    await fund.until_closed()
    return {"campaign_failed": f"campaign-{fund.id}", "pledge_dropped": dropped}


async def taken_in_pledges(house: House) -> Recorded:
    """The intake of pledges, for its minute."""
    intake = await house.temporal.start_workflow(
        PledgeIntake.run,
        id="take-in-pledges-once",
        task_queue=house.settings.temporal_task_queue,
    )
    return {"pledge_intake": intake.id}


async def completed_production(house: House) -> Recorded:
    """One lot is mended, rejected in part and granted a part on appeal; of the other nobody inspects the goods."""
    shop = await Workshop.published(house, units=8, lot_most=4)
    mended = await shop.handed_in(4)
    first = inspection_of(mended)
    await inspected(mended, 1, rework=3)
    await mended.act("send-goods", made=3)
    await mended.supply("receive-goods")
    await inspected(mended, 1, rejected=2)
    await mended.until("decided")
    await mended.act("appeal", note="The handles hold 2 kg")
    await mended.act("rule", by="admin", accepted=1, note="One of them does")
    await mended.until("settled")
    other = await shop.handed_in(4)
    silent = inspection_of(other)
    await nobody_inspects(other, 5 * DAY + 1)
    await shop.until("completed")
    return {
        "production_completed": shop.story,
        "lot_settled": mended.story,
        "inspection_decided": first,
        "inspection_lapsed": silent,
    }


async def abandoned_lot(house: House) -> Recorded:
    """The maker says once that the work goes on, and then nothing more."""
    shop = await Workshop.published(house, units=4, lot_most=4)
    lot = await shop.making(4)
    await lot.act("report")
    await lot.let_pass(MAKE + 11 * DAY)
    await lot.until("abandoned")
    return {"lot_abandoned": lot.story}


async def _errored(fund: Fund, backer: str) -> Json:
    """The backer's pledge, once its charge has failed."""

    async def failed() -> Json | None:
        found = await fund.pledge_of(backer)
        return found if found["state"] == "errored" else None

    return await eventually(failed) or {}


async def frozen_account(house: House) -> Recorded:
    """Frozen by an operator."""
    somebody, _ = people()
    user_id = (await house.get("/v1/me", somebody))["id"]
    await house.post(f"/v1/users/{user_id}/freeze", {"reason": "Reported"}, by="admin")
    rows = house.sql("SELECT key FROM account_events WHERE user_id = %s", user_id)
    return {"account_frozen": account_workflow_id(str(rows[0][0]))}


async def verified_payee(house: House) -> Recorded:
    """Somebody whom the payment company is to verify."""
    somebody, _ = people()
    payee = await house.post("/v1/me/payee", by=somebody)
    return {"payee_looked_at": f"payee-{payee['id']}"}


async def commanded(house: House) -> Recorded:
    """A contest is called off by two operators, and parts of the price of two sales go back by one."""
    one, two = await operator(house), await operator(house)
    show = await Show.opened(house)
    order: Json = {"kind": "cancel_path", "path_id": show.id}
    command = await proposed(house, one, order)
    await act(house, "approve", command, two)
    await act(house, "execute", command, one)
    await show.until("cancelled")
    sales = [await Deal.paid(house) for _ in range(2)]
    ids = [each.id for each in sales]
    order = {"kind": "bulk", "each": {"kind": "refund_path", "amount": 10}, "path_ids": ids}
    bulk = await proposed(house, one, order)
    await act(house, "execute", bulk, one)
    await executed_bulk(house, bulk, one)
    return {
        "command_executed": command_workflow_id(command["id"]),
        "command_bulk": command_workflow_id(bulk["id"]),
        "bulk_done": bulk_workflow_id(bulk["id"]),
    }


STORIES = (
    awarded_contest,
    silent_contest,
    refunded_contest,
    charged_back_contest,
    answered_chargebacks,
    done_tender,
    completed_production,
    abandoned_lot,
    settled_match_call,
    claimed_in_kind,
    returned_goods,
    disputed_sale,
    stopped_campaign,
    failed_campaign,
    taken_in_pledges,
    frozen_account,
    verified_payee,
    commanded,
)
