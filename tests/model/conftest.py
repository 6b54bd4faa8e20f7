"""The platform that the models are played against: the one of the stories, one for all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.playing import GAMES
from tests.stories.conftest import house, issuer

_HERE = Path(__file__).parent
__all__ = ["house", "issuer"]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A few games are over sooner than a platform has started: one worker plays them all."""
    if GAMES is None:
        for item in items:
            if item.path.is_relative_to(_HERE):
                item.add_marker(pytest.mark.xdist_group("model"))
