"""The smallest body that an operation takes, made from the OpenAPI document; what a schema cannot say is written out."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from domain.ids import new_id
from tests.api.client import LISTING
from tests.security.world import TAX_PROFILE, World
from tests.stories import funds, in_kind, workshop
from tests.stories.house import Json
from tests.stories.polls import QUESTION
from tests.stories.sponsors import Call

_ID = re.compile(r"\^([a-z]{3})_\[0-7\]")
_WORDS = "As agreed with both sides"
_BY_PATTERN = {
    "^[0-9a-f]{64}$": "0" * 64,
    "^[A-Z]{2}$": "CN",
    "^[A-Za-z0-9-]{4,64}$": "SF1000000001",
}


class Sampler:
    """Makes bodies by the schemas of one OpenAPI document."""

    def __init__(self, document: Json) -> None:
        self._schemas: Json = document["components"]["schemas"]

    def body(self, operation: Json) -> Json | None:
        """The smallest JSON body of an operation; None when it takes none."""
        content = operation.get("requestBody", {}).get("content", {})
        if "application/json" not in content:
            return None
        made = self._value(content["application/json"]["schema"])
        assert isinstance(made, dict)
        return made

    def _value(self, schema: Json) -> object:
        if "$ref" in schema:
            return self._value(self._schemas[schema["$ref"].rpartition("/")[2]])
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return schema["enum"][0]
        for choice in ("anyOf", "oneOf", "allOf"):
            if choice in schema:
                return self._value(schema[choice][0])
        kind = schema.get("type")
        if kind == "object":
            wanted = schema.get("required", [])
            found = {name: self._value(schema["properties"][name]) for name in wanted}
            if not found and schema.get("minProperties") and "properties" in schema:
                name, one = next(iter(schema["properties"].items()))
                found = {name: self._value(one)}
            return found
        if kind == "array":
            return [self._value(schema["items"]) for _ in range(schema.get("minItems", 0))]
        if kind == "integer":
            return int(max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1))
        if kind == "boolean":
            return True
        return _text(schema)


def _text(schema: Json) -> str:
    if schema.get("format") in ("date-time", "date"):
        soon = datetime.now(UTC) + timedelta(days=10)
        return (soon.date() if schema["format"] == "date" else soon).isoformat()
    pattern = schema.get("pattern", "")
    if found := _ID.match(pattern):
        return new_id(found[1])
    if pattern in _BY_PATTERN:
        return _BY_PATTERN[pattern]
    example = (schema.get("examples") or [_WORDS])[0]
    return str(example) if schema.get("maxLength", 99) >= len(str(example)) else "x"


def _id(kind: str, name: str) -> Callable[[World], str]:
    return lambda world: world.things[kind].ids[name]


_ENTRY = _id("contest", "entry_id")


def _goods(world: World) -> Json:
    return {"lines": [{"listing_id": world.things["listing"].ids["listing_id"]}]}


def _parcel(_: World) -> Json:
    return {"carrier": "sandbox", "tracking_number": "SF1000000001"}


def _cancel(world: World) -> Json:
    order = {"kind": "cancel_path", "path_id": world.things["sale"].ids["sale_id"]}
    return {"order": order, "reason": _WORDS}


_WRITTEN: Mapping[str, Callable[[World], Json]] = {
    "createListing": lambda _: LISTING,
    "placeSale": _goods,
    "placeOrder": _goods,
    "shipSale": _parcel,
    "shipReturn": _parcel,
    "sendOtherGoods": _parcel,
    "openReturn": lambda _: {"reason": "defective", "lines": [{"line": 0}]},
    "announceWinners": lambda world: {"awards": [{"prize": 1, "entry_id": _ENTRY(world)}]},
    "pickFinalists": lambda world: {"entry_ids": [_ENTRY(world)]},
    "shortlistEntries": lambda world: {"entry_ids": [_ENTRY(world)]},
    "eliminateEntries": lambda world: {"entry_ids": [_ENTRY(world)]},
    "objectToEntry": lambda world: {"entry_id": _ENTRY(world)},
    "voidAward": lambda world: {"entry_id": _ENTRY(world)},
    "draftCampaign": lambda _: funds.draft(),
    "changeCampaign": lambda _: funds.draft(),
    "draftMatchCall": lambda _: Call.body(),
    "changeMatchCall": lambda _: Call.body(),
    "applyToMatchCall": lambda world: {"campaign_id": _id("project", "campaign_id")(world)},
    "draftInKind": lambda _: in_kind.body_of("material"),
    "pickInKindAsk": lambda world: {"ask_id": _id("in kind", "ask_id")(world)},
    "draftProductionOrder": lambda _: workshop.body_of(),
    "changeProductionOrder": lambda _: workshop.body_of(),
    "giveConsent": lambda world: {"broker_id": _id("user", "user_id")(world)},
    "createBallot": lambda _: QUESTION,
    "voidVotes": lambda _: {"reason": _WORDS, "seqs": [1]},
    "putTaxProfile": lambda _: TAX_PROFILE,
    # Who shares a bank account counts as the same person.
    "addPayoutDestination": lambda _: {"account": f"62220202{uuid.uuid4().hex[:8]}"},
    "proposeCommand": _cancel,
}
"""By operation: changes, where the smallest body by the schema is refused for what no schema says."""


def body_of(sampler: Sampler, operation: Json, world: World) -> Json | None:
    """A body that the operation takes; None when it takes none, or none of JSON."""
    smallest = sampler.body(operation)
    if smallest is None or (written := _WRITTEN.get(operation["operationId"])) is None:
        return smallest
    return {**smallest, **written(world)}
