"""A payment company inside the process that answers at once: what is left of the time is the platform's own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Generic, NoReturn, TypeVar

from domain.errors import NotFound
from providers.base import (
    CardRequest,
    CardStatus,
    ChargeRequest,
    DisputeEvidence,
    PayeeRequest,
    PaymentRequest,
    PaymentStatus,
    PayoutRequest,
    ProviderCard,
    ProviderDispute,
    ProviderEvent,
    ProviderPayee,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
    RefundRequest,
    RefundStatus,
    Statement,
)

_Made = TypeVar("_Made", ProviderPayment, ProviderCard, ProviderRefund)


class _Kept(Generic[_Made]):
    """Objects of one kind, found by operation and by reference however many there are."""

    def __init__(self) -> None:
        self._by_operation: dict[str, str] = {}
        self._by_reference: dict[str, _Made] = {}

    def __len__(self) -> int:
        return len(self._by_reference)

    def made(self, new: _Made) -> _Made:
        """The object of this operation: the new one, unless there is one already."""
        reference = self._by_operation.setdefault(new.operation_id, new.reference)
        return self._by_reference.setdefault(reference, new)

    def changed(self, new: _Made) -> _Made:
        """The object as it is now."""
        self._by_reference[new.reference] = new
        return new

    def of(self, operation_id: str) -> _Made | None:
        """What this operation made."""
        reference = self._by_operation.get(operation_id)
        return None if reference is None else self._by_reference[reference]

    def get(self, reference: str) -> _Made:
        """By reference. Raises NotFound."""
        if reference not in self._by_reference:
            raise NotFound(f"there is no {reference}")
        return self._by_reference[reference]

    def several(self, references: Sequence[str]) -> list[_Made]:
        """Those of the references that exist."""
        return [self._by_reference[each] for each in references if each in self._by_reference]


class InstantProvider:
    """Does whatever it is asked, once per operation, and counts the calls by name.

    Refunds are sent whatever payment they name; cards that somebody has saved before are told with `keeps_card`.
    """

    code: str = "instant"
    max_hold_days: int = 180

    def __init__(self) -> None:
        self.calls: dict[str, int] = {}
        self.payments: _Kept[ProviderPayment] = _Kept()
        self.cards: _Kept[ProviderCard] = _Kept()
        self.refunds: _Kept[ProviderRefund] = _Kept()

    def keeps_card(self, reference: str, operation_id: str, subject: str, currency: str) -> None:
        """A card that was saved before."""
        card = CardRequest(
            operation_id=operation_id,
            subject=subject,
            currency=currency,
            description="",
            return_url="",
        )
        self.cards.made(_card(card, reference, CardStatus.SAVED))

    def _count(self, name: str) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1

    async def create_payment(self, request: PaymentRequest) -> ProviderPayment:
        """A page that can be paid."""
        self._count("create_payment")
        return self.payments.made(_payment(request, PaymentStatus.OPEN))

    async def charge(self, request: ChargeRequest) -> ProviderPayment:
        """Captured at once."""
        self._count("charge")
        return self.payments.made(_payment(request, PaymentStatus.CAPTURED))

    async def find_payment(self, operation_id: str) -> ProviderPayment | None:
        """What this operation made."""
        self._count("find_payment")
        return self.payments.of(operation_id)

    async def get_payment(self, reference: str) -> ProviderPayment:
        """By reference."""
        self._count("get_payment")
        return self.payments.get(reference)

    async def get_payments(self, references: Sequence[str]) -> list[ProviderPayment]:
        """By reference."""
        self._count("get_payments")
        return self.payments.several(references)

    async def cancel_payment(self, reference: str) -> ProviderPayment:
        """Closed, unless it is captured."""
        self._count("cancel_payment")
        found = self.payments.get(reference)
        if found.status is not PaymentStatus.OPEN:
            return found
        return self.payments.changed(found.model_copy(update={"status": PaymentStatus.CANCELED}))

    async def retry_charge(self, reference: str, operation_id: str) -> ProviderPayment:
        """Captured."""
        self._count("retry_charge")
        paid = {"status": PaymentStatus.CAPTURED, "settled": True}
        return self.payments.changed(self.payments.get(reference).model_copy(update=paid))

    async def extend_hold(self, reference: str, operation_id: str) -> ProviderPayment:
        """Not needed by anybody who measures."""
        return _never()

    async def save_card(self, request: CardRequest) -> ProviderCard:
        """A page on which a card can be saved."""
        self._count("save_card")
        return self.cards.made(_card(request, f"icard_{request.subject}", CardStatus.OPEN))

    async def get_cards(self, references: Sequence[str]) -> list[ProviderCard]:
        """By reference."""
        self._count("get_cards")
        return self.cards.several(references)

    async def find_card(self, operation_id: str) -> ProviderCard | None:
        """What this operation made."""
        self._count("find_card")
        return self.cards.of(operation_id)

    async def close_card(self, reference: str) -> ProviderCard:
        """Closed, unless it is saved."""
        self._count("close_card")
        found = self.cards.get(reference)
        if found.status is not CardStatus.OPEN:
            return found
        return self.cards.changed(found.model_copy(update={"status": CardStatus.CANCELED}))

    async def release_card(self, reference: str) -> ProviderCard:
        """Forgotten."""
        self._count("release_card")
        gone = {"status": CardStatus.CANCELED}
        return self.cards.changed(self.cards.get(reference).model_copy(update=gone))

    async def create_refund(self, request: RefundRequest) -> ProviderRefund:
        """Sent at once."""
        self._count("create_refund")
        return self.refunds.made(
            ProviderRefund(
                reference=f"iref_{request.subject}",
                operation_id=request.operation_id,
                subject=request.subject,
                status=RefundStatus.SUCCEEDED,
                amount=request.amount,
                currency=request.currency,
            )
        )

    async def get_refund(self, reference: str) -> ProviderRefund:
        """By reference."""
        self._count("get_refund")
        return self.refunds.get(reference)

    async def get_refunds(self, references: Sequence[str]) -> list[ProviderRefund]:
        """By reference."""
        self._count("get_refunds")
        return self.refunds.several(references)

    async def find_refund(self, operation_id: str) -> ProviderRefund | None:
        """What this operation made."""
        self._count("find_refund")
        return self.refunds.of(operation_id)

    async def create_payout(self, request: PayoutRequest) -> ProviderPayout:
        """Not needed by anybody who measures."""
        return _never()

    async def get_payout(self, reference: str) -> ProviderPayout:
        """Not needed either."""
        return _never()

    async def find_payout(self, operation_id: str) -> ProviderPayout | None:
        """Not needed either."""
        return None

    async def create_payee(self, request: PayeeRequest) -> ProviderPayee:
        """Not needed either."""
        return _never()

    async def get_payee(self, reference: str) -> ProviderPayee:
        """Not needed either."""
        return _never()

    async def find_payee(self, operation_id: str) -> ProviderPayee | None:
        """Not needed either."""
        return None

    async def balance(self, currency: str) -> int:
        """More than anybody takes out."""
        return 10**12

    async def list_disputes(self, payment_reference: str) -> list[ProviderDispute]:
        """There are none."""
        return []

    async def get_dispute(self, reference: str) -> ProviderDispute:
        """Not needed by anybody who measures."""
        return _never()

    async def submit_evidence(
        self, reference: str, operation_id: str, evidence: DisputeEvidence
    ) -> ProviderDispute:
        """Not needed either."""
        return _never()

    async def accept_dispute(self, reference: str, operation_id: str) -> ProviderDispute:
        """Not needed either."""
        return _never()

    async def statement(self, day: date) -> Statement:
        """Empty."""
        return Statement(lines=(), opening={}, closing={})

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderEvent:
        """It sends none."""
        return _never()

    async def aclose(self) -> None:
        """Nothing is open."""


def _payment(request: PaymentRequest | ChargeRequest, status: PaymentStatus) -> ProviderPayment:
    return ProviderPayment(
        reference=f"ipay_{request.subject}",
        operation_id=request.operation_id,
        subject=request.subject,
        status=status,
        amount=request.amount,
        currency=request.currency,
        checkout_url=f"http://127.0.0.1/{request.subject}",
        settled=status is PaymentStatus.CAPTURED,
    )


def _card(request: CardRequest, reference: str, status: CardStatus) -> ProviderCard:
    return ProviderCard(
        reference=reference,
        operation_id=request.operation_id,
        subject=request.subject,
        status=status,
        currency=request.currency,
        checkout_url=f"http://127.0.0.1/{request.subject}",
    )


def _never() -> NoReturn:
    raise NotImplementedError("nobody asks for this while measuring")
