"""Campaigns, as the API shows them, and the words of those who judge them."""

from __future__ import annotations

from datetime import date
from typing import Self

from pydantic import Field

from api.schemas.base import Body, MoneyView, Page, Utc, View
from api.schemas.campaign_drafts import QuestionIn
from api.schemas.tenders import Reason
from db.admission import due_of
from db.queries.campaigns import CampaignRows, RunRows, StatsRows, Totals
from db.tables import Campaign, CampaignItem, CampaignTranche, Path, User
from domain.campaign import (
    CampaignTerms,
    Funding,
    Kind,
    Phase,
    Result,
    ShortRule,
    Tranche,
    TrancheState,
    Trigger,
)
from domain.campaign_deadlines import PLEDGING
from domain.campaign_messages import Progress, RunGoal
from domain.ids import UserId
from domain.pledge import ItemKind, Method


class ReasonIn(Body):
    """Why."""

    note: Reason = Field(examples=["Please show a picture of a finished lamp"])


class ItemView(View):
    """A reward tier or an add-on."""

    number: int
    title: str
    description: str
    price: MoneyView
    seats: int | None
    seats_left: int | None = Field(description="How many can still be had; null without a limit.")
    each_most: int
    shipping: dict[str, int] = Field(description="Zone -> cost of one piece, minor units.")
    deliver_on: date | None
    for_tiers: list[int]
    on_sale: bool

    @classmethod
    def of(cls, row: CampaignItem, currency: str) -> Self:
        """The view of an item's row."""
        return cls(
            number=row.number,
            title=row.title,
            description=row.description,
            price=MoneyView.of(row.price, currency),
            seats=row.seats,
            seats_left=None if row.seats is None else row.seats - row.taken,
            each_most=row.each_most,
            shipping=row.shipping,
            deliver_on=row.deliver_on,
            for_tiers=row.for_tiers,
            on_sale=row.on_sale,
        )


class TrancheView(View):
    """A part of the money."""

    number: int
    title: str
    trigger: Trigger
    basis_points: int
    state: TrancheState
    reached: int = Field(description="How much of it may be released, in basis points.")
    claimed: int = Field(description="What the creator reports as reached, being looked at.")

    @classmethod
    def of(cls, row: CampaignTranche) -> Self:
        """The view of a tranche's row."""
        return cls(
            number=row.number,
            title=row.title,
            trigger=Trigger(row.trigger),
            basis_points=row.basis_points,
            state=TrancheState(row.state),
            reached=row.reached,
            claimed=row.claimed,
        )

    @classmethod
    def planned(cls, number: int, part: Tranche) -> Self:
        """The view of a part before the campaign has succeeded."""
        return cls(
            number=number, **part.model_dump(), state=TrancheState.PLANNED, reached=0, claimed=0
        )


class TotalsView(View):
    """What stands, all read at one moment, so that it adds up with the ledger."""

    pledges: int = Field(description="How many stand: saved, paid or being charged.")
    pledged: MoneyView
    matched: MoneyView = Field(description="What match calls add, or have added.")
    percent: int = Field(description="Pledged and matched, in percent of the goal.")
    paid: MoneyView = Field(description="What backers have paid and not got back.")
    refunded: MoneyView = Field(description="What has been sent back, or is on its way.")
    released: MoneyView = Field(description="To the creator, commission included.")
    in_escrow: MoneyView = Field(description="What the campaign's escrow holds now.")

    @classmethod
    def of(cls, terms: CampaignTerms, totals: Totals, released: int) -> Self:
        """The view of a campaign's totals."""

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, terms.currency)

        return cls(
            pledges=totals.pledges,
            pledged=money(totals.pledged),
            matched=money(totals.matched),
            percent=(totals.pledged + totals.matched) * 100 // terms.goal,
            paid=money(totals.paid),
            refunded=money(totals.refunded),
            released=money(released),
            in_escrow=money(totals.in_escrow),
        )


class RunView(View):
    """How far it is with what is being done with every pledge. Counts are pledges."""

    goal: RunGoal
    done: int
    failed: int = Field(description="Failed charges, or refunds the provider refused.")
    left: int
    seconds_left: int = Field(description="An estimate, from the provider's limit alone.")

    @classmethod
    def of(cls, run: RunRows, per_second: int) -> Self:
        """The view of a run that is counted in rows."""
        progress = Progress(done=run.done, failed=run.failed, left=run.left, per_second=per_second)
        return cls(
            goal=run.goal,
            done=run.done,
            failed=run.failed,
            left=run.left,
            seconds_left=progress.seconds_left,
        )


class CampaignCard(View):
    """A campaign in a list."""

    id: str = Field(examples=["cmp_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    creator_id: str
    title: str
    kind: Kind
    funding: Funding
    goal: MoneyView
    pledged: MoneyView
    pledges: int
    starts_at: Utc | None
    launched_at: Utc | None
    pledging_closes_at: Utc | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def card(cls, row: Campaign, path: Path, totals: Totals) -> CampaignCard:
        """The view of a campaign in a list."""
        terms = CampaignTerms.model_validate(row.terms)
        return CampaignCard(**_card(terms, row, path, totals))


def _card(terms: CampaignTerms, row: Campaign, path: Path, totals: Totals) -> dict[str, object]:
    """What lists and pages show of a campaign."""
    return {
        "id": path.id,
        "phase": Phase(path.phase),
        "creator_id": terms.creator_id,
        "title": terms.title,
        "kind": terms.kind,
        "funding": terms.funding,
        "goal": MoneyView.of(terms.goal, terms.currency),
        "pledged": MoneyView.of(totals.pledged, terms.currency),
        "pledges": totals.pledges,
        "starts_at": terms.starts_at,
        "launched_at": row.launched_at,
        "pledging_closes_at": due_of(path, PLEDGING),
        "opened_at": path.opened_at,
        "closed_at": path.closed_at,
    }


class RuleView(View):
    """What happens when less is collected than was pledged; fixed since the submission."""

    short_rule: ShortRule
    required: MoneyView = Field(description="What must be collected for the campaign to succeed.")
    text: str

    @classmethod
    def of(cls, terms: CampaignTerms) -> Self:
        """The rule in words."""
        required = MoneyView.of(terms.required, terms.currency)
        if terms.funding is Funding.FLEXIBLE:
            text = "Whatever is collected goes to the creator."
        elif terms.short_rule is ShortRule.PAY_ANYWAY:
            text = "If the goal is pledged, whatever is collected goes to the creator."
        else:
            text = (
                f"If the goal is pledged but less than {required.text} is collected, everybody "
                "gets everything back."
            )
        return cls(short_rule=terms.short_rule, required=required, text=text)


class CampaignView(CampaignCard):
    """A campaign with everything that everybody may know of it."""

    story: str
    file_ids: list[str]
    round: int
    optimum: MoneyView | None
    live_seconds: int
    round2_seconds: int | None
    seconds_left: int | None = Field(description="Until pledging closes.")
    methods: list[Method]
    rule: RuleView
    late_pledges: bool
    tiers: list[ItemView]
    add_ons: list[ItemView]
    survey: list[QuestionIn]
    tranches: list[TrancheView]
    totals: TotalsView
    run: RunView | None
    result: Result | None = Field(description="What was counted when it was decided.")
    fix_until: Utc | None = Field(description="Until when failed charges can be mended.")
    slow_until: Utc | None = Field(description="Until when transfers may come.")
    succeeded_at: Utc | None
    deliver_by: date | None
    rewards_locked_at: Utc | None
    ballot_id: str | None
    review_note: str | None = Field(description="What operators want mended; for the creator.")
    end_reason: str | None

    @classmethod
    def seen(cls, rows: CampaignRows, *, inside: bool, per_second: int) -> Self:
        """The view of a campaign; `inside` for its creator and operators."""
        row, path = rows.campaign, rows.path
        terms = CampaignTerms.model_validate(row.terms)
        currency = terms.currency
        items = {
            kind: [ItemView.of(each, currency) for each in rows.items if each.kind == kind]
            for kind in ItemKind
        }
        closes_at = due_of(path, PLEDGING)
        left = None if closes_at is None else (closes_at - rows.now).total_seconds()
        planned = [TrancheView.planned(n, each) for n, each in enumerate(terms.tranches, 1)]
        return cls(
            **_card(terms, row, path, rows.totals),
            story=terms.story,
            file_ids=list(terms.file_ids),
            round=row.round,
            optimum=MoneyView.of(terms.optimum, currency) if terms.optimum else None,
            live_seconds=terms.live_seconds,
            round2_seconds=terms.round2_seconds,
            seconds_left=None if left is None else max(0, int(left)),
            methods=list(terms.methods),
            rule=RuleView.of(terms),
            late_pledges=terms.late_pledges,
            tiers=items[ItemKind.TIER],
            add_ons=items[ItemKind.ADD_ON],
            survey=[QuestionIn(**each.model_dump()) for each in terms.survey],
            tranches=[TrancheView.of(each) for each in rows.tranches] or planned,
            totals=TotalsView.of(terms, rows.totals, row.released),
            run=RunView.of(rows.run, per_second) if rows.run else None,
            result=Result.model_validate(row.result) if row.result else None,
            fix_until=row.fix_until,
            slow_until=row.slow_until,
            succeeded_at=row.succeeded_at,
            deliver_by=row.deliver_by,
            rewards_locked_at=row.rewards_locked_at,
            ballot_id=row.ballot_id,
            review_note=row.review_note if inside else None,
            end_reason=row.end_reason,
        )


class HourView(View):
    """What came to stand in one hour, less what went."""

    hour: Utc
    pledges: int
    pledged: int = Field(description="Minor units.")


class TierStatView(View):
    """What stands of one tier; without a number: gifts."""

    number: int | None
    pledges: int
    pledged: int = Field(description="Minor units.")


class StatsView(View):
    """Pledges for plots."""

    currency: str
    hours: list[HourView]
    tiers: list[TierStatView]

    @classmethod
    def of(cls, rows: StatsRows) -> Self:
        """The view of a campaign's sums by hour and tier."""
        return cls(
            currency=rows.currency,
            hours=[
                HourView(hour=hour, pledges=pledges, pledged=amount)
                for hour, pledges, amount in rows.hours
            ],
            tiers=[
                TierStatView(number=tier or None, pledges=pledges, pledged=amount)
                for tier, pledges, amount in rows.tiers
            ],
        )


class BackerView(View):
    """Somebody who backs a campaign and has agreed to be named."""

    id: UserId
    display_name: str = Field(examples=["Lin Mei"])

    @classmethod
    def of(cls, user: User) -> Self:
        """The view of a backer."""
        return cls(id=user.id, display_name=user.display_name)


class BackersView(Page[BackerView]):
    """Who backs a campaign."""

    anonymous: int = Field(description="People besides them who do not want to be named.")
