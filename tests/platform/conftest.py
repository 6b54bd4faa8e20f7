"""The platform as `make up` runs it, on ports and a data folder of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploy.local.profile import PROJECT
from tests.servers import free_port

PORTS = (
    "POSTGRES",
    "TEMPORAL",
    "TEMPORAL_UI",
    "ISSUER",
    "SANDBOX",
    "WORKER_METRICS",
    "CODEC",
    "API",
)
_READY_WITHIN_SECONDS = 240


@dataclass(frozen=True)
class RunningPlatform:
    """Where it is, and the environment in which a person would type commands."""

    environment: dict[str, str]
    output: Path

    def url(self, part: str) -> str:
        """The address of a part, such as API or TEMPORAL_UI."""
        return f"http://127.0.0.1:{self.environment[f'BAIGONG_{part}_PORT']}"

    def run(self, *command: str, text: str | None = None) -> subprocess.CompletedProcess[str]:
        """Runs a command in the project's folder."""
        return subprocess.run(
            command,
            cwd=PROJECT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """Started as a person would, stopped with Ctrl-C; it must end with exit code 0."""
    folder = tmp_path_factory.mktemp("platform")
    ports = {f"BAIGONG_{name}_PORT": str(free_port()) for name in PORTS}
    environment = {**os.environ, **ports, "BAIGONG_DATA_DIR": str(folder / "data")}
    output = folder / "up.txt"
    with output.open("w") as log:
        up = subprocess.Popen(
            [sys.executable, "-m", "deploy.local", "up"],
            cwd=PROJECT,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _until_ready(up, output)
        yield RunningPlatform(environment, output)
        up.send_signal(signal.SIGINT)
        assert up.wait(timeout=60) == 0, output.read_text()
    finally:
        if up.poll() is None:
            up.kill()
            up.wait()


def _until_ready(up: subprocess.Popen[bytes], output: Path) -> None:
    deadline = time.monotonic() + _READY_WITHIN_SECONDS
    while "is ready" not in output.read_text():
        assert up.poll() is None, output.read_text()
        assert time.monotonic() < deadline, output.read_text()
        os.sched_yield()
        try:
            up.wait(timeout=0.1)
        except subprocess.TimeoutExpired:
            continue
