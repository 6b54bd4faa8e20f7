"""How long the pages of a campaign take that has a great many pledges; asked one after the other, over HTTP."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import httpx

from tests.bench.figures import Figure
from tests.bench.ground import until_ready

MILLISECONDS = 100
"""Of 99 in 100 answers, at most."""
_WARM = 20
_ASKED = 200


@dataclass(frozen=True)
class Timing:
    """How long one page took, milliseconds each time."""

    page: str
    took: Sequence[float]

    def figures(self, size: int) -> Iterator[Figure]:
        """The median and the slowest of a hundred, against the goal."""
        cuts = statistics.quantiles(self.took, n=100)
        for name, index in (("p50", 49), ("p99", 98)):
            yield Figure(
                name=f"{name} ms of {self.page}, {size:,} pledges",
                ours=cuts[index],
                yardstick=MILLISECONDS,
                goal=1.0,
                at_most=True,
            )


async def while_live(http: httpx.AsyncClient, campaign_id: str, token: str) -> list[Timing]:
    """The pages that are looked at while pledges are made; the token is a backer's."""
    await until_ready(http)
    page = f"/v1/campaigns/{campaign_id}"
    return [
        await timed(http, "a campaign's page", page, token),
        await timed(http, "its public backers", f"{page}/backers", None),
        await timed(http, "its plots by hour and tier", f"{page}/stats", token),
        await timed(http, "a backer's own pledges", "/v1/me/pledges", token),
    ]


async def timed(http: httpx.AsyncClient, name: str, path: str, token: str | None) -> Timing:
    """One page, asked again and again. Raises what a refused request raises."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    took = []
    for _ in range(_WARM + _ASKED):
        began = time.perf_counter()
        (await http.get(path, headers=headers)).raise_for_status()
        took.append((time.perf_counter() - began) * 1_000)
    return Timing(name, took[_WARM:])
