"""The stories of contests, ballots, tenders, chargebacks and accounts whose histories are recorded."""

from __future__ import annotations

from tests.stories.chargebacks import decided, opened
from tests.stories.contests import Show
from tests.stories.house import DAY, House
from tests.stories.jobs import Job
from tests.stories.money import people
from tests.stories.test_contest_vote import decided as crowd_decided
from tests.stories.test_contest_vote import vote, voting
from workflows.names import account_workflow_id

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


async def frozen_account(house: House) -> Recorded:
    """Frozen by an operator."""
    somebody, _ = people()
    user_id = (await house.get("/v1/me", somebody))["id"]
    await house.post(f"/v1/users/{user_id}/freeze", {"reason": "Reported"}, by="admin")
    rows = house.sql("SELECT key FROM account_events WHERE user_id = %s", user_id)
    return {"account_frozen": account_workflow_id(str(rows[0][0]))}


STORIES = (
    awarded_contest,
    silent_contest,
    refunded_contest,
    charged_back_contest,
    done_tender,
    frozen_account,
)
