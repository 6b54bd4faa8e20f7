"""Match calls, their projects and spendings, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.schemas.base import Body, Line, MoneyIn, MoneyView, Name, Prose, Remark, Utc, View
from api.schemas.contests import PathPaymentView, PayBy
from api.schemas.sales import ReturnUrl
from api.schemas.tenders import Files
from db.admission import due_of
from db.queries.match_calls import CallRows, Impact, ProjectRows, SpendingRows
from db.tables import MatchCall, MatchProject, Path
from domain.campaign import Kind as CampaignKind
from domain.ids import CampaignId, UserId
from domain.match_call import (
    DOUBLE,
    Budget,
    CallTerms,
    Eligibility,
    Mode,
    Offer,
    Phase,
    ProjectState,
    SpendingState,
    SponsorKind,
    shown,
)
from domain.match_call_deadlines import OPEN_UNTIL
from domain.money import MinorUnits

MAX_APPROVERS = 20
Reason = Annotated[Remark, StringConstraints(min_length=1)]


class OfferIn(Body):
    """By which rule pledges are matched; amounts in minor units of the budget's currency.

    Only pledges made after the campaign was accepted are matched. A fixed sum is for the campaign as a whole: earlier
    pledges count towards it.
    """

    mode: Mode = Mode.PER_PLEDGE
    factor_basis_points: int = Field(
        default=DOUBLE,
        ge=1,
        le=10 * DOUBLE,
        strict=True,
        description="Per pledge: 10,000 adds as much again.",
    )
    lump: MinorUnits | None = Field(default=None, description="The fixed sum for a campaign.")
    at_goal_basis_points: int | None = Field(
        default=None,
        ge=1,
        le=10 * DOUBLE,
        strict=True,
        description="The fixed sum is due once so much of the goal is pledged; 5,000 is half of it.",
    )
    at_backers: int | None = Field(
        default=None,
        ge=1,
        le=1_000_000,
        strict=True,
        description="… or once so many different people have pledged.",
    )
    per_pledge_cap: MinorUnits | None = None
    per_project_cap: MinorUnits | None = None
    per_person_cap: MinorUnits | None = Field(
        default=None, description="For all pledges of one backer, in all projects of the call."
    )

    @property
    def offer(self) -> Offer:
        """The rule as the domain has it."""
        return Offer(**self.model_dump(exclude={"lump"}), lump=self.lump or 0)


class EligibilityIn(Body):
    """Which campaigns may apply."""

    kinds: tuple[CampaignKind, ...] = Field(default=tuple(CampaignKind), max_length=10)
    largest_goal: MinorUnits | None = None
    words: Prose = Field(default="", examples=["Pottery villages of the province."])

    @property
    def eligibility(self) -> Eligibility:
        """The same as the domain has it."""
        return Eligibility(**self.model_dump())


class MatchCallIn(Body):
    """What a sponsor offers. The budget's currency is that of the campaigns it matches."""

    title: Line = Field(examples=["Kilns for one, kilns for all"])
    story: Prose = Field(min_length=1, examples=["For each yuan you give a kiln we give another."])
    file_ids: Files = ()
    sponsor_kind: SponsorKind
    sponsor_name: Name = Field(examples=["Craft Fund of the Province"])
    budget: MoneyIn
    offer: OfferIn = OfferIn()
    eligibility: EligibilityIn = EligibilityIn()
    accept_all: bool = Field(
        default=False, description="Whether every campaign that may apply is accepted at once."
    )
    open_seconds: int = Field(
        strict=True, description="How long projects and pledges are taken.", examples=[2_592_000]
    )
    approvers: tuple[UserId, ...] = Field(
        default=(), max_length=MAX_APPROVERS, description="Who decides on spendings."
    )
    approvals_needed: int = Field(default=0, ge=0, le=MAX_APPROVERS, strict=True)


class BudgetFundingIn(Body):
    """How the sponsor pays the budget."""

    pay_by: PayBy = PayBy.CARD
    return_url: ReturnUrl | None = Field(
        default=None, description="Where the payment pages lead afterwards."
    )


class TopUpIn(BudgetFundingIn):
    """More money for an open call."""

    amount: MoneyIn


class ApplicationIn(Body):
    """A campaign applies to a call."""

    campaign_id: CampaignId
    note: Prose = ""


class SpendingIn(Body):
    """Somebody is to be paid out of the budget."""

    payee_id: UserId
    amount: MoneyIn
    purpose: Reason = Field(examples=["Clay for the summer school"])
    file_ids: Files = ()


class BudgetView(View):
    """Where the budget is: paid = left + promised + used + spent + returned + lost."""

    paid: MoneyView
    left: MoneyView = Field(description="Promised to nobody.")
    reserved: MoneyView = Field(
        description="Promised to campaigns that are not decided, and asked for by spendings."
    )
    used: MoneyView = Field(description="With campaigns that have succeeded.")
    spent: MoneyView
    returned: MoneyView = Field(description="Back with the sponsor, or on its way.")
    lost: MoneyView = Field(description="Taken back by the sponsor's bank for good.")

    @classmethod
    def of(cls, budget: Budget, currency: str) -> Self:
        """The view of a call's sums."""
        amounts = {**budget.model_dump(), "left": budget.left}
        return cls(**{name: MoneyView.of(each, currency) for name, each in amounts.items()})


class MatchCallCard(View):
    """A match call in a list."""

    id: str = Field(examples=["mtc_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    status: str = Field(description="The phase; `exhausted` for an open call without money left.")
    title: str
    sponsor_id: str
    sponsor_kind: SponsorKind
    sponsor_name: str
    offer: Offer
    eligibility: Eligibility
    budget: BudgetView
    open_until: Utc | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, call: MatchCall, path: Path) -> Self:
        """The view of a call's row."""
        return cls(**_card(CallTerms.model_validate(call.terms), call, path))


def _card(terms: CallTerms, call: MatchCall, path: Path) -> dict[str, object]:
    """What lists and pages show of a call."""
    return {
        "id": path.id,
        "phase": Phase(path.phase),
        "status": shown(path.phase, call.budget),
        "title": terms.title,
        "sponsor_id": terms.sponsor_id,
        "sponsor_kind": terms.sponsor_kind,
        "sponsor_name": terms.sponsor_name,
        "offer": terms.offer,
        "eligibility": terms.eligibility,
        "budget": BudgetView.of(call.budget, terms.currency),
        "open_until": due_of(path, OPEN_UNTIL),
        "opened_at": path.opened_at,
        "closed_at": path.closed_at,
    }


class MatchCallView(MatchCallCard):
    """A match call."""

    story: str
    file_ids: list[str]
    planned_budget: MoneyView
    open_seconds: int
    accept_all: bool
    approvals_needed: int
    approvers: list[str]
    projects: int = Field(description="How many campaigns are accepted.")
    paused: bool = Field(description="Whether the sponsor's bank has the money for the moment.")
    payments: list[PathPaymentView] = Field(
        description="For the sponsor: the budget's payment, and a top-up that can be paid."
    )
    end_reason: str | None

    @classmethod
    def seen(cls, rows: CallRows, *, as_sponsor: bool) -> Self:
        """The view of a call for its sponsor, or for anybody."""
        terms = CallTerms.model_validate(rows.call.terms)
        return cls(
            **_card(terms, rows.call, rows.path),
            story=terms.story,
            file_ids=list(terms.file_ids),
            planned_budget=MoneyView.of(terms.budget, terms.currency),
            open_seconds=terms.open_seconds,
            accept_all=terms.accept_all,
            approvals_needed=terms.approvals_needed,
            approvers=list(terms.approvers),
            projects=rows.projects,
            paused=rows.path.paused_at is not None,
            payments=[PathPaymentView.of(each) for each in rows.payments] if as_sponsor else [],
            end_reason=rows.call.end_reason,
        )


class ProjectView(View):
    """A campaign that has applied to a call."""

    campaign_id: str
    title: str
    campaign_phase: str = Field(examples=["live"])
    creator_id: str
    state: ProjectState
    note: str
    applied_at: Utc
    answer_by: Utc = Field(description="Silence until then is a no.")
    answer_note: str
    reserved: MoneyView
    used: MoneyView
    given_back: MoneyView = Field(description="By the campaign, which was stopped after all.")

    @classmethod
    def of(cls, rows: ProjectRows, currency: str) -> Self:
        """The view of an application."""
        row: MatchProject = rows.project

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        return cls(
            campaign_id=row.campaign_id,
            title=rows.title,
            campaign_phase=rows.phase,
            creator_id=row.creator_id,
            state=rows.state,
            note=row.note,
            applied_at=row.applied_at,
            answer_by=row.answer_by,
            answer_note=row.answer_note,
            reserved=money(row.reserved),
            used=money(row.used),
            given_back=money(row.given_back),
        )


class ApprovalView(View):
    """One approver agrees."""

    approver_id: str
    at: Utc


class SpendingView(View):
    """A spending out of the budget."""

    id: str = Field(examples=["spd_01h45ytscbebyvny4gc8cr8ma2"])
    state: SpendingState
    asked_by: str
    payee_id: str
    amount: MoneyView
    purpose: str
    file_ids: list[str]
    approvals: list[ApprovalView]
    refused_by: str | None
    note: str = Field(description="Why it was refused.")
    asked_at: Utc
    ended_at: Utc | None

    @classmethod
    def of(cls, rows: SpendingRows, currency: str) -> Self:
        """The view of a spending's row."""
        row = rows.spending
        return cls(
            id=row.id,
            state=SpendingState(row.state),
            asked_by=row.asked_by,
            payee_id=row.payee_id,
            amount=MoneyView.of(row.amount, currency),
            purpose=row.purpose,
            file_ids=row.file_ids,
            approvals=[ApprovalView(approver_id=a.approver_id, at=a.at) for a in rows.approvals],
            refused_by=row.refused_by,
            note=row.note,
            asked_at=row.asked_at,
            ended_at=row.ended_at,
        )


class ImpactView(View):
    """What the call has done for one campaign."""

    project: ProjectView
    backers: int = Field(description="Different people whose pledges are matched.")
    pledges: int
    pledged: MoneyView = Field(description="What the matched pledges bring themselves.")
    campaign_pledged: MoneyView = Field(description="What all pledges of the campaign bring.")
    leverage_basis_points: int | None = Field(
        description="What all pledges bring for each unit of the call, in hundredths of a percent."
    )

    @classmethod
    def of(cls, impact: Impact, currency: str) -> Self:
        """The view of a report's line."""
        row = impact.rows.project
        given = row.reserved + row.used
        return cls(
            project=ProjectView.of(impact.rows, currency),
            backers=impact.backers,
            pledges=impact.pledges,
            pledged=MoneyView.of(impact.pledged, currency),
            campaign_pledged=MoneyView.of(impact.campaign_pledged, currency),
            leverage_basis_points=impact.campaign_pledged * 10_000 // given if given else None,
        )


class MatchReportView(View):
    """What has become of the budget. The sums are those of the lines, and of the ledger."""

    call_id: str
    status: str
    budget: BudgetView
    in_account: MoneyView = Field(
        description="What the ledger holds for the call: what is left and what is promised."
    )
    backers: int = Field(description="Of all lines; somebody who backs two campaigns counts twice.")
    pledges: int
    pledged: MoneyView
    given_back: MoneyView
    asked_for: MoneyView = Field(description="By spendings that are not decided.")
    projects: list[ImpactView]
    spendings: list[SpendingView]

    @classmethod
    def of(
        cls,
        rows: CallRows,
        impacts: list[Impact],
        spendings: list[SpendingRows],
        in_account: int,
    ) -> Self:
        """The report of a call."""
        currency = rows.path.currency

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        asked = sum(
            each.spending.amount for each in spendings if each.spending.state == SpendingState.ASKED
        )
        return cls(
            call_id=rows.path.id,
            status=shown(rows.path.phase, rows.call.budget),
            budget=BudgetView.of(rows.call.budget, currency),
            in_account=money(in_account),
            backers=sum(each.backers for each in impacts),
            pledges=sum(each.pledges for each in impacts),
            pledged=money(sum(each.pledged for each in impacts)),
            given_back=money(sum(each.rows.project.given_back for each in impacts)),
            asked_for=money(asked),
            projects=[ImpactView.of(each, currency) for each in impacts],
            spendings=[SpendingView.of(each, currency) for each in spendings],
        )
