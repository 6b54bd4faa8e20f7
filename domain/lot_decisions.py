"""What becomes of a lot whose goods were sent: lost or arrived, decided, mended, appealed about, and settled at last."""

from __future__ import annotations

from domain.errors import InvalidInput
from domain.lot import (
    Course,
    Decision,
    Fault,
    Flow,
    HandIn,
    Moved,
    Phase,
    plus,
    require_decision,
    without_deposit,
)
from domain.production import Label, ProductionTerms


def goods_lost(
    terms: ProductionTerms, course: Course, sent: HandIn, *, covered: bool = True
) -> Moved:
    """The goods never arrived. Under our label (`covered`) the protection fund pays the wages, up to the most that it
    pays for one lot, and the deposit goes back.

    What it does not cover counts as rejected, so that the maker can appeal: they know that they have sent it, and nobody
    else does. Units decided before stay as they are.
    """
    ours = covered and terms.label is Label.PLATFORM
    most = terms.policy.cover_most // terms.rate
    paid = min(sent.made, most) if ours else 0
    back = min(course.deposit_held, paid * terms.deposit)
    gone = sent.made - paid
    changes: dict[str, int] = {
        "lost": course.lost + paid,
        "rejected": course.rejected + gone,
        "gone": gone,
        "deposit_held": course.deposit_held - back,
    }
    if course.in_rework:
        not_sent = course.in_rework - sent.made
        changes |= {"in_rework": 0, "unreturned": course.unreturned + not_sent}
    else:
        changes |= {"made": sent.made, "unused": sent.unused, "spoiled": sent.spoiled}
        changes["not_returned"] = 0 if ours else sent.unused
    now = course.model_copy(update=changes)
    return _onward(terms, now, Flow(protected=paid * terms.rate, deposit_back=back, lost=paid))


def arrived(terms: ProductionTerms, course: Course, sent: HandIn, *, again: bool) -> Moved:
    """The goods are there. `again`: they were mended; what was not sent with them is not waited for.

    Whatever could bring the maker money is counted by an inspector first, also materials that come back unused. A lot
    of which everything was spoiled is settled at once.
    """
    if again:
        missing = course.in_rework - sent.made
        now = course.model_copy(update={"in_rework": 0, "unreturned": course.unreturned + missing})
        return Moved(course=now, phase=Phase.INSPECTING)
    now = course.model_copy(
        update={
            "made": sent.made,
            "unused": sent.unused,
            "spoiled": sent.spoiled,
            "arrived": True,
        }
    )
    if not (sent.made or sent.unused):
        return settle(terms, now)
    return Moved(course=now, phase=Phase.INSPECTING)


def decided(
    terms: ProductionTerms, course: Course, decision: Decision, *, inspected: bool = True
) -> Moved:
    """Accepted units are paid at once and their deposit goes back at once; rejected ones wait for an appeal.

    Freight is paid for the units that are there the first time, and for mending when what is wrong is not the maker's
    fault. An independent inspector is paid for the first look at what is there, whatever comes of it, but not for silence
    (`inspected` False).
    """
    require_decision(course, decision)
    others = decision.fault is Fault.REQUESTER
    first = course.rework_rounds == 0
    there = decision.total - decision.missing
    returned = course.unused if decision.returned is None else decision.returned
    back = min(course.deposit_held, decision.accepted * terms.deposit)
    now = course.model_copy(
        update={
            "accepted": course.accepted + decision.accepted,
            "in_rework": decision.rework,
            "rejected": course.rejected + decision.rejected,
            "not_at_fault": course.not_at_fault
            + (decision.rejected - decision.missing if others else 0),
            "absent": course.absent + decision.missing,
            "not_returned": course.unused - returned if first else course.not_returned,
            "rework_rounds": course.rework_rounds + (1 if decision.rework else 0),
            "deposit_held": course.deposit_held - back,
        }
    )
    flow = Flow(
        wages=decision.accepted * terms.rate,
        freight=((there if first else 0) + (decision.rework if others else 0)) * terms.freight,
        certifier=there * terms.certifier_fee if inspected and first else 0,
        deposit_back=back,
        accepted=decision.accepted,
    )
    return _onward(terms, now, flow)


def rework_lapsed(terms: ProductionTerms, course: Course) -> Moved:
    """Units that were to be mended were never sent: they are not paid, and the deposit pays for their materials."""
    now = course.model_copy(
        update={"in_rework": 0, "unreturned": course.unreturned + course.in_rework}
    )
    return _onward(terms, now, Flow())


def _onward(terms: ProductionTerms, course: Course, flow: Flow) -> Moved:
    if course.in_rework:
        return Moved(course=course, phase=Phase.REWORK, flow=flow)
    if course.disputable:
        return Moved(course=course, phase=Phase.DECIDED, flow=flow)
    end = settle(terms, course)
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def ruled(
    terms: ProductionTerms, course: Course, granted: int, returned: int | None = None
) -> Moved:
    """An appeal is decided: so many of the rejected units are accepted after all, and the materials of so many units
    have come back after all. Raises InvalidInput for more.
    """
    if not 0 <= granted <= course.rejected:
        raise InvalidInput(
            "so many units were not rejected", field="accepted", accepted=f"0 to {course.rejected}"
        )
    if (returned is None and course.not_returned) or (returned or 0) > course.not_returned:
        raise InvalidInput(
            "say of how many units the unused materials came back after all",
            field="returned",
            accepted=f"0 to {course.not_returned}",
        )
    back = min(course.deposit_held, granted * terms.deposit)
    rest = course.rejected - granted
    gone = min(course.gone, rest)
    absent = min(course.absent, rest - gone)
    now = course.model_copy(
        update={
            "accepted": course.accepted + granted,
            "rejected": rest,
            "gone": gone,
            "absent": absent,
            "not_at_fault": min(course.not_at_fault, rest - gone - absent),
            "not_returned": course.not_returned - (returned or 0),
            "deposit_held": course.deposit_held - back,
        }
    )
    # Nobody has paid for the sending of units that seemed never to have come.
    found = course.absent - absent + (0 if course.arrived else course.gone - gone)
    end = settle(terms, now)
    flow = Flow(
        wages=granted * terms.rate,
        freight=found * terms.freight,
        deposit_back=back,
        accepted=granted,
    )
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def ruling_lapsed(terms: ProductionTerms, course: Course) -> Moved:
    """Nobody has ruled: the appeal counts as granted, but not for goods of which nobody knows that they ever arrived.

    Else whoever sends nothing would be paid by the silence of others.
    """
    returned = course.not_returned if course.arrived else 0
    return ruled(terms, course, course.rejected - course.gone, returned)


def settle(terms: ProductionTerms, course: Course) -> Moved:
    """All units are decided: what is left of the deposit is divided, unit by unit.

    Materials that came back unused, and rejects that are not the maker's fault, give it back; spoiled, missing and
    rejected units cost their materials and nothing more, never an automatic full forfeit (paths 2.5).
    """
    returned = course.unused - course.not_returned
    back = min(course.deposit_held, (returned + course.not_at_fault) * terms.deposit)
    again = _made_again(terms, course.unreturned)
    # Of what never arrived nobody has paid for freight or a look: it can be made again whatever they cost.
    never = course.absent + (_made_again(terms, course.gone) if course.arrived else course.gone)
    flow = Flow(
        deposit_back=back,
        deposit_kept=course.deposit_held - back,
        unmade=course.unused + course.spoiled + course.missing + again + never,
        rejected=course.rejected - never,
        lost=course.unreturned - again,
    )
    came = course.arrived or course.accepted
    return Moved(
        course=without_deposit(course), phase=Phase.SETTLED if came else Phase.LOST, flow=flow
    )


def _made_again(terms: ProductionTerms, units: int) -> int:
    """Of units that never came back from a rework: how many others can claim.

    None where sending or inspecting costs something: it was paid for them once, and the order holds it once only.
    """
    return 0 if terms.freight or terms.certifier_fee else units
