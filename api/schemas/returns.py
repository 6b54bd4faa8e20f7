"""Returns, as the API takes and shows them."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field

from api.schemas.base import Body, MoneyIn, MoneyView, Utc, View
from api.schemas.sales import Note
from api.schemas.tenders import Files
from db.return_rows import course_of, terms_of
from db.tables import Path, SaleReturn
from domain.returns import Phase, Reason, Remedy, WantedLine


class WantedLineIn(Body):
    """Pieces of one line of the sale."""

    line: int = Field(ge=0, le=49, strict=True, description="Number of the line, from 0.")
    quantity: int = Field(default=1, ge=1, le=10_000, strict=True)

    def wanted(self) -> WantedLine:
        """The line as the rules see it."""
        return WantedLine(line=self.line, quantity=self.quantity)


class ReturnIn(Note):
    """What is to go back, and why."""

    reason: Literal[Reason.NO_REASON, Reason.DEFECTIVE, Reason.NOT_AS_DESCRIBED]
    remedy: Remedy = Remedy.REFUND
    lines: list[WantedLineIn] = Field(min_length=1, max_length=50)
    file_ids: Files = Field(default=(), description="Photos; the seller sees them.")


class OfferIn(Note):
    """A part of the price; the buyer keeps what they have."""

    amount: MoneyIn


class GoodwillIn(Note):
    """What the seller gives back of their own accord."""

    amount: MoneyIn


class ReturnLineView(View):
    """Pieces of one line and their price."""

    line: int
    quantity: int
    amount: MoneyView


class ReturnView(View):
    """A return."""

    id: str = Field(examples=["rtn_01h45ytscbebyvny4gc8cr8ma2"])
    sale_id: str
    phase: Phase
    reason: Reason
    remedy: Remedy
    lines: list[ReturnLineView]
    total: MoneyView
    offered: MoneyView | None
    """The part of the price that the seller offers."""
    refunded: MoneyView
    """On its way back to the buyer, or there."""
    note: str
    file_ids: list[str]
    carrier: str | None
    tracking_number: str | None
    exchange_carrier: str | None
    exchange_tracking: str | None
    end_reason: str | None
    opened_at: Utc
    closed_at: Utc | None

    @classmethod
    def of(cls, found: tuple[SaleReturn, Path]) -> Self:
        """The view of a return and its path."""
        row, path = found
        terms, course = terms_of(row), course_of(row)

        def money(amount: int) -> MoneyView:
            return MoneyView.of(amount, terms.currency)

        return cls(
            id=row.id,
            sale_id=row.sale_id,
            phase=Phase(path.phase),
            reason=terms.reason,
            remedy=terms.remedy,
            lines=[
                ReturnLineView(line=e.line, quantity=e.quantity, amount=money(e.amount))
                for e in terms.lines
            ],
            total=money(terms.total),
            offered=None if course.offered is None else money(course.offered),
            refunded=money(course.refunded),
            note=terms.note,
            file_ids=list(terms.file_ids),
            carrier=course.carrier,
            tracking_number=course.tracking_number,
            exchange_carrier=course.exchange_carrier,
            exchange_tracking=course.exchange_tracking,
            end_reason=row.end_reason,
            opened_at=path.opened_at,
            closed_at=path.closed_at,
        )
