"""What makes an offer acceptable: the rules between the fields of a listing."""

from __future__ import annotations

from datetime import datetime

from domain.errors import HoldTooLong, InvalidInput
from domain.model import Instant, Message
from domain.policy import SalePolicy
from domain.sale import COUNTED_STOCK, StockKind, days_ahead

MAX_LEAD_DAYS = 150
_DAY_SECONDS = 86_400


class Offer(Message):
    """The fields of a listing that depend on each other."""

    stock_kind: StockKind
    stock: int
    lead_days: int
    available_from: Instant | None
    royalty_basis_points: int
    royalty_sku: str | None


def require_coherent(offer: Offer, fee_basis_points: int) -> None:
    """Raises InvalidInput when fields contradict each other, whether the listing is on sale or not."""
    for rule in (_stock, _lead_time, _release_date):
        rule(offer)
    _royalty(offer, fee_basis_points)


def require_publishable(
    offer: Offer, now: datetime, policy: SalePolicy, max_hold_days: int
) -> None:
    """Raises InvalidInput or HoldTooLong when nobody could buy the offer as it stands."""
    if offer.stock_kind in COUNTED_STOCK and offer.stock < 1:
        raise InvalidInput("there is nothing to sell", field="stock", accepted="at least 1")
    if offer.available_from is not None and offer.available_from <= now:
        raise InvalidInput(
            "the release date has passed", field="available_from", accepted="a time in the future"
        )
    ahead = days_ahead(offer.lead_days, offer.available_from, now)
    longest = max_hold_days * _DAY_SECONDS
    spare = longest - policy.hold_seconds(ahead)
    if spare < 0:
        raise HoldTooLong(
            "the payment provider does not hold money that long",
            field="lead_days" if offer.lead_days else "available_from",
            accepted=f"at most {_longest_lead(policy, longest)} days until the piece can ship",
        )


def _longest_lead(policy: SalePolicy, longest_seconds: int) -> int:
    fitting = [d for d in range(MAX_LEAD_DAYS + 1) if policy.hold_seconds(d) <= longest_seconds]
    return max(fitting, default=0)


def _stock(offer: Offer) -> None:
    if offer.stock_kind is StockKind.ONE_OF_A_KIND and offer.stock not in {0, 1}:
        raise InvalidInput("there is only one of it", field="stock", accepted="1, or 0 when sold")
    if offer.stock_kind is StockKind.MADE_TO_ORDER and offer.stock != 0:
        raise InvalidInput(
            "pieces made to order have no stock", field="stock", accepted="no stock field"
        )


def _lead_time(offer: Offer) -> None:
    if offer.stock_kind is StockKind.MADE_TO_ORDER:
        if not 1 <= offer.lead_days <= MAX_LEAD_DAYS:
            raise InvalidInput(
                "pieces made to order need a lead time",
                field="lead_days",
                accepted=f"1 to {MAX_LEAD_DAYS} days",
            )
    elif offer.lead_days != 0:
        raise InvalidInput(
            "only pieces made to order have a lead time", field="lead_days", accepted="0"
        )


def _release_date(offer: Offer) -> None:
    if (offer.stock_kind is StockKind.PRE_ORDER) != (offer.available_from is not None):
        raise InvalidInput(
            "a release date belongs to pre-orders, and to nothing else",
            field="available_from",
            accepted="a time in the future for pre_order, null for other kinds",
        )


def _royalty(offer: Offer, fee_basis_points: int) -> None:
    if (offer.royalty_basis_points > 0) != (offer.royalty_sku is not None):
        raise InvalidInput(
            "a royalty needs both its rate and the product it belongs to",
            field="royalty_sku" if offer.royalty_sku is None else "royalty_basis_points",
            accepted="both royalty_basis_points above 0 and royalty_sku, or neither",
        )
    if offer.royalty_basis_points + fee_basis_points > 10_000:
        raise InvalidInput(
            "royalty and platform fee exceed the price",
            field="royalty_basis_points",
            accepted=f"at most {10_000 - fee_basis_points}",
        )
