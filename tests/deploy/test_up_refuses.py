"""`make up` on a machine that is not ready: one line on stderr, and nothing has been started."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.checks import locked_data_folder
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


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Settings of an instance of this test's own."""
    ports = {f"BAIGONG_{name}_PORT": str(free_port()) for name in PORTS}
    return {"PATH": os.defpath, "BAIGONG_DATA_DIR": str(tmp_path / "data"), **ports}


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    if os.geteuid() == 0:  # root writes everywhere but where no file system allows it
        yield Path("/proc/baigong")
        return
    folder = tmp_path / "read-only"
    folder.mkdir(mode=0o500)
    yield folder / "data"
    folder.chmod(0o700)


def refused_line(environment: dict[str, str], *, exit_code: int = 1) -> str:
    refused = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up"],
        cwd=PROJECT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert refused.stdout == ""
    assert refused.returncode == exit_code, refused.stderr
    [line] = refused.stderr.splitlines()
    return line


@pytest.mark.parametrize(
    ("name", "part"),
    [("POSTGRES", "PostgreSQL"), ("TEMPORAL_UI", "the Temporal UI"), ("API", "the API")],
)
def test_a_busy_port(environment: dict[str, str], name: str, part: str) -> None:
    setting = f"BAIGONG_{name}_PORT"
    with socket.socket() as busy:
        busy.bind(("127.0.0.1", int(environment[setting])))
        busy.listen()
        line = refused_line(environment)
    assert f"port {environment[setting]}, which {part} needs, is busy" in line
    assert setting in line


def test_one_port_for_two_parts(environment: dict[str, str]) -> None:
    shared = environment["BAIGONG_API_PORT"]
    line = refused_line({**environment, "BAIGONG_SANDBOX_PORT": shared}, exit_code=2)
    assert shared in line
    assert "BAIGONG_SANDBOX_PORT" in line
    assert "BAIGONG_API_PORT" in line


def test_a_running_instance(environment: dict[str, str], tmp_path: Path) -> None:
    with locked_data_folder(tmp_path / "data"):
        line = refused_line(environment)
    assert f"already runs on {tmp_path / 'data'} (pid {os.getpid()})" in line


def test_a_data_folder_that_is_a_file(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "data").touch()
    line = refused_line(environment)
    assert f"cannot write to the data folder {tmp_path / 'data'}" in line
    assert "BAIGONG_DATA_DIR" in line


def test_a_data_folder_that_cannot_be_written(
    environment: dict[str, str], read_only_folder: Path
) -> None:
    line = refused_line({**environment, "BAIGONG_DATA_DIR": str(read_only_folder)})
    assert "cannot write to the data folder" in line


def test_a_database_that_does_not_answer(environment: dict[str, str]) -> None:
    url = f"postgresql://baigong:secret@127.0.0.1:{free_port()}/baigong"
    line = refused_line({**environment, "BAIGONG_DATABASE_URL": url})
    assert line.startswith("baigong: BAIGONG_DATABASE_URL does not work:")
    assert "secret" not in line


def test_a_database_address_that_is_none(environment: dict[str, str]) -> None:
    address = "mysql://baigong:secret@127.0.0.1/baigong"
    line = refused_line({**environment, "BAIGONG_DATABASE_URL": address}, exit_code=2)
    assert "postgresql://user:password@host:port/name" in line
    assert "secret" not in line


def test_an_open_host_with_the_issuer_that_asks_for_no_password(
    environment: dict[str, str],
) -> None:
    line = refused_line({**environment, "BAIGONG_HOST": "0.0.0.0"}, exit_code=2)
    assert "BAIGONG_HOST=0.0.0.0" in line
    assert "BAIGONG_ISSUER" in line


def test_a_temporal_that_does_not_answer(environment: dict[str, str]) -> None:
    line = refused_line({**environment, "BAIGONG_TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}"})
    assert "BAIGONG_TEMPORAL_ADDRESS" in line


def test_a_setting_that_makes_no_sense(environment: dict[str, str]) -> None:
    line = refused_line({**environment, "BAIGONG_API_PORT": "many"}, exit_code=2)
    assert line.startswith("baigong: BAIGONG_API_PORT: ")
