"""Listings: publishing, changing, finding."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import httpx

from tests.api.client import LISTING, Api, Json, assert_problem, picture

DAY = timedelta(days=1)


def _soon() -> str:
    return (datetime.now(UTC) + 20 * DAY).isoformat()


async def test_listing_as_answered(api: Api) -> None:
    file = (await api.upload("ann", picture())).json()
    made = await api.listing(
        "ann",
        description="Woven by hand.\nIn Anji. 👩‍🎨",
        royalty_basis_points=500,
        royalty_sku="lamp-1",
        picture_ids=[file["id"]],
        delivery=["express", "pickup"],
    )
    assert made["unit_price"] == {"amount": 12_000, "currency": "CNY", "text": "CNY 120.00"}
    assert made["created_at"].endswith("Z")
    assert made["stock"] == 5
    assert (await api.get(f"/v1/listings/{made['id']}")).json() == made


async def test_currency_defaults_to_yuan_and_keeps_its_decimals(api: Api) -> None:
    assert (await api.listing("ann", unit_price={"amount": 5}))["unit_price"]["text"] == "CNY 0.05"
    yen = await api.listing("ann", unit_price={"amount": 500, "currency": "JPY"})
    assert yen["unit_price"]["text"] == "JPY 500"


async def test_other_kinds(api: Api) -> None:
    made = await api.listing("ann", stock_kind="made_to_order", stock=None, lead_days=30)
    assert (made["stock"], made["lead_days"]) == (None, 30)
    made = await api.listing("ann", stock_kind="pre_order", available_from=_soon())
    assert made["available_from"].endswith("Z")
    made = await api.listing("ann", stock_kind="one_of_a_kind", stock=1)
    assert made["stock"] == 1


async def test_hold_too_long(api: Api) -> None:
    far = (datetime.now(UTC) + 300 * DAY).isoformat()
    body = {**LISTING, "stock_kind": "pre_order", "available_from": far}
    answer = await api.call("POST", "/v1/listings", by="ann", json=body)
    assert assert_problem(answer, 422, "hold_too_long")["field"] == "available_from"
    draft = await api.listing("ann", stock_kind="pre_order", available_from=far, on_sale=False)
    answer = await _patch(api, draft["id"], {"on_sale": True})
    assert_problem(answer, 422, "hold_too_long")
    answer = await _patch(api, draft["id"], {"on_sale": True, "available_from": _soon()})
    assert answer.json()["on_sale"] is True
    answer = await _patch(api, draft["id"], {"available_from": far})
    assert_problem(answer, 422, "hold_too_long")
    assert (await api.get(f"/v1/listings/{draft['id']}")).json()["available_from"] != far


async def _patch(api: Api, listing_id: str, body: Json, by: str = "ann") -> httpx.Response:
    return await api.call("PATCH", f"/v1/listings/{listing_id}", by=by, json=body)


async def test_changes(api: Api) -> None:
    file = (await api.upload("ann", picture())).json()
    made = await api.listing("ann")
    changes: list[Json] = [
        {"title": "Lamp"},
        {"unit_price": {"amount": 9_900, "currency": "EUR"}},
        {"stock": 0},
        {"delivery": ["pickup"]},
        {"picture_ids": [file["id"]]},
        {"on_sale": False},
        {},
    ]
    for change in changes:
        answer = await _patch(api, made["id"], change)
        assert answer.status_code == 200, answer.text
    now = answer.json()
    assert now["title"] == "Lamp"
    assert now["unit_price"]["text"] == "EUR 99.00"
    assert (now["stock"], now["delivery"], now["on_sale"]) == (0, ["pickup"], False)
    assert now["picture_ids"] == [file["id"]]
    assert now["updated_at"] > made["updated_at"]
    assert_problem(await _patch(api, made["id"], {"on_sale": True}), 422, "invalid_input")


BAD_CHANGES: list[tuple[Json, str]] = [
    ({"title": None}, "title"),
    ({"unit_price": None}, "unit_price"),
    ({"stock": -1}, "stock"),
    ({"lead_days": 5}, "lead_days"),
    ({"available_from": "2030-01-01T00:00:00Z"}, "available_from"),
    ({"stock_kind": "made_to_order"}, "stock_kind"),
    ({"royalty_basis_points": 100}, "royalty_basis_points"),
    ({"seller_id": "usr_x"}, "seller_id"),
    ({"picture_ids": ["fil_01h45ytscbebyvny4gc8cr8ma2"]}, "picture_ids[0]"),
]


async def test_bad_changes_change_nothing(api: Api) -> None:
    made = await api.listing("ann")
    for change, field in BAD_CHANGES:
        answer = await _patch(api, made["id"], change)
        assert assert_problem(answer, 422, "invalid_input")["field"] == field
    assert (await api.get(f"/v1/listings/{made['id']}")).json() == made


async def test_pictures_of_others_are_not_mine(api: Api) -> None:
    file = (await api.upload("bob", picture())).json()
    body = {**LISTING, "picture_ids": [file["id"]]}
    answer = await api.call("POST", "/v1/listings", by="ann", json=body)
    assert assert_problem(answer, 422, "invalid_input")["field"] == "picture_ids[0]"


async def test_only_the_seller_changes(api: Api) -> None:
    made = await api.listing("ann")
    assert_problem(await _patch(api, made["id"], {"stock": 1}, by="bob"), 403, "forbidden")
    assert_problem(await _patch(api, made["id"], {"stock": 1}, by="root"), 403, "forbidden")
    unknown = "lst_01h45ytscbebyvny4gc8cr8ma2"
    assert_problem(await _patch(api, unknown, {"stock": 1}), 404, "not_found")


async def test_reserved_single_piece_cannot_be_put_back(api: Api) -> None:
    made = await api.listing("ann", stock_kind="one_of_a_kind", stock=1)
    sale_id = api.sale(await api.user_id("bob"), made["seller_id"])
    api.execute("UPDATE listings SET stock = 0 WHERE id = %s", made["id"])
    api.execute(
        "INSERT INTO reservations VALUES (%s, %s, 1, 'reserved', now())", sale_id, made["id"]
    )
    assert_problem(await _patch(api, made["id"], {"stock": 1}), 409, "wrong_phase")
    api.execute("UPDATE reservations SET state = 'released' WHERE sale_id = %s", sale_id)
    assert (await _patch(api, made["id"], {"stock": 1})).status_code == 200


async def test_pages_newest_first(api: Api) -> None:
    made = [await api.listing("shop", title=f"Lamp {n}") for n in range(5)]
    hidden = await api.listing("shop", on_sale=False)
    seller = made[0]["seller_id"]
    found, after = [], None
    for _ in range(3):
        params = {"seller": seller, "limit": 2} | ({"after": after} if after else {})
        page = (await api.get("/v1/listings", **params)).json()
        found += [item["id"] for item in page["items"]]
        after = page["next"]
    assert found == [item["id"] for item in reversed(made)]
    assert after is None
    mine = (await api.get("/v1/me/listings", by="shop")).json()
    assert [item["id"] for item in mine["items"]] == [hidden["id"], *found]
    assert (await api.get("/v1/listings", limit=1)).json()["next"]
