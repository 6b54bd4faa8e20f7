"""Who may do what: the whole table, written out a second time, and its effect over HTTP."""

from __future__ import annotations

import httpx
import pytest
from psycopg.types.json import Jsonb

from db.engine import Database
from domain.access import Action, Relation, allowed
from domain.ids import new_id
from domain.match_call import Phase as CallPhase
from tests.api.client import Api, assert_problem
from tests.stories.calls import Field
from tests.stories.workshop import body_of

EXPECTED = """
    profile.edit             owner
    user.list                operator admin
    role.grant               admin
    file.upload              member
    file.view                owner audience operator
    listing.create           member
    listing.edit             owner
    sale.place               member
    sale.view                buyer seller operator
    sale.accept              seller
    sale.decline             seller
    sale.ship                seller
    sale.cancel              buyer seller operator
    sale.confirm             buyer
    return.open              buyer
    return.view              buyer seller operator
    return.answer            seller
    return.ship              buyer
    goodwill.give            seller
    dispute.open             buyer seller initiator creator bidder backer approver asker maker broker requester
    dispute.see              claimant respondent operator
    dispute.take_part        claimant respondent
    dispute.rule             operator
    order.place              member
    order.view               initiator operator
    order.cancel             initiator
    payment.view             buyer operator
    refund.view              buyer seller operator
    refund.accept_balance    buyer
    destination.add          member
    payout.request           member
    payout.view              owner operator
    balance.view             owner operator
    path_statement.view      buyer seller initiator creator bidder approver maker broker requester operator
    ledger.view              operator
    user.verify              operator
    user.freeze              operator
    refusal.list             operator
    contest.create           member
    contest.view             member
    contest.edit             initiator
    contest.fund             initiator
    contest.enter            member
    entry.edit               owner
    contest.decide           initiator
    contest.object           member
    contest.hand_over        creator
    contest.rule             operator
    tender.create            member
    tender.view              member
    tender.edit              initiator
    tender.fund              initiator
    tender.bid               member
    bid.edit                 owner
    tender.decide            initiator
    tender.negotiate         initiator bidder
    tender.work              bidder
    tender.dispute           initiator bidder
    tender.rule              operator
    ballot.create            member
    ballot.view              member
    ballot.edit              initiator
    ballot.vote              member
    ballot.rule              operator
    campaign.create          member
    campaign.view            member
    campaign.edit            initiator
    campaign.submit          initiator
    campaign.review          operator
    campaign.cancel          initiator
    campaign.ban             operator
    campaign.pledge          member
    pledge.view              owner initiator operator
    pledge.edit              owner
    campaign.deliver         initiator
    campaign.rule            operator
    campaign.vote            backer
    reward.unlock            initiator operator
    match.create             member
    match.view               member
    match.edit               initiator
    match.fund               initiator
    match.apply              member
    match.decide             initiator
    match.spend              initiator approver
    match.approve            approver
    match.report             initiator approver operator
    match.rule               operator
    in_kind.create           member
    in_kind.view             member
    in_kind.edit             initiator
    in_kind.follow           initiator asker operator
    in_kind.ask              member
    ask.edit                 owner
    in_kind.decide           initiator
    in_kind.receive          asker
    in_kind.call_off         initiator asker
    in_kind.rule             operator
    production.create        member
    production.view          member
    production.edit          initiator
    production.fund          initiator
    production.stop          initiator operator
    lot.claim                member
    lot.view                 maker broker requester inspector juror operator
    lot.make                 maker
    lot.supply               requester
    lot.receive              requester inspector
    lot.rule                 operator
    inspection.view          maker broker requester inspector juror operator
    inspection.decide        inspector
    series.resume            member
    consent.give             member
    reconcile.see            operator
    case.see                 operator
    command.propose          operator
    command.approve          operator
    message.write            buyer seller initiator creator bidder backer approver asker maker broker requester claimant respondent
    message.see              buyer seller initiator creator bidder backer approver asker maker broker requester claimant respondent operator
    chargeback.see           buyer seller initiator creator bidder backer approver asker maker broker requester operator
    evidence.hand_in         buyer seller initiator creator bidder backer approver asker maker broker requester operator
    chargeback.rule          operator
    unwind.view              buyer seller initiator creator bidder backer approver asker maker broker requester operator
    account.limit            operator
    account.close            owner
    payee.see                owner operator
    payout.cancel            owner
    payout.decide            operator
    tax.see                  owner operator
    tax.report               operator
"""
TABLE = {row.split()[0]: set(row.split()[1:]) for row in EXPECTED.strip().splitlines()}


def test_the_table_is_complete() -> None:
    assert set(TABLE) == set(Action)
    assert set().union(*TABLE.values()) == set(Relation)


@pytest.mark.parametrize("action", Action)
def test_each_cell(action: Action) -> None:
    assert {each for each in Relation if allowed(action, {each})} == set(TABLE[action])
    assert allowed(action, set()) is False


# Everybody who may ask, and the status each gets. A path that is not for somebody does not exist for them.
PEOPLE = ("nobody", "member", "buyer", "seller", "operator", "admin")
ROUTES = {
    "/v1/me": (401, 200, 200, 200, 200, 200),
    "/v1/me/balances": (401, 200, 200, 200, 200, 200),
    "/v1/me/statement": (401, 200, 200, 200, 200, 200),
    "/v1/me/listings": (401, 200, 200, 200, 200, 200),
    "/v1/payout-destinations": (401, 200, 200, 200, 200, 200),
    "/v1/listings": (200, 200, 200, 200, 200, 200),
    "/v1/users": (401, 403, 403, 403, 200, 200),
    "/v1/users/{buyer}": (200, 200, 200, 200, 200, 200),
    "/v1/users/{buyer}/balances": (401, 403, 200, 403, 200, 403),
    "/v1/users/{buyer}/statement": (401, 403, 200, 403, 200, 403),
    "/v1/users/{buyer}/statement.csv": (401, 403, 200, 403, 200, 403),
    "/v1/me/payee": (401, 404, 404, 404, 404, 404),
    "/v1/users/{buyer}/payee": (401, 403, 404, 403, 404, 403),
    "/v1/users/{buyer}/account-events": (401, 403, 403, 403, 200, 403),
    "/v1/users/{buyer}/tax/2026/4": (401, 403, 200, 403, 200, 403),
    "/v1/tax-reports/2026/4": (401, 403, 403, 403, 200, 403),
    "/v1/tax-reports/2026/4/report.csv": (401, 403, 403, 403, 200, 403),
    "/v1/me/statement.csv": (401, 200, 200, 200, 200, 200),
    "/v1/me/payout-wishes": (401, 200, 200, 200, 200, 200),
    "/v1/payouts.csv": (401, 200, 200, 200, 200, 200),
    "/v1/self-dealing-refusals": (401, 403, 403, 403, 200, 403),
    "/v1/self-dealing-refusals?path_id={sale}": (401, 403, 403, 403, 200, 403),
    "/v1/cases": (401, 403, 403, 403, 200, 403),
    "/v1/commands": (401, 403, 403, 403, 200, 403),
    "/v1/chargebacks": (401, 200, 200, 200, 200, 200),
    "/v1/chargebacks?path_id={sale}": (401, 200, 200, 200, 200, 200),
    "/v1/chargebacks/{chargeback}": (401, 404, 200, 200, 200, 404),
    "/v1/chargebacks/{chargeback}/evidence": (401, 404, 200, 200, 200, 404),
    "/v1/ledger/trial-balance": (401, 403, 403, 403, 200, 403),
    "/v1/ledger/accounts/fee:platform/statement?currency=CNY": (401, 403, 403, 403, 200, 403),
    "/v1/paths/{sale}/deadlines": (401, 404, 200, 200, 200, 404),
    "/v1/paths/{sale}/statement.csv": (401, 404, 200, 200, 200, 404),
    "/v1/paths/{sale}/messages": (401, 404, 200, 200, 200, 404),
    "/v1/paths/{sale}/proof": (404, 404, 404, 404, 404, 404),
    "/v1/proofs": (200, 200, 200, 200, 200, 200),
    "/v1/paths/{sale}/timeline": (401, 404, 200, 200, 200, 404),
    "/v1/paths/{sale}/statement": (401, 404, 200, 200, 200, 404),
    "/v1/paths/{sale}/balances": (401, 404, 200, 200, 200, 404),
    "/v1/orders": (401, 200, 200, 200, 200, 200),
    "/v1/orders/{order}/deadlines": (401, 404, 200, 404, 200, 404),
    "/v1/orders/{order}/timeline": (401, 404, 200, 404, 200, 404),
    "/v1/orders/{order}/statement": (401, 404, 200, 404, 200, 404),
    "/v1/orders/{order}/balances": (401, 404, 200, 404, 200, 404),
    "/v1/sales/{sale}/deadlines": (401, 404, 200, 200, 200, 404),
    "/v1/sales/{sale}/timeline": (401, 404, 200, 200, 200, 404),
    "/v1/sales/{sale}/statement": (401, 404, 200, 200, 200, 404),
    "/v1/sales/{sale}/balances": (401, 404, 200, 200, 200, 404),
    "/v1/tenders": (401, 200, 200, 200, 200, 200),
    "/v1/tenders?which=bidder": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender_draft}": (401, 404, 200, 404, 200, 404),
    "/v1/tenders/{tender_open}": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender_open}/bids": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender_open}/bids/{bid_open}": (401, 404, 404, 200, 404, 404),
    "/v1/tenders/{tender_open}/deadlines": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender_open}/timeline": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender_open}/statement": (401, 403, 200, 200, 200, 403),
    "/v1/tenders/{tender_open}/balances": (401, 403, 200, 200, 200, 403),
    "/v1/tenders/{tender}": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender}/bids": (401, 200, 200, 200, 200, 200),
    "/v1/tenders/{tender}/bids/{bid}": (401, 404, 200, 200, 200, 404),
    "/v1/tenders/{tender}/deadlines": (401, 403, 200, 200, 200, 403),
    "/v1/tenders/{tender}/timeline": (401, 403, 200, 200, 200, 403),
    "/v1/tenders/{tender}/statement": (401, 403, 200, 200, 200, 403),
    "/v1/tenders/{tender}/balances": (401, 403, 200, 200, 200, 403),
    "/v1/contests": (401, 200, 200, 200, 200, 200),
    "/v1/contests?mine=true": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest_draft}": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/entries": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/hand-overs": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/objections": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/deadlines": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/timeline": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/statement": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest_draft}/balances": (401, 404, 200, 404, 200, 404),
    "/v1/contests/{contest}": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest}/entries": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest}/entries/{entry}": (401, 404, 200, 200, 200, 404),
    "/v1/contests/{contest}/hand-overs": (401, 403, 200, 200, 200, 403),
    "/v1/contests/{contest}/objections": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest}/deadlines": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest}/timeline": (401, 200, 200, 200, 200, 200),
    "/v1/contests/{contest}/statement": (401, 403, 200, 200, 200, 403),
    "/v1/contests/{contest}/balances": (401, 403, 200, 200, 200, 403),
    "/v1/match-calls": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls?which=approver": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls/{match_draft}": (401, 404, 200, 404, 200, 404),
    "/v1/match-calls/{match_draft}/projects": (401, 404, 200, 404, 200, 404),
    "/v1/match-calls/{match}": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls/{match}/projects": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls/{match}/spendings": (401, 403, 200, 200, 200, 403),
    "/v1/match-calls/{match}/report": (401, 403, 200, 200, 200, 403),
    "/v1/match-calls/{match}/deadlines": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls/{match}/timeline": (401, 200, 200, 200, 200, 200),
    "/v1/match-calls/{match}/statement": (401, 403, 200, 200, 200, 403),
    "/v1/match-calls/{match}/balances": (401, 403, 200, 200, 200, 403),
    "/v1/in-kind": (401, 200, 200, 200, 200, 200),
    "/v1/in-kind?which=asked": (401, 200, 200, 200, 200, 200),
    "/v1/in-kind/{in_kind_draft}": (401, 404, 200, 404, 200, 404),
    "/v1/in-kind/{in_kind_draft}/asks": (401, 404, 200, 404, 200, 404),
    "/v1/in-kind/{in_kind_draft}/timeline": (401, 404, 200, 404, 200, 404),
    "/v1/in-kind/{in_kind}": (401, 200, 200, 200, 200, 200),
    "/v1/in-kind/{in_kind}/asks": (401, 200, 200, 200, 200, 200),
    "/v1/in-kind/{in_kind}/deadlines": (401, 403, 200, 200, 200, 403),
    "/v1/in-kind/{in_kind}/timeline": (401, 403, 200, 200, 200, 403),
    "/v1/in-kind/{in_kind}/statement": (401, 403, 200, 403, 200, 403),
    "/v1/in-kind/{in_kind}/balances": (401, 403, 200, 403, 200, 403),
    "/v1/production-orders": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders?which=maker": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders/{production_draft}": (401, 404, 200, 404, 200, 404),
    "/v1/production-orders/{production_draft}/lots": (401, 404, 200, 404, 200, 404),
    "/v1/production-orders/{production_draft}/timeline": (401, 404, 200, 404, 200, 404),
    "/v1/production-orders/{production}": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders/{production}/lots": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders/{production}/deadlines": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders/{production}/timeline": (401, 200, 200, 200, 200, 200),
    "/v1/production-orders/{production}/statement": (401, 403, 200, 200, 200, 403),
    "/v1/production-orders/{production}/balances": (401, 403, 200, 200, 200, 403),
    "/v1/me/lots": (401, 200, 200, 200, 200, 200),
    "/v1/me/lots?which=requester": (401, 200, 200, 200, 200, 200),
    "/v1/me/notices": (401, 200, 200, 200, 200, 200),
    "/v1/me/notice-settings": (401, 200, 200, 200, 200, 200),
    "/v1/taps/forged": (404, 404, 404, 404, 404, 404),
    "/v1/lots/{lot}": (401, 404, 200, 200, 200, 404),
    "/v1/lots/{lot}/materials": (401, 404, 200, 200, 200, 404),
    "/v1/lots/{lot}/deadlines": (401, 404, 200, 200, 200, 404),
    "/v1/lots/{lot}/timeline": (401, 404, 200, 200, 200, 404),
    "/v1/lots/{lot}/statement": (401, 404, 200, 200, 200, 404),
    "/v1/lots/{lot}/balances": (401, 404, 200, 200, 200, 404),
    "/v1/broker-consents": (401, 200, 200, 200, 200, 200),
    "/v1/users/{buyer}/production-record": (200, 200, 200, 200, 200, 200),
    "/v1/ballots": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{draft}": (401, 404, 200, 404, 200, 404),
    "/v1/ballots/{draft}/timeline": (401, 404, 200, 404, 200, 404),
    "/v1/ballots/{draft}/tally": (401, 404, 409, 404, 409, 404),
    "/v1/ballots/{open}/tally": (401, 409, 409, 409, 409, 409),
    "/v1/ballots/{open}/papers": (401, 409, 409, 409, 409, 409),
    "/v1/ballots/{open}/votes/mine": (401, 404, 404, 404, 404, 404),
    "/v1/ballots/{ballot}": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{ballot}/tally": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{ballot}/papers": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{ballot}/deadlines": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{ballot}/timeline": (401, 200, 200, 200, 200, 200),
    "/v1/ballots/{ballot}/statement": (401, 403, 200, 403, 200, 403),
    "/v1/ballots/{ballot}/balances": (401, 403, 200, 403, 200, 403),
}


async def test_routes(api: Api) -> None:
    ids = {person: await api.user_id(person) for person in PEOPLE[1:]}
    api.grant(ids["operator"], "operator")
    api.grant(ids["admin"], "admin")
    made = {
        "sale": api.sale(ids["buyer"], ids["seller"]),
        "order": _order(api, ids["buyer"]),
        "buyer": ids["buyer"],
        "draft": api.ballot(ids["buyer"], "draft"),
        "open": api.ballot(ids["buyer"], "open"),
        "ballot": api.ballot(ids["buyer"], "notice"),
        "contest_draft": await api.contest("buyer"),
        "contest": await api.contest("buyer"),
    }
    made["entry"] = api.entry(made["contest"], ids["seller"])
    for name, phase in (("_draft", "draft"), ("_open", "open"), ("", "in_progress")):
        made[f"tender{name}"], made[f"bid{name}"] = api.tender(ids["buyer"], ids["seller"], phase)
    made["in_kind_draft"] = await _in_kind(api, "buyer")
    made["in_kind"] = await _in_kind(api, "buyer", asker_id=ids["seller"])
    made["match_draft"], made["match"] = _match_calls(api, ids["buyer"], ids["seller"])
    made["production_draft"] = await _production(api, "buyer")
    made["production"] = await _production(api, "buyer")
    made["lot"] = lot_of(api, made["production"], ids["seller"])
    made["chargeback"] = _chargeback(api, made["sale"], ids["buyer"])
    for route, statuses in ROUTES.items():
        path = route.format(**made)
        for person, status in zip(PEOPLE, statuses, strict=True):
            answer = await api.call("GET", path, by=None if person == "nobody" else person)
            assert answer.status_code == status, f"{person} {path}: {answer.text}"


def _chargeback(api: Api, sale_id: str, buyer_id: str) -> str:
    """The buyer's bank has taken the price of the sale back; the chargeback's id."""
    payment_id, chargeback_id = new_id("pay"), new_id("cbk")
    api.execute(
        "INSERT INTO payments (id, path_id, payer_id, provider, operation_id, amount, currency, status, expires_at)"
        " VALUES (%s, %s, %s, 'sandbox', %s, 12000, 'CNY', 'captured', now())",
        payment_id,
        sale_id,
        buyer_id,
        f"{payment_id}/create",
    )
    api.execute(
        "INSERT INTO chargebacks (id, payment_id, path_id, payer_id, provider, reference, amount, fee, currency,"
        " status, opened_at) VALUES (%s, %s, %s, %s, 'sandbox', %s, 12000, 1500, 'CNY', 'open', now())",
        chargeback_id,
        payment_id,
        sale_id,
        buyer_id,
        f"dispute-{chargeback_id}",
    )
    return chargeback_id


def _order(api: Api, buyer_id: str) -> str:
    """An order of several sellers; its id."""
    order_id = new_id("ord")
    api.execute(
        "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
        " VALUES (%s, 'order', %s, %s, 'CNY', 'pending_payment')",
        order_id,
        f"order-{order_id}",
        buyer_id,
    )
    api.execute(
        "INSERT INTO orders (id, buyer_id, total, terms) VALUES (%s, %s, 25000, '{}')",
        order_id,
        buyer_id,
    )
    return order_id


async def _in_kind(api: Api, by: str, asker_id: str | None = None) -> str:
    """An offer in kind, published as its workflow would have done it if somebody asks for it; its id."""
    body = {"help": "material", "title": "Clay", "description": "To be fetched"}
    made = await api.call("POST", "/v1/in-kind", by=by, json=body)
    assert made.status_code == 201, made.text
    in_kind_id = str(made.json()["id"])
    if asker_id is not None:
        api.execute("UPDATE paths SET phase = 'offered' WHERE id = %s", in_kind_id)
        api.execute("UPDATE in_kind_offers SET offer_ends_at = now() WHERE id = %s", in_kind_id)
        api.execute(
            "INSERT INTO in_kind_asks (id, in_kind_id, asker_id, status, message, file_ids)"
            " VALUES (%s, %s, %s, 'live', '', '{}')",
            new_id("ask"),
            in_kind_id,
            asker_id,
        )
    return in_kind_id


async def _production(api: Api, by: str) -> str:
    """A draft of a production order; its id."""
    made = await api.call("POST", "/v1/production-orders", by=by, json=body_of())
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def lot_of(api: Api, order_id: str, maker_id: str, phase: str = "making", accepted: int = 0) -> str:
    """The order is published, as its workflow would have written it down, and one unit claimed; the lot's id."""
    lot_id = new_id("lot")
    api.execute("UPDATE paths SET phase = 'published' WHERE id = %s", order_id)
    api.execute(
        "INSERT INTO paths (id, kind, workflow_id, initiator_id, currency, phase)"
        " VALUES (%s, 'lot', %s, %s, 'CNY', %s)",
        lot_id,
        f"lot-{lot_id}",
        maker_id,
        phase,
    )
    api.execute(
        "INSERT INTO lots (id, order_id, maker_id, units, course) VALUES (%s, %s, %s, 1, %s)",
        lot_id,
        order_id,
        maker_id,
        Jsonb({"units": 1, "accepted": accepted}),
    )
    return lot_id


def _match_calls(api: Api, sponsor_id: str, approver_id: str) -> tuple[str, str]:
    """A draft and an open match call."""
    url = api.settings.require_database_url()
    field = Field(url, Database(url, pool_size=1))
    draft, open_call = (
        field.call(sponsor=sponsor_id, approvers=(approver_id,), phase=phase)
        for phase in (CallPhase.DRAFT, CallPhase.OPEN)
    )
    return draft, open_call


async def test_hidden_and_missing_paths_look_the_same(api: Api) -> None:
    sale = api.sale(await api.user_id("buyer"), await api.user_id("seller"))
    missing = new_id("sal")
    answers = [
        assert_problem(await api.get(f"/v1/sales/{id}/timeline", by="member"), 404, "not_found")
        for id in (sale, missing)
    ]
    for answer in answers:
        del answer["instance"], answer["request_id"]
    assert answers[0] == answers[1]


async def test_roles(api: Api) -> None:
    user_id = await api.user_id("climber")
    path = f"/v1/users/{user_id}/roles/operator"

    async def change(method: str, by: str, at: str = path) -> httpx.Response:
        return await api.call(method, at, by=by)

    for method in ("PUT", "DELETE"):
        assert_problem(await api.call(method, path), 401, "unauthenticated")
        assert_problem(await change(method, "climber"), 403, "forbidden")
        answer = await change(method, "root", f"/v1/users/{new_id('usr')}/roles/admin")
        assert_problem(answer, 404, "not_found")
        answer = await change(method, "root", f"/v1/users/{user_id}/roles/king")
        assert assert_problem(answer, 422, "invalid_input")["field"] == "role"
    for _ in range(2):
        assert (await change("PUT", "root")).json()["roles"] == ["operator"]
    assert (await api.get("/v1/users", by="climber")).status_code == 200
    assert_problem(await change("PUT", "climber"), 403, "forbidden")
    for _ in range(2):
        assert (await change("DELETE", "root")).json()["roles"] == []
    assert_problem(await api.get("/v1/users", by="climber"), 403, "forbidden")


async def test_administrators_of_the_settings(api: Api) -> None:
    assert (await api.get("/v1/me", by="root")).json()["roles"] == ["admin", "operator"]


async def test_profile_and_user_pages(api: Api) -> None:
    answer = await api.call("PATCH", "/v1/me", by="lin", json={"display_name": " 林梅 "})
    assert answer.json()["display_name"] == "林梅"
    public = (await api.get(f"/v1/users/{answer.json()['id']}")).json()
    assert set(public) == {"id", "display_name", "member_since"}
    for name in ("a", "b", "c"):
        await api.user_id(f"page-{name}")
    seen: list[str] = []
    after = ""
    while True:
        params: dict[str, str | int] = {"limit": 3} | ({"after": after} if after else {})
        page = (await api.get("/v1/users", by="root", **params)).json()
        seen += [user["id"] for user in page["items"]]
        if page["next"] is None:
            break
        after = page["next"]
    assert seen == sorted(set(seen))
    assert answer.json()["id"] in seen
