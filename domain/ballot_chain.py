"""The chain of votes: each names the hash of the one before, so that none can be changed, added or lost unseen.

Anybody can check it with nothing but the published papers: `hash` is the SHA-256, in hex, of the previous hash, "|" and
the JSON of `at`, `choice`, `seq` and `voter_tag` with sorted keys, without spaces, in UTF-8; `at` in UTC with six
decimals of the second. The first vote's previous hash is that of the ballot's id.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from datetime import UTC, datetime

from pydantic import JsonValue

from domain.ballot import Paper


def first_hash(ballot_id: str) -> str:
    """What the first vote of a ballot names as the hash before it."""
    return hashlib.sha256(ballot_id.encode()).hexdigest()


def voter_tag(ballot_id: str, voter_id: str, nonce: str) -> str:
    """Stands for the voter in public; without the nonce nobody can find it by trying all users."""
    return hashlib.sha256(f"{ballot_id}|{voter_id}|{nonce}".encode()).hexdigest()


def vote_hash(
    previous_hash: str, *, seq: int, voter_tag: str, choice: Mapping[str, JsonValue], at: datetime
) -> str:
    """The vote's place in the chain; `choice` as `stored` has it."""
    canonical = json.dumps(
        {"at": in_text(at), "choice": choice, "seq": seq, "voter_tag": voter_tag},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
    )
    return hashlib.sha256(f"{previous_hash}|{canonical}".encode()).hexdigest()


def in_text(at: datetime) -> str:
    """A time as it goes into the chain, such as `2027-03-01T09:00:00.000000+00:00`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def stored(paper: Paper) -> dict[str, JsonValue]:
    """The choice as it is stored and published: only the part that the mode uses."""
    if paper.points:
        return {"points": dict(paper.points)}
    return {"options": list(paper.options)}
