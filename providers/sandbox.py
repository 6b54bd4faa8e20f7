"""Our client of the sandbox payment company."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Literal, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from domain.errors import NotFound, ProviderMismatch, ProviderRefused
from domain.model import Instant
from domain.money import Currency, MinorUnits
from providers.base import (
    MAX_AT_ONCE,
    CardRequest,
    ChargeRequest,
    DisputeEvidence,
    DisputeStatus,
    PayeeRequest,
    PaymentRequest,
    PayoutRequest,
    ProviderCard,
    ProviderDispute,
    ProviderEvent,
    ProviderPayee,
    ProviderPayment,
    ProviderPayout,
    ProviderRefund,
    ProviderUnavailable,
    RefundRequest,
    Statement,
    StatementLine,
)
from providers.lanes import Lanes
from providers.webhooks import parse_event, verify, webhook_key

TIMEOUT = httpx.Timeout(10.0, connect=3.0)
"""Seconds until an answer counts as lost."""

_UNCLEAR = frozenset({401, 403, 408, 421, 425, 429})
"""4xx that say nothing about the operation: our key is wrong, too early, too many. Worth asking again."""


class _Problem(BaseModel):
    title: str = ""
    detail: str = ""
    code: str = ""


class _Payments(BaseModel):
    data: list[ProviderPayment]


class _Cards(BaseModel):
    data: list[ProviderCard]


class _Refunds(BaseModel):
    data: list[ProviderRefund]


class _Payouts(BaseModel):
    data: list[ProviderPayout]


class _Dispute(BaseModel):
    reference: str
    payment_reference: str
    subject: str
    status: Literal["open", "under_review", "won", "lost"]
    amount: MinorUnits
    fee: int
    currency: Currency
    due_by: Instant

    def as_ours(self) -> ProviderDispute:
        status = (
            DisputeStatus.NEEDS_RESPONSE if self.status == "open" else DisputeStatus(self.status)
        )
        return ProviderDispute.model_validate(self.model_dump() | {"status": status})


class _Disputes(BaseModel):
    data: list[_Dispute]


class _Movement(BaseModel):
    id: int
    reference: str
    kind: str
    subject: str
    amount: int
    currency: str
    booked_at: datetime

    def as_ours(self) -> StatementLine:
        return StatementLine(
            line_id=str(self.id),
            reference=self.reference,
            kind=self.kind,
            subject=self.subject,
            amount=self.amount,
            currency=self.currency,
            booked_at=self.booked_at,
        )


class _Payees(BaseModel):
    data: list[ProviderPayee]


class _Balance(BaseModel):
    balances: dict[str, int]


class _StatementPage(BaseModel):
    lines: list[_Movement]
    opening: dict[str, int]
    closing: dict[str, int]
    next_after: int | None


_Model = TypeVar("_Model", bound=BaseModel)
_Item = TypeVar("_Item", ProviderPayment, ProviderCard, ProviderRefund, ProviderPayout)
_Moved = TypeVar("_Moved", ProviderPayment, ProviderRefund, ProviderPayout)
_Request = (
    PaymentRequest | CardRequest | ChargeRequest | RefundRequest | PayoutRequest | PayeeRequest
)


class SandboxProvider:
    """The PaymentProvider of the sandbox; see providers.base for what the methods mean and raise.

    401 and 403 count as unavailable: a wrong API key must stop money until somebody repairs it, not fail payments.
    """

    code: str = "sandbox"
    max_hold_days: int = 180

    def __init__(
        self,
        *,
        base_url: str,
        api_key: str,
        webhook_secret: str,
        webhook_tolerance_seconds: int,
        timeout: httpx.Timeout = TIMEOUT,
    ) -> None:
        webhook_key(webhook_secret)
        self._webhook_secret = webhook_secret
        self._tolerance_seconds = webhook_tolerance_seconds
        # A transport of our own also keeps the key from the proxies of the environment.
        self._http = httpx.AsyncClient(
            base_url=base_url,
            headers={"Authorization": f"Bearer {api_key}"},
            timeout=timeout,
            transport=Lanes(tls=httpx.URL(base_url).scheme == "https"),
        )

    async def create_payment(self, request: PaymentRequest) -> ProviderPayment:
        """Asks for a payment; `operation_id` is the idempotency key."""
        payment = await self._create("/v1/payments", request, ProviderPayment)
        return _as_asked(payment, request)

    async def get_payment(self, reference: str) -> ProviderPayment:
        """The payment as it is now. Raises NotFound."""
        return await self._get(f"/v1/payments/{_segment(reference)}", ProviderPayment)

    async def get_payments(self, references: Sequence[str]) -> list[ProviderPayment]:
        """Those payments as they are now, in any order; unknown ones left out."""
        found = await self._several("/v1/payments", references, _Payments)
        return _asked_for(found.data, references) if found else []

    async def find_payment(self, operation_id: str) -> ProviderPayment | None:
        """The payment this operation made, if it made one."""
        return _only((await self._find("/v1/payments", operation_id, _Payments)).data)

    async def cancel_payment(self, reference: str) -> ProviderPayment:
        """Closes an unpaid payment; answers the captured one when the payer was faster. Raises NotFound."""
        path = f"/v1/payments/{_segment(reference)}/cancel"
        return await self._ask("POST", path, ProviderPayment, missing=True)

    async def extend_hold(self, reference: str, operation_id: str) -> ProviderPayment:
        """Asks that captured money may stay longer; `operation_id` is the idempotency key. Raises NotFound."""
        path = f"/v1/payments/{_segment(reference)}/extend-hold"
        key = {"Idempotency-Key": operation_id}
        payment = await self._ask("POST", path, ProviderPayment, headers=key, missing=True)
        return _asked_for([payment], [reference])[0]

    async def save_card(self, request: CardRequest) -> ProviderCard:
        """Opens a page for saving a card; `operation_id` is the idempotency key."""
        card = await self._create("/v1/cards", request, ProviderCard)
        asked = (request.operation_id, request.subject, request.currency)
        if (card.operation_id, card.subject, card.currency) != asked:
            raise _not_asked(card.reference)
        return card

    async def get_cards(self, references: Sequence[str]) -> list[ProviderCard]:
        """Those cards as they are now, in any order; unknown ones left out."""
        found = await self._several("/v1/cards", references, _Cards)
        return _asked_for(found.data, references) if found else []

    async def find_card(self, operation_id: str) -> ProviderCard | None:
        """The card this operation made, if it made one."""
        return _only((await self._find("/v1/cards", operation_id, _Cards)).data)

    async def close_card(self, reference: str) -> ProviderCard:
        """Closes an open page; answers the saved card when the payer was faster. Raises NotFound."""
        path = f"/v1/cards/{_segment(reference)}/close"
        card = await self._ask("POST", path, ProviderCard, missing=True)
        return _asked_for([card], [reference])[0]

    async def release_card(self, reference: str) -> ProviderCard:
        """Closes an open page or forgets a saved card. Raises NotFound."""
        path = f"/v1/cards/{_segment(reference)}/release"
        card = await self._ask("POST", path, ProviderCard, missing=True)
        return _asked_for([card], [reference])[0]

    async def charge(self, request: ChargeRequest) -> ProviderPayment:
        """Charges a saved card at once; `operation_id` is the idempotency key."""
        return _as_asked(await self._create("/v1/payments", request, ProviderPayment), request)

    async def retry_charge(self, reference: str, operation_id: str) -> ProviderPayment:
        """Tries an open charge once more; `operation_id` is the idempotency key. Raises NotFound."""
        path = f"/v1/payments/{_segment(reference)}/retry"
        key = {"Idempotency-Key": operation_id}
        payment = await self._ask("POST", path, ProviderPayment, headers=key, missing=True)
        return _asked_for([payment], [reference])[0]

    async def create_refund(self, request: RefundRequest) -> ProviderRefund:
        """Asks for a refund; `operation_id` is the idempotency key."""
        return _as_asked(await self._create("/v1/refunds", request, ProviderRefund), request)

    async def get_refund(self, reference: str) -> ProviderRefund:
        """The refund as it is now. Raises NotFound."""
        return await self._get(f"/v1/refunds/{_segment(reference)}", ProviderRefund)

    async def get_refunds(self, references: Sequence[str]) -> list[ProviderRefund]:
        """Those refunds as they are now, in any order; unknown ones left out."""
        found = await self._several("/v1/refunds", references, _Refunds)
        return _asked_for(found.data, references) if found else []

    async def find_refund(self, operation_id: str) -> ProviderRefund | None:
        """The refund this operation made, if it made one."""
        return _only((await self._find("/v1/refunds", operation_id, _Refunds)).data)

    async def create_payout(self, request: PayoutRequest) -> ProviderPayout:
        """Asks for a payout; `operation_id` is the idempotency key."""
        return _as_asked(await self._create("/v1/payouts", request, ProviderPayout), request)

    async def get_payout(self, reference: str) -> ProviderPayout:
        """The payout as it is now. Raises NotFound."""
        return await self._get(f"/v1/payouts/{_segment(reference)}", ProviderPayout)

    async def find_payout(self, operation_id: str) -> ProviderPayout | None:
        """The payout this operation made, if it made one."""
        return _only((await self._find("/v1/payouts", operation_id, _Payouts)).data)

    async def create_payee(self, request: PayeeRequest) -> ProviderPayee:
        """Has somebody verified; `operation_id` is the idempotency key."""
        return await self._create("/v1/payees", request, ProviderPayee)

    async def get_payee(self, reference: str) -> ProviderPayee:
        """The payee as they are now. Raises NotFound."""
        return await self._get(f"/v1/payees/{_segment(reference)}", ProviderPayee)

    async def find_payee(self, operation_id: str) -> ProviderPayee | None:
        """The payee this operation made, if it made one."""
        found = await self._get("/v1/payees", _Payees, {"operation_id": operation_id})
        return found.data[0] if found.data else None

    async def balance(self, currency: str) -> int:
        """What the sandbox holds for us in this currency, minor units; may be below 0."""
        return (await self._get("/v1/balance", _Balance)).balances.get(currency, 0)

    async def list_disputes(self, payment_reference: str) -> list[ProviderDispute]:
        """The newest hundred chargebacks of a payment, oldest first."""
        asked = {"payment_reference": payment_reference, "limit": "100"}
        found = await self._get("/v1/disputes", _Disputes, asked)
        return [dispute.as_ours() for dispute in reversed(found.data)]

    async def get_dispute(self, reference: str) -> ProviderDispute:
        """The chargeback as it is now. Raises NotFound."""
        return (await self._get(f"/v1/disputes/{_segment(reference)}", _Dispute)).as_ours()

    async def submit_evidence(
        self, reference: str, operation_id: str, evidence: DisputeEvidence
    ) -> ProviderDispute:
        """Hands in the evidence; `operation_id` is the idempotency key. Raises NotFound."""
        return await self._answer_dispute(reference, "evidence", operation_id, evidence)

    async def accept_dispute(self, reference: str, operation_id: str) -> ProviderDispute:
        """Gives in; `operation_id` is the idempotency key. Raises NotFound."""
        return await self._answer_dispute(reference, "accept", operation_id, None)

    async def _answer_dispute(
        self, reference: str, how: str, operation_id: str, evidence: DisputeEvidence | None
    ) -> ProviderDispute:
        dispute = await self._ask(
            "POST",
            f"/v1/disputes/{_segment(reference)}/{how}",
            _Dispute,
            content=evidence.model_dump_json() if evidence else None,
            headers={"Idempotency-Key": operation_id, "Content-Type": "application/json"},
            missing=True,
        )
        if dispute.reference != reference:
            raise _not_asked(dispute.reference)
        return dispute.as_ours()

    async def statement(self, day: date) -> Statement:
        """All movements booked on that UTC day, oldest first, and the balances around it."""
        lines: list[StatementLine] = []
        after = 0
        while True:
            path = f"/v1/statements/{day.isoformat()}"
            page = await self._get(path, _StatementPage, {"after": str(after)})
            lines.extend(each.as_ours() for each in page.lines)
            if page.next_after is None:
                return Statement(lines=tuple(lines), opening=page.opening, closing=page.closing)
            if page.next_after <= after:
                raise ProviderUnavailable("sandbox: the statement does not go on")
            after = page.next_after

    def verify_webhook(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> ProviderEvent:
        """Checks signature and time on the raw bytes. Raises WebhookRefused."""
        event_id, _timestamp = verify(
            self._webhook_secret, headers, body, now, self._tolerance_seconds
        )
        return parse_event(event_id, body)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def _create(self, path: str, request: _Request, kind: type[_Model]) -> _Model:
        return await self._ask(
            "POST",
            path,
            kind,
            content=request.model_dump_json(),
            headers={
                "Idempotency-Key": request.operation_id,
                "Content-Type": "application/json",
            },
        )

    async def _get(
        self, path: str, kind: type[_Model], params: Mapping[str, str] | None = None
    ) -> _Model:
        return await self._ask("GET", path, kind, params=params, missing=True)

    async def _find(self, path: str, operation_id: str, kind: type[_Model]) -> _Model:
        return await self._get(path, kind, {"operation_id": operation_id})

    async def _several(
        self, path: str, references: Sequence[str], kind: type[_Model]
    ) -> _Model | None:
        """One bulk read; None without asking when there is nothing to ask."""
        if len(references) > MAX_AT_ONCE:
            raise ValueError(f"at most {MAX_AT_ONCE} references at once")
        if not references:
            return None
        return await self._get(path, kind, {"references": ",".join(references)})

    async def _ask(
        self,
        method: str,
        path: str,
        kind: type[_Model],
        *,
        params: Mapping[str, str] | None = None,
        content: str | None = None,
        headers: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> _Model:
        try:
            answer = await self._http.request(
                method, path, params=params, content=content, headers=headers
            )
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise ProviderUnavailable(f"sandbox: {type(error).__name__} {error}") from error
        if not answer.is_success:
            raise _refusal(answer, missing)
        try:
            return kind.model_validate_json(answer.content, strict=True)
        except ValidationError as error:
            raise ProviderUnavailable(f"sandbox: unreadable answer to {method} {path}") from error


def _segment(reference: str) -> str:
    return quote(reference, safe="")


def _refusal(answer: httpx.Response, missing: bool) -> Exception:
    """The error behind an unsuccessful answer; only a problem document in the 4xx is a clear no."""
    unclear = ProviderUnavailable(f"sandbox: answered {answer.status_code}")
    is_problem = "application/problem+json" in answer.headers.get("content-type", "")
    if not answer.is_client_error or answer.status_code in _UNCLEAR or not is_problem:
        return unclear
    try:
        problem = _Problem.model_validate_json(answer.content)
    except ValidationError:
        return unclear
    if missing and answer.status_code == 404:
        return NotFound("the payment provider does not know this object")
    return ProviderRefused(f"{problem.code or problem.title}: {problem.detail}"[:500])


def _only(found: list[_Item]) -> _Item | None:
    if len(found) > 1:
        raise ProviderMismatch("the provider has several objects of one operation")
    return found[0] if found else None


def _asked_for(found: list[_Item], references: Sequence[str]) -> list[_Item]:
    """Refuses objects nobody asked for, and one that comes twice, with ProviderMismatch."""
    left = set(references)
    for each in found:
        if each.reference not in left:
            raise _not_asked(each.reference)
        left.remove(each.reference)
    return found


def _as_asked(
    made: _Moved, request: PaymentRequest | ChargeRequest | RefundRequest | PayoutRequest
) -> _Moved:
    """Refuses to take another object for ours, with ProviderMismatch."""
    asked = (request.operation_id, request.subject, request.amount, request.currency)
    if (made.operation_id, made.subject, made.amount, made.currency) != asked:
        raise _not_asked(made.reference)
    return made


def _not_asked(reference: str) -> ProviderMismatch:
    return ProviderMismatch(f"the provider answered {reference}, which is not what we asked")
