"""Deposits that the borrower's bank takes back: the path stands still, and goes on with what is left or ends."""

from __future__ import annotations

from tests.api.client import assert_problem
from tests.stories.chargebacks import BANK_FEE, balance, decided, in_dispute, opened
from tests.stories.house import House, Json
from tests.stories.in_kind import (
    BACK,
    DAY,
    DEPOSIT,
    PAID,
    Aid,
    given_back,
    given_to_lender,
)
from tests.stories.jobs import lines
from tests.stories.money import payment_reference
from tests.waiting import eventually


async def paid_by(aid: Aid, borrower: str | None = None) -> Json:
    """The deposit's payment, as the helpers for chargebacks want it."""
    found = await aid.now(borrower or aid.picked)
    return {"id": aid.id, "payment": found["agreement"]["payment"]}


async def disputed(aid: Aid, path: Json, amount: int | None = None) -> str:
    """The bank takes the money back, and the story stands still."""
    dispute = await opened(aid.house, path, amount)
    await until_paused(aid, True)
    return dispute


async def until_paused(aid: Aid, paused: bool) -> None:
    """Waits until the story stands still, or goes on."""
    story = aid.house.workflow(aid.story)

    async def there() -> bool:
        return bool((await story.query("watch"))["is_paused"]) is paused

    await eventually(there)


def taken(amount: int) -> list[str]:
    """What an opened chargeback posts."""
    return lines(
        ("chargeback_open", "debit dispute:cbk", amount),
        ("chargeback_open", "debit loss:platform", BANK_FEE),
        ("chargeback_open", "credit cash:sandbox", amount + BANK_FEE),
    )


def borne(total: int, **by: int) -> list[str]:
    """What a lost chargeback of so much posts, by the borrower's accounts that bear it."""
    assert sum(by.values()) == total
    return [
        *taken(total),
        *lines(
            *(("chargeback_lost", f"debit {kind}:borrower", part) for kind, part in by.items()),
            ("chargeback_lost", "credit dispute:cbk", total),
        ),
    ]


async def test_a_bank_that_gives_the_money_back_costs_only_time(house: House) -> None:
    aid = await Aid.lent(house)
    await aid.act("send-back", aid.picked)
    before = (await aid.deadlines())["return"]
    dispute = await disputed(aid, await paid_by(aid))
    for verb, by in (("return", aid.supporter), ("extend", aid.supporter)):
        body = {"due_at": before["due_at"]} if verb == "extend" else {}
        assert_problem(await aid.try_to(verb, by, **body), 409, "wrong_phase")
    assert aid.postings("refund") == []
    await decided(house, dispute, won=True)
    await until_paused(aid, False)
    after = (await aid.deadlines())["return"]
    assert (after["due_at"] > before["due_at"], after["postings"]) == (True, before["postings"])
    await aid.act("return", aid.supporter)
    won = lines(
        ("chargeback_won", "debit cash:sandbox", DEPOSIT),
        ("chargeback_won", "credit dispute:cbk", DEPOSIT),
    )
    await aid.ended("returned", PAID, taken(DEPOSIT), won, BACK)


async def test_a_deposit_lost_before_the_handing_over_ends_the_path(house: House) -> None:
    aid = await Aid.ready(house)
    dispute = await disputed(aid, await paid_by(aid), 4_000)
    await decided(house, dispute, won=False)
    done = await aid.ended(
        "cancelled", PAID, borne(4_000, deposit=4_000), given_back(DEPOSIT - 4_000)
    )
    assert (done["agreement"]["end_reason"], in_dispute(house, done)) == ("charged_back", 0)
    assert "charged_back by provider" in await aid.timeline()


async def test_a_loan_goes_on_with_what_is_left_of_the_deposit(house: House) -> None:
    aid = await Aid.lent(house)
    await aid.claim(8_000)
    path = await paid_by(aid)
    await decided(house, await disputed(aid, path, 4_000), won=False)
    await until_paused(aid, False)
    found = (await aid.now())["agreement"]
    left = DEPOSIT - 4_000
    assert (found["held"]["amount"], found["claimed"]["amount"]) == (left, 8_000)
    promised = await aid.promised("claim_answer")
    await aid.let_pass(6 * DAY)
    # The claim cannot bring more than there is.
    done = await aid.ended("returned", PAID, borne(4_000, deposit=4_000), given_to_lender(left))
    assert aid.decided() == promised
    assert done["agreement"]["released"]["amount"] == left
    assert balance(house, "receivable", aid.asks[aid.picked]["asker_id"]) == 0


async def test_a_loan_whose_whole_deposit_is_lost_still_comes_back(house: House) -> None:
    aid = await Aid.lent(house)
    await decided(house, await disputed(aid, await paid_by(aid)), won=False)
    await until_paused(aid, False)
    assert set(await aid.deadlines()) == {"due", "overdue"}
    answer = await aid.try_to("claim", aid.supporter, amount={"amount": 1}, note="Why")
    assert_problem(answer, 422, "amount_out_of_range")
    await aid.act("send-back", aid.picked)
    await aid.act("return", aid.supporter)
    await aid.ended("returned", PAID, borne(DEPOSIT, deposit=DEPOSIT))


async def test_a_deposit_lost_after_it_became_balance_leaves_the_next_one_alone(
    house: House,
) -> None:
    aid = await Aid.ready(house)
    path = await paid_by(aid)
    await house.misbehave("refund", "refund_refused", subject=payment_reference(house, path))
    await aid.act("call-off", aid.supporter)

    async def refused() -> str:
        rows = house.sql("SELECT id FROM refunds WHERE path_id = %s AND status = 'refused'", aid.id)
        return str(rows[0][0]) if rows else ""

    refund_id = await eventually(refused)
    await house.post(f"/v1/refunds/{refund_id}/accept-balance", by=aid.picked)
    # The same borrower again, whose new deposit lies on the same account.
    await aid.until("offered")
    await aid.ask(aid.picked)
    await aid.pick(aid.picked)
    await aid.pay_deposit()
    await decided(house, await disputed(aid, path), won=False)
    await until_paused(aid, False)
    assert (await aid.now())["agreement"]["held"]["amount"] == DEPOSIT
    await aid.act("hand-over", aid.supporter)
    await aid.act("return", aid.supporter)
    balance_instead = lines(
        ("refund", "debit deposit:borrower", DEPOSIT),
        ("refund", "credit refund_due:ref", DEPOSIT),
        ("refund_to_balance", "debit refund_due:ref", DEPOSIT),
        ("refund_to_balance", "credit payable:borrower", DEPOSIT),
    )
    lost = borne(DEPOSIT, payable=DEPOSIT)
    await aid.ended("returned", PAID, balance_instead, PAID, lost, BACK)
    assert await house.payable(aid.picked) == 0


async def test_after_the_end_the_borrower_owes_what_the_lender_got(house: House) -> None:
    aid = await Aid.lent(house)
    path = await paid_by(aid)
    await aid.claim(4_000)
    await aid.act("answer-claim", aid.picked, agree=True)
    settled = [PAID, given_to_lender(4_000), given_back(DEPOSIT - 4_000)]
    await aid.ended("returned", *settled)
    await decided(house, await opened(house, path), won=False)
    await aid.ended("returned", *settled, borne(4_000, receivable=4_000))
    assert balance(house, "receivable", aid.asks[aid.picked]["asker_id"]) == 4_000
    assert await house.payable(aid.supporter) == 4_000
