"""Proof of authorship: what was handed in, by whom, when, under one hash."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import UTC, datetime

from domain.model import Message


class FileProof(Message):
    """A file as it was when it was handed in."""

    id: str
    sha256: str
    media_type: str
    name: str


def content_sha256(
    author_id: str, title: str, note: str, files: Sequence[FileProof], at: datetime
) -> str:
    """SHA-256 of the canonical JSON of author, title, note, files and time: shows later that this existed then."""
    when = at.astimezone(UTC).isoformat()
    content = [author_id, title, note, [[f.name, f.sha256] for f in files], when]
    canonical = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


def text_sha256(text: str) -> str:
    """SHA-256 of a text that people sign."""
    return hashlib.sha256(text.encode()).hexdigest()
