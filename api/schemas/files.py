"""Uploaded pictures as the API shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Utc, View
from db.tables import File
from domain.ids import FileId, UserId


class FileView(View):
    """An uploaded picture."""

    id: FileId = Field(examples=["fil_01h45ytscbebyvny4gc8cr8ma2"])
    owner_id: UserId
    media_type: str = Field(examples=["image/png"])
    size_bytes: int = Field(examples=[48_213])
    width: int = Field(description="Pixels.", examples=[1200])
    height: int = Field(description="Pixels.", examples=[900])
    sha256: str = Field(description="Of the content, hexadecimal.")
    content_url: str = Field(description="Where the picture itself is.")
    created_at: Utc

    @classmethod
    def of(cls, file: File, base_url: str) -> Self:
        """The view of a file row."""
        return cls(
            id=file.id,
            owner_id=file.owner_id,
            media_type=file.media_type,
            size_bytes=file.size_bytes,
            width=file.width,
            height=file.height,
            sha256=file.sha256,
            content_url=f"{base_url}/v1/files/{file.id}/content",
            created_at=file.created_at,
        )
