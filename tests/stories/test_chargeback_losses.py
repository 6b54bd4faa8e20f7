"""Who bears a lost chargeback after the money has been released: royalties give back their part, and so does what is held."""

from __future__ import annotations

from domain import accounts, postings
from domain.postings import EntryKind, Share
from ledger import journal
from tests.stories.chargebacks import (
    balance,
    borne,
    decided,
    opened,
    posted_by_chargebacks,
    taken,
)
from tests.stories.deals import Deal, people
from tests.stories.house import House
from tests.stories.money import PRICE, SHARE, assert_sound, earned, settled
from tests.stories.test_chargebacks import COMMISSION
from tests.stories.test_frozen import decide

OF_SALE = {"payable": 17_800, "fee": 1_600, "royalty": 600}
"""What a sale of 20,000 releases: 8 % commission, 3 % royalty."""


async def with_royalty(house: House, sku: str) -> Deal:
    """A finished sale of 20,000 of which the pot of that product got 600."""
    order = {"delivery": "pickup"}
    deal = await Deal.accepted(house, order=order, royalty_basis_points=300, royalty_sku=sku)
    await deal.act("ship", deal.seller)
    await settled(house, deal.sale)
    await deal.act("confirm", deal.buyer)
    assert balance(house, "royalty", sku) == OF_SALE["royalty"]
    return deal


async def test_the_pot_gives_back_what_it_got(house: House) -> None:
    deal = await with_royalty(house, "sku-back")
    await decided(house, await opened(house, deal.sale, 10_000), won=False)
    halves = {kind: amount // 2 for kind, amount in OF_SALE.items()}
    assert posted_by_chargebacks(house, deal.sale) == [*taken(10_000), *borne(10_000, **halves)]
    assert balance(house, "royalty", "sku-back") == 300
    await decided(house, await opened(house, deal.sale), won=False)
    assert posted_by_chargebacks(house, deal.sale)[-4:] == borne(10_000, **halves)
    assert balance(house, "royalty", "sku-back") == await house.payable(deal.seller) == 0
    await house.assert_at_zero(deal.sale)


async def test_a_pot_that_is_distributed_carries_its_part_to_the_next_income(house: House) -> None:
    deal = await with_royalty(house, "sku-spent")
    someone = accounts.payable(str(deal.sale["seller_id"]))
    spent = postings.entry(
        EntryKind.CORRECTION,
        "royalties of sku-spent",
        "CNY",
        [Share(account=accounts.royalty("sku-spent"), amount=600)],
        [Share(account=someone, amount=600)],
    )
    async with house.database.transaction() as session:
        await journal.post(session, spent)
    await decided(house, await opened(house, deal.sale), won=False)
    assert posted_by_chargebacks(house, deal.sale) == [*taken(PRICE), *borne(PRICE, **OF_SALE)]
    assert balance(house, "royalty", "sku-spent") == -600
    await house.assert_at_zero(deal.sale)
    await assert_sound(house)


async def test_a_frozen_seller_pays_with_what_is_held_before_they_owe(house: House) -> None:
    _, seller = people()
    sale = await earned(house, seller)
    await decide(house, seller, "freeze")
    assert balance(house, "held", sale["seller_id"]) == SHARE
    await decided(house, await opened(house, sale, 5_000), won=False)
    assert posted_by_chargebacks(house, sale) == [*taken(5_000), *borne(5_000, held=4_600, fee=400)]
    await decided(house, await opened(house, sale), won=False)
    assert posted_by_chargebacks(house, sale)[-3:] == borne(
        15_000, held=SHARE - 4_600, fee=COMMISSION - 400
    )
    assert balance(house, "held", sale["seller_id"]) == 0
    assert balance(house, "receivable", sale["seller_id"]) == 0
    await house.assert_at_zero(sale)
