"""The API as its callers see it: users with tokens, keys for POSTs, JSON in and out."""

from __future__ import annotations

import io
import uuid
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import psycopg
from fastapi import FastAPI
from PIL import Image
from psycopg.types.json import Jsonb

from api.app import create_app
from domain.ids import new_id
from runtime.settings import Settings
from tests.api.issuer import Issuer

Json = dict[str, Any]
LISTING: Json = {
    "title": "Bamboo lamp",
    "unit_price": {"amount": 12_000, "currency": "CNY"},
    "stock_kind": "in_stock",
    "stock": 5,
    "delivery": ["express"],
}
"""A listing that is accepted."""


@dataclass
class Api:
    """One running application on one database, and the issuer of its tokens."""

    app: FastAPI
    http: httpx.AsyncClient
    issuer: Issuer
    settings: Settings

    async def call(
        self,
        method: str,
        path: str,
        *,
        by: str | None = None,
        key: str | None = None,
        json: object = None,
        headers: Mapping[str, str] | None = None,
        **more: Any,
    ) -> httpx.Response:
        """Sends a request `by` a subject; a POST gets a fresh key unless one is given ("" for none)."""
        sent = dict(headers or {})
        if by is not None:
            sent["Authorization"] = f"Bearer {self.issuer.token(by)}"
        if method == "POST" and key != "":
            sent["Idempotency-Key"] = key or uuid.uuid4().hex
        if json is not None:
            more["json"] = json
        return await self.http.request(method, path, headers=sent, **more)

    async def get(self, path: str, by: str | None = None, **params: str | int) -> httpx.Response:
        """GET with query parameters."""
        return await self.call("GET", path, by=by, params=params)

    async def user_id(self, subject: str) -> str:
        """The id of a user, who exists from now on."""
        answer = await self.get("/v1/me", by=subject)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    async def listing(self, by: str, **changes: object) -> Json:
        """A new listing of a seller."""
        answer = await self.call("POST", "/v1/listings", by=by, json={**LISTING, **changes})
        assert answer.status_code == 201, answer.text
        found: Json = answer.json()
        return found

    async def upload(
        self,
        by: str,
        content: bytes,
        media_type: str = "image/png",
        *,
        name: str = "picture",
        private: bool = False,
        **more: Any,
    ) -> httpx.Response:
        """Uploads a file."""
        files = {"file": (name, content, media_type)}
        path = "/v1/files?private=true" if private else "/v1/files"
        return await self.call("POST", path, by=by, files=files, **more)

    def execute(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        """Runs SQL past the API."""
        assert self.settings.database_url is not None
        with psycopg.connect(self.settings.database_url.get_secret_value()) as connection:
            cursor = connection.execute(query.encode(), values)
            return cursor.fetchall() if cursor.description else []

    def grant(self, user_id: str, role: str) -> None:
        """Gives a role past the API."""
        self.execute(
            "INSERT INTO user_roles (user_id, role) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            user_id,
            role,
        )

    def sale(self, buyer_id: str, seller_id: str, deadlines: str = "[]") -> str:
        """A sale as its workflow would have written it down; its id."""
        sale_id = new_id("sal")
        self.execute(
            "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase, deadlines)"
            " VALUES (%s, 'sale', %s, %s, 'CNY', 'paid', %s)",
            sale_id,
            f"sale-{sale_id}",
            buyer_id,
            deadlines,
        )
        self.execute(
            "INSERT INTO sales (id, buyer_id, seller_id, total, terms)"
            " VALUES (%s, %s, %s, 12000, '{}')",
            sale_id,
            buyer_id,
            seller_id,
        )
        return sale_id

    def tender(self, buyer_id: str, bidder_id: str, phase: str) -> tuple[str, str]:
        """A tender with one bid, awarded unless it is being bid on; their ids."""
        tender_id, bid_id = new_id("ten"), new_id("bid")
        self.execute(
            "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
            " VALUES (%s, 'tender', %s, %s, 'CNY', %s)",
            tender_id,
            f"tender-{tender_id}",
            buyer_id,
            phase,
        )
        rules: Json = {"policy": {}, "refund_policy": {}, "provider": "sandbox", "return_url": ""}
        terms: Json = {
            "tender_id": tender_id,
            "buyer_id": buyer_id,
            "title": "Lamps",
            "brief": "Bamboo",
            "currency": "CNY",
            "deposit": 100,
            "bidding_seconds": 86_400,
            "rules": rules,
        }
        self.execute(
            "INSERT INTO tenders (id, terms, worker_id) VALUES (%s, %s, %s)",
            tender_id,
            Jsonb(terms),
            None if phase in ("draft", "open") else bidder_id,
        )
        self.execute(
            "INSERT INTO bids (id, tender_id, bidder_id, status, price, lead_days, message, file_ids,"
            " revision) VALUES (%s, %s, %s, 'live', 1, 1, '', '{}', 1)",
            bid_id,
            tender_id,
            bidder_id,
        )
        return tender_id, bid_id

    async def contest(self, by: str) -> str:
        """A draft of a contest; its id."""
        body: Json = {"title": "A mark", "bounty": {"amount": 12_000, "currency": "CNY"}}
        answer = await self.call("POST", "/v1/contests", by=by, json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    def entry(self, contest_id: str, creator_id: str) -> str:
        """The contest opens, as its workflow would have written it down, and has an entry; its id."""
        entry_id = new_id("ent")
        self.execute("UPDATE paths SET phase = 'open' WHERE id = %s", contest_id)
        self.execute(
            "INSERT INTO entries (id, contest_id, creator_id, title, status, received_at)"
            " VALUES (%s, %s, %s, 'Two strokes', 'entered', now())",
            entry_id,
            contest_id,
            creator_id,
        )
        return entry_id

    def ballot(self, initiator_id: str, phase: str) -> str:
        """A ballot as its workflow would have written it down; its id."""
        ballot_id = new_id("bal")
        self.execute(
            "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
            " VALUES (%s, 'ballot', %s, %s, 'XXX', %s)",
            ballot_id,
            f"ballot-{ballot_id}",
            initiator_id,
            phase,
        )
        option: Json = {"score": 0, "option_id": "1"}
        result: Json = {
            "decided": False,
            "standings": {"ranking": [option, {**option, "option_id": "2"}]},
            "turnout": 0,
            "papers": 0,
            "voided": 0,
            "head_hash": "",
        }
        terms: Json = {
            "title": "Which?",
            "options": [{"id": "1", "label": "This"}, {"id": "2", "label": "That"}],
            "account_age_seconds": 0,
            "voting_seconds": 1,
            "notice_seconds": 1,
            "policy": {},
        }
        self.execute(
            "INSERT INTO ballots (id, terms, head_hash, result) VALUES (%s, %s, '', %s)",
            ballot_id,
            Jsonb(terms),
            Jsonb(result),
        )
        return ballot_id


@asynccontextmanager
async def running_api(settings: Settings, issuer: Issuer) -> AsyncIterator[Api]:
    """The application of these settings, started and stopped as a server would."""
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            yield Api(app, http, issuer, settings)


def picture(
    kind: str = "PNG", size: tuple[int, int] = (8, 6), color: str = "teal", **options: Any
) -> bytes:
    """A small real picture."""
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, kind, **options)
    return buffer.getvalue()


def assert_problem(answer: httpx.Response, status: int, code: str) -> Json:
    """The problem document of an answer, checked for everything RFC 9457 and we ask of it."""
    assert answer.status_code == status, f"{answer.status_code}: {answer.text}"
    assert answer.headers["content-type"] == "application/problem+json"
    document: Json = answer.json()
    assert document["status"] == status
    assert document["code"] == code, document
    assert document["type"].endswith(f"/problems/{code}")
    assert {"title", "detail", "instance"} <= set(document)
    return document
