"""What every route shares: the running sandbox, the API key, and answers that can go wrong on command."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from typing import Annotated, cast

from fastapi import Depends, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel
from starlette.types import Receive, Scope, Send

from providers.sandbox_server.behaviours import take
from providers.sandbox_server.config import SandboxConfig
from providers.sandbox_server.problems import Problem, problem_response
from providers.sandbox_server.records import (
    Effect,
    Operation,
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
        return PaymentView(**payment.model_dump(), checkout_url=address)


def running_sandbox(request: Request) -> Sandbox:
    """The sandbox behind this request."""
    return cast(Sandbox, request.app.state.sandbox)


Running = Annotated[Sandbox, Depends(running_sandbox)]


def require_api_key(sandbox: Running, authorization: Annotated[str, Header()] = "") -> None:
    """Refuses a request without the right bearer key."""
    expected = f"Bearer {sandbox.config.api_key}".encode()
    if not secrets.compare_digest(authorization.encode(), expected):
        raise Problem(401, "api_key_invalid", "Authorization: Bearer <api key> is needed")


IdempotencyKey = Annotated[str, Header(pattern=r"^[\x21-\x7e]{1,255}$")]


def refuse_read(sandbox: Sandbox, names: tuple[str, ...]) -> None:
    """Raises a 503 or 500 Problem when reads were told to fail."""
    with sandbox.store.transaction() as tx:
        unavailable = take(tx, "read", Effect.UNAVAILABLE, names)
        lost = take(tx, "read", Effect.ANSWER_LOST, names)
    if unavailable:
        raise Problem(503, "unavailable", "come back later")
    if lost:
        raise Problem(500, "answer_lost", "something went wrong")


def _other_names(tx: Tx, reference: str) -> tuple[str, ...]:
    row = tx.one(
        "SELECT subject, operation_id FROM payments WHERE reference = ?1"
        " UNION ALL SELECT subject, operation_id FROM refunds WHERE reference = ?1"
        " UNION ALL SELECT subject, operation_id FROM payouts WHERE reference = ?1",
        reference,
    )
    return (str(row["subject"]), str(row["operation_id"])) if row else ()


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


def shown(sandbox: Sandbox, item: Payment | Refund | Payout) -> BaseModel:
    """An object as it is answered."""
    return sandbox.view(item) if isinstance(item, Payment) else item


async def answer(
    sandbox: Sandbox,
    operation: Operation,
    names: tuple[str, ...],
    act: Callable[[Tx], tuple[Payment | Refund | Payout, bool]],
) -> Response:
    """Acts in one transaction and answers, or misbehaves as told; `act` also says whether it made something."""
    with sandbox.store.transaction() as tx:
        known = (*names, *_other_names(tx, names[0]))
        if take(tx, operation, Effect.UNAVAILABLE, known):
            return problem_response(503, "unavailable", "come back later")
    with sandbox.store.transaction() as tx:
        item, new = act(tx)
        every = (*names, item.subject, item.operation_id, item.reference)
        delay = take(tx, operation, Effect.DELAY, every)
        lost = take(tx, operation, Effect.ANSWER_LOST, every)
        cut = take(tx, operation, Effect.CONNECTION_CUT, every)
    if delay:
        await asyncio.sleep(delay.seconds)
    if lost:
        return problem_response(500, "answer_lost", "something went wrong after acting")
    if cut:
        return CutConnection()
    body = shown(sandbox, item).model_dump(mode="json")
    return JSONResponse(body, status_code=201 if new else 200)
