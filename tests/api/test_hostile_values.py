"""No value in any place of a request is ever our fault: whatever comes, the answer is below 500."""

from __future__ import annotations

import json
from urllib.parse import quote

from domain.ids import new_id
from tests.api.client import LISTING, Api, Json

NASTY: list[object] = [
    None, True, -1, 1.5, 2**63, 10**30, 1e308, "", "a\x00b", "\ud800", "0", "x" * 20_000,
    "'; DROP TABLE users; --", [], [None], {"": 0}, [0] * 200, new_id("usr"),
]  # fmt: skip
IN_ADDRESS = ["0", "-1", "\x00", "\ud7ff", "..", "x" * 3_000, "'", "%", "é", new_id("sal"), "CNY"]
IN_ADDRESS_AGAIN = ["\x00", "-1", new_id("sal")]
IDS = (
    ("sal", "path"), ("sal", "sale"), ("lst", "listing"), ("usr", "user"), ("con", "contest"),
    ("ent", "entry"), ("obj", "objection"), ("fil", "file"),
)  # fmt: skip
BODIES: dict[tuple[str, str], Json] = {
    ("post", "/v1/listings"): {
        **LISTING,
        "description": "",
        "lead_days": 0,
        "available_from": None,
        "royalty_basis_points": 0,
        "royalty_sku": None,
        "picture_ids": [],
        "on_sale": True,
    },
    ("post", "/v1/payout-destinations"): {
        "currency": "CNY",
        "account": "6222020200112233445",
        "holder": "Lin",
        "automatic": True,
    },
    ("patch", "/v1/me"): {"display_name": "Lin"},
    ("post", "/v1/contests"): {
        "title": "A mark",
        "brief": "Ink.",
        "bounty": {"amount": 12_000, "currency": "CNY"},
        "prizes": [12_000],
        "guaranteed": True,
        "sealed": True,
        "rounds": 1,
        "max_finalists": 6,
        "entries_each": 5,
        "file_ids": [],
        "licence": None,
        "windows": {"entry_seconds": 86_400},
    },
}


async def test_bodies(api: Api) -> None:
    headers = {"Content-Type": "application/json"}
    for (method, path), good in BODIES.items():
        for field in [*good, "unknown"]:
            for value in NASTY:
                sent = json.dumps({**good, field: value}).encode()
                answer = await api.call(
                    method.upper(), path, by="mallory", content=sent, headers=headers
                )
                assert answer.status_code < 500, f"{path} {field}={value!r:.60}: {answer.text}"


async def test_addresses_and_queries(api: Api) -> None:
    document = (await api.get("/openapi.json")).json()
    known: set[str] = set()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if path == "/readyz":  # says 503 without Temporal
                continue
            for parameter in operation.get("parameters", []):
                # Every route reads a parameter of the same name and rules by the same code: once with all values.
                kind = json.dumps({**parameter, "description": ""}, sort_keys=True)
                values = IN_ADDRESS_AGAIN if kind in known else IN_ADDRESS
                known.add(kind)
                for value in values:
                    answer = await _with_parameter(api, method, path, parameter, value)
                    place = f"{method} {path} {parameter['name']}={value!r:.60}"
                    assert answer < 500 or answer == 503, place  # Temporal is not there


_CLOSING = "/v1/me/closing"


async def _with_parameter(api: Api, method: str, path: str, parameter: Json, value: str) -> int:
    """The status of an operation with one parameter changed and good values for the others in the path."""
    name, place = parameter["name"], parameter["in"]
    address = path.replace(f"{{{name}}}", quote(value, safe="")) if place == "path" else path
    for prefix, word in IDS:
        address = address.replace(f"{{{word}_id}}", new_id(prefix))
    headers, params = {}, {}
    if place == "query":
        params[name] = value
    if place == "header":
        headers[name] = value.encode("ascii", "replace").decode().replace("\x00", "\x01")
    answer = await api.call(
        method.upper(),
        address,
        # The account that closes is nobody's in the other tests.
        by="leaver" if path == _CLOSING else "root",
        key="" if "Idempotency-Key" in headers else None,
        params=params,
        headers=headers,
        json={} if method in {"post", "patch"} else None,
    )
    return answer.status_code
