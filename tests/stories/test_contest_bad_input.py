"""Bad input to a contest: each is refused with a typed problem that names the field, and leaves no trace."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from domain.ids import new_id
from tests.api.client import assert_problem
from tests.stories.contest_checks import ADMIN, object_to, refuses, traces
from tests.stories.contests import BOUNTY, Show, stranger
from tests.stories.deals import refused
from tests.stories.house import DAY, House, Json

INVALID = "invalid_input"
NO_SHA = "0" * 64
BOUNTY_IN: Json = {"amount": BOUNTY, "currency": "CNY"}
# changes of a good draft, the code, the field
DRAFTS: list[tuple[Json, str, str]] = [
    ({"prizes": [60_000, 39_999]}, "shares_do_not_sum", "prizes"),
    ({"prizes": [60_000, 40_001]}, "shares_do_not_sum", "prizes"),
    ({"prizes": [BOUNTY, 0]}, INVALID, "prizes[1]"),
    ({"prizes": [BOUNTY + 1, -1]}, INVALID, "prizes[1]"),
    ({"prizes": []}, INVALID, "prizes"),
    ({"prizes": [5_000] * 21}, INVALID, "prizes"),
    ({"prizes": [99_999.5, 0.5]}, INVALID, "prizes[0]"),
    ({"bounty": {"amount": 0, "currency": "CNY"}}, INVALID, "bounty.amount"),
    ({"bounty": {"amount": 1, "currency": "XXX"}}, "unknown_currency", "bounty.currency"),
    ({"windows": {"entry_seconds": DAY - 1}}, INVALID, "windows.entry_seconds"),
    ({"windows": {"entry_seconds": 60 * DAY + 1}}, INVALID, "windows.entry_seconds"),
    ({"windows": {"final_seconds": 30 * DAY + 1}}, INVALID, "windows.final_seconds"),
    ({"windows": {"choose_seconds": 14 * DAY + 1}}, INVALID, "windows.choose_seconds"),
    ({"windows": {"notice_seconds": 3 * DAY + 1}}, INVALID, "windows.notice_seconds"),
    ({"windows": {"notice_seconds": 0}}, INVALID, "windows.notice_seconds"),
    ({"windows": {"hand_over_seconds": 10 * DAY + 1}}, INVALID, "windows.hand_over_seconds"),
    ({"windows": {"accept_seconds": 1.5}}, INVALID, "windows.accept_seconds"),
    ({"windows": {"fee_basis_points": 0}}, INVALID, "windows.fee_basis_points"),
    ({"rounds": 3}, INVALID, "rounds"),
    ({"rounds": 0}, INVALID, "rounds"),
    ({"max_finalists": 1}, INVALID, "max_finalists"),
    ({"max_finalists": 51}, INVALID, "max_finalists"),
    ({"entries_each": 0}, INVALID, "entries_each"),
    ({"guaranteed": "yes"}, INVALID, "guaranteed"),
    ({"sealed": 1}, INVALID, "sealed"),
    ({"title": ""}, INVALID, "title"),
    ({"title": "two\nlines"}, INVALID, "title"),
    ({"licence": "Too short"}, INVALID, "licence"),
    ({"file_ids": ["nope"]}, INVALID, "file_ids[0]"),
    ({"file_ids": [new_id("fil")]}, "unknown_file", "file_ids[0]"),
    ({"policy": {}}, INVALID, "policy"),
    ({"fee_basis_points": 0}, INVALID, "fee_basis_points"),
]


async def test_drafts_that_cannot_be(house: House) -> None:
    show = await Show.drafted(house)
    before = traces(show)
    for changes, code, field in DRAFTS:
        body = {"title": "A mark", "bounty": BOUNTY_IN, **changes}
        for method, path in (("POST", "/v1/contests"), ("PUT", show.path)):
            answer = await house.call(method, path, by=show.owner, json=body)
            assert answer.status_code == 422, f"{changes}: {answer.text}"
            problem = assert_problem(answer, 422, code)
            assert problem["field"] == field, changes
            assert problem["accepted"], changes
    assert traces(show) == before
    mine = await house.get("/v1/contests", show.owner, mine="true")
    assert [each["id"] for each in mine["items"]] == [show.id]


async def test_windows_at_their_bounds(house: House) -> None:
    longest = {"entry_seconds": 60 * DAY, "final_seconds": 30 * DAY, "choose_seconds": 14 * DAY}
    await Show.drafted(house, windows=longest)
    await Show.drafted(house, windows=dict.fromkeys(longest, DAY))


async def test_funding_what_cannot_be_funded(house: House) -> None:
    show = await Show.drafted(house)
    sha = show.contest["licence"]["sha256"]
    problem = await refuses(show, "fund", INVALID, "licence_sha256", licence_sha256=NO_SHA)
    assert problem["accepted"] == sha
    await refuses(show, "fund", INVALID, "licence_sha256")
    await refuses(show, "fund", INVALID, "licence_sha256", licence_sha256="x")
    await refuses(show, "fund", INVALID, "pay_by", licence_sha256=sha, pay_by="cash")
    await refuses(show, "fund", INVALID, "amount", licence_sha256=sha, amount=1)
    await refuses(
        show, "fund", INVALID, "return_url", licence_sha256=sha, return_url="javascript:alert(1)"
    )
    # A platform whose rules let a contest outlast what its provider holds money for.
    policy = {"hand_over_seconds": 30 * DAY, "accept_seconds": 30 * DAY}
    for name, seconds in policy.items():
        house.sql(
            "UPDATE contests SET terms = jsonb_set(terms, ARRAY['policy', %s], to_jsonb(%s::int))"
            " WHERE id = %s",
            name,
            seconds,
            show.id,
        )
    problem = await refuses(show, "fund", "hold_too_long", "windows", licence_sha256=sha)
    assert problem["accepted"] == "windows of at most 180 days in all"
    # The mended draft can be funded: a refused beginning is none.
    body = {"title": "Shorter", "bounty": BOUNTY_IN}
    answer = await house.call("PUT", show.path, by=show.owner, json=body)
    assert answer.status_code == 200, answer.text
    await show.act("fund", licence_sha256=sha)
    assert show.contest["phase"] == "funding"
    assert len(house.sql("SELECT 1 FROM payments WHERE path_id = %s", show.id)) == 1


async def test_extensions_that_are_too_small(house: House) -> None:
    show = await Show.opened(house)
    problem = await refuses(show, "extend", "amount_out_of_range", "amount", amount=9_999)
    assert problem["accepted"] == "10000 or more"
    for amount in (0, -1, 1.5, "10000", 2**63):
        await refuses(show, "extend", INVALID, "amount", amount=amount)
    await refuses(show, "extend", INVALID, "days", amount=10_000, days=9)
    house.sql(
        "UPDATE contests SET state = jsonb_set(state, '{extensions}', '2') WHERE id = %s", show.id
    )
    await refuses(show, "extend", "limit_reached", None, amount=10_000)
    missing = await house.call(
        "POST", f"/v1/contests/{new_id('con')}/extend", by=show.owner, json={"amount": 10_000}
    )
    await refused(missing, 404, "not_found")


async def test_entries_that_cannot_be(house: House) -> None:
    show = await Show.with_entries(house, 1)
    creator = stranger("creator")
    own, others = await show.file(creator), await show.file(stranger("creator"))
    cases: list[tuple[Json, str, str]] = [
        ({"file_ids": []}, INVALID, "file_ids"),
        ({"file_ids": [own, own]}, INVALID, "file_ids"),
        ({"file_ids": [own] * 21}, INVALID, "file_ids"),
        ({"file_ids": [own, others]}, "unknown_file", "file_ids[1]"),
        ({"file_ids": [new_id("fil")]}, "unknown_file", "file_ids[0]"),
        ({"title": ""}, INVALID, "title"),
        ({"note": "a\x00b"}, INVALID, "note"),
        ({"finalist": True}, INVALID, "finalist"),
        ({"creator_id": new_id("usr")}, INVALID, "creator_id"),
    ]
    for changes, code, field in cases:
        body = {"title": "Good", "file_ids": [own], **changes}
        await refuses(show, "entries", code, field, by=creator, **body)
        [first] = show.creators
        mine = body if "file_ids" in changes else {**body, "file_ids": [await show.file(first)]}
        place = f"entries/{show.entries[first]['id']}/revisions"
        if changes != {"file_ids": [own, others]}:
            await refuses(show, place, code, field, by=first, **mine)
    assert (await house.call("GET", f"/v1/files/{others}", by=show.owner)).status_code == 404


async def test_what_the_owner_cannot_sort(house: House) -> None:
    show = await Show.with_entries(house, 3)
    first, second, third = show.creators
    ids = {creator: entry["id"] for creator, entry in show.entries.items()}
    another = await Show.with_entries(house, 1)
    [foreign] = [entry["id"] for entry in another.entries.values()]
    await house.post(f"{show.path}/entries/{ids[third]}/withdraw", by=third)
    before = traces(show)
    sorting: dict[str, Json] = {"shortlist": {}, "eliminate": {"reason": "taste"}}
    for verb, more in sorting.items():
        bad = [(ids[first], foreign), (ids[first], new_id("ent"))]
        for entry_ids in bad:
            answer = await show.tries(verb, entry_ids=entry_ids, **more)
            await refused(answer, 404, "not_found", "entry_ids[1]")
        await refuses(show, verb, INVALID, "entry_ids", entry_ids=[], **more)
        await refuses(show, verb, INVALID, "entry_ids", entry_ids=[ids[first]] * 2, **more)
        await refuses(
            show, verb, INVALID, "entry_ids[1]", entry_ids=[ids[second], ids[third]], **more
        )
    await refuses(show, "eliminate", INVALID, "reason", entry_ids=[ids[first]])
    await refuses(show, "eliminate", INVALID, "reason", entry_ids=[ids[first]], reason="ugly")
    too_many = [new_id("ent") for _ in range(501)]
    await refuses(show, "eliminate", INVALID, "entry_ids", entry_ids=too_many, reason="taste")
    assert traces(show) == before


async def test_no_more_than_a_crowd_can_vote_on_is_shortlisted(house: House) -> None:
    show = await Show.with_entries(house, 1)
    [(contest_id, creator_id)] = house.sql(
        "SELECT contest_id, creator_id FROM entries WHERE contest_id = %s", show.id
    )
    many = [new_id("ent") for _ in range(50)]
    for entry_id in many:
        house.sql(
            "INSERT INTO entries (id, contest_id, creator_id, title, status, received_at)"
            " VALUES (%s, %s, %s, 'One of many', 'entered', now())",
            entry_id,
            contest_id,
            creator_id,
        )
    one_more = [entry["id"] for entry in show.entries.values()]
    await refuses(show, "shortlist", "limit_reached", None, entry_ids=[*many, *one_more])
    await house.post(f"{show.path}/shortlist", {"entry_ids": many}, by=show.owner)
    problem = await refuses(show, "shortlist", "limit_reached", None, entry_ids=one_more)
    assert problem["accepted"] == "at most 50"


async def test_finalists_that_cannot_be(house: House) -> None:
    show = await Show.with_entries(house, 4, rounds=2, max_finalists=2)
    *three, gone = (entry["id"] for entry in show.entries.values())
    another = await Show.with_entries(house, 1)
    [foreign] = [entry["id"] for entry in another.entries.values()]
    await house.post(f"{show.path}/entries/{gone}/withdraw", by=show.creators[3])
    await show.entries_close()
    await show.until("picking")
    await show.follows("picking")
    problem = await refuses(show, "finalists", INVALID, "entry_ids", entry_ids=three)
    assert problem["accepted"] == "1 to 2"
    for entry_ids in ([], [three[0]] * 2):
        await refuses(show, "finalists", INVALID, "entry_ids", entry_ids=entry_ids)
    for wrong in (gone, foreign, new_id("ent")):
        await refuses(show, "finalists", INVALID, "entry_ids[1]", entry_ids=[three[0], wrong])
    await house.post(
        f"{show.path}/eliminate", {"entry_ids": [three[2]], "reason": "taste"}, by=show.owner
    )
    await refuses(show, "finalists", INVALID, "entry_ids[0]", entry_ids=[three[2]])


async def test_awards_that_cannot_be(house: House) -> None:
    prizes = [50_000, 30_000, 20_000]
    show = await Show.with_entries(house, 5, prizes=prizes)
    first, second, put_aside, gone, void = (entry["id"] for entry in show.entries.values())
    another = await Show.with_entries(house, 1)
    [foreign] = [entry["id"] for entry in another.entries.values()]
    await house.post(f"{show.path}/entries/{gone}/withdraw", by=show.creators[3])
    await house.post(
        f"{show.path}/eliminate", {"entry_ids": [put_aside], "reason": "taste"}, by=show.owner
    )
    report = await object_to(show, show.creators[4], stranger("reader"))
    ruling = {"upheld": True, "reason": "Copied from a catalogue."}
    await house.post(f"{show.path}/objections/{report['id']}/rule", ruling, by=ADMIN)
    await show.entries_close()
    await show.until("choosing")

    async def refused_awards(
        awards: list[tuple[int, str]], code: str, field: str, runners_up: Sequence[str] = ()
    ) -> None:
        body = [{"prize": prize, "entry_id": entry} for prize, entry in awards]
        await refuses(show, "announce", code, field, awards=body, runners_up=list(runners_up))

    for wrong in (put_aside, gone, void, foreign, new_id("ent")):
        await refused_awards([(1, first), (2, wrong)], INVALID, "awards[1].entry_id")
        await refused_awards([(1, first)], INVALID, "runners_up[0]", runners_up=[wrong])
    await refused_awards([(1, first), (2, first)], INVALID, "awards")
    await refused_awards([(1, first), (1, second)], INVALID, "awards")
    await refused_awards([(1, first)], INVALID, "awards", runners_up=[first])
    await refused_awards([(1, first)], INVALID, "runners_up", runners_up=[second, second])
    await refused_awards([(4, first)], INVALID, "awards[0].prize")
    await refused_awards([(0, first)], INVALID, "awards[0].prize")
    await refused_awards([(21, first)], INVALID, "awards[0].prize")
    await refused_awards([], INVALID, "awards")
    await refuses(show, "announce", INVALID, "awards[0].entry_id", awards=[{"prize": 1}])
    await refuses(show, "announce", INVALID, "awards[0].entry_id", awards=[{"entry_id": "x"}])

    # Only the first prize is awarded now; what is left can go to others later.
    await show.announce(show.creators[0])
    await show.let_pass(3 * DAY)
    await show.until("hand_over")
    sha = show.contest["licence"]["sha256"]
    winner, files = show.creators[0], [await show.file(show.creators[0])]
    others = [await show.file(show.creators[1])]

    async def refused_delivery(code: str, field: str, **changes: object) -> None:
        body = {"licence_sha256": sha, "file_ids": files, **changes}
        await refuses(show, "hand-over", code, field, by=winner, **body)

    await refused_delivery(INVALID, "licence_sha256", licence_sha256=NO_SHA)
    await refused_delivery("unknown_file", "file_ids[0]", file_ids=others)
    await refused_delivery(INVALID, "file_ids", file_ids=[])
    await refused_delivery(INVALID, "prize", prize=4)
    answer = await show.tries("hand-over", by=winner, prize=2, licence_sha256=sha, file_ids=files)
    await refused(answer, 403, "forbidden", "prize")
    await show.hand_over(winner)
    await refuses(show, "accept", INVALID, "prize", prize=4)
    await refuses(show, "accept", "wrong_phase", "prize", prize=2)
    for _ in range(2):
        await show.act("request-revision", note="Bolder.")
        await show.hand_over(winner)
    await refuses(show, "request-revision", "limit_reached", "prize")
    await refuses(show, "void-award", INVALID, "entry_id", by=ADMIN, entry_id=second, reason="Why")
    await show.act("accept")
    await show.until("choosing")
    await refused_awards([(1, second)], "wrong_phase", "awards[0].prize")
    await refused_awards([(2, first)], INVALID, "awards[0].entry_id")
    await refused_awards([(2, second)], INVALID, "runners_up[0]", runners_up=[first])
    await refuses(show, "shortlist", "wrong_phase", "entry_ids", entry_ids=[first])
    await show.act("announce", awards=[{"prize": 2, "entry_id": second}])


async def test_objections_that_cannot_be(house: House) -> None:
    show = await Show.with_entries(house, 2)
    first, gone = show.creators
    reader, words = stranger("reader"), "I have seen this before."
    entry_id = show.entries[first]["id"]
    others = await show.file(first)
    await house.post(f"{show.path}/entries/{show.entries[gone]['id']}/withdraw", by=gone)
    good: Json = {"entry_id": entry_id, "ground": "copied", "words": words}
    cases: list[tuple[Json, str, str]] = [
        ({"entry_id": show.entries[gone]["id"]}, INVALID, "entry_id"),
        ({"ground": "envy"}, INVALID, "ground"),
        ({"words": "Copied"}, INVALID, "words"),
        ({"file_ids": [others]}, "unknown_file", "file_ids[0]"),
        ({"status": "upheld"}, INVALID, "status"),
    ]
    for changes, code, field in cases:
        await refuses(show, "objections", code, field, by=reader, **{**good, **changes})
    answer = await show.tries("objections", by=reader, **{**good, "entry_id": new_id("ent")})
    await refused(answer, 404, "not_found", "entry_id")
    await show.entries_close()
    await show.until("choosing")
    await show.announce(first)
    objection = await object_to(show, first, reader)
    await show.until("contested")
    rule = f"objections/{objection['id']}/rule"
    for body, field in (
        ({"upheld": False}, "reason"),
        ({"upheld": False, "reason": "no"}, "reason"),
        ({"upheld": "no", "reason": "Looked at it."}, "upheld"),
        ({"reason": "Looked at it."}, "upheld"),
    ):
        await refuses(show, rule, INVALID, field, by=ADMIN, **body)
    elsewhere = await Show.opened(house)
    answer = await elsewhere.tries(rule, by=ADMIN, upheld=True, reason="Elsewhere.")
    await refused(answer, 404, "not_found")
    ruled = await house.post(
        f"{show.path}/{rule}", {"upheld": False, "reason": "Its own work."}, by=ADMIN
    )
    assert (ruled["status"], ruled["ruling"]) == ("dismissed", "Its own work.")
    await show.until("hand_over")
    for upheld in (True, False):
        await refuses(
            show, rule, "wrong_phase", "objection_id", by=ADMIN, upheld=upheld, reason="Again."
        )


async def test_an_award_that_cannot_be_taken_back_leaves_the_ended_contest_ended(
    house: House,
) -> None:
    show = await Show.reviewing(house)
    await show.act("accept")
    await show.ended("completed")
    loser = show.entries[show.creators[1]]["id"]
    for entry_id in (loser, new_id("ent")):
        await refuses(
            show, "void-award", INVALID, "entry_id", by=ADMIN, entry_id=entry_id, reason="A copy."
        )
    for reason in ("", "no", None):
        await refuses(
            show, "void-award", INVALID, "reason", by=ADMIN, entry_id=loser, reason=reason
        )
    await show.ended("completed")
    house.sql(
        "UPDATE contests SET state = jsonb_set(state, '{completed_at}', '\"2020-01-01T00:00:00Z\"')"
        " WHERE id = %s",
        show.id,
    )
    winner = show.entries[show.creators[0]]["id"]
    answer = await show.tries("void-award", by=ADMIN, entry_id=winner, reason="A copy.")
    problem = await refused(answer, 409, "too_late")
    assert problem["accepted"].startswith("until 2020-03-31")
    assert await house.payable(show.creators[0]) == 90_000
    await show.ended("completed")


@pytest.mark.parametrize("field", ["unknown", "phase", "state"])
async def test_unknown_fields_of_any_act(house: House, field: str) -> None:
    show = await Show.drafted(house)
    sha, entry = show.contest["licence"]["sha256"], new_id("ent")
    acts: dict[str, Json] = {
        "fund": {"licence_sha256": sha},
        "cancel": {},
        "extend": {"amount": 1},
        "finalists": {"entry_ids": [entry]},
        "announce": {"awards": [{"entry_id": entry}]},
        "take-back": {},
        "shortlist": {"entry_ids": [entry]},
        "eliminate": {"entry_ids": [entry], "reason": "taste"},
        "hand-over": {"licence_sha256": sha, "file_ids": [new_id("fil")]},
        "accept": {},
        "request-revision": {},
        "void-award": {"entry_id": entry, "reason": "A copy."},
        "objections": {"entry_id": entry, "ground": "other", "words": "Not as it should be."},
        "entries": {"title": "Mine", "file_ids": [new_id("fil")]},
    }
    for act, body in acts.items():
        answer = await show.tries(act, **{**body, field: 1})
        await refused(answer, 422, INVALID, field)
