"""What the people of a path write to each other, as the API takes and shows it."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import Field, StringConstraints

from api.schemas.base import Body, Prose, Utc, View
from api.schemas.contests import Files
from db.tables import PathMessage
from domain.ids import UserId

Words = Annotated[Prose, StringConstraints(min_length=1, max_length=4_000)]


class MessageIn(Body):
    """A message to somebody of the path."""

    body: Words
    subject: str = Field(
        default="", max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$", description="What it is about."
    )
    to_id: UserId | None = Field(
        default=None,
        description="For whom it is; the other side of a sale, or the path's initiator, without it.",
    )
    file_ids: Files = ()


class MessageView(View):
    """A message."""

    id: str
    path_id: str
    author_id: str
    to_id: str
    role: str = Field(description="What the author was to the path.")
    subject: str
    body: str
    file_ids: list[str]
    at: Utc

    @classmethod
    def of(cls, row: PathMessage) -> Self:
        """The row for its author, who it is for, and operators."""
        return cls(
            id=row.id,
            path_id=row.path_id,
            author_id=row.author_id,
            to_id=row.to_id,
            role=row.role,
            subject=row.subject,
            body=row.body,
            file_ids=row.file_ids,
            at=row.at,
        )
