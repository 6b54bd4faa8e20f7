"""Which objects of one kind a caller wants to see: the newest, those of one operation, or those it names."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Annotated, Literal

from fastapi import Depends, Query

from providers.sandbox_server.problems import Problem
from providers.sandbox_server.store import Tx, Value

AT_ONCE = 100
"""Most references one question may name, and most objects one answer holds."""

Table = Literal["payments", "cards", "refunds", "payouts", "payees"]


@dataclass(frozen=True)
class Which:
    """A question for some objects; without an operation id or references it is about the newest."""

    operation_id: str | None = None
    references: tuple[str, ...] | None = None
    limit: int = 20


async def which(
    operation_id: Annotated[str | None, Query(max_length=255)] = None,
    references: Annotated[str | None, Query(max_length=256 * AT_ONCE)] = None,
    limit: Annotated[int, Query(ge=1, le=AT_ONCE)] = 20,
) -> Which:
    """The question in the query of a request; `references` are separated by commas."""
    if references is None:
        return Which(operation_id, None, limit)
    if operation_id is not None:
        raise Problem(422, "invalid_request", "operation_id or references, not both")
    named = tuple(dict.fromkeys(filter(None, references.split(","))))
    if len(named) > AT_ONCE:
        raise Problem(422, "invalid_request", f"at most {AT_ONCE} references at once")
    return Which(None, named, AT_ONCE)


Asked = Annotated[Which, Depends(which)]


def rows(tx: Tx, table: Table, asked: Which) -> list[dict[str, Value]]:
    """The rows asked for, newest first; nothing for what does not exist."""
    if asked.references is not None:
        # One statement for any number of references, so that it stays compiled.
        return tx.all(
            f"SELECT * FROM {table} WHERE reference IN (SELECT value FROM json_each(?))"
            " ORDER BY id DESC",
            json.dumps(asked.references),
        )
    if asked.operation_id is not None:
        return tx.all(f"SELECT * FROM {table} WHERE operation_id = ?", asked.operation_id)
    return tx.all(f"SELECT * FROM {table} ORDER BY id DESC LIMIT ?", asked.limit)
