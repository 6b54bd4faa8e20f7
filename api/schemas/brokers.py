"""Consents to brokers and the public record of production, as the API takes and shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Body, Utc, View
from db.queries.production_record import MakerRecord, RequesterRecord
from db.tables import BrokerConsent
from domain.ids import UserId
from domain.production_policy import ProductionPolicy


class ConsentIn(Body):
    """Who may take work on for the signed-in worker."""

    broker_id: UserId = Field(examples=["usr_01h45ytscbebyvny4gc8cr8ma2"])


class ConsentView(View):
    """A worker lets a broker act for them. Money goes to the worker all the same."""

    id: str = Field(examples=["cns_01h45ytscbebyvny4gc8cr8ma2"])
    worker_id: str
    broker_id: str
    given_at: Utc
    ended_at: Utc | None = Field(description="Null while it stands.")

    @classmethod
    def of(cls, row: BrokerConsent) -> Self:
        """The view of a consent's row."""
        return cls(
            id=row.id,
            worker_id=row.worker_id,
            broker_id=row.broker_id,
            given_at=row.given_at,
            ended_at=row.ended_at,
        )


class RequesterRecordView(View):
    """What became of the units that somebody had made."""

    orders: int = Field(description="Paid in, ever.")
    accepted: int = Field(description="Units that were paid.")
    rejected: int = Field(description="Units whose rejection stands.")
    rejected_basis_points: int | None = Field(
        description="Share of the decided units, in hundredths of a percent; null before any was decided.",
        examples=[800],
    )
    flagged: bool = Field(
        description="Whether more was rejected than the platform's rule takes for usual."
    )


class MakerRecordView(View):
    """What became of the lots that somebody took on."""

    lots: int
    accepted: int = Field(description="Units.")
    abandoned: int = Field(description="Lots of which nothing ever came.")


class ProductionRecordView(View):
    """What everybody may know about somebody's production orders and lots."""

    user_id: str
    requester: RequesterRecordView
    maker: MakerRecordView

    @classmethod
    def of(
        cls,
        user_id: str,
        requester: RequesterRecord,
        maker: MakerRecord,
        policy: ProductionPolicy,
    ) -> Self:
        """The view of both records, by the platform's rule as it is now."""
        return cls(
            user_id=user_id,
            requester=RequesterRecordView(
                **requester.model_dump(),
                rejected_basis_points=requester.rejected_basis_points,
                flagged=requester.is_flagged(policy),
            ),
            maker=MakerRecordView(**maker.model_dump()),
        )
