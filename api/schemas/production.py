"""Production orders, as the API takes and shows them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints

from api.schemas.base import Body, Line, MoneyIn, MoneyView, Prose, Remark, Utc, View, distinct
from api.schemas.contests import PathPaymentView, PayBy
from api.schemas.sales import ReturnUrl
from db.admission import due_of
from db.production_rows import terms_of, units_of
from db.queries.production import OrderRows
from domain.ids import FileId, UserId
from domain.money import MAX_AMOUNT, MinorUnits
from domain.production import (
    MOST_UNITS,
    Defect,
    DefectClass,
    Label,
    Material,
    Phase,
    ProductionTerms,
    Sampling,
    Standard,
    Tolerance,
)
from domain.production_deadlines import CLAIMS

Files = Annotated[tuple[FileId, ...], Field(max_length=20), AfterValidator(distinct)]
Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,31}$")]
Pieces = Annotated[int, Field(ge=1, le=10_000, strict=True)]
UnitCount = Annotated[int, Field(ge=1, le=MOST_UNITS, strict=True)]
AnyAmount = Annotated[int, Field(ge=0, le=MAX_AMOUNT, strict=True)]
"""Minor units, or nothing."""
Seconds = Annotated[int, Field(ge=1, le=10_000 * 86_400, strict=True)]
Level = Literal["I", "II", "III", "S-1", "S-2", "S-3", "S-4"]
Aql = Literal[
    "0.065", "0.10", "0.15", "0.25", "0.40", "0.65", "1.0", "1.5", "2.5", "4.0", "6.5", "10",
]  # fmt: skip
"""Acceptable quality limits in percent nonconforming (ISO 2859-1, table 2-A)."""
LimitingQuality = Literal[
    "0.50", "0.80", "1.25", "2.00", "3.15", "5.00", "8.00", "12.5", "20.0", "31.5"
]
"""Limiting qualities in percent nonconforming (ISO 2859-2, table A)."""


class DefectIn(Body):
    """A kind of defect that counts; what is not named cannot be held against a maker."""

    code: Code = Field(examples=["splinter"], description="Findings name it.")
    text: Line = Field(examples=["A splinter stands out"])
    severity: DefectClass
    file_ids: Files = Field(default=(), description="Pictures of it.")


class ToleranceIn(Body):
    """A measure that each piece has to keep."""

    name: Line = Field(examples=["height"])
    value: Line = Field(examples=["120 mm ± 2 mm"])


class SamplingIn(Body):
    """How goods are inspected: by acceptable quality limits (ISO 2859-1), or one limiting quality (ISO 2859-2)."""

    level: Level = "II"
    critical_aql: Aql | None = Field(default=None, description="None: not one is taken.")
    major_aql: Aql = "2.5"
    minor_aql: Aql = "4.0"
    limiting_quality: LimitingQuality | None = Field(
        default=None, description="Holds instead of the limits of major and minor defects."
    )
    reduced: bool = Field(
        default=False,
        description="Smaller samples for makers whose lots were good for long; for steady production.",
    )


class StandardIn(Body):
    """What counts as good: part of the contract, shown to makers before they claim."""

    text: Prose = Field(min_length=1, examples=["No splinters, the handle holds 2 kg"])
    good_file_ids: Files = ()
    bad_file_ids: Files = ()
    tolerances: list[ToleranceIn] = Field(default=[], max_length=50)
    defects: list[DefectIn] = Field(min_length=1, max_length=100)
    sampling: SamplingIn = SamplingIn()

    @property
    def standard(self) -> Standard:
        """The standard as the domain has it."""
        return Standard(
            text=self.text,
            good_file_ids=self.good_file_ids,
            bad_file_ids=self.bad_file_ids,
            tolerances=tuple(Tolerance(**each.model_dump()) for each in self.tolerances),
            defects=tuple(Defect(**each.model_dump()) for each in self.defects),
            sampling=Sampling(**self.sampling.model_dump()),
        )


class MaterialIn(Body):
    """One line of the bill of materials of one piece."""

    title: Line = Field(examples=["Bamboo strips, 4 mm"])
    pieces: Pieces = Field(description="How many of it make one piece.")
    cost: MinorUnits = Field(description="What one of it costs, minor units.")


class ProductionIn(Body):
    """What a requester wants made. The currency of `rate` is that of the order; other amounts are its minor units."""

    title: Line = Field(examples=["One hundred bamboo baskets"])
    process: Prose = Field(min_length=1, examples=["Split, weave, bind the rim"])
    file_ids: Files = Field(default=(), description="Pictures and video of it.")
    standard: StandardIn
    materials: list[MaterialIn] = Field(
        default=[], max_length=50, description="Of one unit; makers get them as a kit."
    )
    units: UnitCount
    lot_least: UnitCount = Field(default=1, description="How few units one lot may have.")
    lot_most: UnitCount | None = Field(default=None, description="How many; none: all of them.")
    lots_at_once: int = Field(default=3, ge=1, le=1_000, strict=True)
    rate: MoneyIn = Field(description="Wages of one accepted unit, before the commission.")
    deposit: AnyAmount = Field(
        default=0,
        description="What a maker leaves for the materials of one unit; at most what they cost.",
    )
    sample_fee: AnyAmount | None = Field(
        default=None, description="For the sample each maker makes first; none: nobody has to."
    )
    samples: int = Field(default=0, ge=0, le=10_000, strict=True)
    freight: AnyAmount = Field(
        default=0, description="What the maker gets for sending one unit back."
    )
    label: Label = Label.PLATFORM
    certifier_id: UserId | None = Field(default=None, description="An independent inspector.")
    certifier_fee: AnyAmount = Field(default=0, description="Theirs for each unit handed in.")
    make_seconds: Seconds
    claims_seconds: Seconds

    @property
    def all_files(self) -> dict[str, Files]:
        """Every file of it, by the field that names it."""
        standard = self.standard
        return {
            "file_ids": self.file_ids,
            "standard.good_file_ids": standard.good_file_ids,
            "standard.bad_file_ids": standard.bad_file_ids,
            **{
                f"standard.defects[{index}].file_ids": each.file_ids
                for index, each in enumerate(standard.defects)
            },
        }

    @property
    def bill(self) -> tuple[Material, ...]:
        """The bill of materials as the domain has it, numbered from 1."""
        return tuple(
            Material(number=number, **each.model_dump())
            for number, each in enumerate(self.materials, start=1)
        )


class WagesIn(Body):
    """How the requester is going to pay the wages in."""

    pay_by: PayBy = PayBy.CARD
    return_url: ReturnUrl | None = None


class StopIn(Body):
    """Why nothing more is to be claimed."""

    note: Remark = ""


class ProgressView(View):
    """Where the units of an order are; together always all of them."""

    open: int = Field(description="To be claimed.")
    running: int = Field(description="In lots that are not over.")
    accepted: int
    rejected: int
    lost: int = Field(description="On the way back; the protection fund has paid their wages.")


class MaterialView(View):
    """One line of the bill of materials of one piece."""

    number: int
    title: str
    pieces: int
    cost: MoneyView


class ProductionCard(View):
    """A production order in a list."""

    id: str = Field(examples=["prd_01h45ytscbebyvny4gc8cr8ma2"])
    phase: Phase
    requester_id: str
    title: str
    units: int
    progress: ProgressView
    lot_least: int
    lot_most: int
    rate: MoneyView
    deposit: MoneyView
    claims_close_at: Utc | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, rows: OrderRows) -> Self:
        """The view of an order's row."""
        return cls(**_card(terms_of(rows.order), rows))


def _card(terms: ProductionTerms, rows: OrderRows) -> dict[str, object]:
    """What lists and pages show of an order."""
    path = rows.path
    return {
        "id": path.id,
        "phase": Phase(path.phase),
        "requester_id": terms.requester_id,
        "title": terms.title,
        "units": terms.units,
        "progress": ProgressView(**units_of(rows.order).model_dump()),
        "lot_least": terms.lot_least,
        "lot_most": terms.lot_most,
        "rate": MoneyView.of(terms.rate, terms.currency),
        "deposit": MoneyView.of(terms.deposit, terms.currency),
        "claims_close_at": due_of(path, CLAIMS),
        "opened_at": path.opened_at,
        "closed_at": path.closed_at,
    }


class ProductionView(ProductionCard):
    """A production order: the whole contract, for everybody who may want to claim a part of it."""

    process: str
    file_ids: list[str]
    standard: Standard
    materials: list[MaterialView]
    lots_at_once: int
    sample_fee: MoneyView | None
    samples_left: int
    freight: MoneyView
    label: Label
    certifier_id: str | None
    certifier_fee: MoneyView
    make_seconds: int
    claims_seconds: int
    fee_basis_points: int = Field(description="The platform's commission on wages, in 1/100 %.")
    lots: int = Field(description="How many were ever claimed.")
    lots_running: int
    to_fund: MoneyView = Field(description="What is paid in before anything can be claimed.")
    requester_flagged: bool = Field(
        description="Whether the requester rejects more units than the platform's rule takes for usual."
    )
    payment: PathPaymentView | None = Field(description="For the requester.")
    end_reason: str | None

    @classmethod
    def seen(cls, rows: OrderRows, *, as_requester: bool, flagged: bool) -> Self:
        """The view of an order for its requester, or for anybody."""
        terms, order = terms_of(rows.order), rows.order

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, terms.currency)

        return cls(
            **_card(terms, rows),
            process=terms.process,
            file_ids=list(terms.file_ids),
            standard=terms.standard,
            materials=[
                MaterialView(
                    number=each.number,
                    title=each.title,
                    pieces=each.pieces,
                    cost=money(each.cost),
                )
                for each in terms.materials
            ],
            lots_at_once=terms.lots_at_once,
            sample_fee=None if terms.sample_fee is None else money(terms.sample_fee),
            samples_left=order.samples_left,
            freight=money(terms.freight),
            label=terms.label,
            certifier_id=terms.certifier_id,
            certifier_fee=money(terms.certifier_fee),
            make_seconds=terms.make_seconds,
            claims_seconds=terms.claims_seconds,
            fee_basis_points=terms.policy.fee_basis_points,
            lots=order.lots,
            lots_running=order.lots_running,
            to_fund=money(terms.to_fund),
            requester_flagged=flagged,
            payment=PathPaymentView.of(rows.payment) if rows.payment and as_requester else None,
            end_reason=order.end_reason,
        )
