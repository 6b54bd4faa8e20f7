"""Which events of the state machines the recorded histories bring about."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import Any

from domain import (
    ballot,
    campaign,
    contest,
    disputes,
    in_kind,
    lot,
    match_call,
    order,
    production,
    returns,
    sale,
    tender,
)
from tests.replay.commands import HISTORIES, recorded

MACHINES: Mapping[str, Mapping[Any, object]] = {
    "sale": sale.TRANSITIONS,
    "order": order.TRANSITIONS,
    "contest": contest.TRANSITIONS,
    "tender": tender.TRANSITIONS,
    "ballot": ballot.TRANSITIONS,
    "campaign": campaign.TRANSITIONS,
    "match_call": match_call.TRANSITIONS,
    "in_kind": in_kind.TRANSITIONS,
    "production": production.TRANSITIONS,
    "lot": lot.TRANSITIONS,
    "return": returns.TRANSITIONS,
    "dispute": disputes.TRANSITIONS,
}
_STORIES = {"match_call": "MatchCall", "in_kind": "InKind"}


def all_events() -> dict[str, set[str]]:
    """What can move a path, by kind of path."""
    return {kind: {str(event) for _, event in machine} for kind, machine in MACHINES.items()}


def recorded_events() -> dict[str, set[str]]:
    """What some history has asked a path's own activity for."""
    found: dict[str, set[str]] = {kind: set() for kind in MACHINES}
    for name in recorded():
        events = json.loads((HISTORIES / f"{name}.json").read_text())["events"]
        told = events[0]["workflowExecutionStartedEventAttributes"]["workflowType"]["name"]
        kind = next((k for k in MACHINES if _STORIES.get(k, k.capitalize()) == told), None)
        if kind is not None:
            asked = (each.get("activityTaskScheduledEventAttributes") for each in events)
            found[kind] |= {said["event"] for said in _said([*asked]) if "event" in said}
    return found


def _said(value: Any) -> Iterator[dict[str, Any]]:
    """Every message in a part of a history."""
    if isinstance(value, dict):
        if isinstance(value.get("data"), str):
            said = json.loads(base64.b64decode(value["data"]) or b"null")
            if isinstance(said, dict):
                yield said
        else:
            for each in value.values():
                yield from _said(each)
    elif isinstance(value, list):
        for each in value:
            yield from _said(each)
