"""Uploaded pictures and documents as the API shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Utc, View
from db.tables import File
from domain.ids import FileId, UserId


class FileView(View):
    """An uploaded picture or document."""

    id: FileId = Field(examples=["fil_01h45ytscbebyvny4gc8cr8ma2"])
    owner_id: UserId
    name: str = Field(
        description="As uploaded: one line, without folders and control characters.",
        examples=["lamp.png"],
    )
    private: bool = Field(
        description="Only for its owner, operators and those to whom a path shows it."
    )
    media_type: str = Field(examples=["image/png"])
    size_bytes: int = Field(examples=[48_213])
    width: int | None = Field(
        description="Pixels, as stored (EXIF may turn them). Null for documents.", examples=[1200]
    )
    height: int | None = Field(description="Pixels. Null for documents.", examples=[900])
    sha256: str = Field(description="Of the content, hexadecimal.")
    content_url: str = Field(description="Where the bytes are.")
    thumbnail_url: str | None = Field(
        description="Where a small upright copy is. Null for documents, "
        "and for pictures from before thumbnails were made."
    )
    created_at: Utc

    @classmethod
    def of(cls, file: File, base_url: str) -> Self:
        """The view of a file row."""
        address = f"{base_url}/v1/files/{file.id}"
        return cls(
            id=file.id,
            owner_id=file.owner_id,
            name=file.name,
            private=file.private,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            width=file.width,
            height=file.height,
            sha256=file.sha256,
            content_url=f"{address}/content",
            thumbnail_url=f"{address}/thumbnail" if file.thumbnail_sha256 else None,
            created_at=file.created_at,
        )
