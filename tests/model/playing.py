"""Plays a model against a running platform; `make model` plays longer, and another game each time."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections import Counter

from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import PathMachine
from tests.model.paths import Path
from tests.stories.house import House

GAMES = os.environ.get("BAIGONG_MODEL_EXAMPLES")
"""How many games are played of each path; unset: the few of every test run, always the same ones."""
FEW = 1
STEPS = int(os.environ.get("BAIGONG_MODEL_STEPS", "14"))
"""Steps of one game; a path that ends before is followed by another one."""
FIRST_SEED = 7


async def play(model: type[Path], house: House) -> None:
    """Plays the games; AssertionError with the steps that led there when platform and model part."""
    number = int(
        os.environ.get("BAIGONG_MODEL_SEED", secrets.randbits(32) if GAMES else FIRST_SEED)
    )
    machine: type[PathMachine] = type(
        f"{model.__name__}Machine",
        (PathMachine,),
        {"model": model, "house": house, "loop": asyncio.get_running_loop(), "seen": Counter()},
    )
    seed(number)(machine)
    chosen = settings(
        max_examples=int(GAMES or FEW),
        stateful_step_count=STEPS,
        deadline=None,
        database=None,
        # Every step takes a real platform's time: what has failed is told as it was, and not made shorter.
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    print(f"{model.kind}: BAIGONG_MODEL_SEED={number}")
    # Hypothesis may stop a game at any step; here all of them are worth their setting up.
    await asyncio.to_thread(
        run_state_machine_as_test, machine, settings=chosen, _min_steps=STEPS - 1
    )
    for step, count in sorted(machine.seen.items()):
        print(f"{model.kind}: {count:4} x {step}")
