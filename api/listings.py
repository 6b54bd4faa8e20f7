"""What makers offer."""

from __future__ import annotations

from collections.abc import Collection
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from api.auth import CurrentUser
from api.errors import problems
from api.idempotency import OnceDep
from api.listing_rules import Offer, require_coherent, require_publishable
from api.policy import require, require_active, unknown
from api.schemas.base import Limit, Page, page_of
from api.schemas.listings import ListingChange, ListingView, NewListing
from api.services import Services, ServicesDep
from db.queries import files, listings
from db.tables import File, Listing
from domain.access import Action
from domain.errors import (
    AccountFrozen,
    Forbidden,
    HoldTooLong,
    InvalidInput,
    NotFound,
    UnknownCurrency,
    WrongPhase,
)
from domain.ids import ListingId, UserId
from domain.sale import StockKind

router = APIRouter(tags=["listings"])
ListingCursor = Annotated[ListingId | None, Query(description="`next` of the page before.")]
SellerFilter = Annotated[UserId | None, Query(description="Only listings of this seller.")]
_NOT_NULL = (
    "title",
    "description",
    "unit_price",
    "stock",
    "lead_days",
    "delivery",
    "picture_ids",
    "on_sale",
)
_CHECKED_AT_PUBLISHING = {"lead_days", "available_from"}


@router.post(
    "/v1/listings",
    status_code=201,
    operation_id="createListing",
    summary="Offer something",
    response_model=ListingView,
    responses=problems(AccountFrozen, Forbidden, HoldTooLong, UnknownCurrency),
)
async def create_listing(
    body: NewListing, user: CurrentUser, services: ServicesDep, once: OnceDep
) -> Response:
    """Puts something on sale, or prepares it with `on_sale: false`.

    Which fields are needed follows from `stock_kind`: `in_stock`, `one_of_a_kind` and `pre_order` count pieces in
    `stock`; `made_to_order` has `lead_days` instead; `pre_order` ships from `available_from`.
    """
    require(Action.LISTING_CREATE, user.relations())
    require_active(user)

    async def create(session: AsyncSession, listing_id: str) -> ListingView:
        require_coherent(body.offer, services.settings.sale_policy.fee_basis_points)
        if body.on_sale:
            await _require_publishable(session, services, body.offer)
        await _require_public_pictures(session, user.id, body.picture_ids)
        row = await listings.add(session, _row(listing_id, user.id, body))
        return ListingView.of(row)

    return await once.in_transaction("lst", body, create, status=201)


def _row(listing_id: str, seller_id: str, body: NewListing) -> Listing:
    return Listing(
        id=listing_id,
        seller_id=seller_id,
        title=body.title,
        description=body.description,
        unit_price=body.unit_price.amount,
        currency=body.unit_price.currency,
        stock_kind=body.stock_kind.value,
        stock=body.stock or 0,
        lead_days=body.lead_days,
        available_from=body.available_from,
        royalty_basis_points=body.royalty_basis_points,
        royalty_sku=body.royalty_sku,
        delivery=[one.value for one in body.delivery],
        picture_ids=list(body.picture_ids),
        on_sale=body.on_sale,
    )


@router.patch(
    "/v1/listings/{listing_id}",
    operation_id="updateListing",
    summary="Change an offer",
    responses=problems(
        AccountFrozen, Forbidden, HoldTooLong, NotFound, UnknownCurrency, WrongPhase
    ),
)
async def update_listing(
    listing_id: ListingId, body: ListingChange, user: CurrentUser, services: ServicesDep
) -> ListingView:
    """For the seller. Orders that are already placed keep the terms they were placed under.

    `stock` is the number of pieces that are left now; pieces reserved for orders do not count.
    """
    _require_values(body)
    async with services.database.transaction() as session:
        row = await listings.locked(session, listing_id)
        if row is None:
            raise unknown("listing")
        require(Action.LISTING_EDIT, user.relations(owner=row.seller_id))
        require_active(user)
        published = not row.on_sale and body.on_sale is True
        _apply(row, body)
        offer = _offer(row)
        require_coherent(offer, services.settings.sale_policy.fee_basis_points)
        touched = not _CHECKED_AT_PUBLISHING.isdisjoint(body.model_fields_set)
        if row.on_sale and (published or touched):
            await _require_publishable(session, services, offer)
        if body.stock and offer.stock_kind is StockKind.ONE_OF_A_KIND:
            await _require_not_reserved(session, listing_id)
        if body.picture_ids:
            await _require_public_pictures(session, row.seller_id, body.picture_ids)
        return ListingView.of(await listings.saved(session, row))


def _require_values(body: ListingChange) -> None:
    """Only `available_from` may be null: leaving a field out is how it stays as it is."""
    for name in _NOT_NULL:
        if name in body.model_fields_set and getattr(body, name) is None:
            raise InvalidInput(
                "null is not a value here", field=name, accepted="a value, or no field"
            )


def _apply(row: Listing, body: ListingChange) -> None:
    changes = body.model_dump(exclude_unset=True, exclude={"unit_price", "delivery", "picture_ids"})
    for name, value in changes.items():
        setattr(row, name, value)
    if body.unit_price is not None:
        row.unit_price, row.currency = body.unit_price.amount, body.unit_price.currency
    if body.delivery is not None:
        row.delivery = [one.value for one in body.delivery]
    if body.picture_ids is not None:
        row.picture_ids = list(body.picture_ids)


def _offer(row: Listing) -> Offer:
    return Offer(
        stock_kind=StockKind(row.stock_kind),
        stock=row.stock,
        lead_days=row.lead_days,
        available_from=row.available_from,
        royalty_basis_points=row.royalty_basis_points,
        royalty_sku=row.royalty_sku,
    )


async def _require_publishable(session: AsyncSession, services: Services, offer: Offer) -> None:
    now = await listings.now(session)
    policy, longest = services.settings.sale_policy, services.provider.max_hold_days
    require_publishable(offer, now, policy, longest)


async def _require_not_reserved(session: AsyncSession, listing_id: str) -> None:
    if await listings.has_open_reservation(session, listing_id):
        raise WrongPhase(
            "the only piece is reserved for an order", field="stock", accepted="0 until then"
        )


async def _require_public_pictures(
    session: AsyncSession, seller_id: str, picture_ids: Collection[str]
) -> None:
    own = await files.owned(session, seller_id, picture_ids)
    for index, picture_id in enumerate(picture_ids):
        wrong = _why_not_shown(own.get(picture_id))
        if wrong is not None:
            raise InvalidInput(
                wrong,
                field=f"picture_ids[{index}]",
                accepted="ids of public pictures you have uploaded",
            )


def _why_not_shown(file: File | None) -> str | None:
    if file is None:
        return "this is not a file of yours"
    if file.private:
        return "this file is private: buyers could not see it"
    return None if file.is_picture else "this file is a document, not a picture"


@router.get("/v1/listings", operation_id="listListings", summary="What is on sale, newest first")
async def list_listings(
    services: ServicesDep,
    seller: SellerFilter = None,
    after: ListingCursor = None,
    limit: Limit = 20,
) -> Page[ListingView]:
    """Needs no token."""
    async with services.database.reading() as session:
        rows = await listings.page(
            session, seller_id=seller, only_on_sale=True, after=after, limit=limit + 1
        )
    return page_of(rows, limit, ListingView.of, lambda row: row.id)


@router.get(
    "/v1/me/listings", operation_id="listMyListings", summary="The own listings, newest first"
)
async def list_my_listings(
    user: CurrentUser, services: ServicesDep, after: ListingCursor = None, limit: Limit = 20
) -> Page[ListingView]:
    """All listings of the signed-in user, on sale or not."""
    async with services.database.reading() as session:
        rows = await listings.page(
            session, seller_id=user.id, only_on_sale=False, after=after, limit=limit + 1
        )
    return page_of(rows, limit, ListingView.of, lambda row: row.id)


@router.get(
    "/v1/listings/{listing_id}",
    operation_id="getListing",
    summary="One offer",
    responses=problems(NotFound),
)
async def get_listing(listing_id: ListingId, services: ServicesDep) -> ListingView:
    """Needs no token. Listings that are not on sale any more stay readable."""
    async with services.database.reading() as session:
        row = await listings.get(session, listing_id)
    if row is None:
        raise unknown("listing")
    return ListingView.of(row)
