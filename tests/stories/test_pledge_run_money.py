"""Runs that move money: cards are charged once, and everything goes back once, whatever the provider does."""

from __future__ import annotations

from domain.campaign import Phase
from domain.campaign_messages import RunGoal
from domain.policy import RefundPolicy
from tests.stories.crowd import One
from tests.stories.house import DAY, House
from tests.stories.money import rewrite_at_provider, unheard
from tests.stories.runs import M, Round, S
from tests.waiting import eventually


async def test_each_card_is_charged_once(house: House) -> None:
    """Declined, unusable and answered too late: what fails is told its backer at once, and can be paid by hand."""
    async with unheard(house):
        groups = {(S.SAVED, M.CARD): 20, (S.FUNDED, M.WALLET): 2}
        round_ = await Round.of(house, Phase.COLLECTING, groups)
        cards = round_.crowd.those(S.SAVED)
        for one in cards[:2]:
            await house.misbehave("charge", "decline", subject=one.reference or "")
        for effect, one in zip(
            ("answer_lost", "connection_cut", "unavailable"), cards[2:5], strict=True
        ):
            await house.misbehave("charge", effect, subject=one.reference or "")
        released = cards[5]
        round_.at_provider_do(
            "UPDATE cards SET status = 'canceled' WHERE reference = ?", released.reference
        )

        done = await round_.run(RunGoal.COLLECT)

        assert (done.done, done.failed, done.left, done.per_second) == (17, 3, 0, 25)
        assert round_.states() == {S.COLLECTED: 17, S.ERRORED: 3, S.FUNDED: 2}
        failed = [*cards[:2], released]
        assert {round_.state_of(one) for one in failed} == {S.ERRORED}
        paid = sum(one.amount for one in round_.crowd.ones if one not in failed)
        await round_.assert_books(paid)
        theirs = round_.at_provider("payments", "status", "amount")
        assert sum(amount for status, amount in theirs if status == "captured") == paid
        assert sorted(status for status, _ in theirs) == 19 * ["captured"] + 3 * ["open"]
        rows = house.sql(
            "SELECT decline_reason, checkout_url IS NOT NULL, attempts, pledges.expires_at = fix_until"
            " FROM pledges JOIN payments ON payments.id = payment_id"
            " JOIN campaigns ON campaigns.id = campaign_id WHERE state = 'errored'"
            " AND campaign_id = %s ORDER BY pledges.id",
            round_.id,
        )
        assert [row[1:] for row in rows] == 3 * [(True, 1, True)]
        assert [row[0].split(":")[0] for row in rows] == 2 * ["card_declined"] + ["card_not_saved"]
        await eventually(lambda: len(_told(round_)) == 3)
        assert (await round_.run(RunGoal.COLLECT)).done == 0


def _told(round_: Round) -> list[str]:
    rows = round_.house.sql(
        "SELECT summary FROM pledge_events JOIN pledges ON pledges.id = pledge_id"
        " WHERE campaign_id = %s AND kind = 'charge_reminder'",
        round_.id,
    )
    return [summary for (summary,) in rows]


async def test_every_pledge_of_a_cancelled_campaign_ends(house: House) -> None:
    """In whatever state it was, and however fast its backer: pages closed, cards forgotten, money back, seats free."""
    begun = {(S.INITIATED, method): 2 for method in M}
    saved = {(S.SAVED, M.CARD): 6, (S.FUNDED, M.WALLET): 3, (S.FUNDED, M.BANK): 2}
    async with unheard(house):
        round_ = await Round.of(house, Phase.COLLECTING, {**begun, **saved})
        cards = round_.crowd.those(S.SAVED)
        declined, paid_by_hand, captured, unheard_of = cards[:4]
        for one in (declined, paid_by_hand):
            await house.misbehave("charge", "decline", subject=one.reference or "")
        # Cancelled while these two had no answer: one is charged in fact, of the other the provider knows nothing.
        await house.misbehave("charge", "answer_lost", subject=captured.reference or "")
        await house.misbehave("charge", "unavailable", subject=unheard_of.reference or "", times=50)
        await house.misbehave(
            "read", "unavailable", subject=f"{captured.pledge_id}/charge", times=50
        )
        run = await round_.start(RunGoal.COLLECT)
        await eventually(lambda: round_.states()[S.COLLECTED] == 2)
        await eventually(lambda: round_.states()[S.ERRORED] == 2)
        await round_.put(Phase.CANCELLED)
        assert (await run.result()).left == 0
        assert round_.states()[S.CHARGING] == 2
        await house.sandbox.delete("/v1/behaviours")
    async with unheard(house):
        [(page,)] = house.sql(
            "SELECT checkout_url FROM payments WHERE pledge_id = %s", paid_by_hand.pledge_id
        )
        await house.sandbox.post(page, data={"action": "pay"})
        for one in round_.crowd.those(S.INITIATED)[:3]:
            round_.pays(one)
        house.sql(
            "UPDATE pledges SET to_refund = 7 WHERE id = %s",
            round_.crowd.those(S.FUNDED)[0].pledge_id,
        )

        done = await round_.run(RunGoal.GIVE_BACK)

        assert done.left == 0
        early = {one.method for one in round_.crowd.those(S.INITIATED)[:3]}
        assert early == set(M)
        assert round_.states() == {S.EXPIRED: 4, S.RELEASED: 2, S.REFUNDED: 11}
        assert round_.state_of(unheard_of) == round_.state_of(declined) == S.RELEASED
        assert round_.state_of(captured) == round_.state_of(paid_by_hand) == S.REFUNDED
        await round_.assert_books(0)
        round_.assert_sent_once()
        assert {status for (status,) in round_.at_provider("cards", "status")} == {
            "canceled",
            "saved",
        }
        assert "open" not in {status for (status,) in round_.at_provider("payments", "status")}
        # The stories of the failed charges have nothing to do any more.
        for one in (declined, paid_by_hand):
            await house.workflow(f"pledge-{one.pledge_id}").result()
        assert (await round_.run(RunGoal.GIVE_BACK)).done == 0
        [(closed,)] = house.sql("SELECT closed_at FROM paths WHERE id = %s", round_.id)
        assert closed is not None


async def test_a_stopped_campaign_gives_back_the_shares_that_were_planned(house: House) -> None:
    async with unheard(house):
        round_ = await Round.of(house, Phase.STOPPED, {(S.COLLECTED, M.CARD): 4})
        shares = (500, 0, None, 700)
        for one, share in zip(round_.crowd.ones, shares, strict=True):
            house.sql("UPDATE pledges SET to_refund = %s WHERE id = %s", share, one.pledge_id)
        disputed = round_.crowd.ones[3]
        house.sql("UPDATE pledges SET dispute_open = true WHERE id = %s", disputed.pledge_id)

        assert (await round_.run(RunGoal.GIVE_BACK)).left == 0

        left = house.sql(
            "SELECT state, refunded, to_refund FROM pledges WHERE campaign_id = %s ORDER BY id",
            round_.id,
        )
        third = round_.crowd.ones[2].amount
        assert left == [
            (S.REFUNDED, 500, None),
            (S.REFUNDED, 0, None),
            (S.REFUNDED, third, None),
            # The bank has this money for the moment.
            (S.COLLECTED, 0, 700),
        ]
        assert round_.escrow() == round_.crowd.paid - 500 - third
        round_.assert_sent_once()


async def test_refunds_that_do_not_arrive_at_once(house: House) -> None:
    """Refused: offered and credited. Pending: looked at again. Answers lost: found. Each sent once."""
    policy = RefundPolicy(offer_seconds=3 * DAY)
    async with unheard(house):
        groups = {(S.FUNDED, M.WALLET): 12}
        round_ = await Round.of(house, Phase.FAILED, groups, refund_policy=policy)
        ones = round_.crowd.ones
        refused, declined, slow = ones[0], ones[1], ones[2]
        for one, effect in (
            (refused, "refund_refused"),
            (slow, "refund_pending"),
            (ones[3], "answer_lost"),
            (ones[4], "connection_cut"),
            (ones[5], "unavailable"),
        ):
            await house.misbehave("refund", effect, subject=one.reference or "")
        # The provider knows nothing to send this one back from.
        rewrite_at_provider(
            house, "UPDATE payments SET status = 'canceled' WHERE reference = ?", declined.reference
        )

        done = await round_.run(RunGoal.GIVE_BACK)

        assert (done.done, done.failed, done.left) == (10, 2, 0)
        assert round_.states() == {S.REFUNDED: 9, S.REFUNDING: 3}
        assert round_.escrow() == 0
        [(waiting,)] = house.sql(
            "SELECT reference FROM refunds WHERE pledge_id = %s", slow.pledge_id
        )
        await house.sandbox.post(f"/v1/refunds/{waiting}/advance", json={"to": "succeeded"})
        assert (await round_.run(RunGoal.GIVE_BACK)).done == 1
        await round_.stands(slow, S.REFUNDED)
        for one in (refused, declined):
            story = house.workflow(f"refund-{_refund(round_, one)}")
            await _stands_at(round_, one, "refused")
            await house.skipper.fast_forward(story, 3 * DAY)
            await story.result()
            assert _status(round_, one) == "credited"
            await round_.stands(one, S.REFUNDED)
        await round_.assert_books(0)
        await house.assert_at_zero({"id": round_.id})


def _refund(round_: Round, one: One) -> str:
    [(found,)] = round_.house.sql("SELECT id FROM refunds WHERE pledge_id = %s", one.pledge_id)
    return str(found)


def _status(round_: Round, one: One) -> str:
    [(found,)] = round_.house.sql("SELECT status FROM refunds WHERE pledge_id = %s", one.pledge_id)
    return str(found)


async def _stands_at(round_: Round, one: One, status: str) -> None:
    await eventually(lambda: _status(round_, one) == status)
