"""Corrections of the books: balanced, by two people, never on accounts that stories end themselves."""

from __future__ import annotations

from db.case_rows import open_case
from domain.money import Money
from domain.operator_cases import CaseKind
from ledger import invariants
from tests.stories.deals import Deal, refused
from tests.stories.house import House, Json
from tests.stories.operators import (
    act,
    balance,
    done,
    moved,
    operator,
    proposed,
    tables,
    try_to,
    try_to_propose,
)
from tests.stories.polls import user_id


def lines(*postings: tuple[str, str, int]) -> list[Json]:
    """Postings of a correction."""
    return [{"side": side, "account": code, "amount": n} for side, code, n in postings]


def correction(*postings: tuple[str, str, int], **more: object) -> Json:
    """A correction of these postings."""
    return {"kind": "ledger_correction", "postings": lines(*postings), **more}


async def completed(house: House) -> Deal:
    """A sale whose seller has the money on their balance."""
    deal = await Deal.accepted(house)
    number = await deal.ship()
    await house.scan(number, "delivered")
    await deal.until("delivered")
    await deal.act("confirm", deal.buyer)
    await deal.until("completed")
    return deal


async def test_a_correction_takes_two_and_balances(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await completed(house)
    seller = f"payable:{deal.sale['seller_id']}"
    before = tables(house)
    refusals: list[tuple[Json, int, str, str | None]] = [
        (correction(("debit", "fee:platform", 7), ("credit", seller, 8)), 422, "unbalanced_entry", None),
        (correction(("debit", "fee:platform", 7)), 422, "invalid_input", "postings"),
        (correction(("debit", "fee:platform", 0), ("credit", seller, 0)), 422, "invalid_input", None),
        (correction(("debit", "purse:platform", 7), ("credit", seller, 7)), 422, "invalid_input", "postings"),
        (correction(("debit", "cash:sandbox", 7), ("credit", seller, 7)), 422, "invalid_input", "postings"),
        (correction(("debit", "royalty:nobody", 7), ("credit", seller, 7)), 422, "invalid_input", "postings"),
        (correction(("debit", "refund_due:ref_1", 7), ("credit", seller, 7)), 422, "invalid_input", "postings"),
        (correction(("debit", f"escrow:{deal.id}", 7), ("credit", seller, 7)), 422, "invalid_input", "postings"),
        (
            correction(("debit", "fee:platform", 7), ("credit", f"escrow:{deal.id}", 7), path_id=deal.id),
            409,
            "path_not_empty",
            None,
        ),
        (correction(("debit", "protection_fund:platform", 10**12), ("credit", seller, 10**12)), 409, "insufficient_funds", None),
        (correction(("debit", "fee:platform", 7), ("credit", seller, 7), currency="XXX"), 422, "unknown_currency", None),
        (correction(reverses="nothing"), 404, "not_found", "reverses"),
    ]  # fmt: skip
    for order, status, code, field in refusals:
        answer = await try_to_propose(house, one, order)
        assert (answer.status_code, answer.json()["code"]) == (status, code), (order, answer.text)
        if field is not None:
            assert answer.json()["field"] == field, answer.text
    assert tables(house) == before, "a dry run changes nothing"

    order = correction(("debit", "fee:platform", 7), ("credit", seller, 7))
    command = await proposed(house, one, order)
    assert command["needs_two"]
    await refused(await try_to(house, "execute", command, one), 409, "needs_second_operator")
    await act(house, "approve", command, two)
    had = await house.payable(deal.seller)
    await act(house, "execute", command, one)
    assert await house.payable(deal.seller) == had + 7
    async with house.database.transaction() as session:
        assert await invariants.check(session) == []


async def test_an_entry_is_reversed_once(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await completed(house)
    seller = f"payable:{deal.sale['seller_id']}"
    made = await done(
        house, one, correction(("debit", "fee:platform", 7), ("credit", seller, 7)), two
    )
    key = f"{made['id']}/correction"
    had = await house.payable(deal.seller)
    reversal = {"kind": "ledger_correction", "reverses": key}
    mixed = {**reversal, "postings": lines(("debit", seller, 1), ("credit", "fee:platform", 1))}
    await refused(await try_to_propose(house, one, mixed), 422, "invalid_input", "postings")
    await refused(
        await try_to_propose(house, one, {**reversal, "path_id": deal.id}), 422, "invalid_input", "path_id"
    )  # fmt: skip
    again = await proposed(house, two, reversal)
    await act(house, "approve", again, one)
    await done(house, one, reversal, two)
    assert await house.payable(deal.seller) == had - 7
    await refused(await try_to(house, "execute", again, two), 409, "wrong_phase", "reverses")
    await refused(await try_to_propose(house, one, reversal), 409, "wrong_phase", "reverses")


async def test_debts_and_money_that_nobody_asks_for(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await completed(house)
    seller = deal.sale["seller_id"]
    owed = correction(("debit", f"receivable:{seller}", 900), ("credit", "fee:platform", 900))
    await done(house, one, owed, two)
    too_much = {"kind": "write_off", "user_id": seller, "amount": 901}
    await refused(await try_to_propose(house, one, too_much), 409, "insufficient_funds")
    loss = balance(house, "loss:platform")
    await done(house, one, {**too_much, "amount": 900}, two)
    assert balance(house, f"receivable:{seller}") == 0
    assert balance(house, "loss:platform") == loss + 900

    escheat = {"kind": "escheat", "user_id": seller, "amount": 400}
    await refused(await try_to_propose(house, one, escheat), 409, "insufficient_funds")
    await house.post(f"/v1/users/{seller}/freeze", {"reason": "case 1"}, by="admin")
    kept = balance(house, "unclaimed:platform")
    await done(house, one, escheat, two)
    assert balance(house, "unclaimed:platform") == kept + 400
    assert moved(house, None, "escheat")[-2:] == ["debit held 400", "credit unclaimed 400"]
    stranger = {**escheat, "user_id": "usr_01h45ytscbebyvny4gc8cr8ma2"}
    await refused(await try_to_propose(house, one, stranger), 404, "not_found", "user_id")


async def test_cash_only_in_a_case_about_a_difference(house: House) -> None:
    one, two = await operator(house), await operator(house)
    me = await user_id(house, one)
    async with house.database.transaction() as session:
        case_id = await open_case(
            session,
            CaseKind.DIFFERENCE,
            f"dif-{me}",
            summary="The provider has one fen more",
            within_seconds=60,
            money=Money(amount=1, currency="CNY"),
        )
        other = await open_case(
            session, CaseKind.OTHER, f"oth-{me}", summary="Something", within_seconds=60
        )
    order = correction(("debit", "cash:sandbox", 1), ("credit", "fee:platform", 1))
    answer = await try_to_propose(house, one, order, case_id=other)
    await refused(answer, 422, "invalid_input", "postings")
    await done(house, one, order, two, case_id=case_id)
    found = await house.get(f"/v1/cases/{case_id}", by=two)
    assert found["case"]["state"] == "executed"
    assert [each["kind"] for each in found["events"]] == [
        "opened",
        "command_proposed",
        "command_executed",
    ]
    back = correction(("credit", "cash:sandbox", 1), ("debit", "fee:platform", 1))
    await done(house, one, back, two, case_id=case_id)
