"""Every operation with requests nobody would write, by people of every role: no 5xx, every answer as the document says."""

from __future__ import annotations

import os

import pytest

from tests.fuzz.api import Fuzz
from tests.security.asking import expect_none
from tests.security.rights import table
from tests.security.world import World

pytestmark = pytest.mark.xdist_group("fuzz")
EXAMPLES = int(os.environ.get("BAIGONG_FUZZ_EXAMPLES", "2"))
SEED = int(os.environ.get("BAIGONG_FUZZ_SEED", "20261201"))


@pytest.mark.timeout(200 * EXAMPLES)
@pytest.mark.filterwarnings("ignore")
async def test_every_answer_is_as_the_document_says(world: World) -> None:
    fuzz = Fuzz(world, EXAMPLES, SEED)
    await fuzz.run()
    print(f"seed {SEED}: {fuzz.sent} requests, answers by status {sorted(fuzz.answers.items())}")
    assert fuzz.sent > EXAMPLES * len(table())
    expect_none(fuzz.found)
