"""What each act on a dispute says, who may do it, and what the payer gets back when it ends."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from activities import dispute_stakes as stakes
from activities.dispute_case import Case
from domain.disputes import (
    Course,
    DisputeStep,
    DisputeTerms,
    Event,
    Ruling,
    StakeKind,
    in_words,
    offered,
    require_escalation,
)
from domain.errors import Forbidden, InvalidInput, WrongPhase


def require_side(terms: DisputeTerms, course: Course, step: DisputeStep) -> None:
    """Raises Forbidden when it is not for this person to do this."""
    by, sides = step.act.user_id, {terms.claimant_id, terms.respondent_id}
    match step.event:
        case Event.ANSWERED:
            right, who = by == terms.respondent_id, "the other side"
        case Event.WITHDRAWN:
            if terms.stake.kind is StakeKind.MILESTONE:
                raise WrongPhase(
                    "a disputed milestone is divided, not taken up again",
                    field="phase",
                    accepted="conceding, or an offer",
                )
            right, who = by == terms.claimant_id, "who opened it"
        case Event.CONCEDED | Event.ESCALATED | Event.APPEALED | Event.OFFERED:
            right, who = by in sides, "a side of the dispute"
        case Event.OFFER_TAKEN | Event.OFFER_REJECTED:
            if course.offer is None:
                raise WrongPhase("nothing is on offer", field="phase", accepted="an offer first")
            right, who = by in sides - {course.offer.by_id}, "the side that was offered it"
        case Event.RULED:
            first = course.ruling.by_id if course.ruling else None
            right, who = (
                by not in sides | {first},
                "an operator who is no side of it, nor proposed it",
            )
        case Event.RULED_AGAIN:
            assert course.ruling is not None
            right = by not in sides | {course.ruling.by_id, course.confirmed_by}
            who = "an operator who has not ruled before"
        case _:
            return
    if not right:
        raise Forbidden("this is for somebody else to do", accepted=who)


def keep(case: Case) -> str:
    """What the act says beside the phase, written down; the event in words."""
    act, terms, course = case.step.act, case.terms, case.course
    by, share = act.user_id or "", act.to_payer
    match case.step.event:
        case Event.ANSWERED:
            case.course = course.model_copy(update={"mediation_since": case.step.at})
            return "The other side answers"
        case Event.OFFERED:
            case.course = offered(terms, course, by, _required(share), case.step.at)
            return f"Offered: {in_words(terms.stake, _required(share))}"
        case Event.OFFER_REJECTED:
            case.course = course.model_copy(update={"offer": None})
            return "The offer is not taken"
        case Event.ESCALATED:
            require_escalation(terms, course, case.step.at)
            return "A ruling is asked for"
        case Event.RULED if course.ruling and course.ruling.to_payer == share:
            case.course = course.model_copy(update={"confirmed_by": by})
            return f"Confirmed: {in_words(terms.stake, course.ruling.to_payer)}"
        case Event.RULED:
            ruling = Ruling(by_id=by, to_payer=_required(share), reason=act.note)
            case.course = course.model_copy(update={"ruling": ruling})
            return f"Ruled: {in_words(terms.stake, ruling.to_payer)}"
        case Event.RULED_AGAIN:
            second = Ruling(by_id=by, to_payer=_required(share), reason=act.note)
            case.course = course.model_copy(update={"second": second})
            return f"Ruled on the appeal: {in_words(terms.stake, second.to_payer)}"
        case Event.APPEALED:
            case.course = course.model_copy(update={"appealed_by": by})
            return "The ruling is appealed"
        case event:
            return _WORDS[event]


_WORDS = {
    Event.CONCEDED: "One side gives in",
    Event.ANSWER_LAPSED: "The other side did not answer",
    Event.OFFER_TAKEN: "The offer is taken",
    Event.OFFER_LAPSED: "The offer counts as taken",
    Event.MEDIATION_LAPSED: "Both did not agree: operators rule",
    Event.TOTAL_LAPSED: "Nobody has ruled in time: the path's own rule decides",
    Event.APPEAL_LAPSED: "Nobody appealed: the ruling stands",
    Event.APPEAL_RULING_LAPSED: "Nobody has ruled on the appeal: the first ruling stands",
    Event.WITHDRAWN: "The dispute is withdrawn",
}


def _required(share: int | None) -> int:
    if share is None:
        raise InvalidInput("the share is missing", field="to_payer", accepted="0 to 10000")
    return share


async def share_of(
    session: AsyncSession, terms: DisputeTerms, course: Course, step: DisputeStep
) -> int:
    """What the payer gets back in the end, basis points."""
    match step.event:
        case Event.WITHDRAWN:
            return 0
        case Event.CONCEDED:
            gives_in = step.act.user_id
            if gives_in == terms.respondent_id:
                return terms.asked
            return 0 if gives_in == terms.stake.payer_id else 10_000
        case Event.ANSWER_LAPSED:
            return terms.asked
        case Event.OFFER_TAKEN | Event.OFFER_LAPSED:
            assert course.offer is not None
            return course.offer.to_payer
        case Event.TOTAL_LAPSED:
            return await stakes.default_share(session, terms.stake)
        case Event.RULED_AGAIN:
            return _required(step.act.to_payer)
        case _:
            assert course.ruling is not None
            return course.ruling.to_payer
