"""Cases: the most urgent first, each with what is known about it and what can be done."""

from __future__ import annotations

from db.case_rows import end_case, open_case
from domain.money import Money
from domain.operator_cases import CaseKind
from tests.stories.deals import Deal, refused
from tests.stories.house import House
from tests.stories.operators import act, done, operator, proposed, try_to_propose
from tests.stories.polls import user_id


async def found(house: House, subject: str, path_id: str | None = None, **more: int) -> str:
    """Something needs a person."""
    async with house.database.transaction() as session:
        return await open_case(
            session,
            CaseKind.STUCK,
            subject,
            summary="Nobody answers",
            within_seconds=more.get("within", 3_600),
            path_id=path_id,
            money=Money(amount=20_000, currency="CNY"),
        )


async def test_a_case_with_its_evidence(house: House) -> None:
    one, two = await operator(house), await operator(house)
    deal = await Deal.paid(house)
    await deal.told("paid")
    case_id = await found(house, f"sale-{deal.id}", deal.id)
    await refused(await house.call("GET", "/v1/cases", by=deal.buyer), 403, "forbidden")
    await refused(await house.call("GET", f"/v1/cases/{case_id}", by=deal.seller), 403, "forbidden")
    nothing = "/v1/cases/cas_01h45ytscbebyvny4gc8cr8ma2"
    await refused(await house.call("GET", nothing, by=one), 404, "not_found")

    seen = await house.get(f"/v1/cases/{case_id}", by=one)
    assert seen["case"]["amount"]["text"] == "CNY 200.00"
    assert (seen["path"]["phase"], seen["path"]["paused"]) == ("paid", False)
    [timer] = seen["path"]["deadlines"]
    assert timer["postings"][0]["amount"]["amount"] == 20_000, "exactly what silence would post"
    assert {each["id"] for each in seen["people"]} == {
        deal.sale["buyer_id"],
        deal.sale["seller_id"],
    }
    assert [(each["what"], each["status"]) for each in seen["movements"]] == [
        ("payment", "captured")
    ]
    balances = {each["account"]: each["balance"]["amount"] for each in seen["path"]["balances"]}
    assert balances == {f"escrow:{deal.id}": 20_000}
    assert seen["path"]["timeline"][0]["kind"] == "placed"
    assert [each["command"] for each in seen["next"]] == ["cancel_path", "refund_path"]

    me = await user_id(house, one)
    taken = await house.post(f"/v1/cases/{case_id}/assign", {}, by=one)
    assert (taken["case"]["state"], taken["case"]["assignee_id"]) == ("assigned", me)
    wrong = await house.call(
        "POST", f"/v1/cases/{case_id}/assign", by=one, json={"to": deal.sale["buyer_id"]}
    )
    await refused(wrong, 422, "invalid_input", "to")
    await house.post(f"/v1/cases/{case_id}/note", {"words": "The seller is in hospital"}, by=two)
    mine = await house.get("/v1/cases", by=one, mine="true")
    assert [each["id"] for each in mine["items"]] == [case_id]

    # What can be done next is exactly what can be proposed.
    order = {"kind": "cancel_path", "path_id": deal.id}
    command = await proposed(house, one, order, case_id=case_id)
    seen = await house.get(f"/v1/cases/{case_id}", by=two)
    assert (seen["case"]["state"], seen["commands"][0]["id"]) == ("decided", command["id"])
    await act(house, "execute", command, one)
    await deal.until("refunded")
    seen = await house.get(f"/v1/cases/{case_id}", by=two)
    assert (seen["case"]["state"], seen["next"]) == ("executed", [])
    body = {"words": "The buyer has the money back"}
    closed = await house.post(f"/v1/cases/{case_id}/close", body, by=one)
    assert [each["kind"] for each in closed["events"]] == [
        "opened",
        "assigned",
        "note",
        "command_proposed",
        "command_executed",
        "closed",
    ]
    for verb, more in (("close", body), ("note", body), ("assign", {})):
        answer = await house.call("POST", f"/v1/cases/{case_id}/{verb}", by=one, json=more)
        await refused(answer, 409, "wrong_phase", "state")
    late = await Deal.paid(house)
    order = {"kind": "cancel_path", "path_id": late.id}
    answer = await try_to_propose(house, one, order, case_id=case_id)
    await refused(answer, 409, "wrong_phase", "case_id")
    await done(house, one, order)
    await late.until("refunded")
    for each in (deal, late):
        await house.assert_at_zero(each.sale)


async def test_the_queue(house: House) -> None:
    one = await operator(house)
    late, soon = await found(house, f"{one}/1", within=1), await found(house, f"{one}/2")
    later = await found(house, f"{one}/3", within=7_200)
    house.sql("UPDATE cases SET due_at = now() - interval '1 day' WHERE id = %s", late)
    ours = {late, soon, later}

    async def queue(**asked: str) -> list[str]:
        cases: list[str] = []
        after: dict[str, str] = {}
        while True:
            page = await house.get("/v1/cases", by=one, limit=2, **asked, **after)
            cases += [each["id"] for each in page["items"]]
            if page["next"] is None:
                return [each for each in cases if each in ours]
            after = {"after": page["next"]}

    assert await queue() == [late, soon, later]
    assert await queue(overdue="true") == [late]
    assert await queue(kind="hold") == []
    async with house.database.transaction() as session:
        await end_case(session, CaseKind.STUCK, f"{one}/2", "gone_on", reason="It moves again")
    assert await queue() == [late, later]
    assert await queue(state="closed") == [soon]
    for each in (late, later):
        await house.post(f"/v1/cases/{each}/close", {"words": "Seen"}, by=one)
    assert await queue() == []
