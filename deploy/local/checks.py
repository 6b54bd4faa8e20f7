"""What must hold before anything is started; a failure is one line and nothing has happened."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TextIO

import psycopg

from deploy.local.errors import USAGE, LocalError
from deploy.local.profile import PortUse, Profile
from deploy.local.temporal import answers

_DATABASE_SECONDS = 5


@contextlib.contextmanager
def locked_data_folder(data_dir: Path) -> Iterator[None]:
    """Make the data folder if missing and hold its lock.

    LocalError when the folder cannot be written, or when another process holds the lock.
    """
    with _lock_file(data_dir) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            pid = running_pid(data_dir)
            who = f" (pid {pid})" if pid else ""
            raise LocalError(
                f"the platform already runs on {data_dir}{who}: stop it first, or set"
                " BAIGONG_DATA_DIR and other ports for a second one"
            ) from error
        lock.seek(0)
        lock.truncate()
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        try:
            yield
        finally:
            lock.seek(0)
            lock.truncate()


def running_pid(data_dir: Path) -> int | None:
    """Process id of the supervisor that holds the lock of `data_dir`, None when nobody does."""
    try:
        with (data_dir / "lock").open("r+", encoding="ascii") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(lock.read().strip() or 0) or None
    except (OSError, ValueError):
        pass
    return None


def check_ports(uses: Sequence[PortUse]) -> None:
    """LocalError for the first port that two parts share or that somebody else listens on."""
    seen: dict[int, PortUse] = {}
    for use in uses:
        other = seen.setdefault(use.port, use)
        if other is not use:
            raise LocalError(
                f"port {use.port} is set for both {other.part} and {use.part}:"
                f" change {other.setting} or {use.setting}",
                exit_code=USAGE,
            )
        _check_port(use)


def check_exposure(profile: Profile) -> None:
    """LocalError when people on other machines could reach the issuer that asks nobody for a password."""
    host = profile.settings.host
    if profile.runs_issuer and not profile.settings.on_loopback:
        raise LocalError(
            f"BAIGONG_HOST={host} is open to other machines, and the local issuer gives anybody an"
            " administrator's token: set BAIGONG_ISSUER to an issuer of your own, or stay on 127.0.0.1",
            exit_code=USAGE,
        )


async def check_external(profile: Profile) -> None:
    """LocalError when a database or Temporal of the person's own does not answer."""
    if profile.postgres is None:
        await asyncio.to_thread(_check_database, profile.database_url())
    if profile.temporal is None:
        address, namespace = profile.temporal_address, profile.settings.temporal_namespace
        if not await answers(address, namespace):
            raise LocalError(
                f"no Temporal with namespace {namespace!r} answers at {address}"
                " (BAIGONG_TEMPORAL_ADDRESS)"
            )


def _lock_file(data_dir: Path) -> TextIO:
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        (data_dir / "logs").mkdir(exist_ok=True)
        return (data_dir / "lock").open("a+", encoding="ascii")
    except OSError as error:
        raise LocalError(
            f"cannot write to the data folder {data_dir}: {error.strerror};"
            " set BAIGONG_DATA_DIR to a folder that can be written"
        ) from error


def _check_port(use: PortUse) -> None:
    try:
        [(family, kind, protocol, _, address)] = socket.getaddrinfo(
            use.host, use.port, type=socket.SOCK_STREAM
        )[:1]
        with socket.socket(family, kind, protocol) as probe:
            # Connections of an earlier run that are still fading away do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            what = f"port {use.port}, which {use.part} needs, is busy"
        else:
            what = f"{use.part} cannot listen on {use.host}:{use.port}: {error.strerror}"
        raise LocalError(f"{what}; set {use.setting} to another port") from error


def _check_database(url: str) -> None:
    if not url.startswith(("postgresql://", "postgres://")):
        raise LocalError(
            "BAIGONG_DATABASE_URL must look like postgresql://user:password@host:port/name",
            exit_code=USAGE,
        )
    try:
        psycopg.connect(url, connect_timeout=_DATABASE_SECONDS).close()
    except psycopg.Error as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise LocalError(f"BAIGONG_DATABASE_URL does not work: {reason}") from error
