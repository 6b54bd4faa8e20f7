"""One run of a plan: people trade while processes are killed, and then everything comes to its end."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
from pydantic import BaseModel, ValidationError
from temporalio.client import Client

from deploy.local.errors import LocalError
from deploy.local.secrets import shared_secrets
from deploy.local.stories.stage import Anything, Shown, Stage
from runtime.settings import Settings
from tests.chaos.checker import Verdict, examine, unfinished
from tests.chaos.clients import StubbornTransport
from tests.chaos.plan import Kill, Misbehaviour, Plan
from tests.chaos.rig import Rig
from tests.chaos.scenes import SCENES

_LOOK_SECONDS = 0.05
_DRAIN_SECONDS = 300
_TELL_SECONDS = 10
_CALL_OFF_SECONDS = 20


class _Dispute(BaseModel):
    reference: str
    status: str


class _Disputes(BaseModel):
    data: list[_Dispute]


class _Command(Shown):
    id: str
    preview_sha256: str


@dataclass
class Outcome:
    """What a run has come to."""

    plan: Plan
    kills: Counter[tuple[str, str]]
    not_reached: list[Kill]
    """Kills whose point nobody passed any more."""
    cut_short: list[str]
    """Stories whose people were too late for something; their paths end all the same."""
    called_off: list[str]
    """Paths that an operator has called off, as their people were gone."""
    repeated: Counter[str]
    verdict: Verdict
    seconds: dict[str, float] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    """What the platform must not do: processes that end by themselves, answers of 500."""

    @property
    def passed(self) -> bool:
        """Whether nothing differs and nothing is unfinished."""
        return not (self.verdict.differences or self.verdict.unfinished or self.unexpected)


class Run:
    """A plan on a rig that runs already."""

    def __init__(self, plan: Plan, rig: Rig, say: Callable[[str], None]) -> None:
        self.plan = plan
        self.rig = rig
        self.say = say
        self.settings = Settings()
        self.transport = StubbornTransport(self.settings.api_url)
        self.cut_short: list[str] = []
        self.not_reached: list[Kill] = []
        self.called_off: list[str] = []
        self._kills = list(plan.kills)
        self._misbehaviours = list(plan.misbehaviours)

    async def load(self) -> None:
        """Plays all stories while the plan's kills and misbehaviours come due."""
        people = ThreadPoolExecutor(self.plan.stages)
        playing = [
            people.submit(self._play, number, story)
            for number, story in enumerate(self.plan.stories)
        ]
        told = 0
        while not all(each.done() for each in playing):
            await self._due()
            ended = sum(each.done() for each in playing)
            if ended > told:
                told = ended
                self._tell(ended)
            await asyncio.sleep(_LOOK_SECONDS)
        people.shutdown()
        self._raise(playing)
        self.not_reached = [*self.rig.disarm(), *self._kills]
        await asyncio.to_thread(self._calm)

    async def drain(self, books: str) -> None:
        """Waits until nothing is open any more, or patience ends."""
        deadline = time.monotonic() + _DRAIN_SECONDS
        told, calls_off = 0.0, time.monotonic() + _CALL_OFF_SECONDS
        while time.monotonic() < deadline:
            self.rig.look()
            try:
                left = await asyncio.to_thread(unfinished, books)
            except psycopg.OperationalError:
                left = ["PostgreSQL recovers"]
            if not left:
                return
            if time.monotonic() > calls_off:
                calls_off = time.monotonic() + _CALL_OFF_SECONDS
                await asyncio.to_thread(self._call_off, left)
            if time.monotonic() > told + _TELL_SECONDS:
                told = time.monotonic()
                self.say(f"waiting for {len(left)}, such as: {left[0]}")
            await asyncio.sleep(1)

    async def _due(self) -> None:
        """Throws the switches and strikes those whose time has come."""
        self.rig.look()
        acts = self.transport.acts
        while self._misbehaviours and self._misbehaviours[0].at_act <= acts:
            await asyncio.to_thread(self._switch_on, self._misbehaviours.pop(0))
        ready = [each for each in self._kills if each.at_act <= acts and self.rig.can_take(each)]
        if ready:
            self._kills.remove(ready[0])
            self.rig.strike(ready[0])

    def _play(self, number: int, story: str) -> None:
        try:
            SCENES[story](self._stage(f"-{number}"))
        except (LocalError, httpx.HTTPError, ValidationError) as late:
            self.cut_short.append(f"{story}: {late}")

    def _call_off(self, left: list[str]) -> None:
        """What has lost its people and would wait for weeks is called off by an operator."""
        operator = self._stage("").person("admin")
        for line in left:
            what, _, rest = line.partition(" ")
            path_id = rest.partition(" ")[0]
            if what != "path":
                continue
            order = {"kind": "cancel_path", "path_id": path_id}
            wish = {"order": order, "reason": "Nobody is there any more."}
            try:
                shown = operator.post("/v1/commands", _Command, wish)
                seen = {"preview_sha256": shown.preview_sha256}
                operator.post(f"/v1/commands/{shown.id}/execute", Anything, seen)
            except LocalError:
                continue  # it has no end by operators: its own timers end it
            self.called_off.append(path_id)

    def _stage(self, troupe: str) -> Stage:
        return Stage(
            self.settings,
            say=lambda _: None,
            troupe=troupe,
            pace=self.plan.pace,
            patience_seconds=self.plan.patience_seconds,
            transport=self.transport,
        )

    def _switch_on(self, wish: Misbehaviour) -> None:
        self._provider(
            "POST",
            "/v1/behaviours",
            wish.model_dump(exclude={"at_act"}, exclude_defaults=True),
        )

    def _calm(self) -> None:
        """The provider behaves from now on, and the bank decides what it has left open."""
        self._provider("DELETE", "/v1/behaviours")
        listed = self._provider("GET", "/v1/disputes?limit=100")
        for dispute in _Disputes.model_validate_json(listed).data:
            if dispute.status in ("open", "under_review"):
                self._provider("POST", f"/v1/disputes/{dispute.reference}/close", {"won": True})

    def _provider(self, method: str, path: str, body: object = None) -> bytes:
        key = shared_secrets(self.settings.data_dir)["BAIGONG_SANDBOX_API_KEY"]
        client = httpx.Client(base_url=self.settings.sandbox_base_url, transport=self.transport)
        headers = {"Authorization": f"Bearer {key}"}
        answer = client.request(method, path, json=body, headers=headers)
        return answer.raise_for_status().content

    def _tell(self, ended: int) -> None:
        kills = sum(self.rig.killed.values())
        acts = self.transport.acts
        self.say(f"{ended} of {len(self.plan.stories)} stories, {acts} acts, {kills} kills")

    @staticmethod
    def _raise(playing: list[Future[None]]) -> None:
        for each in playing:
            each.result()


async def carry_out(
    plan: Plan, data_dir: Path, folder: Path, say: Callable[[str], None]
) -> Outcome:
    """Starts the platform, runs the plan, waits for the end and has the books examined."""
    seconds: dict[str, float] = {}
    since = time.monotonic()
    rig = Rig(data_dir, folder)

    def lap(name: str) -> None:
        nonlocal since
        seconds[name] = round(time.monotonic() - since, 1)
        since = time.monotonic()
        say(f"{name}: {seconds[name]} s")

    keeping: asyncio.Task[None] | None = None
    try:
        await rig.supervisor.start()
        keeping = asyncio.create_task(rig.supervisor.watch())
        lap("start")
        run = Run(plan, rig, say)
        await run.load()
        lap("load")
        books = rig.profile.database_url()
        await run.drain(books)
        lap("drain")
        temporal = await Client.connect(rig.profile.temporal_address)
        verdict = await examine(books, data_dir / "sandbox.db", temporal)
        lap("check")
        return Outcome(
            plan=plan,
            kills=Counter({(str(p), point): n for (p, point), n in rig.killed.items()}),
            not_reached=run.not_reached,
            cut_short=run.cut_short,
            called_off=run.called_off,
            repeated=run.transport.repeated,
            verdict=verdict,
            seconds=seconds,
            unexpected=[*run.transport.broken, *rig.ended_by_themselves],
        )
    finally:
        if keeping is not None:
            keeping.cancel()
        await rig.supervisor.stop()
        rig.remove()
