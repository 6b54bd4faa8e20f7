"""An embedded PostgreSQL server: real PostgreSQL from a wheel, run by ourselves.

TCP on 127.0.0.1 with scram-sha-256 and a random password, no other way in.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path

import psycopg
from psycopg import sql

from deploy.local.errors import LocalError, PartFailed, tail_of
from deploy.local.placement import Placement, place
from deploy.local.process import Child, Command, run_as, wait_until

USER = "baigong"
DATABASE = "baigong"
HOST = "127.0.0.1"
READY_SECONDS = 60.0

_LAPTOP = {
    "max_connections": "500",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    "jit": "off",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %d ",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
# The built-in locale sorts the same on every machine.
_INITDB = (
    "--auth=scram-sha-256",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
    "--no-instructions",
)
# Safe only where losing power may lose the data; a killed server still loses nothing.
_THROWAWAY = {"fsync": "off", "full_page_writes": "off", "autovacuum_naptime": "10min"}


@dataclass(frozen=True)
class _PidFile:
    """What a running server writes into its data folder."""

    pid: int
    port: int


class PostgresServer:
    """One server with its data, for as long as it is started.

    `data_dir` is the platform's data folder. `durable=False` is for tests: no fsync. `start` and
    `spawn` belong on the main thread, because the server is tied to the life of its thread.
    """

    def __init__(
        self, data_dir: Path, port: int, *, log: Path | None = None, durable: bool = True
    ) -> None:
        self.data_dir = data_dir.absolute()
        self.port = port
        self._log = log or self.data_dir / "postgres.log"
        self._durable = durable
        self._child: Child | None = None

    @cached_property
    def placement(self) -> Placement:
        """Where programs and data lie; LocalError when a place for them cannot be made."""
        return place(self.data_dir)

    @property
    def url(self) -> str:
        """`postgresql://user:password@127.0.0.1:port/baigong`; known once `prepare` has run."""
        return self.url_of(DATABASE)

    def url_of(self, database: str) -> str:
        """Like `url`, for another database of the same server."""
        password = self._password_file.read_text(encoding="ascii")
        return f"postgresql://{USER}:{password}@{HOST}:{self.port}/{database}"

    @property
    def pid(self) -> int:
        """Process id of the running postmaster; RuntimeError when it was not started."""
        if self._child is None:
            raise RuntimeError("PostgreSQL was not started")
        return self._child.pid

    def start(self) -> None:
        """Prepare, start and wait until it answers; LocalError or PartFailed when it does not."""
        self.prepare()
        self._child = Child(self.command())
        self._child.spawn()
        answered = wait_until(self._answers_or_ended, seconds=READY_SECONDS)
        if not answered or not self._child.running:
            self.stop()
            raise PartFailed("PostgreSQL does not start", tail_of(self._log))

    def stop(self) -> None:
        """Fast shutdown: clients are cut, everything committed is on disk."""
        if self._child is not None:
            self._child.stop()

    def prepare(self) -> None:
        """Make data folder and password if missing, and clear what a killed server left."""
        self.data_dir.mkdir(parents=True, exist_ok=True)
        cluster = self.placement.cluster
        if cluster.exists() and not self._password_file.exists():
            self._set_aside(cluster)
        if not cluster.exists():
            self._initialise(cluster)
        self._check_version(cluster)
        self._drop_foreign_pid_file(cluster)

    def command(self) -> Command:
        """How the server is run; `prepare` must have run."""
        cluster = self.placement.cluster
        options = {
            "listen_addresses": HOST,
            "port": str(self.port),
            "unix_socket_directories": "",
            **_LAPTOP,
            **({} if self._durable else _THROWAWAY),
        }
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return Command(
            argv=(str(self.placement.programs / "postgres"), "-D", str(cluster), *arguments),
            log=self._log,
            cwd=cluster,
            env=self._environment,
            owner=self.placement.owner,
            stop_signal=signal.SIGINT,
            hurry_signal=signal.SIGQUIT,
            grace_seconds=30,
        )

    def is_ready(self) -> bool:
        """Whether it answers; makes the platform's database the first time it does."""
        try:
            with psycopg.connect(
                self.url_of("postgres"), connect_timeout=2, autocommit=True
            ) as connection:
                query = "SELECT 1 FROM pg_database WHERE datname = %s"
                if connection.execute(query, (DATABASE,)).fetchone() is None:
                    connection.execute(
                        sql.SQL("CREATE DATABASE {}").format(sql.Identifier(DATABASE))
                    )
        except psycopg.OperationalError:
            return False
        return True

    def stop_leftover(self) -> int | None:
        """Stop a server that an earlier, killed supervisor left on this data; returns its pid.

        Only a server that lets us in with our password and names our data folder is stopped.
        The caller must hold the lock of the data folder. LocalError if it does not stop.
        """
        cluster = self.placement.cluster
        found = _read_pid_file(cluster)
        if found is None or not self._is_ours(found, cluster):
            return None
        with contextlib.suppress(ProcessLookupError):
            os.kill(found.pid, signal.SIGINT)
        if not wait_until(lambda: not (cluster / "postmaster.pid").exists(), seconds=30):
            raise LocalError(f"PostgreSQL (pid {found.pid}) of an earlier start does not stop")
        return found.pid

    def remove(self) -> None:
        """Delete its data and its password; the server must be stopped."""
        cluster = self.placement.cluster
        for folder in (cluster, _unfinished(cluster)):
            if folder.exists():
                shutil.rmtree(folder)
        self._password_file.unlink(missing_ok=True)

    @property
    def _password_file(self) -> Path:
        return self.data_dir / "postgres.password"

    @property
    def _environment(self) -> dict[str, str]:
        # Nothing of the person's environment: PG… variables change how the server behaves.
        return {"PATH": os.defpath, "LC_ALL": "C", "BAIGONG_DATA_DIR": str(self.data_dir)}

    def _answers_or_ended(self) -> bool:
        assert self._child is not None
        return not self._child.running or self.is_ready()

    def _set_aside(self, cluster: Path) -> None:
        # The data folder was deleted but not its database (it lies elsewhere when root runs it).
        # A fresh start was meant, yet nobody's data is ever deleted on a guess.
        when = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%f")
        cluster.rename(cluster.with_name(f"{cluster.name}.before-{when}"))

    def _initialise(self, cluster: Path) -> None:
        password = secrets.token_urlsafe(24)
        fresh = _unfinished(cluster)
        if fresh.exists():
            shutil.rmtree(fresh)
        fresh.mkdir(mode=0o700)
        _give(fresh, self.placement)
        with self._readable_secret(fresh, password) as password_file:
            done = run_as(
                self.placement.owner,
                (
                    str(self.placement.programs / "initdb"),
                    f"--pgdata={fresh}",
                    f"--username={USER}",
                    f"--pwfile={password_file}",
                    *_INITDB,
                    *(() if self._durable else ("--no-sync",)),
                ),
                cwd=cluster.parent,
                env=self._environment,
            )
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise PartFailed("PostgreSQL cannot make its data folder", done.stdout.strip())
        self._password_file.unlink(missing_ok=True)  # of a cluster that is gone
        write_secret(self._password_file, password)
        fresh.rename(cluster)

    @contextlib.contextmanager
    def _readable_secret(self, beside: Path, password: str) -> Iterator[Path]:
        handle, name = tempfile.mkstemp(dir=beside.parent, prefix=".password-")
        path = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(password)
            _give(path, self.placement)
            yield path
        finally:
            path.unlink()

    def _check_version(self, cluster: Path) -> None:
        ours = run_as(
            self.placement.owner,
            (str(self.placement.programs / "postgres"), "--version"),
            cwd=cluster,
            env=self._environment,
        )
        if ours.returncode != 0:
            raise PartFailed("PostgreSQL's programs do not run here", ours.stdout.strip())
        major = ours.stdout.split()[-1].split(".")[0]
        theirs = (cluster / "PG_VERSION").read_text(encoding="ascii").strip()
        if major != theirs:
            raise LocalError(
                f"{cluster} holds data of PostgreSQL {theirs}, this is {major}:"
                " move it over with pg_dump, or set BAIGONG_DATA_DIR to another folder"
            )

    def _drop_foreign_pid_file(self, cluster: Path) -> None:
        # After a reboot the noted pid may belong to any process of the same user, and PostgreSQL
        # would refuse to start for ever. A postmaster always works in its data folder.
        found = _read_pid_file(cluster)
        if found is None:
            return
        try:
            works_in = Path(f"/proc/{found.pid}/cwd").readlink()
        except OSError:
            return
        if works_in != cluster.resolve():
            (cluster / "postmaster.pid").unlink(missing_ok=True)

    def _is_ours(self, found: _PidFile, cluster: Path) -> bool:
        if not self._password_file.exists():
            return False
        password = self._password_file.read_text(encoding="ascii")
        try:
            with psycopg.connect(
                host=HOST,
                port=found.port,
                user=USER,
                password=password,
                dbname="postgres",
                connect_timeout=5,
            ) as connection:
                row = connection.execute("SHOW data_directory").fetchone()
        except psycopg.OperationalError:
            return False
        return row is not None and Path(str(row[0])).resolve() == cluster.resolve()


def write_secret(path: Path, text: str) -> None:
    """Write `text` to a new file that only its owner can read, whole or not at all.

    FileExistsError when the file is there already.
    """
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")  # mode 0600
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.link(name, path)
    finally:
        os.unlink(name)


def _unfinished(cluster: Path) -> Path:
    return cluster.with_name(f"{cluster.name}.new")


def _give(path: Path, placement: Placement) -> None:
    if placement.owner is not None:
        os.chown(path, placement.owner.uid, placement.owner.gid)


def _read_pid_file(cluster: Path) -> _PidFile | None:
    try:
        lines = (cluster / "postmaster.pid").read_text(encoding="utf-8").splitlines()
        return _PidFile(pid=abs(int(lines[0])), port=int(lines[3]))
    except (OSError, ValueError, IndexError):
        return None
