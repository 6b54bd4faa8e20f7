"""What goes wrong after all went well: sellers who decline, goods that go back, disputes, and banks that take money back."""

from __future__ import annotations

import uuid

from deploy.local.stories.stage import (
    Id,
    Person,
    ShownBalance,
    ShownCart,
    ShownDispute,
    ShownEnd,
    ShownPayout,
    ShownReturn,
    ShownSale,
    ShownUnwind,
    Stage,
)

_BANK = "62220202"


def one_of_two_declines(stage: Stage) -> None:
    """One order of two sellers, paid at once: one declines and its part goes back, the other is paid."""
    first, second, buyer = stage.person("mei"), stage.person("shan"), stage.person("lin")
    lines = [{"listing_id": _vase(seller).id} for seller in (first, second)]
    order = buyer.post("/v1/orders", ShownCart, {"lines": lines, "delivery": "pickup"})
    stage.say(f"lin orders from mei and shan and pays {order.total.text} at once")
    stage.pay(order)
    ours, theirs = (
        next(each for each in order.sales if each.seller_id == _id(seller))
        for seller in (first, second)
    )
    for sale in (ours, theirs):
        stage.until_phase(buyer, sale, "paid")
    back = buyer.get(f"/v1/paths/{theirs.id}/unwind", ShownUnwind)
    stage.say(f"if it were called off now, lin would get {back.who[0].gets.text}")
    second.post(f"/v1/sales/{theirs.id}/decline", ShownSale, {"note": "Broken in the kiln."})
    stage.until_phase(buyer, theirs, "refunded")
    first.post(f"/v1/sales/{ours.id}/accept", ShownSale)
    first.post(f"/v1/sales/{ours.id}/ship", ShownSale, {"note": "At the market."})
    buyer.post(f"/v1/sales/{ours.id}/confirm", ShownSale)
    stage.ended += [("Mei's part of the order", ours.id), ("Shan's part", theirs.id)]
    stage.say("shan declines and that part is back with lin; mei's is handed over")


def charged_back_after_the_payout(stage: Stage) -> None:
    """The bank takes the price back when the maker has been paid out: the maker owes it, and the next sale pays it."""
    tail = uuid.uuid4().hex[:6]
    # A buyer whose bank has kept the money is locked: the next demo needs another one.
    maker, buyer = stage.person(f"hua-{tail}"), stage.person(f"wu-{tail}")
    account = f"{_BANK}{uuid.uuid4().int % 10**8:08d}"
    bank = {"currency": "CNY", "account": account, "holder": "Hua"}
    maker.post("/v1/payout-destinations", Id, bank)
    sale = _sold(stage, maker, buyer)
    stage.until(
        lambda: maker.get_list("/v1/payouts", ShownPayout),
        lambda found: bool(found) and all(each.status == "paid" for each in found),
        "the payout arrives",
    )
    stage.say(f"hua sells a vase for {sale.total.text} and is paid out")
    dispute = stage.bank_takes_back(sale)
    stage.bank_decides(dispute, won=False)
    owed = stage.until(
        lambda: maker.get_list("/v1/me/balances", ShownBalance),
        lambda found: bool(found) and found[0].receivable.amount > 0,
        "what the bank has taken is owed",
    )[0].receivable
    stage.say(f"wu's bank takes the price back for good; hua owes {owed.text}")
    _sold(stage, maker, stage.person("lin"))
    stage.until(
        lambda: maker.get_list("/v1/me/balances", ShownBalance),
        lambda found: found[0].receivable.amount == 0,
        "the next sale pays it",
    )
    stage.ended.append(("The vase that was charged back", sale.id))
    stage.say("the next sale has paid it")


def sent_back(stage: Stage) -> None:
    """A vase goes back without a reason; its price was in escrow, and everything else is as before."""
    maker, buyer = stage.person("mei"), stage.person("lin")
    sale = _handed_over(stage, maker, buyer)
    body = {"reason": "no_reason", "lines": [{"line": 0}], "note": "It does not fit."}
    back = buyer.post(f"/v1/sales/{sale.id}/returns", ShownReturn, body)
    stage.say(f"lin sends a vase of {back.total.text} back within seven days; mei need not agree")
    buyer.post(f"/v1/returns/{back.id}/ship", ShownReturn, {"note": "At the shop."})
    done = maker.post(f"/v1/returns/{back.id}/accept", ShownReturn)
    buyer.post(f"/v1/sales/{sale.id}/confirm", ShownSale)
    stage.ended += [("The return", back.id), ("The vase that went back", sale.id)]
    stage.say(f"mei accepts what came back: {done.refunded.text} go back to lin")
    _until_closed(stage, buyer, sale)


def ruled_seventy_to_thirty(stage: Stage) -> None:
    """Buyer and maker do not agree; an operator rules 70 to 30, nobody appeals, and the side that lost pays the fee."""
    maker, buyer, judge = stage.person("shan"), stage.person("wu"), stage.person("admin")
    sale = _handed_over(stage, maker, buyer)
    body = {"words": "The glaze is chipped."}
    case = buyer.post(f"/v1/paths/{sale.id}/disputes", ShownDispute, body)
    stage.say(f"wu disputes {case.amount.text}: only that stays in escrow")
    maker.post(f"/v1/disputes/{case.id}/answer", ShownDispute, {"note": "It left whole."})
    buyer.post(f"/v1/disputes/{case.id}/escalate", ShownDispute)
    ruling = {"to_payer": 7_000, "note": "Chipped, but it can be used."}
    judge.post(f"/v1/disputes/{case.id}/rule", ShownDispute, ruling)
    stage.say("an operator rules: 70 % back to wu, 30 % to shan; either may appeal")
    buyer.post(f"/v1/sales/{sale.id}/confirm", ShownSale)
    done = stage.until(
        lambda: buyer.get(f"/v1/disputes/{case.id}", ShownDispute),
        lambda found: found.phase == "decided",
        "nobody appeals",
    )
    stage.ended += [("The dispute", case.id), ("The vase that was disputed", sale.id)]
    stage.say(f"{done.refunded.text} go back to wu; shan pays {done.fee.text} for the ruling")
    _until_closed(stage, buyer, sale)


def _until_closed(stage: Stage, person: Person, sale: ShownSale) -> None:
    """The refund has arrived, and nothing is held for the sale any more."""
    stage.until(
        lambda: person.get(f"/v1/sales/{sale.id}", ShownEnd),
        lambda found: found.closed_at is not None,
        "the refund arrives",
    )


def _handed_over(stage: Stage, maker: Person, buyer: Person) -> ShownSale:
    lines = [{"listing_id": _vase(maker).id}]
    sale = buyer.post("/v1/sales", ShownSale, {"lines": lines, "delivery": "pickup"})
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    maker.post(f"/v1/sales/{sale.id}/accept", ShownSale)
    return maker.post(f"/v1/sales/{sale.id}/ship", ShownSale)


def _sold(stage: Stage, maker: Person, buyer: Person) -> ShownSale:
    sale = _handed_over(stage, maker, buyer)
    return buyer.post(f"/v1/sales/{sale.id}/confirm", ShownSale)


def _vase(maker: Person) -> Id:
    vase = {
        "title": "瓶 Vase",
        "unit_price": {"amount": 24_000},
        "stock_kind": "one_of_a_kind",
        "stock": 1,
        "delivery": ["pickup"],
    }
    return maker.post("/v1/listings", Id, vase)


def _id(person: Person) -> str:
    return person.get("/v1/me", Id).id


STORIES = (
    ("Unhappy: one of two sellers declines", one_of_two_declines),
    ("Unhappy: a vase goes back", sent_back),
    ("Unhappy: a dispute ruled 70 to 30", ruled_seventy_to_thirty),
    ("Unhappy: charged back after the payout", charged_back_after_the_payout),
)
