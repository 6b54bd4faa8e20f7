"""What the stories of operators share: people with the role, commands step by step, and every table as it stands."""

from __future__ import annotations

import uuid
from typing import Any

import httpx

from tests.stories.house import House, Json
from tests.stories.polls import user_id
from tests.waiting import eventually

REASON = "Agreed with both sides on the telephone"
_PASSING = ("idempotency_keys", "users", "webhook_inbox")
"""Tables in which requests leave traces whatever they do."""
_OF_COMMANDS = ("case_events", "cases", "command_items", "commands")


async def operator(house: House, name: str = "operator") -> str:
    """Somebody new with the role of an operator."""
    who = f"{name}-{uuid.uuid4().hex[:8]}"
    grant = f"/v1/users/{await user_id(house, who)}/roles/operator"
    assert (await house.call("PUT", grant, by="admin")).status_code == 200
    return who


async def try_to_propose(
    house: House, by: str, order: Json, *, reason: str = REASON, case_id: str | None = None
) -> httpx.Response:
    """A proposal whose answer is for the test to judge."""
    body = {"order": order, "reason": reason, "case_id": case_id}
    return await house.patiently("/v1/commands", body, by=by)


async def proposed(house: House, by: str, order: Json, **more: Any) -> Json:
    """A command that can be executed, or approved."""
    answer = await try_to_propose(house, by, order, **more)
    assert answer.status_code == 201, answer.text
    made: Json = answer.json()
    assert made["state"] == "proposed"
    return made


async def try_to(house: House, verb: str, command: Json, by: str, **more: Any) -> httpx.Response:
    """An act on a command whose answer is for the test to judge."""
    body = more or {"preview_sha256": command["preview_sha256"]}
    if verb == "rehearse":
        body = {}
    return await house.patiently(f"/v1/commands/{command['id']}/{verb}", body, by=by)


async def act(house: House, verb: str, command: Json, by: str, **more: Any) -> Json:
    """An act on a command that must succeed."""
    answer = await try_to(house, verb, command, by, **more)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def done(house: House, by: str, order: Json, second: str | None = None, **more: Any) -> Json:
    """A command that is proposed, approved when somebody is there to do it, and executed."""
    command = await proposed(house, by, order, **more)
    if second is not None:
        await act(house, "approve", command, second)
    executed = await act(house, "execute", command, by)
    assert executed["state"] == "executed"
    return executed


async def executed_bulk(house: House, command: Json, by: str) -> Json:
    """A bulk command, once all its paths have been seen to."""

    async def there() -> Json:
        now = await house.get(f"/v1/commands/{command['id']}", by=by)
        assert now["state"] == "executed", now["state"]
        return now

    return await eventually(there) or {}


def postings(command: Json) -> list[str]:
    """What the preview promises, as `side kind amount`."""
    return [
        f"{each['side']} {each['account'].partition(':')[0]} {each['amount']['amount']}"
        for each in command["preview"]["postings"]
    ]


def moved(house: House, path_id: str | None, *kinds: str) -> list[str]:
    """What entries of these kinds have posted, in the same words."""
    rows = house.sql(
        "SELECT p.side, a.kind, p.amount FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.path_id IS NOT DISTINCT FROM %s AND e.kind = ANY(%s) ORDER BY p.id",
        path_id,
        list(kinds),
    )
    return [f"{side} {kind} {amount}" for side, kind, amount in rows]


def tables(house: House, *besides: str) -> dict[str, tuple[int, str]]:
    """Of every table how many rows it has, and a digest of them; without those in which requests leave traces."""
    names = house.sql(
        "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"
    )
    skipped = {*_PASSING, *_OF_COMMANDS, *besides}
    return {
        name: house.sql(
            f"SELECT count(*), coalesce(md5(string_agg(t::text, '' ORDER BY t::text)), '') FROM {name} t"
        )[0]
        for (name,) in names
        if name not in skipped
    }


def balance(house: House, code: str) -> int:
    """What stands on an account, in minor units of CNY."""
    kind, _, owner = code.partition(":")
    rows = house.sql(
        "SELECT balance FROM ledger_accounts WHERE kind = %s AND owner = %s AND currency = 'CNY'",
        kind,
        owner,
    )
    return int(rows[0][0]) if rows else 0


async def at_zero(house: House, path: Json) -> bool:
    """Whether the path has closed with all its accounts at 0: to be waited for."""
    await house.assert_at_zero(path)
    return True
