"""What people upload, and to whom paths show it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, ForeignKey, Index, Integer, func, text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables.base import Base


class File(Base):
    """An uploaded picture or document; the bytes lie in the file store under their SHA-256.

    A private file is shown to its owner, to operators and to those with a row in `file_grants`. Documents have
    neither size in pixels nor thumbnail.
    """

    __tablename__ = "files"
    __table_args__ = (CheckConstraint("(width IS NULL) = (height IS NULL)", name="pixels"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner_id: Mapped[str] = mapped_column(ForeignKey("users.id"))
    sha256: Mapped[str]
    media_type: Mapped[str]
    size_bytes: Mapped[int]
    width: Mapped[int | None] = mapped_column(Integer)
    height: Mapped[int | None] = mapped_column(Integer)
    name: Mapped[str]
    private: Mapped[bool] = mapped_column(server_default=text("false"))
    thumbnail_sha256: Mapped[str | None]
    created_at: Mapped[datetime] = mapped_column(server_default=func.now())

    @property
    def is_picture(self) -> bool:
        """Whether it is a picture, which has pixels, and not a document."""
        return self.width is not None


class FileGrant(Base):
    """A path shows a private file to somebody: a user id, or `members` for everybody who is signed in."""

    __tablename__ = "file_grants"
    __table_args__ = (Index("ix_file_grants_path_id", "path_id"),)

    file_id: Mapped[str] = mapped_column(ForeignKey("files.id"), primary_key=True)
    path_id: Mapped[str] = mapped_column(primary_key=True)
    audience: Mapped[str] = mapped_column(primary_key=True)
