"""Payout destinations as the API shows and takes them."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, StrictBool, StringConstraints
from pydantic_core import PydanticCustomError

from api.schemas.base import Body, Name, Utc, View
from db.tables import PayoutDestination
from domain.ids import DestinationId
from domain.money import Currency

_SHOWN = 4


def _visible(text: str) -> str:
    if not (text.isascii() and text.isprintable()):
        raise PydanticCustomError(
            "account_text",
            "an account is written in visible ASCII characters",
            {"accepted": "letters, digits, spaces and punctuation"},
        )
    return text


class NewDestination(Body):
    """Where the user's money in one currency shall go from now on."""

    currency: Currency = Field(default="CNY", description="ISO 4217 code.")
    account: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=4, max_length=128),
        AfterValidator(_visible),
    ] = Field(description="Account at the payment provider.", examples=["6222020200112233445"])
    holder: Name = Field(description="Name of the account's holder.", examples=["Lin Mei"])
    automatic: StrictBool = Field(default=True, description="Whether payouts happen by themselves.")


class DestinationView(View):
    """Where a user's money goes; the account is masked."""

    id: DestinationId = Field(examples=["dst_01h45ytscbebyvny4gc8cr8ma2"])
    currency: str = Field(examples=["CNY"])
    account: str = Field(examples=["••••3445"])
    holder: str
    automatic: bool
    status: Literal["active", "replaced", "failed"]
    provider: str
    created_at: Utc

    @classmethod
    def of(cls, row: PayoutDestination) -> Self:
        """The view of a destination row."""
        return cls.model_validate(
            {
                "id": row.id,
                "currency": row.currency,
                "account": masked(row.account),
                "holder": row.holder,
                "automatic": row.automatic,
                "status": row.status,
                "provider": row.provider,
                "created_at": row.created_at,
            }
        )


def masked(account: str) -> str:
    """The last four characters, when that is less than half of the account."""
    return f"••••{account[-_SHOWN:]}" if len(account) > 2 * _SHOWN else "••••"
