"""The Temporal dev server with its Web UI: the real server from a wheel, run by ourselves."""

from __future__ import annotations

import asyncio
import os
import sysconfig
from pathlib import Path

from temporalio.api.workflowservice.v1 import GetSystemInfoRequest
from temporalio.client import Client
from temporalio.service import RPCError

from deploy.local.errors import LocalError, PartFailed, tail_of
from deploy.local.process import Child, Command

HOST = "127.0.0.1"
NAMESPACE = "default"
READY_SECONDS = 60.0
_CALL_SECONDS = 5.0

_OPTIONS = ("--log-level", "warn", "--ui-disable-news-fetch")
# Lets tests and demonstrations drive a single path's clock forward; off unless a client asks.
_DYNAMIC_CONFIG = ("frontend.WorkflowTimeSkippingEnabled=true",)
# Twice the throughput on a file; a killed server loses nothing, a power cut the last moments.
_PRAGMAS = ("journal_mode=WAL", "synchronous=NORMAL")


class TemporalServer:
    """One dev server, for as long as it is started.

    `database` None keeps everything in memory; `ui_port` None runs no Web UI, `codec_url` None lets it show only what is
    not encrypted. `spawn` belongs on
    the main thread, because the server is tied to the life of its thread.
    """

    def __init__(
        self,
        port: int,
        *,
        log: Path,
        ui_port: int | None = None,
        database: Path | None = None,
        namespace: str = NAMESPACE,
        codec_url: str | None = None,
    ) -> None:
        self.port = port
        self.ui_port = ui_port
        self._log = log
        self._database = database
        self._namespace = namespace
        self._codec_url = codec_url
        self._child: Child | None = None

    @property
    def address(self) -> str:
        """`host:port` of the frontend."""
        return f"{HOST}:{self.port}"

    @property
    def ui_url(self) -> str | None:
        """Address of the Web UI, None without one."""
        return None if self.ui_port is None else f"http://{HOST}:{self.ui_port}"

    async def start(self) -> None:
        """Start it and wait until it answers; PartFailed when it does not."""
        self._child = Child(self.command())
        self._child.spawn()
        try:
            async with asyncio.timeout(READY_SECONDS):
                while self._child.running and not await self.is_ready():
                    await asyncio.sleep(0.05)
        except TimeoutError:
            self.stop()
        if not self._child.running:
            raise PartFailed("the Temporal dev server does not start", tail_of(self._log))

    def stop(self) -> None:
        """Ask it to stop and wait until it has."""
        if self._child is not None:
            self._child.stop()

    def command(self) -> Command:
        """How the server is run; LocalError when the wheel is not installed."""
        arguments = [str(executable("temporal")), "server", "start-dev", *_OPTIONS]
        arguments += ["--ip", HOST, "--port", str(self.port), "--namespace", self._namespace]
        if self.ui_port is None:
            arguments.append("--headless")
        else:
            arguments += ["--ui-port", str(self.ui_port)]
            if self._codec_url is not None:
                arguments += ["--ui-codec-endpoint", self._codec_url]
        if self._database is not None:
            arguments += ["--db-filename", str(self._database)]
            for pragma in _PRAGMAS:
                arguments += ["--sqlite-pragma", pragma]
        for setting in _DYNAMIC_CONFIG:
            arguments += ["--dynamic-config-value", setting]
        return Command(
            argv=tuple(arguments), log=self._log, cwd=self._log.parent, env=_environment()
        )

    async def is_ready(self) -> bool:
        """Whether the frontend answers and the namespace is there."""
        return await answers(self.address, self._namespace)


def executable(name: str) -> Path:
    """Path of a program that a wheel put into this environment; LocalError if it is missing."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise LocalError(f"the program {name} is not installed in {path.parent}: run `make up`")
    return path


async def answers(address: str, namespace: str) -> bool:
    """Whether a Temporal frontend answers at `address` (`host:port`) and knows `namespace`."""
    host, _, port = address.rpartition(":")
    try:
        # A refused connection is known at once; the client's own attempts take seconds.
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, int(port)), _CALL_SECONDS)
        writer.close()
        async with asyncio.timeout(_CALL_SECONDS):
            client = await Client.connect(address, namespace=namespace)
            await client.workflow_service.get_system_info(GetSystemInfoRequest())
            return await client.service_client.check_health() and await _lists(client)
    except (OSError, ValueError, RuntimeError, RPCError, TimeoutError):
        return False


async def _lists(client: Client) -> bool:
    # A namespace that was only just made is not known everywhere yet: ask for real work.
    async for _ in client.list_workflows("WorkflowId = 'none'", page_size=1):
        break
    return True


def _environment() -> dict[str, str]:
    # TEMPORAL_… variables would redirect the program to another server's profile.
    return {name: text for name, text in os.environ.items() if not name.startswith("TEMPORAL_")}
