"""The base of every message and value that crosses a boundary inside the platform."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

Seconds = Annotated[int, Field(ge=0)]
BasisPoints = Annotated[int, Field(ge=0, le=10_000)]
"""Hundredths of a percent: 800 is 8 %."""
Instant = AwareDatetime
"""A point in time with its zone; a naive datetime is refused."""


class Message(BaseModel):
    """A frozen value. Unknown fields are ignored, so that an older worker can read a newer message."""

    model_config = ConfigDict(frozen=True)
