"""An armed process dies at the passage that the plan names, and not before it was armed."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.chaos.plan import Kill, Point, Process
from tests.chaos.victim import armed_file, struck_file

_PASSES = """
import sys
from pathlib import Path
from tests.chaos.plan import Point
from tests.chaos.victim import Trap
trap = Trap(Path(sys.argv[1]), "api")
for number in range(1, 6):
    trap.pass_by(Point.AFTER_SIGNAL)
    trap.pass_by(Point.BEFORE_COMMIT)
    print(number, flush=True)
"""


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    """Passes two points five times each, as far as it gets."""
    command = [sys.executable, "-c", _PASSES, str(folder)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize(("passage", "gets_to"), [(1, []), (3, ["1", "2"])])
def test_it_dies_at_the_passage_it_was_told(
    tmp_path: Path, passage: int, gets_to: list[str]
) -> None:
    kill = Kill(at_act=0, process=Process.API, point=Point.BEFORE_COMMIT, passage=passage)
    armed_file(tmp_path, "api").write_text(kill.model_dump_json())
    ended = run(tmp_path)
    assert ended.returncode == -signal.SIGKILL
    assert ended.stdout.split() == gets_to
    assert struck_file(tmp_path, "api").exists()
    assert not armed_file(tmp_path, "api").exists()
    assert run(tmp_path).returncode == 0, "it does not die of the same kill again"
