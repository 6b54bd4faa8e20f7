"""What is open at a payment company is closed, at the allowed rate, so that who was faster counts."""

from __future__ import annotations

from dataclasses import dataclass

from activities.pledge_calls import CARDS, PAYMENTS
from db.provider_limits import Paces
from db.tables import Payment, SavedCard
from domain.errors import NotFound
from providers.base import (
    CardStatus,
    PaymentStatus,
    ProviderCard,
    ProviderPayment,
    ProviderUnavailable,
    require_same,
    require_same_card,
)
from providers.registry import ProviderRegistry


@dataclass(frozen=True)
class Desk:
    """The payment companies, as batches talk to them."""

    providers: ProviderRegistry
    paces: Paces

    async def close_card(self, card: SavedCard, *, release: bool) -> ProviderCard | None:
        """Closes the page; answers the card if it was saved before. None: the provider does not have it.

        Raises ProviderUnavailable while the page is open still, ProviderMismatch when it is not ours.
        """
        provider = self.providers.get(card.provider)
        reference = card.reference
        if reference is None:
            await self.paces.turn(card.provider, CARDS)
            found = await provider.find_card(card.operation_id)
            if found is None:
                return None
            reference = found.reference
        await self.paces.turn(card.provider, CARDS)
        try:
            theirs = await (provider.release_card if release else provider.close_card)(reference)
        except NotFound:
            return None
        require_same_card(card.id, card.currency, theirs)
        if theirs.status is CardStatus.OPEN or (release and theirs.status is CardStatus.SAVED):
            raise ProviderUnavailable("the provider has not closed the card yet")
        return theirs

    async def close_payment(self, payment: Payment) -> ProviderPayment | None:
        """Closes the payment; answers the captured one when the payer was faster. None: the provider does not have it.

        Raises ProviderUnavailable while it is open still, ProviderMismatch when it is not ours, NotFound.
        """
        provider = self.providers.get(payment.provider)
        reference = payment.reference
        if reference is None:
            await self.paces.turn(payment.provider, PAYMENTS)
            found = await provider.find_payment(payment.operation_id)
            if found is None:
                return None
            reference = found.reference
        await self.paces.turn(payment.provider, PAYMENTS)
        theirs = await provider.cancel_payment(reference)
        require_same(payment.id, payment.amount, payment.currency, theirs)
        if theirs.status is PaymentStatus.OPEN:
            raise ProviderUnavailable("the provider has not closed the payment yet")
        return theirs
