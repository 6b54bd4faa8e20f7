"""Text of people inside text of ours."""

from __future__ import annotations

import re

_MARKUP = re.compile(r"([\\`*_{}\[\]()<>#+!|~-])")


def as_markdown(text: str) -> str:
    """Somebody's words as they are: nothing in them acts as markdown where operators read them."""
    return _MARKUP.sub(r"\\\1", text)
