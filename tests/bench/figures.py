"""What a measurement answers."""

from __future__ import annotations

from pydantic import BaseModel


class Figure(BaseModel):
    """One row of the result."""

    name: str
    ours: float
    yardstick: float
    """What it is held against: another program in the same run, or the number that is to be reached."""
    goal: float
    """The ratio that is to be reached."""
    at_most: bool = False
    """Whether less is better."""

    @property
    def ratio(self) -> float:
        """Ours by the yardstick."""
        return self.ours / self.yardstick

    @property
    def reached(self) -> bool:
        """Whether the goal is reached."""
        return self.ratio <= self.goal if self.at_most else self.ratio >= self.goal
