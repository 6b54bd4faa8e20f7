"""Tax records as the API takes and shows them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Self

from pydantic import AfterValidator, AnyHttpUrl, Field, SecretStr, StringConstraints
from pydantic_core import PydanticCustomError

from api.schemas.base import Body, Line, MoneyView, Utc, View
from db.tables import TaxProfileRow
from domain.ids import UserId
from domain.tax import Figures, PersonKind, PostalAddress, Quarter, TaxProfile

Country = Annotated[
    str, StringConstraints(pattern="^[A-Z]{2}$"), Field(examples=["CN"], description="ISO 3166.")
]


def _number(secret: SecretStr) -> SecretStr:
    plain = "".join(secret.get_secret_value().split()).replace("-", "").upper()
    if not (plain.isascii() and plain.isalnum() and 4 <= len(plain) <= 40):
        raise PydanticCustomError(
            "tax_number",
            "this is not a tax number",
            {"accepted": "4 to 40 letters and digits; spaces and hyphens do not matter"},
        )
    return SecretStr(plain)


TaxNumber = Annotated[SecretStr, AfterValidator(_number)]


class AddressIn(Body):
    """Where somebody lives or is registered."""

    lines: Annotated[tuple[Line, ...], Field(min_length=1, max_length=4)]
    city: Line
    postal_code: Annotated[str, StringConstraints(pattern="^[A-Za-z0-9 -]{0,12}$")] = ""
    country: Country


class TaxProfileIn(Body):
    """What a payee states about themselves. The numbers are sealed before they are stored."""

    kind: PersonKind
    legal_name: Line = Field(examples=["林梅"])
    country: Country = Field(description="Tax residence.")
    tax_number: TaxNumber = Field(
        description="China: unified social credit code, or the identity document's number. Elsewhere: the TIN.",
        examples=["91330106MA2KF00000"],
    )
    vat_number: TaxNumber | None = None
    birth_date: date | None = Field(default=None, description="Of persons, and only of them.")
    address: AddressIn
    contact: Line = Field(description="Telephone or e-mail.")
    shop_urls: Annotated[tuple[AnyHttpUrl, ...], Field(max_length=20)] = ()


class AddressView(View):
    """A postal address."""

    lines: list[str]
    city: str
    postal_code: str
    country: str


class TaxProfileView(View):
    """What a payee has stated; of numbers only the last four characters."""

    kind: PersonKind
    legal_name: str
    country: str
    tax_number_last4: str
    vat_number_last4: str | None
    birth_date: date | None
    address: AddressView
    contact: str
    shop_urls: list[str]
    updated_at: Utc

    @classmethod
    def of(cls, profile: TaxProfile) -> Self:
        """The view of a profile."""
        return cls.model_validate(profile.model_dump())


def profile_of(row: TaxProfileRow) -> TaxProfile:
    """A stored profile without its sealed numbers."""
    return TaxProfile(
        kind=PersonKind(row.kind),
        legal_name=row.legal_name,
        country=row.country,
        tax_number_last4=row.tax_number_last4,
        vat_number_last4=row.vat_last4,
        birth_date=row.birth_date,
        address=PostalAddress.model_validate(row.address),
        contact=row.contact,
        shop_urls=tuple(row.shop_urls),
        updated_at=row.updated_at,
    )


class FiguresView(View):
    """A payee's quarter in one currency."""

    currency: str
    income: MoneyView = Field(description="Gross: with the commission.")
    goods: MoneyView
    services: MoneyView
    other: MoneyView
    refunds: MoneyView = Field(
        description="Income of this or an earlier quarter taken back, gross."
    )
    fees: MoneyView = Field(description="Less what was given back; may be below 0.")
    withheld: MoneyView
    net: MoneyView
    paid_out: MoneyView
    transactions: int
    refund_count: int

    @classmethod
    def of(cls, figures: Figures) -> Self:
        """The view of figures."""
        code = figures.currency
        return cls(
            currency=code,
            income=MoneyView.of(figures.income, code),
            goods=MoneyView.of(figures.goods, code),
            services=MoneyView.of(figures.services, code),
            other=MoneyView.of(figures.other, code),
            refunds=MoneyView.of(figures.refunds, code),
            fees=MoneyView.of(figures.fees, code),
            withheld=MoneyView.of(figures.withheld, code),
            net=MoneyView.of(figures.net, code),
            paid_out=MoneyView.of(figures.paid_out, code),
            transactions=figures.transactions,
            refund_count=figures.refund_count,
        )


class TaxQuarterView(View):
    """A payee's quarter."""

    user_id: UserId
    year: int
    quarter: int
    begins: Utc
    ends: Utc = Field(description="The first moment after it.")
    final: bool = Field(description="Whether the figures are written down and change no more.")
    figures: list[FiguresView] = Field(description="One for each currency, by code.")

    @classmethod
    def made(
        cls,
        user_id: str,
        quarter: Quarter,
        times: tuple[Utc, Utc],
        figures: Sequence[Figures],
        *,
        final: bool,
    ) -> Self:
        """The view of a payee's figures."""
        return cls(
            user_id=user_id,
            year=quarter.year,
            quarter=quarter.number,
            begins=times[0],
            ends=times[1],
            final=final,
            figures=[FiguresView.of(each) for each in figures],
        )


class TaxReportLineView(TaxQuarterView):
    """One payee of a report."""

    display_name: str
    member_since: Utc
    verified: bool
    profile: TaxProfileView | None = Field(description="Null: the payee has stated nothing yet.")
