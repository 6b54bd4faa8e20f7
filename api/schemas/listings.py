"""Listings as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, ConfigDict, Field, StrictBool, StringConstraints
from pydantic.config import JsonDict

from api.listing_rules import MAX_LEAD_DAYS, Offer
from api.schemas.base import Body, Line, Moment, MoneyIn, MoneyView, Prose, Utc, View, distinct
from db.tables import Listing
from domain.ids import FileId, ListingId, UserId
from domain.sale import COUNTED_STOCK, Delivery, StockKind

Stock = Annotated[int, Field(strict=True, ge=0, le=1_000_000)]
LeadDays = Annotated[int, Field(strict=True, ge=0, le=MAX_LEAD_DAYS)]
RoyaltyRate = Annotated[int, Field(strict=True, ge=0, le=10_000)]
Sku = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
Deliveries = Annotated[
    tuple[Delivery, ...], Field(min_length=1, max_length=2), AfterValidator(distinct)
]
Pictures = Annotated[tuple[FileId, ...], Field(max_length=12), AfterValidator(distinct)]


_EXAMPLES: list[JsonDict] = [
    {
        "title": "Bamboo lamp",
        "description": "Woven by hand in Anji.",
        "unit_price": {"amount": 12_000, "currency": "CNY"},
        "stock_kind": "in_stock",
        "stock": 5,
        "delivery": ["express", "pickup"],
    },
    {
        "title": "Tea table to measure",
        "unit_price": {"amount": 380_000},
        "stock_kind": "made_to_order",
        "lead_days": 30,
    },
]


class NewListing(Body):
    """What a maker offers."""

    model_config = ConfigDict(json_schema_extra={"examples": [*_EXAMPLES]})

    title: Line = Field(examples=["Bamboo lamp"])
    description: Prose = Field(default="", examples=["Woven by hand in Anji."])
    unit_price: MoneyIn
    stock_kind: StockKind
    stock: Stock | None = Field(
        default=None, description="Pieces left; none for made_to_order.", examples=[5]
    )
    lead_days: LeadDays = Field(
        default=0, description=f"Days of making for made_to_order, 1 to {MAX_LEAD_DAYS}."
    )
    available_from: Moment | None = Field(default=None, description="When a pre_order can ship.")
    royalty_basis_points: RoyaltyRate = Field(default=0, description="Hundredths of a percent.")
    royalty_sku: Sku | None = Field(default=None, description="The product whose makers share it.")
    delivery: Deliveries = Field(default=(Delivery.EXPRESS,))
    picture_ids: Pictures = Field(default=(), description="Own uploaded files, in order.")
    on_sale: StrictBool = True

    @property
    def offer(self) -> Offer:
        """The fields that depend on each other."""
        return Offer(
            stock_kind=self.stock_kind,
            stock=self.stock or 0,
            lead_days=self.lead_days,
            available_from=self.available_from,
            royalty_basis_points=self.royalty_basis_points,
            royalty_sku=self.royalty_sku,
        )


class ListingChange(Body):
    """What a maker may change; fields that are left out stay as they are."""

    title: Line | None = None
    description: Prose | None = None
    unit_price: MoneyIn | None = None
    stock: Stock | None = None
    lead_days: LeadDays | None = None
    available_from: Moment | None = None
    delivery: Deliveries | None = None
    picture_ids: Pictures | None = None
    on_sale: StrictBool | None = None


class ListingView(View):
    """Something a maker offers."""

    id: ListingId = Field(examples=["lst_01h45ytscbebyvny4gc8cr8ma2"])
    seller_id: UserId
    title: str
    description: str
    unit_price: MoneyView
    stock_kind: StockKind
    stock: int | None = Field(description="Pieces left; null when they are made to order.")
    lead_days: int
    available_from: Utc | None
    royalty_basis_points: int
    royalty_sku: str | None
    delivery: list[Delivery]
    picture_ids: list[FileId]
    on_sale: bool
    created_at: Utc
    updated_at: Utc

    @classmethod
    def of(cls, row: Listing) -> Self:
        """The view of a listing row."""
        kind = StockKind(row.stock_kind)
        return cls(
            id=row.id,
            seller_id=row.seller_id,
            title=row.title,
            description=row.description,
            unit_price=MoneyView.of(row.unit_price, row.currency),
            stock_kind=kind,
            stock=row.stock if kind in COUNTED_STOCK else None,
            lead_days=row.lead_days,
            available_from=row.available_from,
            royalty_basis_points=row.royalty_basis_points,
            royalty_sku=row.royalty_sku,
            delivery=[Delivery(one) for one in row.delivery],
            picture_ids=row.picture_ids,
            on_sale=row.on_sale,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )
