"""What payment companies answer about refunds of pledges, posted: by the hundred, in statements about all of them at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from activities.pledge_locks import among, hold
from db import pledge_states
from db.tables import Pledge, Refund
from domain import postings
from domain.campaign import Phase
from domain.model import Message
from domain.payments import RefundState
from domain.pledge import PledgeState
from domain.postings import JournalEntry
from ledger import journal
from providers.base import ProviderRefund, RefundStatus, is_same

_PAID_BACK = frozenset({RefundState.SUCCEEDED, RefundState.CREDITED})


class SentBack(Message):
    """What has become of refunds, in refunds."""

    succeeded: int = 0
    pending: int = 0
    """On their way: the provider's news ends them."""
    refused: int = 0
    """Each has a story of its own now, which offers the money as balance."""
    unanswered: int = 0
    """Written down; asked for again when the same pledges are sent once more."""
    nothing_due: int = 0
    """Pledges that have ended without any: nothing was left for them."""

    def plus(self, more: SentBack) -> SentBack:
        """Both together."""
        return SentBack(
            **{name: getattr(self, name) + getattr(more, name) for name in SentBack.model_fields}
        )


@dataclass
class Posted:
    """What was posted, and the refunds that only a story of their own can end."""

    phase: Phase
    """Of the campaign."""
    for_stories: set[str] = field(default_factory=set)
    counts: SentBack = field(default_factory=SentBack)


async def post(
    session: AsyncSession,
    campaign_id: str,
    pledge_ids: Collection[str],
    theirs: Mapping[str, ProviderRefund],
) -> Posted:
    """Posts what the provider says of these refunds, by id, and ends pledges that have all back.

    In statements about all of them at once: nothing here is looked at one by one but the answers. What is refused, not
    ours or contradicts the books is only named: that is for a story.
    """
    held = await hold(session, campaign_id, ())
    await session.execute(_LOCK, {"campaign_id": campaign_id, "ids": sorted(pledge_ids)})
    posted = Posted(held.phase)
    rows = await session.execute(
        select(Refund.id, Refund.status, Refund.amount, Refund.currency, Refund.provider)
        .where(among(Refund.id, sorted(theirs)), Refund.path_id == campaign_id)
        .order_by(Refund.id)
        .with_for_update()
    )
    news: dict[str, RefundState] = {}
    entries: list[JournalEntry] = []
    for refund_id, status, amount, currency, provider in rows:
        answer = theirs[refund_id]
        same = is_same(refund_id, amount, currency, answer)
        if not same or not _plain(status, answer):
            posted.for_stories.add(refund_id)
        elif status in _PAID_BACK:
            continue
        elif answer.status is RefundStatus.PENDING:
            news[refund_id] = RefundState.PENDING
        else:
            news[refund_id] = RefundState.SUCCEEDED
            key = f"{refund_id}/paid"
            entries.append(
                postings.refund_paid(key, campaign_id, refund_id, provider, amount, currency)
            )
    if news:
        references = [theirs[each].reference for each in news]
        statuses = [str(each) for each in news.values()]
        told = {"ids": list(news), "references": references, "statuses": statuses}
        await session.execute(_NOTE, told)
    if entries:
        await session.execute(_FINISH, {"ids": sorted(pledge_ids)})
        await journal.post(session, *entries)
    posted.counts = SentBack(succeeded=len(entries), pending=len(news) - len(entries))
    return posted


_LOCK = text("""
    SELECT id FROM pledges WHERE id = ANY(CAST(:ids AS text[])) AND campaign_id = :campaign_id
    ORDER BY id FOR UPDATE
""")
_NOTE = text("""
    UPDATE refunds SET reference = news.reference, status = news.status,
        ended_at = CASE WHEN news.status = 'succeeded' THEN now() END
    FROM unnest(CAST(:ids AS text[]), CAST(:references AS text[]), CAST(:statuses AS text[]))
        AS news (id, reference, status)
    WHERE refunds.id = news.id
""")
# What `finish` does, for many.
_FINISH = text("""
    UPDATE pledges SET state = 'refunded', updated_at = now()
    WHERE id = ANY(CAST(:ids AS text[])) AND state = 'refunding' AND coalesce(to_refund, 0) = 0
    AND NOT EXISTS (
        SELECT FROM refunds WHERE refunds.pledge_id = pledges.id AND refunds.ended_at IS NULL)
""")


def _plain(status: str, theirs: ProviderRefund) -> bool:
    """Whether the answer can be posted as it is, without anybody's story."""
    if status == RefundState.SUCCEEDED:
        return theirs.status is RefundStatus.SUCCEEDED
    if status in (RefundState.CREDITED, RefundState.REFUSED):
        return False
    return theirs.status is not RefundStatus.REFUSED


async def mark(session: AsyncSession, refusals: Mapping[str, str], told: Collection[str]) -> None:
    """Refunds that a story has taken over are not asked for again here."""
    rows = await session.scalars(
        select(Refund)
        .where(
            Refund.id.in_(sorted(told)),
            Refund.status == RefundState.REQUESTED,
            Refund.failure_reason.is_(None),
        )
        .order_by(Refund.id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    for row in rows:
        row.failure_reason = refusals.get(row.id, "refused")


async def finish(session: AsyncSession, pledges: Sequence[Pledge]) -> None:
    """REFUNDED for each of these locked pledges whose last refund has ended; refunds are flushed by the caller."""
    ending = [
        each for each in pledges if each.state == PledgeState.REFUNDING and not each.to_refund
    ]
    if not ending:
        return
    open_still = set(
        await session.scalars(
            select(Refund.pledge_id).where(
                among(Refund.pledge_id, [each.id for each in ending]), Refund.ended_at.is_(None)
            )
        )
    )
    for each in ending:
        if each.id not in open_still:
            pledge_states.move(each, PledgeState.REFUNDED)
