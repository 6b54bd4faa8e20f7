"""What the unit tests of campaigns share: accepted terms and a campaign that has succeeded."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any

from domain.campaign import CampaignTerms, Funding, Kind, Ledger, Rules, Tranche, Trigger
from domain.campaign_delivery import Delivery, parts_of
from domain.deadlines import Deadline
from domain.policy import CampaignPolicy, RefundPolicy

NOW = datetime(2027, 3, 1, 9, tzinfo=UTC)
DAY = timedelta(days=1)
FEE = 500
QUARTERS = ((Trigger.START, 4_000), (Trigger.FIRST_ARTICLE, 3_000), (Trigger.LOTS, 2_500))
TRANCHES = tuple(
    Tranche(title=trigger.value, trigger=trigger, basis_points=part)
    for trigger, part in (*QUARTERS, (Trigger.RESERVE, 500))
)


def terms(**changes: Any) -> CampaignTerms:
    """Terms that are accepted; `policy` are changes of the policy."""
    policy = CampaignPolicy(**changes.pop("policy", {}))
    return CampaignTerms(
        **{
            "campaign_id": "cmp",
            "creator_id": "creator",
            "title": "Lamps",
            "story": "Bamboo",
            "currency": "CNY",
            "kind": Kind.REWARD,
            "funding": Funding.ALL_OR_NOTHING,
            "goal": 10_000,
            "live_seconds": 86_400,
            "tranches": TRANCHES,
            "rules": Rules(
                policy=policy,
                refund_policy=RefundPolicy(),
                provider="sandbox",
                return_url="https://shop.example/",
            ),
            **changes,
        }
    )


def delivery(**changes: Any) -> Delivery:
    """A campaign of 10,000 that has succeeded now and owes three rewards."""
    return Delivery(
        **{
            "ledger": Ledger(taken_in=10_000),
            "parts": parts_of(terms()),
            "succeeded_at": NOW,
            "deliver_by": date(2027, 9, 1),
            "owed": 3,
            "owed_amount": 9_000,
            **changes,
        }
    )


def by_name(found: tuple[Deadline, ...]) -> dict[str, Deadline]:
    return {each.name: each for each in found}


def told(due: Deadline) -> list[str]:
    """What a timer would post."""
    return [f"{each.side} {each.account} {each.amount}" for each in due.postings]
