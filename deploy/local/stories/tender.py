"""Tenders: sealed bids, one is awarded, and the work is paid milestone by milestone."""

from __future__ import annotations

from deploy.local.stories.stage import Anything, Id, Person, ShownMilestone, ShownTender, Stage


def two_milestones(stage: Stage) -> None:
    """Forty lamps: deposit, two sealed bids, an award in two milestones, each paid into escrow before it is worked on."""
    buyer, worker, other = stage.person("wu"), stage.person("shan"), stage.person("aoi")
    body = {
        "title": "四十盏竹灯 Forty bamboo lamps",
        "brief": "Bamboo and paper, 40 cm high, warm light.",
        "cap": {"amount": 400_000},
        "deposit": {"amount": 20_000},
        "bidding_seconds": 6 * stage.pace,
    }
    draft = buyer.post("/v1/tenders", ShownTender, body)
    funding = buyer.post(f"/v1/tenders/{draft.id}/fund", ShownTender)
    stage.pay(funding)
    tender = _until(stage, buyer, funding, "open")
    bid = _bid(tender, worker, 300_000, 30)
    _bid(tender, other, 360_000, 20)
    stage.say("wu pays a deposit; shan and aoi bid without seeing each other's price")
    _until(stage, buyer, tender, "selecting")
    milestones = [
        {"title": "Sample lamp", "amount": 100_000, "due_days": 14},
        {"title": "All lamps", "amount": 200_000, "due_days": 30},
    ]
    award = {"bid_id": bid, "milestones": milestones}
    buyer.post(f"/v1/tenders/{tender.id}/award", Anything, award)
    worker.post(f"/v1/tenders/{tender.id}/accept-award", Anything)
    stage.say("wu awards shan in two milestones, shan accepts")
    for number in (1, 2):
        _milestone(stage, buyer, worker, tender, number)
    _until(stage, buyer, tender, "completed")
    stage.ended.append(("The forty lamps", tender.id))
    stage.say("both milestones are released, and wu has the deposit back")


def _milestone(
    stage: Stage, buyer: Person, worker: Person, tender: ShownTender, number: int
) -> None:
    """Paid into escrow, shown, approved."""

    def stands_in(state: str) -> ShownMilestone:
        return stage.until(
            lambda: buyer.get(f"/v1/tenders/{tender.id}", ShownTender).milestones[number - 1],
            lambda seen: (
                seen.state == state
                and (state != "funding" or (seen.payment and seen.payment.checkout_url) is not None)
            ),
            f"milestone {number} becomes {state}",
        )

    stage.pay(stands_in("funding"))
    stands_in("funded")
    path = f"/v1/tenders/{tender.id}/milestones/{number}"
    shown = {"note": "See the picture.", "file_ids": [worker.upload_picture("olive", private=True)]}
    worker.post(f"{path}/submit", Anything, shown)
    buyer.post(f"{path}/approve", Anything)
    stage.say(f"milestone {number}: paid into escrow, shown by shan, approved by wu, released")


def _bid(tender: ShownTender, bidder: Person, price: int, lead_days: int) -> str:
    body = {"price": {"amount": price}, "lead_days": lead_days}
    return bidder.post(f"/v1/tenders/{tender.id}/bids", Id, body).id


def _until(stage: Stage, buyer: Person, tender: ShownTender, phase: str) -> ShownTender:
    return stage.until(
        lambda: buyer.get(f"/v1/tenders/{tender.id}", ShownTender),
        lambda seen: seen.phase == phase,
        f"{tender.id} becomes {phase}",
    )


STORIES = (("Tender: two milestones", two_milestones),)
