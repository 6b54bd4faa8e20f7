"""The settings of a run are settings that exist: an unknown one would be ignored in silence, and a window last for days."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel

from runtime.settings import Settings
from tests.chaos.rig import environment
from tests.chaos.victim import FOLDER


def test_every_setting_of_a_run_exists() -> None:
    for name in environment(Path("data"), Path("points")).keys() - {FOLDER}:
        known: type[BaseModel] = Settings
        for step in name.removeprefix("BAIGONG_").lower().split("__"):
            assert step in known.model_fields, f"{name}: there is no {step}"
            annotation = known.model_fields[step].annotation
            if isinstance(annotation, type) and issubclass(annotation, BaseModel):
                known = annotation
