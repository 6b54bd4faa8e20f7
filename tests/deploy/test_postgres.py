"""The embedded PostgreSQL: nothing lost when it is killed, nobody let in without a password."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from deploy.local.placement import SYSTEM_HOME
from deploy.local.postgres import PostgresServer
from deploy.local.process import wait_until
from deploy.local.profile import PROJECT
from tests.servers import free_port


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    server = PostgresServer(tmp_path / "data", free_port(), durable=False)
    try:
        yield server
    finally:
        server.stop()
        server.remove()


def test_data_outlive_a_killed_server(server: PostgresServer) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE lamp (name text)")
        connection.execute("INSERT INTO lamp VALUES ('paper lamp')")
    os.kill(server.pid, signal.SIGKILL)
    server.stop()  # only waits: it is gone
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT name FROM lamp").fetchall() == [("paper lamp",)]


def test_nobody_gets_in_without_the_password(server: PostgresServer) -> None:
    server.start()
    where = f"host=127.0.0.1 port={server.port} user=baigong dbname=baigong"
    for attempt in (where, f"{where} password=wrong"):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(attempt)
    password_file = server.data_dir / "postgres.password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(server.placement.cluster.stat().st_mode) == 0o700


def test_a_server_left_by_a_killed_supervisor_is_stopped(
    server: PostgresServer, tmp_path: Path
) -> None:
    server.start()
    successor = PostgresServer(server.data_dir, server.port, durable=False)
    assert successor.stop_leftover() == server.pid
    assert successor.stop_leftover() is None


def test_a_foreign_pid_in_the_pid_file_does_not_stop_the_start(server: PostgresServer) -> None:
    server.start()
    server.stop()
    pid_file = server.placement.cluster / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{server.placement.cluster}\n0\n{server.port}\n\n\n\n")
    assert server.stop_leftover() is None
    server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="an ordinary user keeps all data in the data folder")
def test_root_gets_a_fresh_database_when_only_the_data_folder_was_deleted(
    server: PostgresServer,
) -> None:
    server.start()
    with psycopg.connect(server.url) as connection:
        connection.execute("CREATE TABLE lamp (name text)")
    server.stop()
    (server.data_dir / "postgres.password").unlink()
    server.start()
    with psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT to_regclass('lamp')").fetchone() == (None,)
    name = server.placement.cluster.name
    [kept] = (SYSTEM_HOME / "data").glob(f"{name}.before-*")
    subprocess.run(["rm", "-rf", str(kept)], check=True)


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help exists on Linux only")
def test_the_server_stops_when_its_parent_is_killed(server: PostgresServer) -> None:
    program = (
        "import signal, sys; from pathlib import Path;"
        "from deploy.local.postgres import PostgresServer;"
        "server = PostgresServer(Path(sys.argv[1]), int(sys.argv[2]), durable=False);"
        "server.start(); print(server.pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(server.data_dir), str(server.port)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
    finally:
        parent.kill()
        parent.wait()
    assert wait_until(lambda: not Path(f"/proc/{pid}").exists(), seconds=20)
