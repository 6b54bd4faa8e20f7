"""Runs over all pledges of a campaign: what each goal makes of each pledge."""

from __future__ import annotations

import json

from domain.campaign import Phase
from domain.campaign_messages import RunGoal
from tests.stories.house import House
from tests.stories.money import unheard
from tests.stories.runs import M, Round, S


async def test_closing_counts_who_was_faster(house: House) -> None:
    """Paid and saved in the last moment counts, the rest has expired; bank transfers go on until their own end."""
    groups = {(S.INITIATED, M.CARD): 4, (S.INITIATED, M.WALLET): 4, (S.INITIATED, M.BANK): 4}
    async with unheard(house):
        round_ = await Round.of(house, Phase.CLOSING, groups)
        cards, wallets, banks = (
            round_.crowd.those(S.INITIATED, each) for each in (M.CARD, M.WALLET, M.BANK)
        )
        for one in (cards[0], cards[1], wallets[0], banks[0]):
            round_.pays(one)
        # The answers of the provider to two of these were lost before, so nobody knows a reference.
        house.sql("UPDATE saved_cards SET reference = NULL WHERE id = %s", cards[1].card_id)
        house.sql("UPDATE payments SET reference = NULL WHERE id = %s", wallets[1].payment_id)

        done = await round_.run(RunGoal.CLOSE, shards=2)
        other = await round_.run(RunGoal.CLOSE, shard=1, shards=2)

        assert done.done + other.done == 8
        assert [round_.state_of(each) for each in cards] == [S.SAVED, S.SAVED, S.EXPIRED, S.EXPIRED]
        assert [round_.state_of(each) for each in wallets] == [S.FUNDED] + 3 * [S.EXPIRED]
        assert [round_.state_of(each) for each in banks] == 4 * [S.INITIATED]
        assert {status for (status,) in round_.at_provider("cards", "status")} == {
            "saved",
            "canceled",
        }

        # A goal that does not fit the phase does nothing.
        assert (await round_.run(RunGoal.CLOSE_SLOW)).left == 0
        assert [round_.state_of(each) for each in banks] == 4 * [S.INITIATED]
        await round_.put(Phase.WAITING_FUNDS)
        assert (await round_.run(RunGoal.CLOSE_SLOW)).done == 4
        assert [round_.state_of(each) for each in banks] == [S.FUNDED] + 3 * [S.EXPIRED]
        await round_.assert_books(wallets[0].amount + banks[0].amount)


async def test_a_bigger_choice_holds_only_if_it_is_paid(house: House) -> None:
    async with unheard(house):
        groups = {(S.FUNDED, M.WALLET): 2, (S.INITIATED, M.WALLET): 2}
        round_ = await Round.of(house, Phase.CLOSING, groups)
        pledges = round_.crowd.those(S.FUNDED)
        extras = round_.crowd.those(S.INITIATED)
        for pledge, extra in zip(pledges, extras, strict=True):
            _wants_more(round_, pledge.pledge_id, extra.payment_id or "", extra.pledge_id)
        round_.pays(extras[0])

        assert (await round_.run(RunGoal.CLOSE)).done == 2

        rows = house.sql(
            "SELECT amount, paid, pending, tier FROM pledges WHERE campaign_id = %s ORDER BY id",
            round_.id,
        )
        grown = pledges[0].amount + extras[0].amount
        assert rows == [(grown, grown, None, 2), (pledges[1].amount, pledges[1].amount, None, 1)]
        await round_.assert_books(grown + pledges[1].amount)


def _wants_more(round_: Round, pledge_id: str, payment_id: str, other: str) -> None:
    """Turns the payment of another pledge into the difference of a change to the seated tier."""
    house = round_.house
    [(before, extra)] = house.sql(
        "SELECT pledges.amount, payments.amount FROM pledges, payments"
        " WHERE pledges.id = %s AND payments.id = %s",
        pledge_id,
        payment_id,
    )
    change = {
        "payment_id": payment_id,
        "selection": {"tier": {"number": 2, "quantity": 1}, "extra": before + extra - 2_000},
        "amount": before + extra,
        "shipping": 0,
        "seats": {"2": 1},
    }
    house.sql("UPDATE payments SET pledge_id = %s WHERE id = %s", pledge_id, payment_id)
    house.sql("DELETE FROM pledges WHERE id = %s", other)
    house.sql(
        "UPDATE pledges SET pending = %s, tier = 1, selection = %s WHERE id = %s",
        json.dumps(change),
        json.dumps({"tier": {"number": 1, "quantity": 1}, "extra": before - 2_000}),
        pledge_id,
    )
    house.sql(
        "UPDATE campaign_items SET taken = (SELECT count(*) FROM pledges"
        " WHERE campaign_id = %s AND (tier = 2 OR pending IS NOT NULL)) WHERE campaign_id = %s AND number = 2",
        round_.id,
        round_.id,
    )
