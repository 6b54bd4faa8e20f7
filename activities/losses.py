"""Who bears what the payer's bank has taken back for good. Used by the `lost` hook of each kind of path."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Chargeback, Path, Payment
from domain import accounts, postings
from domain.accounts import Account
from domain.chargebacks import ChargebackState, Lost
from domain.payments import Purpose, filled_account
from domain.postings import JournalEntry, Share
from ledger import journal


async def lost_entry(
    session: AsyncSession,
    path: Path,
    payment: Payment,
    lost: Lost,
    *,
    payee: str,
    source: Account | None = None,
    unreleased: int | None = None,
    fee_returned: int = 0,
    royalties: Sequence[Share] = (),
    beyond: int = 0,
) -> JournalEntry:
    """CHARGEBACK lost, from balances that stay locked: the dispute ends at 0 and nothing goes below 0.

    First pays `source`, by default the account that the payment filled, with what it holds or, of that, at most
    `unreleased` minor units; then `fee_returned` of the commission and `royalties` of the pots; the rest is `payee`'s:
    what they may take out, what is held while they are frozen, then what they owe. `beyond` is the part of the rest that the payee never got; the protection fund or the platform bears
    it.

    The caller posts the entry, best in one `journal.post` with all others, under the key of `lost`. If it also credits
    users, it asks activities.payees for their accounts before it calls this.
    """
    source = source or filled_account(Purpose(payment.purpose), path.id, payment.payer_id)
    balance, frozen = accounts.payable(payee), accounts.held(payee)
    fund = accounts.PROTECTION_FUND
    touched = [source, balance, frozen, accounts.receivable(payee)]
    touched += [accounts.dispute(lost.chargeback_id), *(each.account for each in royalties)]
    if fee_returned or beyond:
        touched += [accounts.FEE, accounts.LOSS, fund]
    held = await journal.balances(session, touched, lost.currency, for_update=True, path_id=path.id)
    left = held[source].available
    return postings.chargeback_lost(
        lost.key,
        path.id,
        lost.chargeback_id,
        payee,
        amount=lost.amount,
        unreleased=left if unreleased is None else min(left, unreleased),
        fee_returned=fee_returned,
        payee_balance=held[balance].available,
        currency=lost.currency,
        source=source,
        beyond=beyond,
        fund_balance=held[fund].available if fund in held else 0,
        held_balance=held[frozen].available,
        royalties=royalties,
    )


async def borne_by_payer(session: AsyncSession, path: Path, payment: Payment, lost: Lost) -> None:
    """What was not released pays, and the payer, who has the money back, owes the rest. The path itself stays where it is."""
    await journal.post(
        session, await lost_entry(session, path, payment, lost, payee=payment.payer_id)
    )


async def lost_before(session: AsyncSession, payment: Payment, lost: Lost) -> int:
    """Minor units of the payment that other chargebacks have taken for good."""
    total = await session.scalar(
        select(func.coalesce(func.sum(Chargeback.amount), 0)).where(
            Chargeback.payment_id == payment.id,
            Chargeback.status == ChargebackState.LOST,
            Chargeback.id != lost.chargeback_id,
        )
    )
    return int(total or 0)
