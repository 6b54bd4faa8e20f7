"""Makes repeating a POST safe: one key, one effect, one answer.

Two ways, by where the effect happens:

    @router.post("/v1/listings", status_code=201, response_model=ListingView, ...)
    async def create_listing(body: NewListing, user: CurrentUser, once: OnceDep) -> Response:
        async def create(session: AsyncSession, listing_id: str) -> ListingView: ...
        return await once.in_transaction("lst", body, create, status=201)

    @router.post("/v1/sales", status_code=201, response_model=SaleView, ...)
    async def place_sale(body: NewSale, user: CurrentUser, once: OnceDep) -> Response:
        async def place(sale_id: str) -> SaleView: ...  # start with the id sale_id: the same at every try
        return await once.resumable("sal", body, place, status=201)

Kept are successes and refusals below 500 that the operation itself raised; a 5xx is never kept, so the same key may
be tried again. Authentication, schema validation and whatever a route checks before are not part of the operation.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Header
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from api.auth import CurrentUser
from api.errors import PROBLEM_JSON, document
from api.services import Services, ServicesDep
from db import idempotency
from db.idempotency import Answer
from domain.errors import DomainError
from domain.ids import new_id
from runtime.temporal_errors import domain_error_of

REPLAYED = "Idempotency-Replayed"

IdempotencyKey = Annotated[
    str,
    Header(
        alias="Idempotency-Key",
        min_length=1,
        max_length=255,
        pattern=r"^[\x21-\x7e]+$",
        description="Fresh for each new request; the same again when a request is repeated.",
        examples=["01J9Z1Q6M4-place-lamp"],
    ),
]


@dataclass(frozen=True)
class Noted:
    """An answer, and what is to be written down in the very transaction that keeps it; safe to write again."""

    answer: BaseModel
    note: Callable[[AsyncSession], Awaitable[None]]


@dataclass(frozen=True)
class Once:
    """The caller's key for this request, and the two ways to carry it out at most once."""

    services: Services
    request: Request
    user_id: str
    key: str

    async def in_transaction(
        self,
        prefix: str,
        body: BaseModel | str,
        operation: Callable[[AsyncSession, str], Awaitable[BaseModel]],
        *,
        status: int,
    ) -> Response:
        """For effects in the database only: key, effect and answer commit together or not at all.

        `prefix` is that of the id which the operation gets for what it makes; `body` is what must be the same when
        the key comes again. Concurrent duplicates wait for the first one. A refusal rolls the effect back and is
        kept as the answer.
        """
        async with self.services.database.transaction() as session:
            claim = await self._claim(session, prefix, body)
            if claim.answer:
                return _response(claim.answer, replayed=True)
            try:
                async with session.begin_nested():
                    made = await operation(session, claim.resource_id)
                answer = _success(status, made)
            except DomainError as refused:
                answer = self._refusal(refused)
            await idempotency.store(session, self.user_id, self.key, answer)
        return _response(answer)

    async def resumable(
        self,
        prefix: str,
        body: BaseModel | str,
        operation: Callable[[str], Awaitable[BaseModel | Noted]],
        *,
        status: int,
    ) -> Response:
        """For effects outside this transaction (Temporal, the file store): claim, run, keep the answer.

        The operation must be safe to repeat under the id it gets: it runs again when an earlier try got no answer,
        and concurrent duplicates run side by side. All of them then give the answer that was kept first.
        """
        async with self.services.database.transaction() as session:
            claim = await self._claim(session, prefix, body)
        if claim.answer:
            return _response(claim.answer, replayed=True)
        note = None
        try:
            made = await operation(claim.resource_id)
            if isinstance(made, Noted):
                note, made = made.note, made.answer
            answer = _success(status, made)
        except Exception as raised:
            refused = domain_error_of(raised)
            if refused is None:
                raise
            answer = self._refusal(refused)
        async with self.services.database.transaction() as session:
            if note is not None:
                await note(session)
            if await idempotency.store(session, self.user_id, self.key, answer):
                return _response(answer)
            kept = (await self._claim(session, prefix, body)).answer
        return _response(kept or answer, replayed=True)

    async def _claim(
        self, session: AsyncSession, prefix: str, body: BaseModel | str
    ) -> idempotency.Claim:
        return await idempotency.claim(
            session, self.user_id, self.key, self._hash(body), new_id(prefix)
        )

    def _hash(self, body: BaseModel | str) -> str:
        content = body if isinstance(body, str) else body.model_dump(mode="json")
        request = [self.request.method, self.request.url.path, content]
        canonical = json.dumps(request, sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(canonical.encode()).hexdigest()

    def _refusal(self, error: DomainError) -> Answer:
        """The refusal as an answer to keep. Raises it again when it says that something is down."""
        if error.http_status >= 500:
            raise error
        base_url = self.services.settings.api_url
        return Answer(error.http_status, dict(document([error], base_url, self.request.url.path)))


def _success(status: int, made: BaseModel) -> Answer:
    return Answer(status, made.model_dump(mode="json"))


def _response(answer: Answer, *, replayed: bool = False) -> Response:
    return JSONResponse(
        answer.body,
        status_code=answer.status_code,
        headers={REPLAYED: "true"} if replayed else None,
        media_type=PROBLEM_JSON if answer.status_code >= 400 else "application/json",
    )


async def _once(
    request: Request, services: ServicesDep, user: CurrentUser, key: IdempotencyKey
) -> Once:
    return Once(services, request, user.id, key)


OnceDep = Annotated[Once, Depends(_once)]
"""Needs a signed-in user and a valid Idempotency-Key; answers 400 without the key."""
