"""The fields that authorities ask for, in their order: State Council order 810 (China), and DAC7 (European Union)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from api.spreadsheets import Cell
from db.tables import PayoutDestination, User
from domain.money import format_money
from domain.tax import Figures, PersonKind, Quarter, TaxProfile


class Form(StrEnum):
    """Whose fields a report has."""

    CN = "cn"
    DAC7 = "dac7"


@dataclass(frozen=True)
class ReportLine:
    """Everything about one payee's quarter, numbers in full."""

    user: User
    profile: TaxProfile | None
    tax_number: str
    vat_number: str
    accounts: Mapping[str, PayoutDestination]
    """By currency."""
    figures: Sequence[Figures]
    final: bool


_CN = (
    "year",
    "quarter",
    "name",
    "kind",
    "country",
    "document_or_credit_code",
    "address",
    "contact",
    "shop_name",
    "shop_id",
    "shop_urls",
    "on_platform_since",
    "left_platform_at",
    "currency",
    "income_goods_minor",
    "income_services_minor",
    "income_other_minor",
    "income_minor",
    "refunds_minor",
    "net_minor",
    "fees_minor",
    "orders",
    "income",
    "account",
    "account_holder",
    "identity_verified",
    "final",
)
_DAC7 = (
    "year",
    "quarter",
    "name",
    "kind",
    "country",
    "tin",
    "vat_number",
    "birth_date",
    "address",
    "currency",
    "consideration_minor",
    "consideration_less_fees_minor",
    "activities",
    "refunds_minor",
    "fees_minor",
    "taxes_withheld_minor",
    "consideration",
    "account_identifier",
    "account_holder",
    "final",
)


def _cn(line: ReportLine, figures: Figures, quarter: Quarter) -> Sequence[Cell]:
    user, profile = line.user, line.profile
    account = line.accounts.get(figures.currency)
    return (
        quarter.year,
        quarter.number,
        profile.legal_name if profile else None,
        profile.kind if profile else None,
        profile.country if profile else None,
        line.tax_number,
        _address(profile),
        profile.contact if profile else None,
        user.display_name,
        user.id,
        " ".join(profile.shop_urls) if profile else None,
        user.created_at.date().isoformat(),
        None,
        figures.currency,
        figures.goods,
        figures.services,
        figures.other,
        figures.income,
        figures.refunds,
        figures.income - figures.refunds,
        figures.fees,
        figures.transactions,
        format_money(figures.income, figures.currency),
        account.account if account else None,
        account.holder if account else None,
        _yes(yes=user.verified_at is not None),
        _yes(yes=line.final),
    )


def _dac7(line: ReportLine, figures: Figures, quarter: Quarter) -> Sequence[Cell]:
    profile = line.profile
    account = line.accounts.get(figures.currency)
    born = profile.birth_date if profile and profile.kind is PersonKind.PERSON else None
    return (
        quarter.year,
        quarter.number,
        profile.legal_name if profile else line.user.display_name,
        profile.kind if profile else None,
        profile.country if profile else None,
        line.tax_number,
        line.vat_number,
        born.isoformat() if born else None,
        _address(profile),
        figures.currency,
        figures.income - figures.refunds,
        figures.net,
        figures.transactions,
        figures.refunds,
        figures.fees,
        figures.withheld,
        format_money(figures.income - figures.refunds, figures.currency),
        account.account if account else None,
        account.holder if account else None,
        _yes(yes=line.final),
    )


FORMS: Mapping[
    Form, tuple[Sequence[str], Callable[[ReportLine, Figures, Quarter], Sequence[Cell]]]
] = {Form.CN: (_CN, _cn), Form.DAC7: (_DAC7, _dac7)}


def _address(profile: TaxProfile | None) -> str | None:
    if profile is None:
        return None
    at = profile.address
    return ", ".join(filter(None, (*at.lines, at.postal_code, at.city, at.country)))


def _yes(*, yes: bool) -> str:
    return "yes" if yes else "no"
