"""From what an owner asks for to the terms of a contest."""

from __future__ import annotations

from pydantic import AnyHttpUrl
from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.schemas.contests import NewContest, PayBy, Windows
from api.services import Services
from db import entries
from db.contest_drafts import save_draft
from db.queries import files
from domain.contest import ContestTerms, require_sum
from domain.contest_messages import FundingWish
from domain.errors import InvalidInput
from domain.licence import STANDARD_LICENCE
from domain.policy import ContestPolicy
from domain.proof import text_sha256
from workflows.names import contest_workflow_id

_LONGEST = {"entry_seconds": 60 * 86_400, "final_seconds": 30 * 86_400}
"""Windows that an owner may make longer than the platform's own: they give creators time."""


async def drafted(
    session: AsyncSession, services: Services, user: Caller, contest_id: str, body: NewContest
) -> None:
    """Writes a new draft down, or changes it. Raises SharesDoNotSum, InvalidInput, UnknownFile, WrongPhase."""
    terms = draft_terms(services, user.id, contest_id, body)
    await files.attachable(session, user.id, terms.file_ids)
    await save_draft(session, terms, contest_workflow_id(contest_id))


def draft_terms(
    services: Services, owner_id: str, contest_id: str, body: NewContest
) -> ContestTerms:
    """The terms that an owner asks for, with the platform's rules where they ask for nothing."""
    settings = services.settings
    prizes = body.prizes or (body.bounty.amount,)
    require_sum(body.bounty.amount, prizes)
    licence = body.licence or STANDARD_LICENCE
    policy = with_windows(
        settings.contest_policy, body.windows, least=settings.shortest_window_seconds
    )
    if body.entries_each is not None:
        policy = policy.model_copy(update={"entries_each": body.entries_each})
    return ContestTerms(
        contest_id=contest_id,
        owner_id=owner_id,
        title=body.title,
        brief=body.brief,
        currency=body.bounty.currency,
        prizes=prizes,
        guaranteed=body.guaranteed,
        sealed=body.sealed,
        rounds=body.rounds,
        max_finalists=body.max_finalists,
        file_ids=body.file_ids,
        licence=licence,
        licence_sha256=text_sha256(licence),
        policy=policy,
        ballot_policy=settings.ballot_policy,
        refund_policy=settings.refund_policy,
    )


def with_windows(policy: ContestPolicy, windows: Windows, *, least: int) -> ContestPolicy:
    """The platform's rules with the owner's windows. Raises InvalidInput for one out of bounds."""
    asked = windows.model_dump(exclude_none=True)
    for name, seconds in asked.items():
        most = max(_LONGEST.get(name, 0), int(getattr(policy, name)))
        if not min(least, most) <= seconds <= most:
            raise InvalidInput(
                f"{seconds} seconds is out of bounds",
                field=f"windows.{name}",
                accepted=f"{min(least, most)} to {most} seconds",
            )
    return policy.model_copy(update=asked)


async def terms_of_draft(services: Services, contest_id: str) -> ContestTerms:
    """The terms of an existing contest as they stand."""
    async with services.database.reading() as session:
        return await entries.terms_of(session, contest_id)


def funding_wish(
    services: Services, terms: ContestTerms, pay_by: PayBy, return_url: AnyHttpUrl | None
) -> FundingWish:
    """How the owner is going to pay, and how long they may take."""
    provider = services.provider
    by_bank = pay_by is PayBy.BANK_TRANSFER
    page = f"{services.settings.api_url}/v1/contests/{terms.contest_id}"
    return FundingWish(
        provider=provider.code,
        return_url=str(return_url or page),
        window_seconds=terms.policy.bank_seconds if by_bank else terms.policy.card_seconds,
        max_hold_seconds=provider.max_hold_days * 86_400,
    )
