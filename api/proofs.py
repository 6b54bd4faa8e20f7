"""Proofs of closed paths: public, so that whoever kept one can show later what the books said."""

from __future__ import annotations

from fastapi import APIRouter

from api.errors import problems
from api.paths import AnyPath
from api.policy import unknown
from api.schemas.base import Limit, Page, RowCursor, page_of
from api.schemas.records import ProofLinkView, ProofView
from api.services import ServicesDep
from db import path_proofs
from domain.errors import NotFound

router = APIRouter(tags=["paths"])


@router.get(
    "/v1/paths/{path_id}/proof",
    operation_id="getPathProof",
    summary="The hash of what happened on a closed path",
    responses=problems(NotFound),
)
async def path_proof(path_id: AnyPath, services: ServicesDep) -> ProofView:
    """The newest one; within minutes of the closing. For everybody who knows the path's id; needs no token."""
    async with services.database.reading() as session:
        proof = await path_proofs.of_path(session, path_id)
    if proof is None:
        raise unknown("proof")
    return ProofView.of(proof)


@router.get("/v1/proofs", operation_id="listProofs", summary="The chain of all proofs")
async def chain(
    services: ServicesDep, after: RowCursor = None, limit: Limit = 50
) -> Page[ProofLinkView]:
    """Oldest first. Each hash covers the one before it, so none can be changed or left out later; needs no token."""
    async with services.database.reading() as session:
        found = await path_proofs.chain(session, after or 0, limit + 1)
    return page_of(found, limit, ProofLinkView.of, lambda proof: str(proof.position))
