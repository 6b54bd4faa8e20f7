"""`python -m deploy.audit`: known vulnerabilities of the locked dependencies, as pip-audit knows them.

Exit codes: 0 none known; 1 found; 3 not asked, because the vulnerability service did not answer for all of them.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence

from pydantic import BaseModel, ValidationError

from deploy.local.profile import PROJECT

LOCKS = ("requirements.lock", "requirements-dev.lock")
FOUND, NOT_ASKED = 1, 3
_OPTIONS = (
    *("--disable-pip", "--require-hashes", "--format", "json"),
    *("--progress-spinner", "off", "--timeout", "15"),
)


class Vulnerability(BaseModel):
    """One that is known."""

    id: str
    fix_versions: list[str] = []


class Package(BaseModel):
    """What pip-audit says of a package; `skip_reason` when it could not find out."""

    name: str
    version: str = ""
    skip_reason: str | None = None
    vulns: list[Vulnerability] = []


class Report(BaseModel):
    """pip-audit's JSON."""

    dependencies: list[Package]


def verdict(lock: str, report: Report) -> tuple[int, list[str]]:
    """The exit code and the lines to print. What is found counts, even where others could not be asked for."""
    bad = [
        f"{each.name} {each.version}: {found.id}"
        f" (mended in {', '.join(found.fix_versions) or 'no version yet'})"
        for each in report.dependencies
        for found in each.vulns
    ]
    silent = sum(each.skip_reason is not None for each in report.dependencies)
    lines = [f"{lock}: {line}" for line in bad]
    if silent:
        lines.append(
            f"{lock}: NOT AUDITED: the vulnerability service knows nothing about {silent} of"
            f" {len(report.dependencies)} packages; run this where pypi.org can be reached"
        )
    if not lines:
        lines.append(f"{lock}: no known vulnerability in {len(report.dependencies)} packages")
    return FOUND if bad else NOT_ASKED if silent else 0, lines


def audit(lock: str) -> tuple[int, list[str]]:
    """Asks about every package of a lock file."""
    asked = subprocess.run(
        [sys.executable, "-m", "pip_audit", *_OPTIONS, "-r", lock],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    try:
        return verdict(lock, Report.model_validate_json(asked.stdout))
    except ValidationError:
        last = (asked.stderr.strip().splitlines() or ["no reason given"])[-1]
        return NOT_ASKED, [f"{lock}: NOT AUDITED: {last}"]


def main(locks: Sequence[str] = LOCKS) -> int:
    """Audits all locks; the worst news decide."""
    codes = []
    for lock in locks:
        code, lines = audit(lock)
        codes.append(code)
        print(*lines, sep="\n", flush=True)
    return FOUND if FOUND in codes else max(codes)


if __name__ == "__main__":
    sys.exit(main())
