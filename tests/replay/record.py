"""Records the histories that the replay tests run: `python -m tests.replay.record`, or only those of the stories named.

Drives every story once against servers of its own and writes what Temporal kept of it, with the commands of the code
that made it. Record again only what a new version of the code is allowed to break: see test_replay.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import tempfile
import traceback
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from pathlib import Path

from domain.policy import SalePolicy
from runtime.logging import configure
from tests.api.issuer import running_issuer
from tests.replay import branches, paths
from tests.replay.commands import HISTORIES, clean, commands_file, history, replay
from tests.servers import Databases, running_postgres, running_temporal
from tests.stories.carts import Cart
from tests.stories.house import AT_ONCE, House, Json
from tests.stories.money import (
    called_off,
    destination,
    earned,
    payment_reference,
    payout_at,
    people,
    provider_moves,
    refund_of,
    take_out,
)
from tests.stories.operators import operator
from tests.stories.parts import house_of_parts
from tests.waiting import eventually

Recorded = dict[str, str]
"""Name of the history -> workflow id."""
LOOKED_AT = 30_000
"""Payouts above so many minor units are held first."""


async def happy_sale(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    number = await house.shipped(sale, by=seller)
    await house.scan(number, "in_transit")
    await house.scan(number, "delivered")
    await house.until(sale, "delivered", by=buyer)
    await house.act(sale, "confirm", by=buyer)
    return {"sale_happy": f"sale-{sale['id']}", "payment_captured": _payment(sale)}


async def order_of_two(house: House) -> Recorded:
    cart = await Cart.paid(house)
    await cart.act(0, "decline")
    await cart.complete(1)
    sale = f"sale-{cart.sales[1]['id']}"
    return {"order_paid": f"order-{cart.order['id']}", "sale_of_an_order": sale}


async def declined_sale(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    await house.act(sale, "decline", by=seller)
    await house.until(sale, "refunded", by=buyer)
    refund = await refund_of(house, sale, "succeeded", by=buyer)
    return {"sale_declined": f"sale-{sale['id']}", "refund_succeeded": f"refund-{refund['id']}"}


async def expired_sale(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.until(sale, "expired", by=buyer)
    return {"sale_expired": f"sale-{sale['id']}", "payment_expired": _payment(sale)}


async def revived_sale(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.misbehave("payment", "late_capture", subject=sale["payment"]["id"])
    await house.let_pass(sale, 15 * 60 + 1, workflow="payment")
    await house.workflow(_payment(sale)).result()
    await house.until(sale, "expired", by=buyer)
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await eventually(lambda: house.runs(sale))
    await house.act(sale, "cancel", by=buyer)
    await house.until(sale, "refunded", by=buyer)
    return {"sale_revived": house.story_of(sale), "payment_late": _payment(sale)}


async def lost_parcel(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.paid(await house.listing(seller), by=buyer)
    number = await house.shipped(sale, by=seller)
    await house.scan(number, "lost", "platform")
    await house.until(sale, "refunded", by=buyer)
    return {"sale_parcel_lost": f"sale-{sale['id']}"}


async def polled_payment(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.misbehave("webhook", "drop", subject=sale["payment"]["id"])
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    return {"payment_polled": _payment(sale)}


async def settled_later(house: House) -> Recorded:
    buyer, seller = people()
    sale = await house.order(await house.listing(seller), by=buyer)
    await house.misbehave("payment", "settle_later", subject=sale["payment"]["id"])
    await house.pay(sale)
    await house.until(sale, "paid", by=buyer)
    await house.workflow(_payment(sale)).result()
    await provider_moves(house, "payments", payment_reference(house, sale))
    query = "SELECT 1 FROM payments WHERE id = %s AND settled_at IS NOT NULL"
    await eventually(lambda: house.sql(query, sale["payment"]["id"]))
    return {"payment_settled_later": _payment(sale)}


async def refused_refund(house: House) -> Recorded:
    sale, buyer = await called_off(house, "refund_refused")
    refund = await refund_of(house, sale, "refused", by=buyer)
    await house.post(f"/v1/refunds/{refund['id']}/accept-balance", by=buyer)
    return {"refund_refused": f"refund-{refund['id']}"}


async def payouts(house: House) -> Recorded:
    names: Recorded = {}
    for end, effect in (("paid", None), ("failed", "payout_failed"), ("polled", "payout_hold")):
        _, seller = people()
        await earned(house, seller)
        await destination(house, seller)
        if effect:
            await house.misbehave("payout", effect)
        payout = await take_out(house, seller)
        if end == "polled":
            await payout_at(house, payout, "in_transit", by=seller)
            theirs = (await house.sandbox.get("/v1/payouts")).json()["data"][0]
            await provider_moves(house, "payouts", theirs["reference"], to="paid")
        await payout_at(house, payout, "paid" if end == "polled" else end, by=seller)
        names["payout_held" if end == "polled" else f"payout_{end}"] = f"payout-{payout['id']}"
    return names


async def reviewed_payout(house: House) -> Recorded:
    _, seller = people()
    await earned(house, seller, price=3 * LOOKED_AT)
    await destination(house, seller)
    payout = await take_out(house, seller)
    await house.post(f"/v1/payouts/{payout['id']}/cancel", by=seller)
    await payout_at(house, payout, "cancelled", by=seller)
    again = await take_out(house, seller)
    one = await operator(house)
    word = {"reason": "Called back on the telephone"}
    await house.post(f"/v1/payouts/{again['id']}/release", word, by=one)
    await payout_at(house, again, "paid", by=seller)
    return {
        "payout_cancelled": f"payout-{payout['id']}",
        "payout_reviewed": f"payout-{again['id']}",
    }


STORIES: tuple[Callable[[House], Awaitable[Recorded]], ...] = (
    happy_sale,
    declined_sale,
    order_of_two,
    expired_sale,
    revived_sale,
    lost_parcel,
    polled_payment,
    settled_later,
    refused_refund,
    payouts,
    reviewed_payout,
    *paths.STORIES,
    *branches.STORIES,
)


def _payment(sale: Json) -> str:
    return f"payment-{sale['payment']['id']}"


async def _write(house: House, name: str, workflow_id: str) -> None:
    workflow = house.workflow(workflow_id)
    await workflow.result()
    recording = (await workflow.fetch_history()).to_json()
    (HISTORIES / f"{name}.json").write_text(clean(recording, socket.gethostname()))
    lines, failure = await replay(history(name))
    if failure is not None:
        raise failure
    commands_file(name).write_text("\n".join(lines) + "\n")
    print(f"{name}: {len(lines)} lines")


def chosen(names: list[str]) -> list[Callable[[House], Awaitable[Recorded]]]:
    """The stories of these names, or all."""
    return [story for story in STORIES if not names or story.__name__ in names]


async def main() -> list[str]:
    """Records on servers of its own; the stories that could not be told."""
    configure("ERROR")
    HISTORIES.mkdir(exist_ok=True)
    policy = SalePolicy(payment_seconds=3, poll_first_seconds=1)
    with ExitStack() as stack:
        server = stack.enter_context(running_postgres())
        url = stack.enter_context(Databases(server.url_of("postgres")).fresh())
        issuer = stack.enter_context(running_issuer())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        async with (
            running_temporal() as temporal,
            house_of_parts(
                temporal.address,
                url,
                issuer,
                folder,
                sale_policy=policy,
                payout_policy=AT_ONCE.model_copy(update={"review_amounts": {"CNY": LOOKED_AT}}),
                admin_subjects=("admin",),
            ) as parts,
        ):
            return [
                story.__name__
                for story in chosen(sys.argv[1:])
                if not await _recorded(story, parts.house)
            ]


async def _recorded(story: Callable[[House], Awaitable[Recorded]], house: House) -> bool:
    """Whether a story has been told and its histories are written; the others are told all the same."""
    try:
        for name, workflow_id in (await story(house)).items():
            await _write(house, name, workflow_id)
    except Exception:
        print(f"{story.__name__} is not recorded:\n{traceback.format_exc()}", flush=True)
        return False
    return True


if __name__ == "__main__":
    missing = asyncio.run(main())
    if missing:
        print(f"not recorded: {', '.join(missing)}")
    sys.stdout.flush()
    os._exit(
        1 if missing else 0
    )  # the SDK's threads can abort the interpreter's shutdown on Python 3.11
