"""The port through which notices reach people: one Protocol, and two ports that need nobody else.

The platform keeps no telephone numbers. A port for SMS or voice knows them by user id, and is the one place that talks to
whoever carries the message. `notice_id` is the same at every try: a carrier that takes a key of the caller's can be kept
from saying a thing twice even when its answer got lost.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Protocol, TextIO

from domain.notices import Outgoing
from runtime.settings import Settings


class NoticePort(Protocol):
    """Somebody who brings notices to people."""

    async def send(self, notice: Outgoing) -> None:
        """Takes one notice on. Any exception means that it was not taken, and is to be tried again later."""


class FileNotices:
    """Appends each notice as a line of JSON to a file: for trying things out, and for a gateway that reads files."""

    def __init__(self, file: Path) -> None:
        self.file = file

    async def send(self, notice: Outgoing) -> None:
        """Raises OSError when the file cannot be written."""
        await asyncio.to_thread(self._append, f"{notice.model_dump_json()}\n".encode())

    def _append(self, line: bytes) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        # The links in it let anybody act for the maker.
        descriptor = os.open(self.file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "ab") as file:
            file.write(line)


class ConsoleNotices:
    """Prints each notice: for looking on."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self.stream = stream

    async def send(self, notice: Outgoing) -> None:
        """Raises OSError when nothing can be printed."""
        print(f"To {notice.user_id}: {notice.text}", file=self.stream or sys.stdout, flush=True)


def notice_port(settings: Settings) -> NoticePort | None:
    """The port that the settings name; None when nothing is to be sent."""
    match settings.notice_port:
        case "file":
            return FileNotices(settings.data_dir / "notices.jsonl")
        case "console":
            return ConsoleNotices()
        case "none":
            return None
