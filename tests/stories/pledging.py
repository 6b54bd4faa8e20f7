"""What the stories of pledges share: looking behind a campaign's totals, letting time run out, and winding up."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from activities.pledge_looks import PledgeLooks
from activities.pledge_news import IntakeNews
from providers.registry import build_providers
from tests.stories.calls import Field
from tests.stories.funds import Fund
from tests.stories.house import House, Json
from tests.waiting import eventually

_WRONG = """
    WITH held AS (
        SELECT p.campaign_id, (item->>'number')::int AS number, (item->>'quantity')::int AS pieces
        FROM pledges p, jsonb_array_elements(
            coalesce(nullif(p.selection->'add_ons', 'null'), '[]')
            || coalesce(nullif(jsonb_build_array(p.selection->'tier'), '[null]'), '[]')) item
        WHERE p.holds_seats
        UNION ALL
        SELECT p.campaign_id, seat.key::int, seat.value::int
        FROM pledges p, jsonb_each_text(p.pending->'seats') seat
        WHERE p.pending IS NOT NULL
    )
    SELECT 'seats', i.number, i.taken, coalesce(sum(h.pieces), 0) FROM campaign_items i
    LEFT JOIN held h ON (h.campaign_id, h.number) = (i.campaign_id, i.number)
    WHERE i.campaign_id = %(id)s AND i.seats IS NOT NULL
    GROUP BY i.number, i.taken HAVING i.taken <> coalesce(sum(h.pieces), 0)
"""
_STOOD = """
    SELECT coalesce(tier, 0), count(*) FILTER (WHERE stands), sum(amount) FILTER (WHERE stands),
        sum(paid - refunded)
    FROM (SELECT *, state IN ('saved', 'funded', 'charging', 'errored', 'collected') AS stands
        FROM pledges WHERE campaign_id = %(id)s) AS each
    GROUP BY 1 HAVING count(*) FILTER (WHERE stands) > 0 OR sum(paid - refunded) > 0 ORDER BY 1
"""
_COUNTED = """
    SELECT tier, sum(pledges), sum(amount), sum(paid) FROM pledge_stats
    WHERE campaign_id = %(id)s GROUP BY tier HAVING sum(pledges) > 0 OR sum(paid) > 0 ORDER BY 1
"""
_ESCROW = """
    SELECT coalesce(sum(credits_posted - debits_posted), 0) FROM ledger_accounts
    WHERE kind = 'escrow' AND owner = %(id)s
"""


def rows(fund: Fund, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query about the campaign `%(id)s`."""
    return fund.house.sql(query.replace("%(id)s", "%s"), fund.id)


async def sound(fund: Fund) -> None:
    """Seats, totals by tier, matches and the escrow are those of the pledges."""
    await fund.adds_up()
    assert rows(fund, _WRONG) == []
    stood = [tuple(int(each or 0) for each in row) for row in rows(fund, _STOOD)]
    counted = [tuple(int(each or 0) for each in row) for row in rows(fund, _COUNTED)]
    assert counted == stood
    paid = sum(row[3] for row in stood)
    planned = rows(
        fund,
        "SELECT coalesce(sum(paid - refunded), 0) FROM pledges WHERE campaign_id = %(id)s",
    )
    assert (int(planned[0][0]), int(rows(fund, _ESCROW)[0][0])) == (paid, paid)
    field_of(fund.house).assert_adds_up()


def field_of(house: House) -> Field:
    """The house as match calls meet it."""
    return Field(house.settings.require_database_url(), house.database)


def taken(fund: Fund, number: int = 1) -> int:
    """Seats of an item that are taken."""
    query = "SELECT taken FROM campaign_items WHERE campaign_id = %s AND number = %s"
    return int(fund.house.sql(query, fund.id, number)[0][0])


async def stands(fund: Fund, backer: str, state: str) -> Json:
    """The backer's last pledge, once it is in this state."""

    async def there() -> Json | None:
        found = await fund.pledge_of(backer)
        assert found["state"] == state, f"{found['state']} instead of {state}"
        return found

    return await eventually(there, within_seconds=20) or {}


async def backed(fund: Fund, backer: str, **more: Any) -> Json:
    """A pledge that stands."""
    made = await fund.back(backer, **more)
    state = "saved" if made["method"] == "card" else "funded"
    return await stands(fund, backer, state)


async def time_is_up(fund: Fund, pledge: Json) -> None:
    """The pledge was made long ago."""
    await changed(fund, "UPDATE pledges SET expires_at = now() WHERE id = %s", pledge["id"])


async def changed(fund: Fund, query: str, *values: object) -> None:
    """Changes the database past the platform, whose intake may hold the rows: in this event loop, too."""
    await asyncio.to_thread(fund.house.sql, query, *values)


async def press(fund: Fund, url: str, action: str) -> httpx.Response:
    """Presses a button of the provider's page."""
    return await fund.house.sandbox.post(
        url, data={"action": action}, headers={"accept": "application/json"}
    )


async def act(fund: Fund, backer: str, verb: str, **body: Any) -> Json:
    """An act on the backer's last pledge that must succeed."""
    answer = await try_act(fund, backer, verb, **body)
    assert answer.status_code == 200, answer.text
    found: Json = answer.json()
    return found


async def try_act(
    fund: Fund, backer: str, verb: str, *, by: str | None = None, **body: Any
) -> httpx.Response:
    """The same, whose answer is for the test to judge."""
    path = f"/v1/pledges/{fund.pledges[backer]['id']}/{verb}"
    return await fund.house.call("POST", path, by=by or backer, json=body)


async def kinds(fund: Fund, backer: str) -> list[str]:
    """What happened to the backer's last pledge."""
    page = await fund.house.get(f"/v1/pledges/{fund.pledges[backer]['id']}/events", by=backer)
    assert all(each["summary"] for each in page["items"])
    return [each["kind"] for each in page["items"]]


async def card_at_provider(fund: Fund, pledge: Json) -> str:
    """Where the pledge's card stands at the payment company."""
    [(reference,)] = fund.house.sql(
        "SELECT c.reference FROM saved_cards c JOIN pledges p ON p.card_id = c.id WHERE p.id = %s",
        pledge["id"],
    )
    answer = await fund.house.sandbox.get(f"/v1/cards/{reference}")
    return str(answer.json()["status"])


async def look_again(house: House, since_seconds: int = 60) -> None:
    """The second looks of the intake, as if so much time had passed since the last ones."""
    async with build_providers(house.settings) as providers:
        news = IntakeNews(house.database, providers, house.temporal, house.settings, lambda: None)
        await PledgeLooks(news).look(since_seconds)


async def made_ago(fund: Fund, seconds: int) -> None:
    """Payments and cards of the campaign were made so long ago."""
    at = f"now() - interval '{seconds} s'"
    await changed(fund, f"UPDATE payments SET created_at = {at} WHERE path_id = %s", fund.id)
    await changed(
        fund,
        f"UPDATE saved_cards SET created_at = {at} WHERE id IN"
        " (SELECT card_id FROM pledges WHERE campaign_id = %s)",
        fund.id,
    )


async def wound_up(fund: Fund) -> None:
    """The creator gives up: everybody gets everything back, and nothing is held."""
    await fund.act("cancel", fund.creator)
    await fund.until_closed()
    await sound(fund)
    await fund.at_zero()
