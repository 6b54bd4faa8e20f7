"""The money of a return: what goes back to the buyer, what goes on to the seller, and what a timer would post."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.sale_money import (
    PartOf,
    ask_back,
    give_back,
    go_on,
    require_no_open_chargeback,
    unlock,
)
from activities.settlement import net_debts
from db.tables import Path, SaleReturn
from domain import accounts, postings, postings_back
from domain.cases import RefundCase
from domain.deadlines import PlannedPosting, planned
from domain.errors import RefundTooLarge
from domain.ids import step_key
from domain.money import format_money, split
from domain.parcels import LabelPayer
from domain.returns import FINAL, Course, Event, Phase, Reason, ReturnStep, ReturnTerms, part
from domain.sale import Phase as SalePhase
from domain.sale_money import free, refund_part, refundable, unlocked
from ledger import journal


@dataclass
class Case:
    """A return with the path rows of its sale and its own locked, and what is happening to it."""

    session: AsyncSession
    path: Path
    row: SaleReturn
    of_sale: PartOf
    terms: ReturnTerms
    course: Course
    step: ReturnStep

    @property
    def phase(self) -> Phase:
        """Where the return stands before the transition."""
        return Phase(self.path.phase)

    @property
    def locked(self) -> dict[int, int]:
        """What waits in the sale's escrow, minor units by line."""
        return {int(line): int(amount) for line, amount in self.row.locked.items()}

    def money(self, amount: int) -> str:
        """An amount in words."""
        return format_money(amount, self.terms.currency)


async def end(case: Case, phase: Phase) -> tuple[RefundCase | None, str]:
    """What was locked goes back, on to the seller, or to a dispute."""
    step, terms = case.step, case.terms
    await unlock(case.of_sale, case.locked)
    case.row.locked = {}
    if phase is Phase.DISPUTED:
        return None, ""
    back = None
    if terms.reason is Reason.GOODWILL:
        back = await _goodwill(case)
    elif phase is Phase.REFUNDED:
        back = await give_back(
            case.of_sale,
            part(terms, _agreed(case)),
            step_key(step.key, "back"),
            reason="return",
            fee_kept=terms.policy.keep_fee_on_refund,
        )
        if step.event is Event.LOST and case.row.label_paid_by == LabelPayer.PLATFORM:
            await _compensate_seller(case, back)
    await go_on(case.of_sale, step_key(step.key, "free"), step.at)
    if back is None:
        return None, "; nothing goes back"
    case.course = case.course.model_copy(update={"refunded": back.amount})
    return back, f"; {case.money(back.amount)} goes back to the buyer"


async def _goodwill(case: Case) -> RefundCase | None:
    """Out of the escrow while it is there, the commission on it included; later out of what the seller may take out.

    Raises InsufficientFunds when they have not got it, RefundTooLarge for more than was paid.
    """
    terms, of_sale, key = case.terms, case.of_sale, step_key(case.step.key, "goodwill")
    there = sum(free(of_sale.terms, await of_sale.money()))
    if of_sale.phase is not SalePhase.COMPLETED and there:
        return await give_back(of_sale, await _spread(case), key, reason="goodwill")
    await require_no_open_chargeback(case.session, of_sale.sale)
    seller = await payees.payee_account(case.session, terms.seller_id)
    refund = await ask_back(of_sale, terms.given, key, "goodwill")
    await journal.post(
        case.session,
        postings_back.goodwill(key, terms.sale_id, refund.id, seller, terms.given, terms.currency),
    )
    return RefundCase(
        refund_id=refund.id,
        path_id=terms.sale_id,
        amount=terms.given,
        currency=terms.currency,
        policy=terms.refund_policy,
    )


async def _spread(case: Case) -> dict[int, int]:
    """What is given by line, as far as the lines hold it. Raises RefundTooLarge for more than is there."""
    there = free(case.of_sale.terms, await case.of_sale.money())
    if case.terms.given > sum(there):
        most = case.money(sum(there))
        raise RefundTooLarge(f"{most} is in escrow", field="amount", accepted=f"at most {most}")
    return dict(enumerate(split(case.terms.given, there)))


def _agreed(case: Case) -> int:
    """How much goes back, minor units: the part on offer, or the price of what was returned."""
    if case.step.event in (Event.OFFER_TAKEN, Event.OFFER_LAPSED):
        assert case.course.offered is not None
        return case.course.offered
    return case.terms.total


async def _compensate_seller(case: Case, back: RefundCase | None) -> None:
    """Goods lost on their way back under the platform's label: the protection fund pays the seller what the buyer gets."""
    if back is None:
        return
    seller = await payees.payee_account(case.session, case.terms.seller_id)
    fund, currency = accounts.PROTECTION_FUND, case.terms.currency
    held = await journal.balances(
        case.session, [fund, seller, accounts.LOSS], currency, for_update=True
    )
    key = step_key(case.step.key, "compensate")
    await payees.post(
        case.session,
        postings.compensate(
            key, case.terms.sale_id, seller, back.amount, held[fund].available, currency
        ),
    )
    await net_debts(case.session, case.terms.seller_id, currency, key, case.terms.sale_id)


async def preview(case: Case, phase: Phase) -> tuple[PlannedPosting, ...]:
    """What would be posted if the price, or the part on offer, went back now."""
    if phase in FINAL:
        return ()
    amount = case.course.offered if phase is Phase.OFFERED else case.terms.total
    sold, money = case.of_sale.terms, await case.of_sale.money()
    money = unlocked(money, case.locked)
    most = refundable(sold, money)
    wanted = {line: min(n, most[line]) for line, n in part(case.terms, amount or 0).items()}
    taken = refund_part(sold, money, wanted)
    found = []
    if taken.from_escrow:
        found.append(
            postings.refund("preview", sold.sale_id, "new", taken.from_escrow, sold.currency)
        )
    if taken.seller or taken.fee or taken.royalties:
        found.append(
            postings_back.take_back(
                "preview",
                sold.sale_id,
                "new",
                payee=accounts.payable(sold.seller_id),
                user_id=sold.seller_id,
                seller=taken.seller,
                balance=taken.seller,
                fee=taken.fee,
                royalties=taken.royalties,
                currency=sold.currency,
                fee_kept=case.terms.policy.keep_fee_on_refund,
            )
        )
    return planned(*found)
