"""A refund the provider refuses: what the buyer is offered, until when, and a provider that changes its mind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from tests.stories.deals import DAY, funded, refunded
from tests.stories.house import House, Json
from tests.stories.money import (
    PRICE,
    all_answered,
    assert_sound,
    called_off,
    needs_operator,
    redeliver,
    refund_of,
    rewrite_at_provider,
)
from tests.stories.test_webhooks import event, send, signed
from tests.waiting import eventually

OFFER = 14 * DAY
REFUSED = [
    "placed by buyer",
    "payment_captured by provider",
    "cancelled by buyer",
    "refund_refused by provider",
]
CREDITED = [
    f"refund_to_balance: debit refund_due:ref {PRICE}",
    f"refund_to_balance: credit payable:buyer {PRICE}",
]


async def refused(house: House) -> tuple[Json, Json, str]:
    """A sale whose refund the provider refuses, the refund, and the buyer; nothing of it is on its way any more."""
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    await all_answered(house, refund["id"])
    return sale, refund, buyer


async def offers(house: House, sale: Json, buyer: str) -> list[Json]:
    """The pending deadlines of a sale."""
    found: list[Json] = (await house.get(f"/v1/sales/{sale['id']}/deadlines", by=buyer))[
        "deadlines"
    ]
    return found


async def timeline(house: House, sale: Json, buyer: str) -> tuple[list[str], list[str]]:
    """What happened, as `kind by actor`, and in words."""
    events = (await house.get(f"/v1/sales/{sale['id']}/timeline", by=buyer))["items"]
    return [f"{e['kind']} by {e['actor']}" for e in events], [e["summary"] for e in events]


async def the_offer_ends(house: House, refund: Json) -> None:
    """Nobody answers, and the time of the offer is up."""
    await house.skipper.fast_forward(house.workflow(f"refund-{refund['id']}"), OFFER + 1)


def ended_at(house: House, refund: Json) -> datetime:
    """When the refund ended, by the clock of its story."""
    [(at,)] = house.sql("SELECT ended_at FROM refunds WHERE id = %s", refund["id"])
    assert isinstance(at, datetime)
    return at


def provider_says(house: House, refund: Json, status: str) -> None:
    """The provider changes its mind about a refund, which the sandbox never does by itself."""
    reason = "account_closed" if status == "refused" else None
    change = "UPDATE refunds SET status = ?, failure_reason = ? WHERE subject = ?"
    rewrite_at_provider(house, change, status, reason, refund["id"])


async def news(house: House, refund: Json, kind: str) -> None:
    """The provider's webhook about a refund."""
    body = event(refund["id"], f"refund.{kind}")
    assert (await send(house, body, signed(house, body))).status_code == 200


async def assert_credited(house: House, sale: Json, buyer: str) -> None:
    """The buyer has the money as balance, once, and nothing is left on the path."""
    await house.until(sale, "refunded", by=buyer)
    assert (await house.postings(sale))[-4:] == [*refunded(PRICE)[:2], *CREDITED]
    assert await house.payable(buyer) == PRICE
    assert await offers(house, sale, buyer) == []
    await house.assert_at_zero(sale)


async def assert_sent(house: House, sale: Json, buyer: str) -> None:
    """The buyer has the money back through the provider, once, and nothing as balance."""
    await house.until(sale, "refunded", by=buyer)
    assert await house.postings(sale) == funded(PRICE) + refunded(PRICE)
    assert await house.payable(buyer) == 0
    assert await offers(house, sale, buyer) == []
    await house.assert_at_zero(sale)


async def test_the_offer_says_what_happens_when_its_time_is_up(house: House) -> None:
    since = datetime.now(UTC)
    sale, refund, buyer = await refused(house)
    [offer] = await offers(house, sale, buyer)
    due = datetime.fromisoformat(offer["due_at"])
    assert since <= due - timedelta(seconds=OFFER) <= datetime.now(UTC)
    assert (offer["name"], offer["stopped_by"]) == ("refund_offer", ["payer: accept balance"])
    assert "balance" in offer["outcome"]
    money = {"amount": PRICE, "currency": "CNY", "text": "CNY 200.00"}
    promised = [
        {"account": f"refund_due:{refund['id']}", "side": "debit", "amount": money},
        {"account": f"payable:{sale['buyer_id']}", "side": "credit", "amount": money},
    ]
    assert offer["postings"] == promised
    kinds, words = await timeline(house, sale, buyer)
    assert kinds == REFUSED
    assert "CNY 200.00" in words[-1]

    await the_offer_ends(house, refund)
    await assert_credited(house, sale, buyer)
    posted = house.sql(
        "SELECT a.kind || ':' || a.owner, p.side, p.amount, e.currency FROM ledger_postings p"
        " JOIN ledger_entries e ON e.id = p.entry_id JOIN ledger_accounts a ON a.id = p.account_id"
        " WHERE e.key = %s ORDER BY p.id",
        f"{refund['id']}/credited",
    )
    assert posted == [(line["account"], line["side"], PRICE, "CNY") for line in promised]
    kinds, words = await timeline(house, sale, buyer)
    assert kinds == [*REFUSED, "refunded by system"]
    assert words[-1] == "CNY 200.00 is on the balance of the buyer"
    assert due <= ended_at(house, refund) < due + timedelta(minutes=1)


async def test_an_accepted_offer_is_over(house: House) -> None:
    sale, refund, buyer = await refused(house)
    taken = await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    assert taken["status"] == "credited"
    assert await offers(house, sale, buyer) == []
    await assert_credited(house, sale, buyer)
    kinds, words = await timeline(house, sale, buyer)
    assert kinds[:-1] == REFUSED
    assert words[-1] == "CNY 200.00 is on the balance of the buyer"


@pytest.mark.parametrize("told", ["by the end of the offer", "by a webhook", "by acceptance"])
async def test_a_provider_that_refused_and_sent_it_after_all(house: House, told: str) -> None:
    sale, refund, buyer = await refused(house)
    provider_says(house, refund, "succeeded")
    if told == "by a webhook":
        await news(house, refund, "succeeded")
    elif told == "by acceptance":
        path = f"/v1/refunds/{refund['id']}/accept-balance"
        answer = await house.call("POST", path, by=buyer)
        assert (answer.status_code, answer.json()["code"]) == (409, "wrong_phase")
    else:
        await the_offer_ends(house, refund)
    await assert_sent(house, sale, buyer)
    assert (await refund_of(house, sale, "succeeded", by=buyer))["id"] == refund["id"]
    kinds, words = await timeline(house, sale, buyer)
    assert kinds == [*REFUSED, "refunded by provider"]
    assert words[-1] == "CNY 200.00 is back with the buyer"
    await all_answered(house, refund["id"])


async def test_a_provider_that_tries_again_takes_the_offer_back(house: House) -> None:
    """Refused, on its way after all, refused again: an offer stands only while the provider refuses."""
    sale, refund, buyer = await refused(house)
    [first] = await offers(house, sale, buyer)
    provider_says(house, refund, "pending")
    accept = f"/v1/refunds/{refund['id']}/accept-balance"
    answer = await house.call("POST", accept, by=buyer)
    assert (answer.status_code, answer.json()["code"]) == (409, "wrong_phase")
    await refund_of(house, sale, "pending", by=buyer)
    assert await offers(house, sale, buyer) == []
    provider_says(house, refund, "refused")
    await news(house, refund, "refused")
    await refund_of(house, sale, "refused", by=buyer)
    [second] = await offers(house, sale, buyer)
    assert second["due_at"] > first["due_at"]
    assert {**second, "due_at": None} == {**first, "due_at": None}
    kinds, _ = await timeline(house, sale, buyer)
    assert kinds == [*REFUSED, "refund_refused by provider"]
    await the_offer_ends(house, refund)
    await assert_credited(house, sale, buyer)
    # A yes that was answered with a no does not count for the new offer.
    assert ended_at(house, refund) >= datetime.fromisoformat(second["due_at"])


async def test_an_offer_whose_workflow_is_gone_ends_when_it_said(house: House) -> None:
    sale, refund, buyer = await refused(house)
    await house.workflow(f"refund-{refund['id']}").terminate("lost")
    two_days_ago = "now() - interval '2 days'"
    house.sql(f"UPDATE refunds SET created_at = {two_days_ago} WHERE id = %s", refund["id"])
    due = datetime.now(UTC).replace(microsecond=0) + timedelta(days=12)
    house.sql(
        "UPDATE paths SET deadlines = jsonb_set(deadlines, '{0,due_at}', to_jsonb(%s::text))"
        " WHERE id = %s",
        due.isoformat(),
        sale["id"],
    )
    await redeliver(house)
    story = house.workflow(f"refund-{refund['id']}")
    await house.skipper.fast_forward(story, 11 * DAY)
    [offer] = await offers(house, sale, buyer)
    assert datetime.fromisoformat(offer["due_at"]) == due
    await house.skipper.fast_forward(story, DAY + 60)
    await assert_credited(house, sale, buyer)


async def test_money_sent_after_it_was_credited_calls_an_operator(house: House) -> None:
    sale, refund, buyer = await refused(house)
    story = f"refund-{refund['id']}"
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    await assert_credited(house, sale, buyer)
    await house.workflow(story).result()
    posted = await house.postings(sale)
    told = await timeline(house, sale, buyer)

    async def called() -> bool | None:
        return await needs_operator(house, story)

    provider_says(house, refund, "succeeded")
    await news(house, refund, "succeeded")
    await eventually(called)
    assert (await refund_of(house, sale, "credited", by=buyer))["id"] == refund["id"]
    assert await house.postings(sale) == posted
    assert await timeline(house, sale, buyer) == told
    await house.workflow(story).signal("wake")  # too early: nothing has been mended
    await eventually(called)

    provider_says(house, refund, "refused")
    await house.workflow(story).signal("wake")
    await house.workflow(story).result()
    assert await needs_operator(house, story) is False
    await all_answered(house, refund["id"])
    await assert_credited(house, sale, buyer)
    await assert_sound(house)
