"""Entries and objections, as the API takes and shows them."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Self

from pydantic import AfterValidator, Field

from api.schemas.base import Body, Line, Prose, Remark, Utc, View, distinct
from api.schemas.contests import EntryIds
from db.queries.contests import EntryRows
from db.tables import EntryRevision, Objection
from domain.contest import EliminationReason, EntryStatus
from domain.ids import EntryId, FileId
from domain.proof import FileProof

WorkFiles = Annotated[
    tuple[FileId, ...], Field(min_length=1, max_length=20), AfterValidator(distinct)
]


class NewEntry(Body):
    """A design: what it is called, a word about it, and its files."""

    title: Line = Field(examples=["Two strokes"])
    note: Prose = ""
    file_ids: WorkFiles


class Selection(Body):
    """Entries to shortlist, or to take off the shortlist."""

    entry_ids: EntryIds
    shortlisted: bool = Field(default=True, strict=True)


class Elimination(Body):
    """Entries to put aside, with a reason that their creators can read."""

    entry_ids: EntryIds
    reason: EliminationReason
    remark: Remark = ""


class Ground(StrEnum):
    """Why somebody objects."""

    COPIED = "copied"
    THIRD_PARTY_RIGHTS = "third_party_rights"
    SELF_DEALING = "self_dealing"
    AGAINST_RULES = "against_rules"
    OTHER = "other"


class NewObjection(Body):
    """Somebody's word against an entry, with evidence."""

    entry_id: EntryId
    ground: Ground
    words: Annotated[Prose, Field(min_length=10)]
    file_ids: Annotated[tuple[FileId, ...], Field(max_length=20), AfterValidator(distinct)] = ()


class Ruling(Body):
    """What the operators find."""

    upheld: bool = Field(strict=True, description="Whether the entry is taken out.")
    reason: Annotated[Remark, Field(min_length=3)]


class FileProofView(View):
    """A file as it was handed in, and where it is."""

    id: str
    name: str
    media_type: str
    sha256: str
    content_url: str
    thumbnail_url: str | None

    @classmethod
    def of(cls, proof: FileProof, base_url: str) -> Self:
        """The view of a file of an entry."""
        url = f"{base_url}/v1/files/{proof.id}"
        is_picture = proof.media_type.startswith("image/")
        return cls(
            id=proof.id,
            name=proof.name,
            media_type=proof.media_type,
            sha256=proof.sha256,
            content_url=f"{url}/content",
            thumbnail_url=f"{url}/thumbnail" if is_picture else None,
        )


class RevisionView(View):
    """What was handed in, and the proof of it."""

    number: int
    title: str
    note: str
    files: list[FileProofView]
    content_sha256: str = Field(
        description="SHA-256 of the JSON array [creator_id, title, note, [[name, sha256] of each file], received_at], "
        "written without spaces, in UTF-8, the time like 2026-03-01T09:30:00.123456+00:00."
    )
    received_at: Utc

    @classmethod
    def of(cls, row: EntryRevision, base_url: str) -> Self:
        """The view of a revision."""
        proofs = [FileProof.model_validate(each) for each in row.files]
        return cls(
            number=row.number,
            title=row.title,
            note=row.note,
            files=[FileProofView.of(proof, base_url) for proof in proofs],
            content_sha256=row.content_sha256,
            received_at=row.received_at,
        )


class EntryView(View):
    """An entry."""

    id: str = Field(examples=["ent_01h45ytscbebyvny4gc8cr8ma2"])
    contest_id: str
    creator_id: str
    title: str
    status: EntryStatus
    finalist: bool
    reason: str | None = Field(description="Why it was put aside or taken out.")
    remark: str
    received_at: Utc
    revisions: list[RevisionView] = Field(
        description="The newest first; empty for an entry that is hidden again."
    )

    @classmethod
    def of(cls, rows: EntryRows, base_url: str, *, hidden: bool = False) -> Self:
        """The view of an entry; of a hidden one only that it was there."""
        entry = rows.entry
        shown = [] if hidden else rows.revisions
        return cls(
            id=entry.id,
            contest_id=entry.contest_id,
            creator_id=entry.creator_id,
            title="" if hidden else entry.title,
            status=EntryStatus(entry.status),
            finalist=entry.finalist,
            reason=entry.reason,
            remark=entry.remark,
            received_at=entry.received_at,
            revisions=[RevisionView.of(revision, base_url) for revision in shown],
        )


class EntriesView(View):
    """Several entries after the owner has sorted them."""

    entries: list[EntryView]


class ObjectionView(View):
    """An objection or report."""

    id: str = Field(examples=["obj_01h45ytscbebyvny4gc8cr8ma2"])
    contest_id: str
    entry_id: str
    by_id: str
    ground: str
    words: str
    file_ids: list[str]
    status: str = Field(examples=["open"])
    ruling: str | None
    created_at: Utc
    ruled_at: Utc | None

    @classmethod
    def of(cls, row: Objection) -> Self:
        """The view of an objection."""
        return cls(
            id=row.id,
            contest_id=row.contest_id,
            entry_id=row.entry_id,
            by_id=row.by_id,
            ground=row.ground,
            words=row.words,
            file_ids=list(row.file_ids),
            status=row.status,
            ruling=row.ruling,
            created_at=row.created_at,
            ruled_at=row.ruled_at,
        )
