"""Answering a dispute: evidence is taken once and in time, giving in loses at once, and a bank may decide anew."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta

import pytest

from domain.errors import NotFound, ProviderRefused
from domain.ids import new_id
from providers.base import (
    DisputeEvidence,
    DisputeStatus,
    EvidenceFile,
    EvidenceSection,
    ProviderPayment,
    ProviderUnavailable,
)
from providers.sandbox_server.records import EVIDENCE_BYTES
from tests.providers.conftest import MakeBox
from tests.providers.harness import Box

PHOTO = bytes(range(256))
FEE, BANK_FEE = 60, 1_500


def evidence_file(content: bytes | None = PHOTO, *, of: bytes = PHOTO) -> EvidenceFile:
    """A photo as it is handed in."""
    return EvidenceFile(
        name="lamp.png",
        media_type="image/png",
        size_bytes=len(of),
        sha256=hashlib.sha256(of).hexdigest(),
        content=content,
    )


def evidence(*files: EvidenceFile, words: str = "The buyer has confirmed.") -> DisputeEvidence:
    """What the platform hands in."""
    told = EvidenceSection(name="Timeline", text="1. paid\n2. shipped")
    return DisputeEvidence(statement=words, sections=(told,), files=files or (evidence_file(),))


async def disputed(box: Box, **wish: object) -> tuple[ProviderPayment, str]:
    """A payment of 10,000 that the payer's bank takes back, and the provider's name of that."""
    payment = await box.paid()
    made = await box.control.post(f"/v1/payments/{payment.reference}/dispute", json=wish)
    return payment, str(made.raise_for_status().json()["reference"])


async def test_evidence_is_taken_once(box: Box) -> None:
    payment, reference = await disputed(box)
    key = new_id("evp")
    for _ in range(2):
        answered = await box.client.submit_evidence(reference, key, evidence())
        assert answered.status is DisputeStatus.UNDER_REVIEW
    with pytest.raises(ProviderRefused, match="idempotency_key_reused"):
        await box.client.submit_evidence(reference, key, evidence(words="Something else."))
    with pytest.raises(ProviderRefused, match="evidence_submitted"):
        await box.client.submit_evidence(reference, new_id("evp"), evidence())
    kept = (await box.control.get(f"/v1/disputes/{reference}/evidence")).json()
    assert (kept["dispute_reference"], kept["operation_id"]) == (reference, key)
    assert DisputeEvidence.model_validate(kept["evidence"]) == evidence()
    page = (await box.person.get(f"/ui/disputes/{reference}")).text
    assert "The buyer has confirmed." in page and evidence_file().sha256 in page
    assert reference in (await box.person.get("/")).text

    await box.command(f"/v1/disputes/{reference}/close", won=True)
    with pytest.raises(ProviderRefused, match="already_final"):
        await box.client.accept_dispute(reference, new_id("evp"))
    assert await box.balance() == 10_000 - FEE - BANK_FEE
    events = ("payment.captured", "dispute.opened", "dispute.updated", "dispute.closed")
    await box.platform.expect(payment.subject, *events)


@pytest.mark.parametrize("effect", ["answer_lost", "connection_cut"])
async def test_evidence_whose_answer_is_lost_is_in_all_the_same(box: Box, effect: str) -> None:
    _, reference = await disputed(box)
    await box.misbehave("dispute", effect, subject=reference)
    with pytest.raises(ProviderUnavailable):
        await box.client.submit_evidence(reference, "evidence-1", evidence())
    again = await box.client.submit_evidence(reference, "evidence-1", evidence())
    assert again.status is DisputeStatus.UNDER_REVIEW


async def test_evidence_that_comes_too_late_is_refused(make_box: MakeBox) -> None:
    now = [datetime(2026, 3, 1, tzinfo=UTC)]
    async with make_box(clock=lambda: now[0]) as box:
        _, reference = await disputed(box, due_seconds=60)
        dispute = await box.client.get_dispute(reference)
        assert dispute.due_by == now[0] + timedelta(seconds=60)
        now[0] += timedelta(seconds=61)
        with pytest.raises(ProviderRefused, match="evidence_too_late"):
            await box.client.submit_evidence(reference, "evidence-1", evidence())
        assert (await box.client.get_dispute(reference)).status is DisputeStatus.NEEDS_RESPONSE
        missing = await box.control.get(f"/v1/disputes/{reference}/evidence")
        assert missing.status_code == 404


async def test_bad_evidence_is_refused_and_leaves_no_trace(box: Box) -> None:
    _, reference = await disputed(box)
    large = b"x" * (EVIDENCE_BYTES // 2 + 1)
    bad = {
        "digest_mismatch": [evidence_file(b"another photo")],
        "evidence_too_large": [evidence_file(large, of=large)] * 2,
    }
    for code, files in bad.items():
        with pytest.raises(ProviderRefused, match=code):
            await box.client.submit_evidence(reference, f"bad-{code}", evidence(*files))
    not_base64 = {"statement": "x", "files": [{**_file(), "content": "%"}]}
    key = {"Idempotency-Key": "bad-base64"}
    address = f"/v1/disputes/{reference}/evidence"
    assert (await box.control.post(address, json=not_base64, headers=key)).status_code == 422
    assert (await box.control.post(address, json={"statement": "x"})).status_code == 422, "no key"
    for reply in (
        box.client.submit_evidence("unknown", "evidence-1", evidence()),
        box.client.accept_dispute("unknown", "evidence-1"),
    ):
        with pytest.raises(NotFound):
            await reply
    assert (await box.client.get_dispute(reference)).status is DisputeStatus.NEEDS_RESPONSE
    # Large files go by their digests only.
    answered = await box.client.submit_evidence(
        reference, "good", evidence(evidence_file(None, of=large), evidence_file())
    )
    assert answered.status is DisputeStatus.UNDER_REVIEW


def _file() -> dict[str, object]:
    return evidence_file().model_dump(mode="json")


async def test_giving_in_loses_at_once(box: Box) -> None:
    payment, reference = await disputed(box)
    for _ in range(2):
        lost = await box.client.accept_dispute(reference, "give-in-1")
        assert lost.status is DisputeStatus.LOST
    with pytest.raises(ProviderRefused, match="already_final"):
        await box.client.submit_evidence(reference, "evidence-1", evidence())
    assert (await box.control.get(f"/v1/disputes/{reference}")).json()["accepted"] is True
    assert await box.balance() == -FEE - BANK_FEE
    events = ("payment.captured", "dispute.opened", "dispute.closed")
    await box.platform.expect(payment.subject, *events)


async def test_a_bank_decides_anew(box: Box) -> None:
    _, reference = await disputed(box, amount=4_000)
    for won, balance in ((True, 10_000), (False, 6_000), (True, 10_000)):
        verdict = {"won": won, "anew": True}
        closed = await box.control.post(f"/v1/disputes/{reference}/close", json=verdict)
        assert closed.json()["status"] == ("won" if won else "lost")
        assert await box.balance() == balance - FEE - BANK_FEE
    by_hand = await box.person.post(f"/ui/disputes/{reference}", data={"won": "false"})
    assert by_hand.status_code == 303
    assert await box.balance() == 6_000 - FEE - BANK_FEE


async def test_a_bank_takes_more_than_the_payment_only_when_told_to(box: Box) -> None:
    payment, _ = await disputed(box, amount=12_345, over=True)
    [dispute] = await box.client.list_disputes(payment.reference)
    assert dispute.amount == 12_345
    assert await box.balance() == 10_000 - FEE - 12_345 - BANK_FEE
    more = await box.control.post(f"/v1/payments/{payment.reference}/dispute", json={"over": True})
    assert more.status_code == 409, "nothing is left to be taken when no amount is named"
