"""When a request arrived: noted before anything else happens to it."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from db.admission import Arrival

ARRIVED = "baigong.arrived"
"""Key of the ASGI scope under which the middleware notes the monotonic clock."""


async def _arrival(request: Request) -> Arrival:
    return Arrival(float(request.scope.get(ARRIVED, time.monotonic())))


ArrivalDep = Annotated[Arrival, Depends(_arrival)]
"""For routes whose rows are admitted until a deadline."""
