"""What became of the units that a requester had made: public, so that makers see who rejects much."""

from __future__ import annotations

from sqlalchemy import Integer, cast, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from db.tables import Lot, Path, ProductionOrder
from domain import lot
from domain.model import Message
from domain.production import Phase
from domain.production_policy import ProductionPolicy

_WHOLE_BASIS_POINTS = 10_000
_UNPAID = (Phase.DRAFT, Phase.FUNDING, Phase.CANCELLED)


class RequesterRecord(Message):
    """Orders that somebody has paid in, and what became of their units."""

    orders: int = 0
    accepted: int = 0
    """Units that were paid."""
    rejected: int = 0
    """Units whose rejection stands: nobody has appealed against it any more, or the appeal was refused."""

    @property
    def rejected_basis_points(self) -> int | None:
        """Share of the decided units that was rejected, rounded down; None before any was decided."""
        decided = self.accepted + self.rejected
        return self.rejected * _WHOLE_BASIS_POINTS // decided if decided else None

    def is_flagged(self, policy: ProductionPolicy) -> bool:
        """Whether more than the rule's share was rejected, once enough units were decided (paths 2.5)."""
        decided = self.accepted + self.rejected
        share = self.rejected * _WHOLE_BASIS_POINTS
        return decided >= policy.flag_from_units and share > decided * policy.flag_basis_points


class MakerRecord(Message):
    """Lots that somebody has taken on, and what became of them."""

    lots: int = 0
    accepted: int = 0
    """Units that were accepted."""
    abandoned: int = 0
    """Lots of which nothing ever came."""


async def of_requester(session: AsyncSession, user_id: str) -> RequesterRecord:
    """The record of somebody who has units made."""
    orders, accepted, rejected = (
        await session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(ProductionOrder.accepted), 0),
                func.coalesce(func.sum(ProductionOrder.rejected), 0),
            )
            .join(Path, Path.id == ProductionOrder.id)
            .where(ProductionOrder.requester_id == user_id, Path.phase.not_in(_UNPAID))
        )
    ).one()
    return RequesterRecord(orders=orders, accepted=int(accepted), rejected=int(rejected))


async def of_maker(session: AsyncSession, user_id: str) -> MakerRecord:
    """The record of somebody who makes units, themselves or through a broker."""
    accepted = cast(Lot.course["accepted"].astext, Integer)
    lots, units, abandoned = (
        await session.execute(
            select(
                func.count(),
                func.coalesce(func.sum(accepted), 0),
                func.count().filter(Path.phase == lot.Phase.ABANDONED),
            )
            .join(Path, Path.id == Lot.id)
            .where(Lot.maker_id == user_id)
        )
    ).one()
    return MakerRecord(lots=lots, accepted=int(units), abandoned=abandoned)
