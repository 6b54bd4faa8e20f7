"""What payees state for tax offices, their figures, and the reports that the platform must hand in."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from enum import StrEnum
from typing import Annotated
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Query
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import StreamingResponse

from api.auth import Caller, CurrentUser
from api.errors import problems
from api.policy import require, unknown
from api.schemas.base import Limit, Page
from api.schemas.tax import (
    FiguresView,
    TaxProfileIn,
    TaxProfileView,
    TaxQuarterView,
    TaxReportLineView,
    profile_of,
)
from api.services import Services, ServicesDep
from api.spreadsheets import MEDIA_TYPE, Cell, spreadsheet
from api.tax_forms import FORMS, Form, ReportLine
from db import tax_rows
from db.queries import tax, users
from db.tables import TaxProfileRow
from domain.access import Action
from domain.errors import Forbidden, InvalidInput, NotFound
from domain.ids import UserId
from domain.tax import PersonKind, PostalAddress, Quarter
from runtime.sealing import seal, unseal

router = APIRouter(tags=["tax"])
Year = Annotated[int, Path(ge=2001, le=2198)]
Number = Annotated[int, Path(ge=1, le=4, description="Quarter of the year.")]
_PAGE = 50


class _Sealed(StrEnum):
    """Fields that are stored sealed."""

    TAX_NUMBER = "tax_number"
    VAT_NUMBER = "vat_number"


@router.put(
    "/v1/me/tax-profile",
    operation_id="putTaxProfile",
    summary="State what tax offices ask for",
    responses=problems(Forbidden, InvalidInput),
)
async def put_profile(
    body: TaxProfileIn, user: CurrentUser, services: ServicesDep
) -> TaxProfileView:
    """Replaces what was stated before. Numbers are sealed before they are stored and shown by their last four characters."""
    require(Action.TAX_SEE, user.relations(owner=user.id))
    if (body.kind is PersonKind.PERSON) != (body.birth_date is not None):
        raise InvalidInput(
            "persons have a birth date, businesses have none",
            field="birth_date",
            accepted="a date for a person, nothing for a business",
        )
    number = body.tax_number.get_secret_value()
    vat = body.vat_number.get_secret_value() if body.vat_number else None
    key = services.settings.tax_key
    row = TaxProfileRow(
        user_id=user.id,
        kind=body.kind,
        legal_name=body.legal_name,
        country=body.country,
        tax_number_sealed=seal(key, number, _about(user.id, _Sealed.TAX_NUMBER)),
        tax_number_last4=number[-4:],
        vat_sealed=seal(key, vat, _about(user.id, _Sealed.VAT_NUMBER)) if vat else None,
        vat_last4=vat[-4:] if vat else None,
        birth_date=body.birth_date,
        address=PostalAddress(**body.address.model_dump()).model_dump(mode="json"),
        contact=body.contact,
        shop_urls=[str(url) for url in body.shop_urls],
    )
    async with services.database.transaction() as session:
        kept = await tax_rows.keep_profile(session, row)
        return TaxProfileView.of(profile_of(kept))


@router.get(
    "/v1/me/tax-profile",
    operation_id="getTaxProfile",
    summary="What was stated for tax offices",
    responses=problems(NotFound),
)
async def get_profile(user: CurrentUser, services: ServicesDep) -> TaxProfileView:
    """Of the signed-in user."""
    async with services.database.transaction() as session:
        row = await tax_rows.profile(session, user.id)
    if row is None:
        raise unknown("tax profile")
    return TaxProfileView.of(profile_of(row))


@router.get(
    "/v1/me/tax/{year}/{quarter}", operation_id="getMyTaxQuarter", summary="The own quarter"
)
async def my_quarter(
    year: Year, quarter: Number, user: CurrentUser, services: ServicesDep
) -> TaxQuarterView:
    """Income, refunds and fees, one line for each currency; of a quarter that goes on, as it stands."""
    return await _quarter(services, user, user.id, Quarter(year=year, number=quarter))


@router.get(
    "/v1/users/{user_id}/tax/{year}/{quarter}",
    operation_id="getTaxQuarter",
    summary="Quarter of a user",
    responses=problems(Forbidden, NotFound),
)
async def user_quarter(
    user_id: UserId, year: Year, quarter: Number, user: CurrentUser, services: ServicesDep
) -> TaxQuarterView:
    """For operators, and for the user themselves."""
    return await _quarter(services, user, user_id, Quarter(year=year, number=quarter))


@router.get(
    "/v1/tax-reports/{year}/{quarter}",
    operation_id="getTaxReport",
    summary="All payees of a quarter",
    responses=problems(Forbidden),
)
async def report(
    year: Year,
    quarter: Number,
    user: CurrentUser,
    services: ServicesDep,
    after: Annotated[UserId | None, Query(description="`next` of the page before.")] = None,
    limit: Limit = 50,
) -> Page[TaxReportLineView]:
    """For operators; everybody who earned, gave back or was paid out in it, by id."""
    require(Action.TAX_REPORT, user.relations())
    asked = Quarter(year=year, number=quarter)
    async with services.database.transaction() as session:
        found = await _lines(services, session, asked, after or "", limit + 1)
    shown = found[:limit]
    return Page(
        items=[_line_view(services, asked, line) for line in shown],
        next=shown[-1].user.id if len(found) > limit else None,
    )


@router.get(
    "/v1/tax-reports/{year}/{quarter}/report.csv",
    operation_id="exportTaxReport",
    summary="The same as a file in the form of an authority",
    responses={200: {"content": {MEDIA_TYPE: {}}}, **problems(Forbidden)},
    response_class=StreamingResponse,
)
async def report_file(
    year: Year,
    quarter: Number,
    user: CurrentUser,
    services: ServicesDep,
    form: Annotated[Form, Query(description="Whose fields.")] = Form.CN,
) -> StreamingResponse:
    """For operators, with the numbers in full: one line for each payee and currency."""
    require(Action.TAX_REPORT, user.relations())
    asked = Quarter(year=year, number=quarter)
    header, cells = FORMS[form]

    async def lines() -> AsyncIterator[Sequence[Cell]]:
        after = ""
        while True:
            async with services.database.transaction() as session:
                page = await _lines(services, session, asked, after, _PAGE)
            for line in page:
                for figures in line.figures:
                    yield cells(line, figures, asked)
            if len(page) < _PAGE:
                return
            after = page[-1].user.id

    return spreadsheet(f"tax-{form}-{year}-{quarter}", header, lines())


async def _quarter(
    services: Services, user: Caller, user_id: str, quarter: Quarter
) -> TaxQuarterView:
    require(Action.TAX_SEE, user.relations(owner=user_id))
    times = quarter.begins(_zone(services)), quarter.ends(_zone(services))
    async with services.database.transaction() as session:
        if await users.get(session, user_id) is None:
            raise unknown("user")
        kept = await tax.kept_of(session, user_id, quarter)
        found = kept or await tax.counted(session, user_id, *times)
    return TaxQuarterView.made(user_id, quarter, times, found, final=kept is not None)


async def _lines(
    services: Services, session: AsyncSession, quarter: Quarter, after: str, limit: int
) -> list[ReportLine]:
    times = quarter.begins(_zone(services)), quarter.ends(_zone(services))
    ids = await tax.payees(session, *times, after, limit)
    people = await tax_rows.people(session, ids)
    profiles = await tax_rows.profiles(session, ids)
    accounts = await tax_rows.destinations(session, ids)
    made = []
    for user_id in ids:
        kept = await tax.kept_of(session, user_id, quarter)
        row = profiles.get(user_id)
        made.append(
            ReportLine(
                user=people[user_id],
                profile=profile_of(row) if row else None,
                tax_number=_open(services, row, _Sealed.TAX_NUMBER),
                vat_number=_open(services, row, _Sealed.VAT_NUMBER),
                accounts={
                    currency: account
                    for (owner, currency), account in accounts.items()
                    if owner == user_id
                },
                figures=kept or await tax.counted(session, user_id, *times),
                final=kept is not None,
            )
        )
    return made


def _line_view(services: Services, quarter: Quarter, line: ReportLine) -> TaxReportLineView:
    return TaxReportLineView(
        user_id=line.user.id,
        year=quarter.year,
        quarter=quarter.number,
        begins=quarter.begins(_zone(services)),
        ends=quarter.ends(_zone(services)),
        final=line.final,
        figures=[FiguresView.of(each) for each in line.figures],
        display_name=line.user.display_name,
        member_since=line.user.created_at,
        verified=line.user.verified_at is not None,
        profile=TaxProfileView.of(line.profile) if line.profile else None,
    )


def _open(services: Services, row: TaxProfileRow | None, field: _Sealed) -> str:
    """The number in full; empty when none was stated. Raises CannotUnseal."""
    if row is None:
        return ""
    sealed = row.tax_number_sealed if field is _Sealed.TAX_NUMBER else row.vat_sealed
    return unseal(services.settings.tax_key, sealed, _about(row.user_id, field)) if sealed else ""


def _about(user_id: str, field: _Sealed) -> str:
    return f"{user_id}/{field}"


def _zone(services: Services) -> ZoneInfo:
    return ZoneInfo(services.settings.tax_policy.time_zone)
