"""What measurements stand on: servers of their own that keep what is written, and the platform's parts as processes."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.local.postgres import PostgresServer
from tests.servers import free_port, migrate
from tests.waiting import eventually


@contextmanager
def running_database() -> Iterator[tuple[PostgresServer, Path]]:
    """A migrated PostgreSQL that flushes each commit to the disk, and its folder; both are gone afterwards."""
    folder = Path(tempfile.mkdtemp(prefix="baigong-bench-"))
    server = PostgresServer(folder, free_port())
    try:
        server.start()
        migrate(server.url)
        yield server, folder
    finally:
        server.stop()
        server.remove()
        shutil.rmtree(folder, ignore_errors=True)


@dataclass(frozen=True)
class Running:
    """A part of the platform that runs as a process of its own."""

    pid: int

    def memory(self) -> float:
        """Megabytes that it holds now."""
        return self._status("VmRSS")

    def peak_memory(self) -> float:
        """Megabytes that it has held at most."""
        return self._status("VmHWM")

    def _status(self, name: str) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text(encoding="ascii").splitlines():
            if line.startswith(f"{name}:"):
                return int(line.split()[1]) / 1024
        raise LookupError(f"the kernel does not tell {name}")


@contextmanager
def running_part(part: str, environment: Mapping[str, str]) -> Iterator[Running]:
    """The `api`, `worker` or `intake` of tests.bench.parts, stopped at the end; `environment` holds its settings."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.parts", part], env={**os.environ, **environment}
    )
    try:
        yield Running(process.pid)
    finally:
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


async def until_ready(http: httpx.AsyncClient) -> None:
    """Waits until the API answers."""

    async def answers() -> bool:
        try:
            return (await http.get("/healthz")).is_success
        except httpx.HTTPError:
            return False

    await eventually(answers, within_seconds=30)


def settings_of(
    database_url: str, folder: Path, port: int, issuer: str, temporal: str | None = None
) -> dict[str, str]:
    """The environment of parts that work together, with the payment company that costs nothing."""
    found = {
        "BAIGONG_DATABASE_URL": database_url,
        "BAIGONG_ISSUER": issuer,
        "BAIGONG_API_PORT": str(port),
        "BAIGONG_PROVIDER": "instant",
        "BAIGONG_PROVIDER_RATE_PER_SECOND": "0",
        "BAIGONG_LOG_LEVEL": "ERROR",
        "BAIGONG_DATA_DIR": str(folder / "data"),
    }
    return found | ({} if temporal is None else {"BAIGONG_TEMPORAL_ADDRESS": temporal})


def api_client(port: int) -> httpx.AsyncClient:
    """Asks the API on this port."""
    return httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60, trust_env=False)
