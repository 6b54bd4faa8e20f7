"""The audit fails for what is known, and never says "all well" when it could not ask."""

from __future__ import annotations

import pytest

from deploy.audit import FOUND, NOT_ASKED, Package, Report, Vulnerability, verdict

WELL = Package(name="httpx", version="0.28.1")
SICK = Package(
    name="h11",
    version="0.14.0",
    vulns=[Vulnerability(id="CVE-2025-43859", fix_versions=["0.16.0"])],
)
UNKNOWN = Package(name="limits", skip_reason="Dependency not found on PyPI")


@pytest.mark.parametrize(
    ("packages", "code", "words"),
    [
        ([WELL], 0, "no known vulnerability in 1 packages"),
        ([WELL, SICK], FOUND, "h11 0.14.0: CVE-2025-43859 (mended in 0.16.0)"),
        (
            [WELL, UNKNOWN],
            NOT_ASKED,
            "NOT AUDITED: the vulnerability service knows nothing about 1",
        ),
        ([SICK, UNKNOWN], FOUND, "CVE-2025-43859"),
    ],
)
def test_the_verdict(packages: list[Package], code: int, words: str) -> None:
    found, lines = verdict("requirements.lock", Report(dependencies=packages))
    assert found == code
    assert words in "\n".join(lines)
