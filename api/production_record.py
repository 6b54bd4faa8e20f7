"""The public record of production: how many units somebody had made, or made, and what became of them."""

from __future__ import annotations

from fastapi import APIRouter

from api.errors import problems
from api.policy import unknown
from api.schemas.brokers import ProductionRecordView
from api.services import ServicesDep
from db.queries import production_record, users
from domain.errors import NotFound
from domain.ids import UserId

router = APIRouter(tags=["users"])


@router.get(
    "/v1/users/{user_id}/production-record",
    operation_id="getProductionRecord",
    summary="Accepted and rejected units of a user",
    responses=problems(NotFound),
)
async def get_production_record(user_id: UserId, services: ServicesDep) -> ProductionRecordView:
    """What everybody may know before they claim or hand out a lot; needs no token."""
    async with services.database.reading() as session:
        if await users.get(session, user_id) is None:
            raise unknown("user")
        requester = await production_record.of_requester(session, user_id)
        maker = await production_record.of_maker(session, user_id)
    policy = services.settings.production_policy
    return ProductionRecordView.of(user_id, requester, maker, policy)
