"""Lots of production orders, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.schemas.base import Body, Line, MoneyView, Page, Remark, Utc, View
from api.schemas.contests import PathPaymentView
from api.schemas.sales import Code, Note, ReturnUrl, TrackingNumber
from db.queries.lots import LotRows
from db.tables import MaterialMove
from domain.ids import FileId, UserId
from domain.lot import Course, HandIn, Parcel, Phase
from domain.materials import Movement, Place, balances
from domain.production import MOST_UNITS, Material, ProductionTerms

Units = Annotated[int, Field(ge=0, le=MOST_UNITS, strict=True)]
Reason = Annotated[Remark, StringConstraints(min_length=1)]
MAX_PICTURES = 20


class ClaimIn(Body):
    """Units that somebody takes on."""

    # Not Units: of two lower bounds pydantic keeps the first one written, which is 0.
    units: int = Field(ge=1, le=MOST_UNITS, strict=True, examples=[20])
    worker_id: UserId | None = Field(
        default=None,
        alias="for",
        description="The worker, when a broker claims for them; they have to have agreed.",
    )
    return_url: ReturnUrl | None = Field(
        default=None, description="Where the payment page of the deposit leads afterwards."
    )


class SampleIn(Note):
    """Pictures of the sample: its fee is paid for what can be looked at."""

    file_ids: Annotated[tuple[FileId, ...], Field(min_length=1, max_length=MAX_PICTURES)]


class ReasonIn(Body):
    """Why."""

    note: Reason = Field(examples=["The weave is too loose"])


class ContestIn(ReasonIn):
    """What is wrong with the materials, with pictures."""

    file_ids: Annotated[tuple[FileId, ...], Field(min_length=1, max_length=MAX_PICTURES)]


class KitRulingIn(ReasonIn):
    """Whether the materials are what was promised."""

    as_promised: bool


class ParcelIn(Note):
    """How something travels; without both it is handed over in person."""

    carrier: Code | None = Field(default=None, examples=["sandbox"])
    tracking_number: TrackingNumber | None = Field(default=None, examples=["SF123456789"])

    @property
    def parcel(self) -> Parcel:
        """The parcel as the domain has it."""
        return Parcel(carrier=self.carrier, tracking_number=self.tracking_number)


class GoodsIn(ParcelIn):
    """What the maker sends back, in units; what is not named is missing."""

    made: Units = Field(examples=[18])
    unused: Units = Field(default=0, description="Units whose materials come back as they were.")
    spoiled: Units = Field(default=0, description="Units whose materials were spoiled.")

    @property
    def hand_in(self) -> HandIn:
        """The same as the domain has it."""
        return HandIn(made=self.made, unused=self.unused, spoiled=self.spoiled)


class ExtensionIn(Note):
    """More time for the maker."""

    seconds: int = Field(ge=1, le=180 * 86_400, strict=True, examples=[604_800])


class RulingIn(ReasonIn):
    """How many of the rejected units are accepted after all."""

    accepted: Units = Field(examples=[3])
    returned: Units | None = Field(
        default=None,
        description="Of how many units the unused materials came back after all; needed when that is disputed.",
    )


class LotParcelView(View):
    """A kit or goods on their way."""

    carrier: str | None
    tracking_number: str | None

    @classmethod
    def of(cls, carrier: str | None, tracking_number: str | None) -> Self | None:
        """The view of a parcel; None when nothing travels under a number."""
        if tracking_number is None:
            return None
        return cls(carrier=carrier, tracking_number=tracking_number)


class HandInView(View):
    """What the maker said they sent last."""

    made: int
    unused: int
    spoiled: int


class CourseView(View):
    """What became of the units so far."""

    made: int
    unused: int
    spoiled: int
    accepted: int
    in_rework: int
    rejected: int
    absent: int = Field(description="Of the rejected ones: not in the parcel, says the inspector.")
    gone: int = Field(description="Of the rejected ones: never arrived, and not covered.")
    not_returned: int = Field(description="Of the unused ones: materials that did not come back.")
    unreturned: int = Field(description="Sent back to be mended, and never seen again.")
    lost: int
    undecided: int = Field(description="Handed in and not decided about.")
    rework_rounds: int
    kits_lost: int

    @classmethod
    def of(cls, course: Course) -> Self:
        """The view of a lot's course."""
        names = cls.model_fields
        return cls(**{name: getattr(course, name) for name in names})


class LotCard(View):
    """A lot in a list."""

    id: str = Field(examples=["lot_01h45ytscbebyvny4gc8cr8ma2"])
    order_id: str
    title: Line
    phase: Phase
    maker_id: str
    broker_id: str | None = Field(description="Who acts for the maker, with their consent.")
    units: int
    rate: MoneyView = Field(description="Wages of one accepted unit, before the commission.")
    due_at: Utc | None = Field(description="When the goods are to be sent.")
    claimed_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: LotRows) -> Self:
        """The view of a lot's rows."""
        return cls(**_card(rows, ProductionTerms.model_validate(rows.order.terms)))


def _card(rows: LotRows, terms: ProductionTerms) -> dict[str, object]:
    """What lists and pages show of a lot."""
    lot, path = rows.lot, rows.path
    return {
        "id": lot.id,
        "order_id": lot.order_id,
        "title": terms.title,
        "phase": Phase(path.phase),
        "maker_id": lot.maker_id,
        "broker_id": lot.broker_id,
        "units": lot.units,
        "rate": MoneyView.of(terms.rate, terms.currency),
        "due_at": Course.model_validate(lot.course).due_at,
        "claimed_at": lot.claimed_at,
        "closed_at": path.closed_at,
    }


class LotView(LotCard):
    """A lot, for its maker and broker, the requester, the inspector and operators."""

    course: CourseView
    deposit: MoneyView = Field(description="What the maker leaves for the materials of the lot.")
    deposit_held: MoneyView
    payment: PathPaymentView | None = Field(description="The deposit's payment, for the maker.")
    sample_file_ids: list[str]
    kit: LotParcelView | None
    goods: LotParcelView | None
    hand_in: HandInView | None
    heard_at: Utc = Field(description="When the maker was last heard of.")
    inspection_id: str | None = Field(description="The newest inspection.")
    ballot_id: str | None = Field(description="The jury that was asked.")
    end_reason: str | None

    @classmethod
    def seen(cls, rows: LotRows, *, as_maker: bool) -> Self:
        """The view of a lot; where to pay its deposit is for those who make it."""
        lot = rows.lot
        terms = ProductionTerms.model_validate(rows.order.terms)
        course = Course.model_validate(lot.course)
        deposit = lot.units * terms.deposit if terms.materials else 0
        return cls(
            **_card(rows, terms),
            course=CourseView.of(course),
            deposit=MoneyView.of(deposit, terms.currency),
            deposit_held=MoneyView.of(course.deposit_held, terms.currency),
            payment=PathPaymentView.of(rows.payment) if rows.payment and as_maker else None,
            sample_file_ids=lot.sample_file_ids,
            kit=LotParcelView.of(lot.kit_carrier, lot.kit_tracking),
            goods=LotParcelView.of(lot.goods_carrier, lot.goods_tracking),
            hand_in=HandInView(**lot.hand_in) if lot.hand_in else None,
            heard_at=lot.heard_at,
            inspection_id=lot.inspection_id,
            ballot_id=lot.ballot_id,
            end_reason=lot.end_reason,
        )


class MaterialMoveView(View):
    """Pieces of one material went from one place to another."""

    id: int
    material: int = Field(description="Its number in the bill of materials.")
    source: Place
    target: Place
    pieces: int
    at: Utc

    @classmethod
    def of(cls, row: MaterialMove) -> Self:
        """The view of a movement's row."""
        return cls(
            id=row.id,
            material=row.material,
            source=Place(row.source),
            target=Place(row.target),
            pieces=row.pieces,
            at=row.at,
        )


class HeldView(View):
    """How many pieces of one material are in one place."""

    material: int
    title: str
    place: Place
    pieces: int = Field(description="Below 0 for the store: so many have left it.")


class MaterialPage(Page[MaterialMoveView]):
    """Where the lot's materials are, and how they came there, oldest first."""

    held: list[HeldView]


def held(materials: tuple[Material, ...], movements: list[Movement]) -> list[HeldView]:
    """The places that hold anything, or owe it."""
    titles = {each.number: each.title for each in materials}
    return [
        HeldView(material=material, title=titles.get(material, ""), place=place, pieces=pieces)
        for (material, place), pieces in sorted(balances(movements).items())
        if pieces
    ]
