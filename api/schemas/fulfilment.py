"""What happens after a campaign has succeeded, as the API takes and shows it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.schemas.base import Body, Line, MoneyView, Name, Prose, Remark, Utc, View
from api.schemas.campaigns import TrancheView
from api.schemas.contests import Files
from api.schemas.pledges import AddressView, SelectionView
from api.schemas.sales import Code, Note, TrackingNumber
from db.queries.fulfilment import Progress
from db.reward_rows import Parcel, Shipped
from db.tables import CampaignTranche, CampaignUpdate, Pledge
from db.update_rows import News
from domain.campaign import LATE_PLEDGES, Phase, Report
from domain.campaign_delivery import end_of
from domain.ids import PledgeId
from domain.pledge import Address, PledgeState, RewardState, SurveyAnswers
from domain.rewards import LONGEST_ANSWER

Answer = Annotated[Remark, StringConstraints(max_length=LONGEST_ANSWER)]
Country = Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")]
PARCELS = 500
"""The most parcels in one request."""


class TrancheReportIn(Note):
    """What shows that a part of the work is done."""

    file_ids: Files = ()
    share: int = Field(
        default=10_000,
        ge=1,
        le=10_000,
        strict=True,
        description="Of lots: how much is accepted in all by now, in basis points.",
    )

    @property
    def report(self) -> Report:
        """The report as the domain has it."""
        return Report(note=self.note, file_ids=self.file_ids, share=self.share)


class AnswersIn(Body):
    """A backer's answers to the creator's questions."""

    answers: Mapping[Code, Answer] = Field(max_length=100, examples=[{"colour": "red"}])


class AddressIn(Body):
    """Where a reward is sent. Seen by the backer, the creator and operators only."""

    name: Name
    lines: tuple[Line, ...] = Field(min_length=1, max_length=6)
    postal_code: str = Field(default="", max_length=20, pattern=r"^[A-Za-z0-9 -]*$")
    country: Country = Field(examples=["CN"], description="ISO 3166-1 alpha-2.")
    phone: str = Field(default="", max_length=30, pattern=r"^[0-9+() -]*$")

    @property
    def address(self) -> Address:
        """The address as the domain has it."""
        return Address(**self.model_dump())


class ParcelIn(Body):
    """How the reward of a pledge was sent; without carrier it was handed over."""

    pledge_id: PledgeId
    carrier: Code | None = Field(default=None, examples=["sandbox"])
    tracking_number: TrackingNumber | None = Field(default=None, examples=["SF123456789"])


def _once(parcels: tuple[ParcelIn, ...]) -> tuple[ParcelIn, ...]:
    if len({each.pledge_id for each in parcels}) != len(parcels):
        raise PydanticCustomError(
            "repeated", "a pledge is named twice", {"accepted": "each pledge once"}
        )
    return parcels


class ShipmentsIn(Body):
    """Many parcels at once."""

    parcels: Annotated[tuple[ParcelIn, ...], AfterValidator(_once)] = Field(
        min_length=1, max_length=PARCELS
    )

    @property
    def wanted(self) -> list[Parcel]:
        """The parcels as the rows have them."""
        return [Parcel(**each.model_dump()) for each in self.parcels]


class RefusedParcelView(View):
    """A parcel that was not written down, and why."""

    pledge_id: str
    reason: str


class ShipmentsView(View):
    """What has become of the parcels."""

    shipped: int
    unchanged: int = Field(description="Written down before in the same way.")
    refused: list[RefusedParcelView]

    @classmethod
    def of(cls, done: Shipped) -> Self:
        """The view of what was written down."""
        return cls(
            shipped=done.shipped,
            unchanged=done.unchanged,
            refused=[RefusedParcelView(**each.model_dump()) for each in done.refused],
        )


_MAKING = LATE_PLEDGES | {Phase.COMPLETED}
"""Phases in which whoever makes a reward has to know where to send it."""


class RewardView(View):
    """A pledge's reward, and what of its money goes back if the campaign was stopped."""

    pledge_id: str
    backer_id: str
    state: str
    reward: RewardState
    selection: SelectionView
    answers: dict[str, str]
    address: AddressView | None
    carrier: str | None
    tracking_number: str | None
    shipped_at: Utc | None
    received_at: Utc | None
    goes_back: MoneyView = Field(description="What goes or has gone back to the backer.")
    shortfall: MoneyView | None = Field(
        description="Of a stopped campaign: what was paid and does not go back."
    )

    @classmethod
    def of(cls, row: Pledge, phase: str, *, own: bool) -> Self:
        """The view for the backer (`own`), or for the creator and operators, who see where to only while it is owed."""
        back = row.refunded + (row.to_refund or 0)
        stopped = phase == Phase.STOPPED
        told = own or (row.state == PledgeState.COLLECTED and phase in _MAKING)
        stored = Address.model_validate(row.address) if told and row.address else None
        survey = row.survey if told else None
        return cls(
            pledge_id=row.id,
            backer_id=row.backer_id,
            state=row.state,
            reward=RewardState(row.reward),
            selection=SelectionView.of(row.selection, row.currency),
            answers=dict(SurveyAnswers.model_validate(survey).answers) if survey else {},
            address=(
                AddressView(**stored.model_dump(exclude={"lines"}), lines=list(stored.lines))
                if stored
                else None
            ),
            carrier=row.carrier,
            tracking_number=row.tracking_number,
            shipped_at=row.shipped_at,
            received_at=row.received_at,
            goes_back=MoneyView.of(back, row.currency),
            shortfall=MoneyView.of(row.paid - back, row.currency) if stopped else None,
        )


class ReportedTrancheView(TrancheView):
    """A part of the money with what the creator has shown for it."""

    note: str
    file_ids: list[str]
    reported_at: Utc | None
    decided_at: Utc | None

    @classmethod
    def shown(cls, row: CampaignTranche) -> Self:
        """The view of a part's row."""
        report = Report.model_validate(row.report) if row.report else Report(note="")
        return cls(
            **TrancheView.of(row).model_dump(),
            note=report.note,
            file_ids=list(report.file_ids),
            reported_at=row.reported_at,
            decided_at=row.decided_at,
        )


class RewardCountsView(View):
    """Rewards, counted in pledges; shares in basis points of those that were shipped."""

    total: int
    owed: int
    locked: int
    shipped: int = Field(description="On their way.")
    received: int = Field(description="Silence counts as received.")
    missing: int
    received_share: int | None
    missing_share: int | None


class ShortfallView(View):
    """What the backers and match calls of a stopped campaign do not get back."""

    given_back: MoneyView
    shortfall: MoneyView
    rate: int = Field(description="What goes back, in basis points of what was taken in.")


class FulfilmentView(View):
    """How far a campaign is that has succeeded. For everybody."""

    campaign_id: str
    phase: str
    taken_in: MoneyView
    released: MoneyView
    disputed: MoneyView = Field(description="Taken back by banks, and not decided yet.")
    tranches: list[ReportedTrancheView]
    rewards: RewardCountsView
    deliver_by: date | None
    late: bool = Field(description="Whether rewards are owed after the promised day.")
    rewards_locked_at: Utc | None
    updated_backers_at: Utc | None
    vote_from: Utc | None = Field(
        description="From when on backers may ask for a vote on what is left, while rewards are owed."
    )
    ballot_id: str | None = Field(description="The vote that is under way.")
    shortfall: ShortfallView | None

    @classmethod
    def of(cls, found: Progress) -> Self:
        """The view of what was read."""
        row, currency, counts = found.campaign, found.path.currency, found.counts
        unshipped = counts.owed + counts.locked
        due = end_of(row.deliver_by) if row.deliver_by else None

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, currency)

        return cls(
            campaign_id=row.id,
            phase=found.path.phase,
            taken_in=money(row.taken_in),
            released=money(row.released),
            disputed=money(row.disputed),
            tranches=[ReportedTrancheView.shown(each) for each in found.tranches],
            rewards=_counted(found),
            deliver_by=row.deliver_by,
            late=bool(unshipped and due and found.now >= due),
            rewards_locked_at=row.rewards_locked_at,
            updated_backers_at=row.updated_backers_at,
            vote_from=found.vote_from if unshipped else None,
            ballot_id=row.ballot_id,
            shortfall=_shortfall(found),
        )


def _counted(found: Progress) -> RewardCountsView:
    counts = found.counts
    sent = counts.shipped + counts.received + counts.missing
    return RewardCountsView(
        total=counts.total,
        owed=counts.owed,
        locked=counts.locked,
        shipped=counts.shipped,
        received=counts.received,
        missing=counts.missing,
        received_share=counts.received * 10_000 // sent if sent else None,
        missing_share=counts.missing * 10_000 // sent if sent else None,
    )


def _shortfall(found: Progress) -> ShortfallView | None:
    row, currency = found.campaign, found.path.currency
    if found.path.phase != Phase.STOPPED:
        return None
    back = row.taken_in - row.released
    return ShortfallView(
        given_back=MoneyView.of(back, currency),
        shortfall=MoneyView.of(row.released, currency),
        rate=back * 10_000 // row.taken_in if row.taken_in else 10_000,
    )


class UpdateIn(Body):
    """News for the backers."""

    title: Line = Field(examples=["The first lamps are glued"])
    body: Prose = Field(min_length=1)
    for_backers: bool = Field(default=False, strict=True, description="Only backers may read it.")
    file_ids: Files = ()

    @property
    def news(self) -> News:
        """The news as the rows have it."""
        return News(**self.model_dump())


class UpdateView(View):
    """News of the creator."""

    number: int
    title: str
    body: str
    for_backers: bool
    file_ids: list[str]
    at: Utc

    @classmethod
    def of(cls, row: CampaignUpdate) -> Self:
        """The view of an update's row."""
        return cls(
            number=row.number,
            title=row.title,
            body=row.body,
            for_backers=row.for_backers,
            file_ids=list(row.file_ids),
            at=row.at,
        )
