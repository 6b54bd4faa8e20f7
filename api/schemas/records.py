"""Proofs of closed paths as the API shows them."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from api.schemas.base import Utc, View
from domain.path_proof import PathProof


class ProofLinkView(View):
    """One place in the chain of all proofs; it does not tell which path it is about."""

    position: int
    sha256: str
    previous: str = Field(description="Hash one position earlier; empty for the first.")
    made_at: Utc

    @classmethod
    def of(cls, proof: PathProof) -> Self:
        """The view of a published proof's place."""
        return cls(
            position=proof.position,
            sha256=proof.sha256,
            previous=proof.previous,
            made_at=proof.made_at,
        )


class ProofView(ProofLinkView):
    """What the books of a path said when it closed, under one hash."""

    path_id: str
    number: int = Field(description="Which closing of the path it is about, from 1.")
    closed_at: Utc
    postings: int = Field(description="How many postings the hash covers.")
    events: int = Field(description="How many events of the timeline it covers.")

    @classmethod
    def of(cls, proof: PathProof) -> Self:
        """The view of a published proof."""
        return cls(**proof.model_dump(include=set(cls.model_fields)))
