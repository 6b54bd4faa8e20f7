"""Tenders at random: bids, the award, one milestone with its changes, disputes, and everybody's silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.model.paths import Move, Path, Silence, Turn
from tests.model.playing import play
from tests.stories.house import DAY, House, Json
from tests.stories.jobs import ADMIN, DEPOSIT, Job, people

BUYER, FIRST, SECOND, OPERATOR = "buyer", "first", "second", "operator"
WORKER = "worker"
PRICE = 30_000
MINUTE = 60
BY_BUYER, BY_WORKER = frozenset({BUYER}), frozenset({WORKER})
WITHOUT_WORK = ("open", "selecting", "awarded", "accepted")
AT_WORK = frozenset({"in_progress/funded", "in_progress/changes", "in_progress/overdue"})
SUBMITTED, DISPUTED = "in_progress/submitted", "in_progress/disputed"
ENDS = frozenset({"completed", "cancelled", "failed"})


async def card(path: TenderPath) -> Json:
    return {"pay_by": "card"}


async def award(path: TenderPath) -> Json:
    return path.job.award_body(path.people[path.live[0]], PRICE)


async def chosen(path: TenderPath) -> None:
    path.notes["worker"] = path.live[0]


async def reason(path: TenderPath) -> Json:
    return {"note": "The frame is not straight."}


async def a_third(path: TenderPath) -> Json:
    return {"note": "A third of it is done.", "worker_amount": PRICE // 3}


async def changes_asked(path: TenderPath) -> None:
    path.notes["changes"] = path.notes.get("changes", 0) + 1


async def turned_down(path: TenderPath) -> None:
    path.live.remove(path.notes.pop("worker"))


async def deposit_paid(path: TenderPath) -> None:
    await path.job.pay((await path.seen())["payment"])


async def milestone_paid(path: TenderPath) -> None:
    await path.job.pay(await path.job.payment_of(1))


async def bid(path: TenderPath) -> None:
    role = (FIRST, SECOND)[len(path.live)]
    await path.job.bid(path.people[role], PRICE)
    path.live.append(role)


async def on_payment(path: TenderPath, seconds: int) -> None:
    """The clock of the payment that the path waits for."""
    waits = path.phase == "accepted"
    payment = await path.job.payment_of(1) if waits else (await path.seen())["payment"]
    story = path.house.workflow(f"payment-{payment['id']}")
    await path.house.skipper.fast_forward(story, seconds)


class TenderPath(Path):
    """A deposit, up to two bids of one price, one milestone."""

    kind = "tender"
    segment = "tenders"
    final = frozenset({"completed", "cancelled", "failed", "expired"})
    moves = (
        Move("fund", BY_BUYER, {"draft": "funding"}, card, ({"pay_by": "shells"},)),
        Move(
            "award",
            BY_BUYER,
            {"selecting": "awarded"},
            award,
            ({"milestones": []},),
            when=lambda path: bool(path.live),
            after=chosen,
        ),
        Move("accept-award", BY_WORKER, {"awarded": "accepted"}),
        Move(
            "milestones/1/submit",
            BY_WORKER,
            dict.fromkeys(AT_WORK, SUBMITTED),
            None,
            ({"file_ids": ["nothing"]},),
        ),
        Move("milestones/1/approve", BY_BUYER, {SUBMITTED: "completed"}, None, ({"amount": -1},)),
        Move(
            "milestones/1/request-changes",
            BY_BUYER,
            {SUBMITTED: "in_progress/changes"},
            reason,
            ({"note": ""},),
            when=lambda path: path.notes.get("changes", 0) < 3,
            after=changes_asked,
        ),
        Move(
            "milestones/1/dispute",
            BY_BUYER | BY_WORKER,
            dict.fromkeys(AT_WORK | {SUBMITTED}, DISPUTED),
            reason,
            ({"note": ""},),
        ),
        Move(
            "milestones/1/rule",
            frozenset({OPERATOR}),
            {DISPUTED: ENDS},
            a_third,
            ({"worker_amount": PRICE + 1},),
        ),
        Move("milestones/1/cancel", BY_BUYER, {"in_progress/overdue": "cancelled"}),
        Move("decline-award", BY_WORKER, {"awarded": "selecting"}, after=turned_down),
        Move("retract", BY_WORKER, {"accepted": "selecting"}, after=turned_down),
        Move(
            "cancel",
            BY_BUYER,
            dict.fromkeys(("draft", "funding", "open", "selecting"), "cancelled"),
        ),
    )
    turns = (
        Turn("deposit paid", {"funding": "open"}, deposit_paid),
        Turn("bid", {"open": "open"}, bid, when=lambda path: len(path.live) < 2),
        Turn("milestone paid", {"accepted": "in_progress/funded"}, milestone_paid),
    )
    silences: ClassVar[Mapping[str, Silence]] = {
        "funding": Silence(15 * MINUTE, "expired", on_payment),
        "open": Silence(DAY + 10, frozenset({"selecting", "expired"})),
        "selecting": Silence(4 * DAY, "expired"),
        "awarded": Silence(2 * DAY, "selecting"),
        "accepted": Silence(5 * DAY, "failed", on_payment),
        "in_progress/funded": Silence(67 * DAY, "in_progress/overdue"),
        SUBMITTED: Silence(14 * DAY, "completed"),
        "in_progress/changes": Silence(7 * DAY, "in_progress/overdue"),
        "in_progress/overdue": Silence(75 * DAY, "cancelled", exact=False),
        DISPUTED: Silence(60 * DAY, ENDS),
    }

    @classmethod
    async def begin(cls, house: House) -> TenderPath:
        job = await Job.drafted(house)
        _, (first, second) = people(2)
        roles = {BUYER: job.buyer, FIRST: first, SECOND: second, OPERATOR: ADMIN}
        return cls(house, roles, job.id, "draft", notes={"job": job, "live": []})

    @property
    def job(self) -> Job:
        job: Job = self.notes["job"]
        return job

    @property
    def live(self) -> list[str]:
        """Whose bids can be chosen."""
        live: list[str] = self.notes["live"]
        return live

    def hats(self, role: str) -> frozenset[str]:
        works = {WORKER} if self.notes.get("worker") == role else set()
        return frozenset({role, *works})

    def held(self) -> int:
        if self.phase in WITHOUT_WORK:
            return DEPOSIT
        return DEPOSIT + PRICE if self.phase.startswith("in_progress") else 0

    async def lapsed(self, silence: Silence) -> None:
        if self.phase == "open":
            return await self.moved("selecting" if self.live else "expired")
        if self.phase == "awarded":
            await turned_down(self)
        return await super().lapsed(silence)

    async def give_up(self) -> None:
        await self.job.act("cancel", self.job.buyer)
        await self.moved("cancelled")


async def test_tenders_stand_as_their_model_says(house: House) -> None:
    await play(TenderPath, house)
