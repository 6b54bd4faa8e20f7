"""What a run does, made from its seed and nothing else: which stories are played, who is killed when, what misbehaves."""

from __future__ import annotations

import hashlib
import random
from enum import StrEnum

from pydantic import BaseModel, ConfigDict, Field


class Process(StrEnum):
    """What can be killed."""

    API = "api"
    WORKER = "worker"
    SANDBOX = "sandbox"
    TEMPORAL = "temporal"
    POSTGRES = "postgres"


class Point(StrEnum):
    """A named moment at which a process kills itself."""

    BEFORE_COMMIT = "before commit"
    AFTER_COMMIT = "after commit"
    BEFORE_SIGNAL = "before signal"
    """A signal, an update or a start on its way to Temporal."""
    AFTER_SIGNAL = "after signal"
    BEFORE_PROVIDER = "before provider call"
    AFTER_PROVIDER = "after provider call"
    BEFORE_WEBHOOK = "before webhook"
    AFTER_WEBHOOK = "after webhook"


_COMMIT = (Point.BEFORE_COMMIT, Point.AFTER_COMMIT)
_SIGNAL = (Point.BEFORE_SIGNAL, Point.AFTER_SIGNAL)
POINTS: dict[Process, tuple[Point, ...]] = {
    Process.API: (*_COMMIT, *_SIGNAL),
    Process.WORKER: (*_COMMIT, *_SIGNAL, Point.BEFORE_PROVIDER, Point.AFTER_PROVIDER),
    Process.SANDBOX: (*_COMMIT, Point.BEFORE_WEBHOOK, Point.AFTER_WEBHOOK),
    Process.TEMPORAL: (),
    Process.POSTGRES: (),
}
"""Servers that are not ours have no named points: they are killed from outside only."""

_PASSAGES = 8
_MOST_PASSAGES = {
    (Process.API, Point.BEFORE_SIGNAL): 4,
    (Process.API, Point.AFTER_SIGNAL): 4,
    (Process.WORKER, Point.BEFORE_COMMIT): 3,
    (Process.WORKER, Point.AFTER_COMMIT): 3,
    (Process.WORKER, Point.BEFORE_SIGNAL): 1,
    (Process.WORKER, Point.AFTER_SIGNAL): 1,
    (Process.WORKER, Point.BEFORE_PROVIDER): 2,
    (Process.WORKER, Point.AFTER_PROVIDER): 2,
}
"""What is passed seldom is not waited for long."""

ACTS = {
    "lamp_to_the_bank": 11,
    "declined": 4,
    "cancelled_before_shipment": 5,
    "never_paid": 3,
    "picked_up_in_yen": 6,
    "lost_parcel": 8,
    "silent_seller": 3,
    "payout_bounced": 10,
    "loom_lent": 10,
    "village_votes": 9,
    "one_of_two_declines": 8,
    "sent_back": 9,
    "ruled_seventy_to_thirty": 10,
    "charged_back_after_the_payout": 15,
    "with_public_notice": 14,
    "decided_by_the_crowd": 13,
    "two_milestones": 13,
    "funded_with_a_match": 29,
    "not_funded": 9,
    "three_makers": 45,
}
"""Every story that can be played, and about how many requests its people make."""
_SHORT = (
    "with_public_notice",
    "two_milestones",
    "three_makers",
    "funded_with_a_match",
    "not_funded",
    "charged_back_after_the_payout",
    "lamp_to_the_bank",
    "lost_parcel",
    "payout_bounced",
    "sent_back",
    "one_of_two_declines",
    "declined",
)
_LONG_WINDOWS = (
    "decided_by_the_crowd",
    "with_public_notice",
    "three_makers",
    "funded_with_a_match",
)
"""Those that wait longest begin first, so that they do not stand alone at the end."""


class Kill(BaseModel):
    """One SIGKILL: when people have acted so often, at once, or at the n-th passage of a named point from then on."""

    model_config = ConfigDict(frozen=True)

    at_act: int
    process: Process
    point: Point | None = None
    passage: int = 0


class Misbehaviour(BaseModel):
    """A switch of the sandbox provider, thrown when people have acted so often."""

    model_config = ConfigDict(frozen=True)

    at_act: int
    operation: str
    effect: str
    times: int = 1
    seconds: float = 0
    percent: int = 100
    event: str | None = None


class Plan(BaseModel):
    """One run."""

    model_config = ConfigDict(frozen=True)

    seed: int
    stages: int = Field(description="How many stories are played beside each other.")
    pace: int
    """How many times longer windows are than in the demonstration."""
    patience_seconds: int
    """How long a person waits for one thing before they give a story up."""
    stories: tuple[str, ...]
    kills: tuple[Kill, ...]
    misbehaviours: tuple[Misbehaviour, ...]

    @property
    def digest(self) -> str:
        """The same for the same plan."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]

    @property
    def acts(self) -> int:
        """About how many requests people make."""
        return sum(ACTS[story] for story in self.stories)


def make_plan(seed: int, rounds: int | None) -> Plan:
    """The plan of this seed: each story `rounds` times, or the short one with None.

    Every named point and every process is killed at least once in a plan that is not short.
    """
    chance = random.Random(seed)
    if rounds is None:
        stories = list(_SHORT)
        victims = _short_victims(chance)
    else:
        stories = list(ACTS) * rounds
        victims = _all_victims() * rounds
    chance.shuffle(stories)
    stories.sort(key=lambda story: story not in _LONG_WINDOWS)
    chance.shuffle(victims)
    acts = sum(ACTS[story] for story in stories)
    return Plan(
        seed=seed,
        stages=6 if rounds is None else 8,
        pace=3 if rounds is None else 5,
        patience_seconds=45 if rounds is None else 120,
        stories=tuple(stories),
        kills=tuple(_kills(chance, victims, acts)),
        misbehaviours=tuple(_misbehaviours(chance, acts)),
    )


_Victim = tuple[Process, Point | None]


def _all_victims() -> list[_Victim]:
    """Each process at random once, and at each of its points once."""
    found: list[_Victim] = []
    for process, points in POINTS.items():
        found += [(process, None), *((process, point) for point in points)]
    return found


def _short_victims(chance: random.Random) -> list[_Victim]:
    """Each process once from outside, and each of ours at two of its points."""
    found: list[_Victim] = [(Process.TEMPORAL, None), (Process.POSTGRES, None)]
    for process, points in POINTS.items():
        found += [(process, point) for point in chance.sample(points, min(2, len(points)))]
    return found


def _kills(chance: random.Random, victims: list[_Victim], acts: int) -> list[Kill]:
    """Spread over the first four fifths of the run, so that what is killed last is still at work."""
    step = acts * 0.8 / len(victims)
    return [
        Kill(
            at_act=int(step * (number + chance.random())) + 3,
            process=process,
            point=point,
            passage=_passage(chance, process, point),
        )
        for number, (process, point) in enumerate(victims)
    ]


def _passage(chance: random.Random, process: Process, point: Point | None) -> int:
    if point is None:
        return 0
    return chance.randint(1, _MOST_PASSAGES.get((process, point), _PASSAGES))


_ANSWERS = ("unavailable", "answer_lost", "connection_cut", "delay")


_ASKED_FOR = (
    "payment.captured",
    "payment.settled",
    "card.saved",
    "refund.succeeded",
    "payout.paid",
)
"""Events that may be lost for good: the platform asks for what they tell by itself. Who loses a scan loses the parcel."""


def _misbehaviours(chance: random.Random, acts: int) -> list[Misbehaviour]:
    """Webhooks that are late, doubled, out of order or lost all the time; answers that are lost now and then."""
    always = [
        _of_webhooks("duplicate", percent=15),
        _of_webhooks("delay", percent=15, seconds=1.5),
        _of_webhooks("reorder", percent=10, seconds=2),
        *(_of_webhooks("drop", percent=20, event=event) for event in _ASKED_FOR),
    ]
    operations = ("payment", "charge", "refund", "payout", "read", "cancel", "card")
    refusals = [
        Misbehaviour(at_act=at_act, operation="refund", effect="refund_refused")
        for at_act in range(chance.randrange(20, 60), acts, 150)
    ]
    now_and_then = [
        Misbehaviour(
            at_act=chance.randrange(0, max(1, acts * 4 // 5)),
            operation=chance.choice(operations),
            effect=(effect := chance.choice(_ANSWERS)),
            times=chance.randint(1, 3),
            seconds=round(chance.uniform(1, 4), 1) if effect == "delay" else 0,
        )
        for _ in range(max(8, acts // 10))
    ]
    return always + sorted(refusals + now_and_then, key=lambda each: each.at_act)


def _of_webhooks(
    effect: str, *, percent: int, seconds: float = 0, event: str | None = None
) -> Misbehaviour:
    """A share of all events, for the whole run."""
    return Misbehaviour(
        at_act=0,
        operation="webhook",
        effect=effect,
        times=100_000,
        percent=percent,
        seconds=seconds,
        event=event,
    )
