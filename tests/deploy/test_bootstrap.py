"""The Makefile's first step: what it says where something is missing, and when it does nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.profile import PROJECT

BOOTSTRAP = PROJECT / "deploy" / "local" / "bootstrap.py"
# Runs the file as if this interpreter were another version.
PRETEND = (
    "import collections, runpy, sys;"
    "version = collections.namedtuple('version', 'major minor micro');"
    "sys.version_info = version(3, 6, 15);"
    "sys.argv = sys.argv[1:];"
    "runpy.run_path(sys.argv[0], run_name='__main__')"
)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project folder with lock files that ask for nothing."""
    copy = tmp_path / "project" / "deploy" / "local" / "bootstrap.py"
    copy.parent.mkdir(parents=True)
    shutil.copy(BOOTSTRAP, copy)
    root = copy.parents[2]
    for lock in ("requirements.lock", "requirements-dev.lock"):
        (root / lock).write_text("# nothing\n", encoding="utf-8")
    return root


def bootstrap(project: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(project / "deploy/local/bootstrap.py"), *arguments],
        capture_output=True,
        text=True,
        check=False,
    )


def test_an_old_python_is_refused_in_one_line_that_names_it(tmp_path: Path) -> None:
    refused = subprocess.run(
        [sys.executable, "-c", PRETEND, str(BOOTSTRAP)],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert refused.returncode == 1
    [line] = refused.stderr.splitlines()
    assert "Python 3.11 or newer is needed" in line
    assert "3.6.15" in line


def test_an_old_python_hands_over_to_a_newer_one_on_the_path(tmp_path: Path) -> None:
    newer = tmp_path / "python3.12"
    newer.write_text('#!/bin/sh\ncase "$1" in -c) exit 0;; *) echo "newer $2";; esac\n')
    newer.chmod(0o755)
    broken = tmp_path / "python3.13"
    broken.write_text("#!/bin/sh\nexit 127\n")
    broken.chmod(0o755)
    handed = subprocess.run(
        [sys.executable, "-c", PRETEND, str(BOOTSTRAP), "--dev"],
        env={"PATH": f"{tmp_path}:{os.defpath}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (handed.returncode, handed.stdout) == (0, "newer --dev\n")


def test_a_missing_python_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "sh").symlink_to("/bin/sh")
    make = shutil.which("make")
    assert make is not None
    missing = subprocess.run(
        [make, "--no-print-directory", "venv"],
        cwd=PROJECT,
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert missing.returncode != 0
    assert missing.stderr.splitlines()[0] == (
        "baigong: python3 is missing: install Python 3.11 or newer"
    )


def test_it_installs_once_and_again_when_a_lock_changes(project: Path) -> None:
    first = bootstrap(project, "--dev")
    assert first.returncode == 0, first.stderr
    assert "installed requirements-dev.lock" in first.stderr
    # The development lock holds the runtime one too.
    for arguments in ((), ("--dev",)):
        assert bootstrap(project, *arguments).stderr == ""
    (project / "requirements.lock").write_text("# changed\n", encoding="utf-8")
    assert "installed requirements.lock" in bootstrap(project).stderr
    (project / "requirements.lock").write_text("./nowhere\n", encoding="utf-8")
    for _ in range(2):
        failed = bootstrap(project)
        assert failed.returncode == 1
        last = failed.stderr.splitlines()[-1]
        assert last.startswith("baigong: pip could not install requirements.lock")


def test_an_interrupted_installation_is_repaired(project: Path) -> None:
    (project / ".venv").mkdir()
    (project / ".venv" / "baigong-installing").touch()
    (project / ".venv" / "half-written").touch()
    repaired = bootstrap(project)
    assert repaired.returncode == 0, repaired.stderr
    assert not (project / ".venv" / "half-written").exists()
    assert bootstrap(project).stderr == ""
