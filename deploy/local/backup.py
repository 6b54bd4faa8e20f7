"""A copy of everything the stopped local platform has stored, in one file: all of it stands at one instant.

How a platform in production is backed up, which never stops, is told in docs/backup.md.
"""

from __future__ import annotations

import os
import shutil
import tarfile
from pathlib import Path

from deploy.local.checks import locked_data_folder
from deploy.local.errors import USAGE, LocalError
from deploy.local.postgres import PostgresServer
from deploy.local.profile import Profile

_DATA = "data"
_CLUSTER = "postgres"
_NOT_KEPT = frozenset({"lock", "logs"})
"""What each start makes anew."""


def embedded_postgres(profile: Profile) -> PostgresServer:
    """The embedded server; LocalError when database or Temporal are the person's own."""
    if profile.postgres is None or profile.temporal is None:
        raise LocalError(
            "database or Temporal are servers of your own: back them up where they run, see docs/backup.md",
            exit_code=USAGE,
        )
    return profile.postgres


def backup(postgres: PostgresServer, file: Path) -> None:
    """Writes everything into `file`, which only its owner can read; it holds all secrets.

    LocalError when the platform runs, when there is nothing to copy, or when the file is there already.
    """
    data_dir, cluster = postgres.data_dir, postgres.placement.cluster
    if file.exists():
        raise LocalError(f"{file} is there already", exit_code=USAGE)
    if not data_dir.exists() or not cluster.exists():
        raise LocalError(f"nothing is stored in {data_dir}")
    with locked_data_folder(data_dir):
        postgres.stop_leftover()
        draft = file.with_name(f".{file.name}.draft")
        try:
            with os.fdopen(
                os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as out:
                with tarfile.open(fileobj=out, mode="w:gz", compresslevel=1) as archive:
                    for each in sorted(data_dir.iterdir()):
                        if each.name not in _NOT_KEPT and each != cluster:
                            archive.add(each, f"{_DATA}/{each.name}")
                    archive.add(cluster, _CLUSTER)
                out.flush()
                os.fsync(out.fileno())
            # Only a whole copy gets the name.
            draft.rename(file)
        finally:
            draft.unlink(missing_ok=True)


def restore(postgres: PostgresServer, file: Path) -> None:
    """Puts everything back as it was when `file` was written, where nothing is stored yet.

    LocalError when something is stored there, when the platform runs, or when the file is no copy of one.
    """
    data_dir, cluster = postgres.data_dir, postgres.placement.cluster
    kept = {each.name for each in data_dir.iterdir()} - _NOT_KEPT if data_dir.exists() else set()
    if kept or cluster.exists():
        raise LocalError(f"something is stored in {data_dir} already: `make reset` deletes it")
    with locked_data_folder(data_dir):
        fresh = data_dir / ".restoring"
        try:
            _unpack(file, fresh)
            cluster.parent.mkdir(parents=True, exist_ok=True)
            shutil.move(fresh / _CLUSTER, cluster)
            _own(cluster, postgres)
            for each in (fresh / _DATA).iterdir():
                each.rename(data_dir / each.name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _unpack(file: Path, folder: Path) -> None:
    try:
        with tarfile.open(file) as archive:
            # Keeps the modes that PostgreSQL insists on, and nothing that leads out of the folder.
            archive.extractall(folder, filter="tar")
    except (OSError, tarfile.TarError) as broken:
        raise LocalError(f"{file} cannot be read: {broken}") from broken
    if not (folder / _DATA).is_dir() or not (folder / _CLUSTER / "PG_VERSION").exists():
        raise LocalError(f"{file} is no backup of the platform")


def _own(cluster: Path, postgres: PostgresServer) -> None:
    owner = postgres.placement.owner
    if owner is None:
        return
    for folder, folders, names in os.walk(cluster):
        os.chown(folder, owner.uid, owner.gid)
        for each in (*folders, *names):
            os.chown(Path(folder, each), owner.uid, owner.gid, follow_symlinks=False)
