"""The parts of the local platform: how each is run, what it needs first, when it is ready."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from deploy.local.process import Command
from deploy.local.profile import PROJECT, Profile

_PROBE_SECONDS = 3.0

Ready = Callable[[], Awaitable[bool]]


@dataclass(frozen=True, kw_only=True)
class Part:
    """One program of the platform."""

    name: str
    title: str
    command: Callable[[], Command]
    """Called at each start, when everything it needs is ready; may raise LocalError."""
    ready: Ready | None
    """None: a step that runs to its end and is ready when it ended with 0."""
    needs: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None
    """Work before the first start; runs beside the others, may raise LocalError."""
    stop_order: int = 0
    """Lower numbers stop first; equal ones stop together."""


def local_parts(profile: Profile) -> list[Part]:
    """Every part that `profile` runs itself, in the order people read about them."""
    return [*_servers(profile), *_steps(profile), *_stand_ins(profile), *_platform(profile)]


def answers_http(url: str) -> Ready:
    """Ready when GET `url` is 200."""

    async def ready() -> bool:
        try:
            # Never through a proxy: these addresses are this machine's own.
            async with httpx.AsyncClient(trust_env=False, timeout=_PROBE_SECONDS) as client:
                return (await client.get(url)).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    return ready


def _servers(profile: Profile) -> list[Part]:
    parts = []
    if (postgres := profile.postgres) is not None:
        parts.append(
            Part(
                name="postgres",
                title="PostgreSQL",
                command=postgres.command,
                prepare=postgres.prepare,
                ready=lambda: asyncio.to_thread(postgres.is_ready),
                stop_order=4,
            )
        )
    if (temporal := profile.temporal) is not None:
        parts.append(
            Part(
                name="temporal",
                title="Temporal",
                command=temporal.command,
                ready=temporal.is_ready,
                stop_order=3,
            )
        )
    return parts


# Every Python part needs PostgreSQL at the least: its environment names the database, whose
# password is made when the server is first prepared.


def _steps(profile: Profile) -> list[Part]:
    database = () if profile.postgres is None else ("postgres",)
    temporal = () if profile.temporal is None else ("temporal",)
    return [
        Part(
            name="migrate",
            title="Database migrations",
            command=_python(profile, "migrate", "db.migrate"),
            ready=None,
            needs=database,
        ),
        Part(
            name="setup",
            title="Search attributes and schedules",
            command=_python(profile, "setup", "worker.setup"),
            ready=None,
            needs=(*database, *temporal),
        ),
    ]


def _stand_ins(profile: Profile) -> list[Part]:
    database = () if profile.postgres is None else ("postgres",)
    parts = []
    if profile.runs_issuer:
        parts.append(
            Part(
                name="issuer",
                title="Token issuer",
                command=_python(profile, "issuer", "deploy.local.issuer"),
                ready=answers_http(f"{profile.settings.issuer_url}/jwks.json"),
                needs=database,
                stop_order=2,
            )
        )
    if profile.runs_sandbox:
        parts.append(
            Part(
                name="sandbox",
                title="Sandbox payment provider",
                command=_python(profile, "sandbox", "providers.sandbox_server"),
                ready=answers_http(f"{profile.settings.sandbox_base_url}/healthz"),
                needs=database,
                stop_order=2,
            )
        )
    return parts


def _platform(profile: Profile) -> list[Part]:
    ours = profile.settings
    return [
        Part(
            name="worker",
            title="Worker",
            command=_python(profile, "worker", "worker", grace_seconds=30),
            ready=answers_http(f"http://127.0.0.1:{ours.worker_metrics_port}/metrics"),
            needs=("migrate", "setup"),
            stop_order=1,
        ),
        Part(
            name="codec",
            title="Codec server of the Temporal UI",
            command=_python(profile, "codec", "api.codec_server"),
            ready=answers_http(f"http://{_reachable(ours.host)}:{ours.codec_port}/healthz"),
            needs=("migrate",),
            stop_order=0,
        ),
        Part(
            name="api",
            title="API",
            command=_python(profile, "api", "api", grace_seconds=15),
            ready=answers_http(f"http://{_reachable(ours.host)}:{ours.api_port}/readyz"),
            needs=("migrate", "setup"),
            stop_order=0,
        ),
    ]


def _reachable(host: str) -> str:
    return "127.0.0.1" if host in ("0.0.0.0", "::") else host


def _python(
    profile: Profile, name: str, module: str, *, grace_seconds: float = 10
) -> Callable[[], Command]:
    def command() -> Command:
        return Command(
            argv=(sys.executable, "-m", module),
            log=profile.logs / f"{name}.log",
            cwd=PROJECT,
            env=profile.child_environment(),
            grace_seconds=grace_seconds,
        )

    return command
