"""People of a path write to each other: it stays, only they and operators read it, and nobody is flooded."""

from __future__ import annotations

import psycopg
import pytest

from db.engine import Database
from db.queries.messages import A_DAY, first_word
from tests.api.client import picture
from tests.stories.deals import ADMIN, Deal, refused
from tests.stories.house import House, Json


async def said(house: House, path_id: str, by: str, words: str, **more: object) -> Json:
    """A message that must arrive."""
    return await house.post(f"/v1/paths/{path_id}/messages", {"body": words, **more}, by=by)


async def read(house: House, path_id: str, by: str) -> list[str]:
    """What somebody reads there."""
    page = await house.get(f"/v1/paths/{path_id}/messages", by=by)
    return [each["body"] for each in page["items"]]


async def test_both_sides_talk_and_it_stays(house: House) -> None:
    deal = await Deal.paid(house)
    place = f"/v1/paths/{deal.id}/messages"
    upload = await house.call(
        "POST",
        "/v1/files?private=true",
        by=deal.buyer,
        files={"file": ("crack.png", picture(), "image/png")},
    )
    crack = upload.json()["id"]
    assert (await house.call("GET", f"/v1/files/{crack}", by=deal.seller)).status_code == 404
    asked = await said(
        house, deal.id, deal.buyer, "Is it cracked?", subject="line 1", file_ids=[crack]
    )
    assert (asked["role"], asked["subject"], asked["file_ids"]) == ("buyer", "line 1", [crack])
    assert (await house.call("GET", f"/v1/files/{crack}", by=deal.seller)).status_code == 200
    await said(house, deal.id, deal.seller, "No.\nIt is the grain.")
    talk = ["Is it cracked?", "No.\nIt is the grain."]
    for reader in (deal.buyer, deal.seller, ADMIN):
        assert await read(house, deal.id, reader) == talk
    first = await house.get(place, by=deal.buyer, limit=1)
    rest = await house.get(place, by=deal.buyer, limit=1, after=first["next"])
    assert [each["body"] for each in rest["items"]] == talk[1:]

    # Nobody else, and no operator speaks as if they had a part in it.
    await refused(await house.call("GET", place, by="stranger"), 404, "not_found")
    answer = await house.call("POST", place, by="stranger", json={"body": "Hello"})
    await refused(answer, 404, "not_found")
    answer = await house.call("POST", place, by=ADMIN, json={"body": "Hello"})
    await refused(answer, 403, "forbidden")
    with pytest.raises(psycopg.errors.RestrictViolation):
        house.sql("UPDATE path_messages SET body = 'Never' RETURNING id")


async def test_when_talk_began_is_known_for_each_side(house: House) -> None:
    deal = await Deal.paid(house)
    first = await said(house, deal.id, deal.buyer, "When will it come?")
    await said(house, deal.id, deal.buyer, "Hello?")
    buyer, seller = first["author_id"], first["to_id"]
    database = Database(house.settings.require_database_url())
    async with database.transaction() as session:
        began = await first_word(session, deal.id, buyer)
        assert began is not None
        assert began.isoformat().replace("+00:00", "Z") == first["at"]
        assert await first_word(session, deal.id, buyer, seller) == began
        assert await first_word(session, deal.id, buyer, buyer) is None
        assert await first_word(session, deal.id, seller) is None
    await database.aclose()


async def test_bad_messages(house: House) -> None:
    deal = await Deal.paid(house)
    place = f"/v1/paths/{deal.id}/messages"
    me = (await said(house, deal.id, deal.buyer, "Me"))["author_id"]
    nothing = "fil_01h45ytscbebyvny4gc8cr8ma2"
    for body, code, field in (
        ({"body": " "}, "invalid_input", "body"),
        ({"body": "x" * 4_001}, "invalid_input", "body"),
        ({"body": "Myself", "to_id": me}, "invalid_input", "to_id"),
        ({"body": "No file", "file_ids": [nothing]}, "unknown_file", "file_ids[0]"),
    ):
        answer = await house.call("POST", place, by=deal.buyer, json=body)
        await refused(answer, 422, code, field)
    house.sql(
        "INSERT INTO path_messages (id, path_id, author_id, to_id, role, subject, body)"
        " SELECT id || '_' || n, path_id, author_id, to_id, role, '', 'again'"
        " FROM path_messages, generate_series(2, %s) n WHERE path_id = %s RETURNING id",
        A_DAY,
        deal.id,
    )
    answer = await house.call("POST", place, by=deal.buyer, json={"body": "Once more"})
    await refused(answer, 409, "limit_reached")
    await said(house, deal.id, deal.seller, "I may still write")
