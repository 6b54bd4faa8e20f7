"""The payment company's page on which a backer pays or saves a card: made once, whatever answers were lost."""

from __future__ import annotations

import asyncio

from api.services import Services
from db import pledge_rows
from db.pledge_rows import Page
from domain.errors import ProviderMismatch, Unavailable
from providers.base import (
    CardRequest,
    PaymentProvider,
    PaymentRequest,
    ProviderCard,
    ProviderPayment,
    ProviderUnavailable,
    require_same,
    require_same_card,
)


async def present(
    services: Services, page: Page, *, title: str, return_url: str, asked_before: bool
) -> str:
    """Address of the page, written down at once. Raises what `made` raises."""
    if page.checkout_url is not None:
        return page.checkout_url
    theirs = await made(
        services, page, title=title, return_url=return_url, asked_before=asked_before
    )
    async with services.database.transaction() as session:
        await pledge_rows.presented(session, page, theirs.reference, theirs.checkout_url)
    return theirs.checkout_url


async def made(
    services: Services, page: Page, *, title: str, return_url: str, asked_before: bool
) -> ProviderCard | ProviderPayment:
    """The page at the provider. The row is in the books; no transaction is open meanwhile.

    Raises Unavailable when the provider gives no clear answer: the same request presents the same page later.
    """
    provider = services.providers.get(page.provider)
    try:
        async with asyncio.timeout(services.settings.request_timeout_seconds):
            return await _made(provider, page, title, return_url, asked_before)
    except (ProviderUnavailable, TimeoutError) as silent:
        raise Unavailable(
            "the payment company does not answer; repeat the request with its key"
        ) from silent


async def _made(
    provider: PaymentProvider, page: Page, title: str, return_url: str, asked_before: bool
) -> ProviderCard | ProviderPayment:
    """The provider's card or payment; looked up first when it may have been made before."""
    if page.amount is None:
        card = await provider.find_card(page.operation_id) if asked_before else None
        card = card or await provider.save_card(
            CardRequest(
                operation_id=page.operation_id,
                subject=page.id,
                currency=page.currency,
                description=title,
                return_url=return_url,
            )
        )
        require_same_card(page.id, page.currency, card)
        return card
    payment = await provider.find_payment(page.operation_id) if asked_before else None
    payment = payment or await provider.create_payment(
        PaymentRequest(
            operation_id=page.operation_id,
            subject=page.id,
            amount=page.amount,
            currency=page.currency,
            description=title,
            return_url=return_url,
        )
    )
    require_same(page.id, page.amount, page.currency, payment)
    return payment


async def page_of_charge(services: Services, page: Page) -> str:
    """Address on which a charge that failed can be paid by hand. Raises Unavailable, ProviderMismatch."""
    if page.checkout_url is not None:
        return page.checkout_url
    provider = services.providers.get(page.provider)
    try:
        async with asyncio.timeout(services.settings.request_timeout_seconds):
            theirs = await provider.find_payment(page.operation_id)
    except (ProviderUnavailable, TimeoutError) as silent:
        raise Unavailable("the payment company does not answer; repeat the request") from silent
    if theirs is None:
        raise ProviderMismatch("the payment company does not know the charge")
    async with services.database.reading() as session:
        await pledge_rows.presented(session, page, theirs.reference, theirs.checkout_url)
    return theirs.checkout_url
