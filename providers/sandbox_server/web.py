"""What every route shares: the running sandbox, the API key, and answers that can go wrong on command."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, cast

from fastapi import Depends, Header
from fastapi.responses import Response
from fastapi.security import HTTPBearer
from pydantic import BaseModel, SerializeAsAny
from starlette.requests import HTTPConnection
from starlette.types import Receive, Scope, Send

from providers.sandbox_server.behaviours import any_on, take
from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.lookup import Which
from providers.sandbox_server.problems import Problem, problem_response
from providers.sandbox_server.records import (
    Card,
    CardView,
    Dispute,
    Effect,
    Operation,
    Payee,
    Payment,
    PaymentView,
    Payout,
    Refund,
)
from providers.sandbox_server.store import Store, Tx


class Sandbox:
    """One running sandbox: its configuration and its store."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.wake = asyncio.Event()
        self.store = Store(config, on_commit=self.wake.set)
        self.background: asyncio.Task[None] | None = None
        """Sends webhooks and lets payouts arrive while the server runs."""

    def view(self, payment: Payment) -> PaymentView:
        """A payment with the address of its pay page."""
        address = f"{self.config.base_url}/pay/{payment.reference}"
        return PaymentView.model_validate({**vars(payment), "checkout_url": address})

    def card_view(self, card: Card) -> CardView:
        """A card with the address of the page on which it is saved."""
        address = f"{self.config.base_url}/card/{card.reference}"
        return CardView.model_validate({**vars(card), "checkout_url": address})


async def running_sandbox(request: HTTPConnection) -> Sandbox:
    """The sandbox behind this request."""
    return cast(Sandbox, request.app.state.sandbox)


Running = Annotated[Sandbox, Depends(running_sandbox)]


class _ApiKey(HTTPBearer):
    """Refuses a request without the right bearer key."""

    async def __call__(self, request: HTTPConnection) -> None:
        sandbox = await running_sandbox(request)
        given = request.headers.get("authorization", "")
        expected = f"Bearer {sandbox.config.api_key}"
        if not secrets.compare_digest(given.encode(), expected.encode()):
            raise Problem(401, "api_key_invalid", "Authorization: Bearer <api key> is needed")


require_api_key = _ApiKey(scheme_name="ApiKey")

IdempotencyKey = Annotated[str, Header(pattern=r"^[\x21-\x7e]{1,255}$")]

Item = Payment | Card | Refund | Payout | Dispute | Payee
_TABLES = {
    "spay": "payments",
    "scrd": "cards",
    "sref": "refunds",
    "spyo": "payouts",
    "sdsp": "disputes",
}


def _all_names(tx: Tx, names: Iterable[str]) -> tuple[str, ...]:
    """The names given, and all others of the objects whose reference is among them and of the cards they charge."""
    found = list(names)
    for name in found:
        table = _TABLES.get(name.partition("_")[0])
        row = tx.one(f"SELECT * FROM {table} WHERE reference = ?", name) if table else None
        if row:
            others = (row["subject"], row["operation_id"], row.get("card_reference"))
            found.extend(str(other) for other in others if other and other not in found)
    return tuple(found)


class CutConnection(Response):
    """Promises a body and hangs up: the caller cannot know what happened."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send(
            {
                "type": "http.response.start",
                "status": 200,
                "headers": [(b"content-type", b"application/json"), (b"content-length", b"999")],
            }
        )
        await send({"type": "http.response.body", "body": b"{", "more_body": True})


@dataclass(frozen=True)
class _Fault:
    """What goes wrong with an answer after acting; nothing as it stands."""

    delay_seconds: float = 0
    lost: bool = False
    cut: bool = False


_NO_FAULT = _Fault()


def _fault(tx: Tx, operation: Operation, names: tuple[str, ...]) -> _Fault:
    delay = take(tx, operation, Effect.DELAY, names)
    return _Fault(
        delay_seconds=delay.seconds if delay else 0,
        lost=take(tx, operation, Effect.ANSWER_LOST, names) is not None,
        cut=take(tx, operation, Effect.CONNECTION_CUT, names) is not None,
    )


async def _answered(fault: _Fault, body: BaseModel, status: int) -> Response:
    if fault.delay_seconds:
        await asyncio.sleep(fault.delay_seconds)
    if fault.lost:
        return problem_response(500, "answer_lost", "something went wrong after acting")
    if fault.cut:
        return CutConnection()
    return json_response(body, status)


def json_response(body: BaseModel, status: int = 200) -> Response:
    """A model as it is answered."""
    return Response(body.model_dump_json(), status, media_type="application/json")


def shown(sandbox: Sandbox, item: Item) -> BaseModel:
    """An object as it is answered."""
    if isinstance(item, Payment):
        return sandbox.view(item)
    return sandbox.card_view(item) if isinstance(item, Card) else item


async def answer(
    sandbox: Sandbox,
    operation: Operation,
    names: tuple[str, ...],
    act: Callable[[Tx], tuple[Item, bool]],
) -> Response:
    """Acts in one transaction and answers, or misbehaves as told; `act` also says whether it made something."""
    fault = _NO_FAULT
    with sandbox.store.transaction() as tx:
        switched = any_on(tx, operation)
        if switched and take(tx, operation, Effect.UNAVAILABLE, _all_names(tx, names)):
            return problem_response(503, "unavailable", "come back later")
        item, new = act(tx)
        if switched:
            fault = _fault(tx, operation, _all_names(tx, (*names, item.reference)))
    return await _answered(fault, shown(sandbox, item), 201 if new else 200)


async def answer_list(
    sandbox: Sandbox, asked: Which, read: Callable[[Tx, Which], Sequence[Item]]
) -> Response:
    """Reads several objects and answers them, or misbehaves as told."""
    fault = _NO_FAULT
    with sandbox.store.transaction() as tx:
        items = read(tx, asked)
        if any_on(tx, "read"):
            names = _all_names(tx, asked.references or (asked.operation_id or "",))
            if take(tx, "read", Effect.UNAVAILABLE, names):
                return problem_response(503, "unavailable", "come back later")
            fault = _fault(tx, "read", names)
    return await _answered(fault, Page(data=[shown(sandbox, item) for item in items]), 200)


class Page(BaseModel):
    """Several objects in one answer."""

    data: list[SerializeAsAny[BaseModel]]
