"""A platform of its own with one of everything: the fuzzers leave nothing as it was."""

from __future__ import annotations

from tests.security.conftest import house, issuer, world

__all__ = ["house", "issuer", "world"]
