"""Contests at random: entries, the choice, public notice, the hand-over, and everybody's silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.model.paths import Move, Path, Silence, Turn
from tests.model.playing import play
from tests.stories.contests import BOUNTY, GRACE, Show, stranger
from tests.stories.house import DAY, House, Json

OWNER, FIRST, SECOND, OPERATOR = "owner", "first", "second", "operator"
WINNER = "winner"
MINUTE = 60
BY_OWNER = frozenset({OWNER})
HELD = ("open", "choosing", "announced", "hand_over", "hand_over/given")


async def licence(path: ContestPath) -> Json:
    return {"licence_sha256": path.show.contest["licence"]["sha256"], "pay_by": "card"}


async def choice(path: ContestPath) -> Json:
    entry = path.show.entries[path.people[path.live[0]]]
    return {"awards": [{"prize": 1, "entry_id": entry["id"]}]}


async def chosen(path: ContestPath) -> None:
    path.notes["winner"] = path.live[0]


async def delivery(path: ContestPath) -> Json:
    winner = path.people[path.notes["winner"]]
    sha = path.show.contest["licence"]["sha256"]
    return {"prize": 1, "licence_sha256": sha, "file_ids": [await path.show.file(winner)]}


async def bolder(path: ContestPath) -> Json:
    return {"note": "Bolder, please."}


async def revised(path: ContestPath) -> None:
    path.notes["revisions"] = path.notes.get("revisions", 0) + 1


async def paid(path: ContestPath) -> None:
    await path.show.pay()


async def entered(path: ContestPath) -> None:
    role = (FIRST, SECOND)[len(path.live)]
    await path.show.enter(path.people[role])
    path.live.append(role)


async def on_payment(path: ContestPath, seconds: int) -> None:
    payment = path.path_id.replace("con_", "pay_", 1)
    await path.house.skipper.fast_forward(path.house.workflow(f"payment-{payment}"), seconds)


class ContestPath(Path):
    """A guaranteed contest with one prize and up to two entries."""

    kind = "contest"
    segment = "contests"
    final = frozenset({"completed", "refunded", "expired", "split"})
    moves = (
        Move("fund", BY_OWNER, {"draft": "funding"}, licence, ({"licence_sha256": "0" * 64},)),
        Move(
            "announce", BY_OWNER, {"choosing": "announced"}, choice, ({"awards": []},), after=chosen
        ),
        Move(
            "hand-over",
            frozenset({WINNER}),
            {"hand_over": "hand_over/given"},
            delivery,
            ({"file_ids": []},),
            rights_first=False,
        ),
        Move(
            "request-revision",
            BY_OWNER,
            {"hand_over/given": "hand_over"},
            bolder,
            ({"prize": 0},),
            when=lambda path: path.notes.get("revisions", 0) < 2,
            after=revised,
        ),
        Move("accept", BY_OWNER, {"hand_over/given": "completed"}, None, ({"prize": 0},)),
        Move("cancel", BY_OWNER, {"draft": "expired", "funding": "expired"}),
    )
    turns = (
        Turn("bounty paid", {"funding": "open"}, paid),
        Turn("entered", {"open": "open"}, entered, when=lambda path: len(path.live) < 2),
    )
    silences: ClassVar[Mapping[str, Silence]] = {
        "funding": Silence(15 * MINUTE, "expired", on_payment),
        "open": Silence(7 * DAY + GRACE, frozenset({"choosing", "refunded"})),
        "choosing": Silence(14 * DAY, "split", exact=False),
        "announced": Silence(3 * DAY, "hand_over"),
        "hand_over": Silence(10 * DAY, "choosing"),
        "hand_over/given": Silence(7 * DAY, "completed"),
    }

    @classmethod
    async def begin(cls, house: House) -> ContestPath:
        show = await Show.drafted(house)
        people = {
            OWNER: show.owner,
            FIRST: stranger("first"),
            SECOND: stranger("second"),
            OPERATOR: "admin",
        }
        return cls(house, people, show.id, "draft", notes={"show": show, "live": []})

    @property
    def show(self) -> Show:
        show: Show = self.notes["show"]
        return show

    @property
    def live(self) -> list[str]:
        """Whose entries can still win."""
        live: list[str] = self.notes["live"]
        return live

    def hats(self, role: str) -> frozenset[str]:
        wins = {WINNER} if self.notes.get("winner") == role else set()
        return frozenset({role, *wins})

    def held(self) -> int:
        return BOUNTY if self.phase in HELD else 0

    async def lapsed(self, silence: Silence) -> None:
        was = self.phase
        if was == "open":
            return await self.moved("choosing" if self.live else "refunded")
        if was == "hand_over":
            self.live.remove(self.notes.pop("winner"))
            self.notes["revisions"] = 0
            if not self.live:
                return await self.moved(frozenset({"choosing", "refunded", "split"}))
        return await super().lapsed(silence)

    async def give_up(self) -> None:
        await self.show.act("cancel")
        await self.moved("expired")


async def test_contests_stand_as_their_model_says(house: House) -> None:
    await play(ContestPath, house)
