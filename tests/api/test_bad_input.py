"""Bad input gets a 4xx problem document that names the field, and leaves nothing behind."""

from __future__ import annotations

import json

import pytest

from domain.ids import new_id
from tests.api.client import LISTING, Api, assert_problem

UNKNOWN_LISTING = new_id("lst")
INVALID = "invalid_input"

# changes of a good listing, the field that is named, the code
LISTINGS: list[tuple[dict[str, object], str, str]] = [
    ({"unit_price": {"amount": 0}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": -1}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": 1.5}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": 1.0}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": "100"}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": True}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": None}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": 10_000_000_000_001}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": 2**63}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": 10**400}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": float("nan")}}, "unit_price.amount", INVALID),
    ({"unit_price": {"amount": float("inf")}}, "unit_price.amount", INVALID),
    ({"unit_price": {}}, "unit_price.amount", INVALID),
    ({"unit_price": 100}, "unit_price", INVALID),
    ({"unit_price": {"amount": 1, "currency": "XXX"}}, "unit_price.currency", "unknown_currency"),
    ({"unit_price": {"amount": 1, "currency": "cny"}}, "unit_price.currency", "unknown_currency"),
    ({"unit_price": {"amount": 1, "currency": ""}}, "unit_price.currency", "unknown_currency"),
    (
        {"unit_price": {"amount": 1, "currency": "C\x00Y"}},
        "unit_price.currency",
        "unknown_currency",
    ),
    ({"unit_price": {"amount": 1, "currency": 156}}, "unit_price.currency", INVALID),
    ({"unit_price": {"amount": 1, "fee": 2}}, "unit_price.fee", INVALID),
    ({"title": ""}, "title", INVALID),
    ({"title": "   "}, "title", INVALID),
    ({"title": "x" * 201}, "title", INVALID),
    ({"title": "lamp\x00"}, "title", INVALID),
    ({"title": "two\nlines"}, "title", INVALID),
    ({"title": "\u202egnp.exe"}, "title", INVALID),
    ({"title": 7}, "title", INVALID),
    ({"description": "x" * 10_001}, "description", INVALID),
    ({"description": "a\x00b"}, "description", INVALID),
    ({"stock": -1}, "stock", INVALID),
    ({"stock": 0}, "stock", INVALID),
    ({"stock": 1.0}, "stock", INVALID),
    ({"stock": True}, "stock", INVALID),
    ({"stock": 2**64}, "stock", INVALID),
    ({"stock": None}, "stock", INVALID),
    ({"stock_kind": "plenty"}, "stock_kind", INVALID),
    ({"stock_kind": "one_of_a_kind", "stock": 2}, "stock", INVALID),
    ({"stock_kind": "made_to_order", "stock": None}, "lead_days", INVALID),
    ({"stock_kind": "made_to_order", "lead_days": 10}, "stock", INVALID),
    ({"stock_kind": "made_to_order", "stock": None, "lead_days": 151}, "lead_days", INVALID),
    ({"lead_days": 3}, "lead_days", INVALID),
    ({"stock_kind": "pre_order"}, "available_from", INVALID),
    ({"available_from": "2030-01-01T00:00:00Z"}, "available_from", INVALID),
    (
        {"stock_kind": "pre_order", "available_from": "2020-01-01T00:00:00Z"},
        "available_from",
        INVALID,
    ),
    (
        {"stock_kind": "pre_order", "available_from": "2190-01-01T00:00:00Z"},
        "available_from",
        "hold_too_long",
    ),
    ({"available_from": "2030-01-01T00:00:00"}, "available_from", INVALID),
    ({"available_from": "9999-12-31T23:59:59-12:00"}, "available_from", INVALID),
    ({"available_from": "0001-01-01T00:00:00+14:00"}, "available_from", INVALID),
    ({"available_from": 1e300}, "available_from", INVALID),
    ({"available_from": "soon"}, "available_from", INVALID),
    ({"delivery": []}, "delivery", INVALID),
    ({"delivery": ["drone"]}, "delivery[0]", INVALID),
    ({"delivery": ["express", "express"]}, "delivery", INVALID),
    ({"royalty_basis_points": 500}, "royalty_sku", INVALID),
    ({"royalty_sku": "lamp-1"}, "royalty_basis_points", INVALID),
    (
        {"royalty_basis_points": 9_201, "royalty_sku": "lamp-1"},
        "royalty_basis_points",
        INVALID,
    ),
    ({"royalty_basis_points": 500, "royalty_sku": "a b"}, "royalty_sku", INVALID),
    ({"picture_ids": ["nope"]}, "picture_ids[0]", INVALID),
    ({"picture_ids": [new_id("fil")]}, "picture_ids[0]", INVALID),
    ({"picture_ids": [new_id("fil") for _ in range(13)]}, "picture_ids", INVALID),
    ({"on_sale": "yes"}, "on_sale", INVALID),
    ({"on_sale": 1}, "on_sale", INVALID),
    ({"colour": "red"}, "colour", INVALID),
]


async def test_listings(api: Api) -> None:
    seller = await api.user_id("careless")
    for changes, field, code in LISTINGS:
        body = {**LISTING, **changes}
        sent = _python_json(body)
        headers = {"Content-Type": "application/json"}
        answer = await api.call(
            "POST", "/v1/listings", by="careless", content=sent, headers=headers
        )
        assert answer.status_code == 422, f"{changes}: {answer.text}"
        problem = assert_problem(answer, 422, code)
        assert problem["field"] == field, changes
        assert problem["accepted"], changes
    assert api.execute("SELECT 1 FROM listings WHERE seller_id = %s", seller) == []


def _python_json(body: object) -> bytes:
    """JSON with NaN and Infinity in it, which httpx would refuse to send."""
    return json.dumps(body).encode()


async def test_every_wrong_field_is_named(api: Api) -> None:
    body = {"unit_price": {"amount": 0, "currency": "XXX"}, "stock_kind": "x", "extra": 1}
    answer = await api.call("POST", "/v1/listings", by="careless", json=body)
    problem = assert_problem(answer, 422, INVALID)
    named = {error["field"] for error in problem["errors"]}
    assert named == {"title", "unit_price.amount", "unit_price.currency", "stock_kind", "extra"}
    assert problem["field"] == problem["errors"][0]["field"]


DESTINATION = {"account": "6222020200112233445", "holder": "Lin Mei"}
OTHERS: list[tuple[str, str, dict[str, object], str]] = [
    ("POST", "/v1/payout-destinations", {"currency": "XAU"}, "currency"),
    ("POST", "/v1/payout-destinations", {"account": "x" * 129}, "account"),
    ("POST", "/v1/payout-destinations", {"account": "123"}, "account"),
    ("POST", "/v1/payout-destinations", {"account": "12\x0034"}, "account"),
    ("POST", "/v1/payout-destinations", {"account": 62220202}, "account"),
    ("POST", "/v1/payout-destinations", {"holder": ""}, "holder"),
    ("POST", "/v1/payout-destinations", {"holder": "x" * 81}, "holder"),
    ("POST", "/v1/payout-destinations", {"automatic": "no"}, "automatic"),
    ("PATCH", "/v1/me", {"display_name": "a\x00b"}, "display_name"),
    ("PATCH", "/v1/me", {"display_name": "x" * 81}, "display_name"),
    ("PATCH", "/v1/me", {"display_name": "ok", "roles": ["admin"]}, "roles"),
    ("PATCH", "/v1/me", {}, "display_name"),
]


async def test_other_bodies(api: Api) -> None:
    for method, path, changes, field in OTHERS:
        body = {**DESTINATION, **changes} if method == "POST" else changes
        answer = await api.call(method, path, by="careless", json=body)
        assert answer.status_code == 422, f"{path} {changes}: {answer.text}"
        assert answer.json()["field"] == field


RAW: list[tuple[bytes, str, int, str]] = [
    (b"{", "application/json", 400, "malformed_request"),
    (b"\xff\xfe", "application/json", 400, "malformed_request"),
    (b"[" * 100_000, "application/json", 400, "malformed_request"),
    (b'{"stock": ' + b"9" * 5_000 + b"}", "application/json", 400, "malformed_request"),
    (b"[]", "application/json", 422, INVALID),
    (b"null", "application/json", 422, INVALID),
    (b"", "application/json", 422, INVALID),
    (b'{"title": "\\ud800"}', "application/json", 422, INVALID),
    (b'{"\\ud800\\u0000": 1}', "application/json", 422, INVALID),
    (b'{"' + b"k" * 100_000 + b'": 1}', "application/json", 422, INVALID),
    (b"title=lamp", "application/x-www-form-urlencoded", 415, "unsupported_media_type"),
    (b"<a/>", "application/xml", 415, "unsupported_media_type"),
    (b"{}", "text/plain", 415, "unsupported_media_type"),
    (b" " * 1_100_000, "application/json", 413, "content_too_large"),
]


async def test_raw_bodies(api: Api) -> None:
    for content, media_type, status, code in RAW:
        headers = {"Content-Type": media_type}
        answer = await api.call(
            "POST", "/v1/listings", by="careless", content=content, headers=headers
        )
        assert answer.status_code == status, f"{content[:40]!r}: {answer.text[:300]}"
        assert_problem(answer, status, code)
        assert len(answer.content) < 5_000


QUERIES = [
    ("/v1/listings?limit=0", "limit"),
    ("/v1/listings?limit=101", "limit"),
    ("/v1/listings?limit=1.5", "limit"),
    ("/v1/listings?limit=99999999999999999999999", "limit"),
    ("/v1/listings?limit=many", "limit"),
    ("/v1/listings?after=nonsense", "after"),
    ("/v1/listings?after=%00", "after"),
    ("/v1/listings?after=" + new_id("sal"), "after"),
    ("/v1/listings?seller=nobody", "seller"),
    ("/v1/listings/%00", "listing_id"),
    ("/v1/listings/lst_1", "listing_id"),
    ("/v1/users/me2", "user_id"),
    ("/v1/files/x", "file_id"),
    ("/v1/me/statement?after=-1", "after"),
    ("/v1/me/statement?after=9223372036854775808", "after"),
    ("/v1/me/statement?currency=XXX", "currency"),
    ("/v1/me/tax/2199/4", "year"),
    ("/v1/tax-reports/2000/1", "year"),
    ("/v1/payout-destinations?after=x", "after"),
    ("/v1/paths/con_x/deadlines", "path_id"),
    (f"/v1/sales/{new_id('sal')}/timeline?after=x", "after"),
    ("/v1/ledger/accounts/fee/statement?currency=CNY", "code"),
    ("/v1/ledger/accounts/fees:platform/statement?currency=CNY", "code"),
    ("/v1/ledger/accounts/fee:platform/statement", "currency"),
    ("/v1/ledger/accounts/fee:platform/statement?currency=yuan", "currency"),
]


async def test_parameters(api: Api) -> None:
    for path, field in QUERIES:
        answer = await api.call("GET", path, by="root")
        assert answer.status_code == 422, f"{path}: {answer.text}"
        assert answer.json()["field"] == field, path


async def test_addresses_and_methods(api: Api) -> None:
    assert_problem(await api.get("/nowhere"), 404, "not_found")
    assert_problem(await api.get(f"/v1/listings/{UNKNOWN_LISTING}"), 404, "not_found")
    assert_problem(await api.get(f"/v1/users/{new_id('usr')}"), 404, "not_found")
    assert_problem(await api.get(f"/v1/files/{new_id('fil')}"), 404, "not_found")
    assert_problem(await api.get(f"/v1/files/{new_id('fil')}/content"), 404, "not_found")
    wrong = assert_problem(await api.call("DELETE", "/v1/me"), 405, "method_not_allowed")
    assert wrong["instance"] == "/v1/me"


@pytest.mark.parametrize("key", ["", "x" * 256, "two words", "schlüssel", "tab\tbed"])
async def test_idempotency_keys(api: Api, key: str) -> None:
    headers = [(b"Authorization", f"Bearer {api.issuer.token('careless')}".encode())]
    if key:
        headers.append((b"Idempotency-Key", key.encode("latin-1")))
    answer = await api.http.post("/v1/listings", json=LISTING, headers=headers)
    problem = assert_problem(answer, 400, "idempotency_key_missing")
    assert problem["field"] == "Idempotency-Key"
