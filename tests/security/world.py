"""One of everything, made through the API of a running platform: who has a part in it, and the ids that lead to it."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from api.app import create_app
from db.case_rows import open_case
from domain.ids import new_id
from domain.operator_cases import CaseKind
from tests.stories import chargebacks, operators
from tests.stories.carts import Cart
from tests.stories.comebacks import Back, delivered
from tests.stories.contests import Show
from tests.stories.deals import Deal
from tests.stories.deliveries import fulfilling
from tests.stories.house import House, Json
from tests.stories.in_kind import Aid
from tests.stories.jobs import Job
from tests.stories.looks import newest
from tests.stories.money import called_off, destination, earned, refund_of, take_out
from tests.stories.polls import Poll, user_id
from tests.stories.quarrels import Quarrel, talked
from tests.stories.test_brokers import give
from tests.stories.test_match_call_spendings import ask, with_approvers
from tests.stories.test_notices import token_for
from tests.stories.workshop import UNITS, Workshop, uploaded

TAX_PROFILE: Json = {
    "kind": "person",
    "legal_name": "Lin Mei",
    "country": "CN",
    "tax_number": "330106199001010000",
    "birth_date": "1990-01-01",
    "address": {
        "lines": ["1 West Lake"],
        "city": "Hangzhou",
        "postal_code": "310000",
        "country": "CN",
    },
    "contact": "+86 571 0000 0000",
}
PARAMETER = re.compile(r"\{(\w+)\}")


@dataclass(frozen=True)
class Thing:
    """Something people have a part in."""

    first: str
    """Token subject of its first side: buyer, initiator, owner, supporter, requester, payee."""
    second: str
    """Of its other side: seller, creator, worker, backer, asker, approver, maker."""
    ids: dict[str, str]
    """Path parameter -> value."""


@dataclass(frozen=True)
class World:
    """All of them, and the people who have a part in none."""

    house: House
    http: httpx.AsyncClient
    """Asks the same API without a network between."""
    things: dict[str, Thing]
    stranger: str
    operator: str
    admin: str
    _tokens: dict[str, str] = field(default_factory=dict)

    def subject(self, role: str, thing: Thing) -> str | None:
        """Who acts in this role; None for somebody without a token."""
        people = {
            "nobody": None,
            "stranger": self.stranger,
            "first": thing.first,
            "second": thing.second,
            "operator": self.operator,
            "admin": self.admin,
        }
        return people[role]

    def token(self, subject: str) -> str:
        """Somebody's token, signed once."""
        if subject not in self._tokens:
            self._tokens[subject] = self.house.issuer.token(subject)
        return self._tokens[subject]


@asynccontextmanager
async def world_of(house: House) -> AsyncIterator[World]:
    """Makes everything; the things are made side by side."""
    operator = await operators.operator(house)
    admin = f"admin-{uuid.uuid4().hex[:8]}"
    grant = f"/v1/users/{await user_id(house, admin)}/roles/admin"
    assert (await house.call("PUT", grant, by="admin")).status_code == 200
    stranger = f"stranger-{uuid.uuid4().hex[:8]}"
    await user_id(house, stranger)
    made = await asyncio.gather(*(make(house) for make in _MAKERS))
    things = {kind: thing for each in made for kind, thing in each.items()}
    things |= await _of_operators(house, things["sale"])
    things["me"] = things["user"]
    app = create_app(house.settings, database=house.database, temporal=house.temporal)
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as http:
            yield World(house, http, things, stranger, operator, admin)


Made = dict[str, Thing]


async def _sale(house: House) -> Made:
    deal = await delivered(house)
    ids = {"sale_id": deal.id, "path_id": deal.id, "payment_id": deal.sale["payment"]["id"]}
    thing = Thing(deal.buyer, deal.seller, ids)
    buyer = {"user_id": deal.sale["buyer_id"]}
    await house.post("/v1/me/payee", by=deal.buyer)
    profile = await house.call("PUT", "/v1/me/tax-profile", by=deal.buyer, json=TAX_PROFILE)
    assert profile.status_code == 200, profile.text
    seller = {"listing_id": deal.lamp["id"]}
    return {
        "sale": thing,
        "payment": thing,
        "user": Thing(deal.buyer, deal.seller, buyer),
        "listing": Thing(deal.seller, deal.buyer, seller),
    }


async def _file(house: House) -> Made:
    owner, other = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("owner", "other"))
    return {"file": Thing(owner, other, {"file_id": await uploaded(house, owner)})}


async def _return(house: House) -> Made:
    deal = await delivered(house)
    back = await Back.opened(deal)
    return {"return": Thing(deal.buyer, deal.seller, {"return_id": back.id, "path_id": back.id})}


async def _dispute(house: House) -> Made:
    deal = await delivered(house)
    await talked(house, deal.id, deal.buyer)
    quarrel = await Quarrel.opened(house, deal.id, deal.buyer, deal.seller)
    ids = {"dispute_id": quarrel.id, "path_id": quarrel.id}
    return {"dispute": Thing(deal.buyer, deal.seller, ids)}


async def _order(house: House) -> Made:
    cart = await Cart.placed(house)
    ids = {"order_id": cart.order["id"], "path_id": cart.order["id"]}
    return {"order": Thing(cart.buyer, cart.sellers[0], ids)}


async def _refund(house: House) -> Made:
    sale, buyer = await called_off(house)
    refund = await refund_of(house, sale, "succeeded", by=buyer)
    [(seller,)] = house.sql("SELECT subject FROM users WHERE id = %s", sale["seller_id"])
    return {"refund": Thing(buyer, str(seller), {"refund_id": refund["id"]})}


async def _chargeback(house: House) -> Made:
    deal = await Deal.paid(house)
    await deal.told("paid")
    dispute = await chargebacks.opened(house, deal.sale)
    chargeback = await chargebacks.chargeback_at(house, dispute, "open")
    return {"chargeback": Thing(deal.buyer, deal.seller, {"chargeback_id": chargeback})}


async def _contest(house: House) -> Made:
    show = await Show.announced(house, 2)
    winner, loser = show.creators
    report = await house.post(
        f"{show.path}/objections",
        {
            "entry_id": show.entries[winner]["id"],
            "words": "Seen elsewhere before",
            "ground": "copied",
        },
        by=loser,
    )
    entry = show.entries[winner]
    ids = {
        "contest_id": show.id,
        "path_id": show.id,
        "entry_id": entry["id"],
        "objection_id": report["id"],
    }
    return {"contest": Thing(show.owner, winner, ids)}


async def _tender(house: House) -> Made:
    job = await Job.working(house, 10_000)
    bid = job.bids[job.worker]
    offer = {"price": {"amount": 9_000, "currency": "CNY"}, "lead_days": 10}
    opened = await Job.selecting(house, 10_000)
    [maker] = opened.makers
    made = await opened.on_bid(maker, "offers", opened.buyer, **offer)
    assert made.status_code == 201, made.text
    working = {"tender_id": job.id, "path_id": job.id, "bid_id": bid["id"]}
    open_for_bids = {
        "tender_id": opened.id,
        "path_id": opened.id,
        "bid_id": opened.bids[maker]["id"],
    }
    return {
        "tender": Thing(job.buyer, job.worker, working),
        "bid": Thing(opened.buyer, maker, open_for_bids),
    }


async def _campaign(house: House) -> Made:
    fund = await fulfilling(house)
    backer = fund.backers[0]
    pledge = {"pledge_id": fund.pledges[backer]["id"]}
    return {
        "campaign": Thing(fund.creator, backer, {"campaign_id": fund.id, "path_id": fund.id}),
        "pledge": Thing(backer, fund.creator, pledge),
    }


async def _match_call(house: House) -> Made:
    call, [approver, *_] = await with_approvers(house)
    spending = await ask(call, call.sponsor, call.somebody("potter"), 3_000)
    campaign, creator = await call.campaign()
    await call.apply(campaign, creator)
    ids = {
        "call_id": call.id,
        "path_id": call.id,
        "spending_id": spending["id"],
        "campaign_id": campaign,
    }
    return {
        "match call": Thing(call.sponsor, approver, ids),
        "project": Thing(creator, call.sponsor, ids),
    }


async def _in_kind(house: House) -> Made:
    aid = await Aid.lent(house)
    ids = {"in_kind_id": aid.id, "path_id": aid.id, "ask_id": aid.asks[aid.picked]["id"]}
    return {"in kind": Thing(aid.supporter, aid.picked, ids)}


async def _production(house: House) -> Made:
    shop = await Workshop.published(house)
    making = await shop.making(UNITS // 2)
    lot = await shop.handed_in(UNITS // 2)
    inspection = await newest(lot)
    worker, broker = (f"{name}-{uuid.uuid4().hex[:8]}" for name in ("worker", "broker"))
    consent = await give(house, worker, broker)
    maker = {"maker_id": lot.lot["maker_id"]}
    link = token_for(house, making).removeprefix("taps/")
    unpaid = await Workshop.funding(house)
    ids = {"order_id": unpaid.id, "path_id": unpaid.id}
    return {
        "unpaid order": Thing(unpaid.requester, lot.maker, ids),
        "series": Thing(shop.requester, lot.maker, maker),
        "link": Thing(making.maker, shop.requester, {"token": link}),
        "production": Thing(shop.requester, lot.maker, {"order_id": shop.id, "path_id": shop.id}),
        "lot": Thing(shop.requester, lot.maker, {"lot_id": lot.id, "path_id": lot.id}),
        "inspection": Thing(shop.requester, lot.maker, {"inspection_id": inspection["id"]}),
        "consent": Thing(worker, broker, {"consent_id": consent["id"]}),
    }


async def _ballot(house: House) -> Made:
    poll = await Poll.opened(house)
    [voter] = await poll.votes(["1"])
    await poll.end_voting()
    await poll.until("notice")
    return {"ballot": Thing(poll.initiator, voter, {"ballot_id": poll.id, "path_id": poll.id})}


async def _payout(house: House) -> Made:
    payee = f"payee-{uuid.uuid4().hex[:8]}"
    await earned(house, payee)
    await destination(house, payee)
    payout = await take_out(house, payee)
    [(buyer,)] = house.sql(
        "SELECT b.subject FROM sales s JOIN users b ON b.id = s.buyer_id JOIN users p"
        " ON p.id = s.seller_id WHERE p.subject = %s",
        payee,
    )
    return {"payout": Thing(payee, str(buyer), {"payout_id": payout["id"]})}


_MAKERS: tuple[Callable[[House], Awaitable[Made]], ...] = (
    _sale,
    _file,
    _return,
    _dispute,
    _order,
    _refund,
    _chargeback,
    _contest,
    _tender,
    _campaign,
    _match_call,
    _in_kind,
    _production,
    _ballot,
    _payout,
)


async def _of_operators(house: House, sale: Thing) -> Made:
    """What only operators see: a case about the sale, a command, a difference of the books, an account of the ledger."""
    async with house.database.transaction() as session:
        case = await open_case(
            session,
            CaseKind.STUCK,
            f"sale-{sale.ids['sale_id']}",
            summary="Nobody answers",
            within_seconds=3_600,
            path_id=sale.ids["sale_id"],
        )
    order = {"kind": "cancel_path", "path_id": (await Deal.paid(house)).id}
    # Not by the operator of the table, who could not approve it then.
    command = await operators.proposed(house, await operators.operator(house), order)
    difference = new_id("dif")
    house.sql(
        "INSERT INTO differences (id, provider, subject, part, kind, ours, theirs)"
        " VALUES (%s, 'sandbox', 'pay_x', 'payment', 'missing_here', '{}', '{\"CNY\": 100}')",
        difference,
    )
    ids = {
        "case_id": case,
        "command_id": command["id"],
        "difference_id": difference,
        "code": "fee:platform",
    }
    return {"operators": Thing(sale.first, sale.second, ids)}
