"""Sales: the whole way to the maker's bank, and the ways in which the buyer gets everything back."""

from __future__ import annotations

import uuid

from deploy.local.stories.stage import Id, Person, ShownPayout, ShownSale, Stage

LAMP = {
    "title": "竹编灯 Bamboo lamp",
    "description": "Woven by hand in Anji; the only one of its kind.",
    "unit_price": {"amount": 20_000, "currency": "CNY"},
    "stock_kind": "one_of_a_kind",
    "stock": 1,
    "royalty_basis_points": 300,
    "royalty_sku": "bamboo-lamp",
}


def lamp_to_the_bank(stage: Stage) -> None:
    """A one-of-a-kind lamp: ordered, paid, shipped, confirmed; the maker is paid out. A second buyer comes too late."""
    maker, buyer = stage.person("mei"), stage.person("lin")
    paid_out_before = _payouts(maker)
    stage.say("mei says where her money shall go")
    bank = {"currency": "CNY", "account": "6222020200112233445", "holder": "Mei"}
    maker.post("/v1/payout-destinations", Id, bank)
    stage.say("mei lists a one-of-a-kind lamp with a picture; 3 % of its price go to its designers")
    picture = maker.upload_picture("goldenrod")
    lamp = maker.post("/v1/listings", Id, {**LAMP, "picture_ids": [picture]})
    sale = _order(buyer, lamp, {})
    stage.say(f"lin orders it for {sale.total.text} and pays on the provider's page")
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    code = stage.person("wu").refused("/v1/sales", {"lines": [{"listing_id": lamp.id}]})
    stage.say(f"wu wants it too and is refused: {code}")
    number = _ship(maker, sale)
    stage.say(f"mei accepts and ships it as {number}; the carrier delivers")
    stage.scan(number, "delivered")
    stage.until_phase(buyer, sale, "delivered")
    buyer.post(f"/v1/sales/{sale.id}/confirm", ShownSale, {"note": "It is beautiful."})
    stage.ended.append(("The lamp", sale.id))
    stage.say("lin confirms; the escrow is released and what mei has earned leaves by itself")
    payout = stage.until(
        lambda: [p for p in _payouts(maker) if p.id not in {old.id for old in paid_out_before}],
        lambda new: bool(new) and all(p.status == "paid" for p in new),
        "the payout arrives",
    )[0]
    stage.say(f"mei's bank has {payout.amount.text}")


def _payouts(person: Person) -> list[ShownPayout]:
    return person.get_list("/v1/payouts", ShownPayout)


def declined(stage: Stage) -> None:
    """A made-to-order tray: the maker has no time, so the buyer gets everything back."""
    maker, buyer = stage.person("shan"), stage.person("lin")
    tray = maker.post(
        "/v1/listings",
        Id,
        {
            "title": "茶盘 Tea tray to measure",
            "unit_price": {"amount": 38_000},
            "stock_kind": "made_to_order",
            "lead_days": 30,
        },
    )
    sale = _order(buyer, tray, {"made_to_order_confirmed": True})
    stage.say(f"lin orders a tray to measure for {sale.total.text} and pays")
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    maker.post(f"/v1/sales/{sale.id}/decline", ShownSale, {"note": "No time before spring."})
    stage.until_phase(buyer, sale, "refunded")
    stage.ended.append(("The tea tray", sale.id))
    stage.say("shan declines; everything is back with lin")


def cancelled_before_shipment(stage: Stage) -> None:
    """The buyer changes their mind after the seller accepted, but before anything was shipped."""
    maker, buyer = stage.person("mei"), stage.person("wu")
    sale = _order(buyer, _cups(maker), {})
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    maker.post(f"/v1/sales/{sale.id}/accept", ShownSale)
    buyer.post(f"/v1/sales/{sale.id}/cancel", ShownSale, {"note": "Wrong colour, sorry."})
    stage.until_phase(buyer, sale, "refunded")
    stage.ended.append(("The cups, cancelled", sale.id))
    stage.say("wu cancels before shipment; everything is back with wu")


def never_paid(stage: Stage) -> None:
    """The buyer gives up before paying: the pieces are back on sale at once."""
    maker, buyer = stage.person("mei"), stage.person("wu")
    sale = _order(buyer, _cups(maker), {})
    buyer.post(f"/v1/sales/{sale.id}/cancel", ShownSale)
    stage.until_phase(buyer, sale, "expired")
    stage.ended.append(("The cups, never paid", sale.id))
    stage.say("wu gives up before paying; the cups are back on sale")


def picked_up_in_yen(stage: Stage) -> None:
    """Another currency, without decimals, and no carrier: handed over in person."""
    maker, buyer = stage.person("aoi"), stage.person("lin")
    bowl = maker.post(
        "/v1/listings",
        Id,
        {
            "title": "抹茶碗 Tea bowl",
            "unit_price": {"amount": 9_800, "currency": "JPY"},
            "stock_kind": "in_stock",
            "stock": 3,
            "delivery": ["pickup"],
        },
    )
    sale = _order(buyer, bowl, {"delivery": "pickup"})
    stage.pay(sale)
    stage.until_phase(buyer, sale, "paid")
    maker.post(f"/v1/sales/{sale.id}/accept", ShownSale)
    maker.post(f"/v1/sales/{sale.id}/ship", ShownSale, {"note": "At the kiln, on Saturday."})
    buyer.post(f"/v1/sales/{sale.id}/confirm", ShownSale)
    stage.ended.append(("The tea bowl", sale.id))
    stage.say(f"lin picks up a bowl for {sale.total.text} and confirms on the spot")


def _cups(maker: Person) -> Id:
    cups = {
        "title": "杯 Cups",
        "unit_price": {"amount": 6_600},
        "stock_kind": "in_stock",
        "stock": 12,
    }
    return maker.post("/v1/listings", Id, cups)


def _order(buyer: Person, listing: Id, more: dict[str, object]) -> ShownSale:
    return buyer.post("/v1/sales", ShownSale, {"lines": [{"listing_id": listing.id}], **more})


def _ship(maker: Person, sale: ShownSale) -> str:
    """Accepts and ships; the parcel's number."""
    number = f"SF{uuid.uuid4().int % 10**12:012d}"
    maker.post(f"/v1/sales/{sale.id}/accept", ShownSale)
    parcel = {"carrier": "sandbox", "tracking_number": number}
    maker.post(f"/v1/sales/{sale.id}/ship", ShownSale, parcel)
    return number


STORIES = (
    ("Sale: from order to the maker's bank", lamp_to_the_bank),
    ("Sale: declined", declined),
    ("Sale: cancelled before shipment", cancelled_before_shipment),
    ("Sale: never paid", never_paid),
    ("Sale: picked up, in yen", picked_up_in_yen),
)
