"""Whoever asks the API, as a process of its own: `python -m tests.bench.load PLAN` does what the plan says.

A bare client, so that asking takes as little as possible from who answers on the same machine. *Open*: requests leave at a
fixed rate whether or not the earlier ones are answered, and each is timed from the moment at which it was to leave.
*Closed*: each connection asks again as soon as it is answered.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pydantic import BaseModel

_PATIENCE_SECONDS = 300


class Asked(BaseModel):
    """One request, ready to be sent."""

    method: str = "GET"
    path: str
    headers: Mapping[str, str]
    body: str = ""

    def sent(self, host: str) -> bytes:
        """The request as it goes over the wire."""
        body = self.body.encode()
        lines = [f"{self.method} {self.path} HTTP/1.1", f"host: {host}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        lines += [f"content-length: {len(body)}", "", ""]
        return "\r\n".join(lines).encode() + body


class Plan(BaseModel):
    """What to ask whom, over how many connections."""

    port: int
    connections: int
    requests: Sequence[Asked]
    rate: float | None = None
    """A second; None for as fast as it is answered."""
    answers_kept: bool = False


class Result(BaseModel):
    """What came back."""

    seconds: float
    milliseconds: Sequence[float]
    refused: Mapping[int, int]
    """How many answers by status, where it is not one of success."""
    bodies: Sequence[str] = ()

    @property
    def rate(self) -> float:
        """Answers a second."""
        return len(self.milliseconds) / self.seconds

    def percentile(self, percent: int) -> float:
        """Milliseconds within which so many of a hundred were answered."""
        return statistics.quantiles(self.milliseconds, n=100)[percent - 1]

    def require_success(self) -> Result:
        """Raises RuntimeError when a request was refused: its time says nothing."""
        if self.refused:
            raise RuntimeError(f"refused by status: {dict(self.refused)}, {self.bodies[:1]}")
        return self


async def loaded(plan: Plan) -> Result:
    """Runs the plan in a process of its own."""
    with tempfile.TemporaryDirectory(prefix="baigong-load-") as folder:
        given, found = Path(folder, "plan.json"), Path(folder, "result.json")
        given.write_text(plan.model_dump_json(), encoding="utf-8")
        command = [sys.executable, "-m", "tests.bench.load", str(given), str(found)]
        process = await asyncio.create_subprocess_exec(*command, env=dict(os.environ))
        try:
            if await process.wait():
                raise subprocess.CalledProcessError(process.returncode or 1, command)
        finally:
            if process.returncode is None:
                process.kill()
        return Result.model_validate_json(found.read_bytes())


class _Run:
    """The plan while it is carried out."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.took: list[float] = []
        self.refused: dict[int, int] = {}
        self.bodies: list[str] = []
        host = f"127.0.0.1:{plan.port}"
        self.left: Iterator[tuple[int, bytes]] = enumerate(
            [each.sent(host) for each in plan.requests]
        )
        self.began = 0.0

    async def all(self) -> Result:
        streams = [
            await asyncio.open_connection("127.0.0.1", self.plan.port)
            for _ in range(self.plan.connections)
        ]
        self.began = time.perf_counter()
        async with asyncio.timeout(_PATIENCE_SECONDS + self._planned(len(self.plan.requests))):
            await asyncio.gather(*(self._work(reader, writer) for reader, writer in streams))
        return Result(
            seconds=time.perf_counter() - self.began,
            milliseconds=self.took,
            refused=self.refused,
            bodies=self.bodies,
        )

    def _planned(self, number: int) -> float:
        """Seconds after the beginning at which this request is to leave."""
        return number / self.plan.rate if self.plan.rate else 0.0

    async def _work(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for number, request in self.left:
            planned = self.began + self._planned(number)
            early = planned - time.perf_counter()
            if early > 0:
                await asyncio.sleep(early)
            since = planned if self.plan.rate else time.perf_counter()
            writer.write(request)
            status, body = await _answer(reader)
            self.took.append((time.perf_counter() - since) * 1_000)
            if status >= 300:
                self.refused[status] = self.refused.get(status, 0) + 1
            if self.plan.answers_kept or (status >= 300 and len(self.bodies) < 3):
                self.bodies.append(body.decode())
        writer.close()


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    head = await reader.readuntil(b"\r\n\r\n")
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return int(head.split(b" ", 2)[1]), await reader.readexactly(int(length))


if __name__ == "__main__":
    written = asyncio.run(_Run(Plan.model_validate_json(Path(sys.argv[1]).read_bytes())).all())
    Path(sys.argv[2]).write_text(written.model_dump_json(), encoding="utf-8")
