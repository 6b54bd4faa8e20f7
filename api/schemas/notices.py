"""Notices and one-tap links as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StringConstraints
from pydantic_core import PydanticCustomError

from api.schemas.base import Body, Utc, View
from db.tables import Notice
from domain.ids import LotId, PathId
from domain.plain import Language, Reader, is_zone
from domain.taps import Does


def _known_zone(name: str) -> str:
    if not is_zone(name):
        raise PydanticCustomError(
            "time_zone",
            "no such time zone",
            {"accepted": "a name of the IANA time zone database, such as Asia/Urumqi"},
        )
    return name


ZoneName = Annotated[
    str,
    StringConstraints(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_+/-]*$"),
    AfterValidator(_known_zone),
]


class NoticeView(View):
    """A short text about one step of a path, as it was or will be sent."""

    id: int
    path_id: PathId
    language: Language
    words: str = Field(
        examples=[
            "《Baskets》100件：材料收到了。请北京时间12月3日18:30前做好寄出。全部合格可得475元。"
        ]
    )
    state: Literal["waiting", "sent", "given_up"] = Field(
        description="Given up: it could not be sent while it was of use."
    )
    created_at: Utc
    sent_at: Utc | None

    @classmethod
    def of(cls, row: Notice) -> Self:
        """The view of a notice's row."""
        return cls.model_validate(
            {name: getattr(row, name) for name in cls.model_fields}  # the same names
        )


class NoticeWishView(View):
    """How notices are written for somebody."""

    language: Language
    time_zone: str | None = Field(description="Null: times are told in Beijing time, and say so.")

    @classmethod
    def of(cls, reader: Reader) -> Self:
        """The view of how somebody reads."""
        return cls(language=reader.language, time_zone=reader.time_zone)


class NoticeWishIn(Body):
    """How notices are to be written from now on."""

    language: Language
    time_zone: ZoneName | None = Field(default=None, examples=["Asia/Urumqi"])


class TapView(View):
    """What a one-tap link does."""

    lot_id: LotId
    does: Does
    language: Language
    words: str = Field(description="What confirming does, or that it was done.")
    done: bool
    expires_at: Utc
