"""What the payment company says of pledges' payments and cards, and closing their pages: in bulk where it can be."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from activities.pledge_calls import (
    CARDS,
    PAYMENTS,
    REFUNDS,
    Calls,
    Fault,
    Refusal,
    Silence,
    answered,
)
from db.provider_limits import Paces
from domain.errors import NotFound, ProviderRefused
from providers.base import (
    MAX_AT_ONCE,
    CardStatus,
    PaymentProvider,
    PaymentStatus,
    ProviderCard,
    ProviderPayment,
    ProviderRefund,
    ProviderUnavailable,
)
from providers.registry import ProviderRegistry

Theirs = TypeVar("Theirs", ProviderPayment, ProviderCard, ProviderRefund)


@dataclass(frozen=True)
class Ours:
    """A payment, card or refund as the books have it."""

    id: str
    provider: str
    operation_id: str
    reference: str | None


@dataclass
class Seen(Generic[Theirs]):
    """What came of looking."""

    theirs: dict[str, Theirs] = field(default_factory=dict)
    """By our id."""
    absent: set[str] = field(default_factory=set)
    """The provider has nothing of the kind."""
    silent: set[str] = field(default_factory=set)
    """No clear answer; to be asked again."""


class PledgeReads:
    """Asks payment companies, at the rate that all workers share."""

    def __init__(self, providers: ProviderRegistry, paces: Paces, beat: Callable[[], None]) -> None:
        self.providers = providers
        self.paces = paces
        self.beat = beat

    async def payments(self, wanted: Sequence[Ours]) -> Seen[ProviderPayment]:
        """The payments as they are now."""
        seen: Seen[ProviderPayment] = Seen()
        for code, references in _by_provider(wanted).items():
            provider = self.providers.get(code)
            for some in _hundreds(references):
                await self.paces.turn(code, PAYMENTS)
                _note(seen, some, await answered(provider.get_payments(list(some))))
                self.beat()
        await self._each(
            seen, [each for each in wanted if each.reference is None], self._find_payment
        )
        return seen

    async def cards(self, wanted: Sequence[Ours]) -> Seen[ProviderCard]:
        """The cards as they are now."""
        seen: Seen[ProviderCard] = Seen()
        for code, references in _by_provider(wanted).items():
            provider = self.providers.get(code)
            for some in _hundreds(references):
                await self.paces.turn(code, CARDS)
                _note(seen, some, await answered(provider.get_cards(list(some))))
                self.beat()
        await self._each(seen, [each for each in wanted if each.reference is None], self._find_card)
        return seen

    async def refunds(self, wanted: Sequence[Ours]) -> Seen[ProviderRefund]:
        """The refunds as they are now; those that have no reference yet are left out."""
        seen: Seen[ProviderRefund] = Seen()
        for code, references in _by_provider(wanted).items():
            provider = self.providers.get(code)
            for some in _hundreds(references):
                await self.paces.turn(code, REFUNDS)
                _note(seen, some, await answered(provider.get_refunds(list(some))))
                self.beat()
        return seen

    async def close_payments(self, wanted: Sequence[Ours]) -> Seen[ProviderPayment]:
        """Closes the pages; a payment that was faster is answered as captured."""
        seen: Seen[ProviderPayment] = Seen()
        await self._each(seen, wanted, self._close_payment)
        return seen

    async def close_cards(self, wanted: Sequence[Ours], *, also_saved: bool) -> Seen[ProviderCard]:
        """Closes the pages; a card that was saved first is answered as saved, or with `also_saved` forgotten too."""
        seen: Seen[ProviderCard] = Seen()

        async def close(ours: Ours) -> ProviderCard | None:
            return await self._close_card(ours, also_saved)

        await self._each(seen, wanted, close)
        return seen

    async def _each(
        self,
        seen: Seen[Theirs],
        wanted: Sequence[Ours],
        ask: Callable[[Ours], Awaitable[Theirs | None]],
    ) -> None:
        calls = Calls(self.beat)
        for ours, answer in await calls.each(wanted, ask):
            if isinstance(answer, Silence | Refusal | Fault):
                # Also a refusal does not say that there is nothing to be paid.
                seen.silent.add(ours.id)
            elif answer is None:
                seen.absent.add(ours.id)
            else:
                seen.theirs[ours.id] = answer

    async def _find_payment(self, ours: Ours) -> ProviderPayment | None:
        await self.paces.turn(ours.provider, PAYMENTS)
        return await self._of(ours).find_payment(ours.operation_id)

    async def _find_card(self, ours: Ours) -> ProviderCard | None:
        await self.paces.turn(ours.provider, CARDS)
        return await self._of(ours).find_card(ours.operation_id)

    async def _close_payment(self, ours: Ours) -> ProviderPayment | None:
        reference = ours.reference
        if reference is None:
            found = await self._find_payment(ours)
            if found is None:
                return None
            reference = found.reference
        await self.paces.turn(ours.provider, PAYMENTS)
        provider = self._of(ours)
        try:
            closed = await provider.cancel_payment(reference)
        except ProviderRefused:
            # Somebody was faster, or the provider knows nothing of it; only then nobody can pay it any more.
            found = await _known(provider.get_payment(reference))
            if found is None:
                return None
            closed = found
        if closed.status is PaymentStatus.OPEN:
            raise ProviderUnavailable("the provider has not closed the payment yet")
        return closed

    async def _close_card(self, ours: Ours, also_saved: bool) -> ProviderCard | None:
        reference = ours.reference
        if reference is None:
            found = await self._find_card(ours)
            if found is None:
                return None
            reference = found.reference
        await self.paces.turn(ours.provider, CARDS)
        provider = self._of(ours)
        try:
            closed = await (provider.release_card if also_saved else provider.close_card)(reference)
        except ProviderRefused:
            cards = await provider.get_cards([reference])
            if not cards:
                return None
            closed = cards[0]
        if closed.status is CardStatus.OPEN or (also_saved and closed.status is CardStatus.SAVED):
            raise ProviderUnavailable("the provider has not closed the page yet")
        return closed

    def _of(self, ours: Ours) -> PaymentProvider:
        return self.providers.get(ours.provider)


async def _known(asked: Awaitable[Theirs]) -> Theirs | None:
    try:
        return await asked
    except NotFound:
        return None


def _by_provider(wanted: Sequence[Ours]) -> dict[str, dict[str, str]]:
    """Provider -> reference -> our id, of those that have a reference."""
    found: dict[str, dict[str, str]] = {}
    for each in wanted:
        if each.reference is not None:
            found.setdefault(each.provider, {})[each.reference] = each.id
    return found


def _hundreds(references: Mapping[str, str]) -> list[dict[str, str]]:
    """The same in parts that one call may ask for."""
    items = list(references.items())
    return [dict(items[first : first + MAX_AT_ONCE]) for first in range(0, len(items), MAX_AT_ONCE)]


def _note(
    seen: Seen[Theirs],
    asked: Mapping[str, str],
    answer: list[Theirs] | Silence | Refusal | Fault,
) -> None:
    """What one bulk read has told of those it asked for."""
    if not isinstance(answer, list):
        # Nothing is known of any of them, whatever the reason: asked again later.
        seen.silent.update(asked.values())
        return
    found = {each.reference: each for each in answer}
    for reference, ours in asked.items():
        if reference in found:
            seen.theirs[ours] = found[reference]
        else:
            seen.absent.add(ours)
