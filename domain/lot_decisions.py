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
    terms: ProductionTerms, course: Course, sent: HandIn, *, traceable: bool = True
) -> Moved:
    """The goods never arrived. Under our label the protection fund pays the wages and the deposit goes back in full.

    Under the maker's own label, or when no carrier has ever had them in hand (`traceable` False), the maker bears it:
    the deposit pays for the materials. Units decided before stay as they are, and can still be appealed about.
    """
    ours = traceable and terms.label is Label.PLATFORM
    covered = sent.made if ours else 0
    if course.in_rework:
        back = min(course.deposit_held, covered * terms.deposit)
        never_back = course.unreturned + course.in_rework - covered
        now = course.model_copy(
            update={
                "in_rework": 0,
                "lost": course.lost + covered,
                "unreturned": never_back,
                "deposit_held": course.deposit_held - back,
            }
        )
        flow = Flow(protected=covered * terms.rate, deposit_back=back, lost=covered)
        return _onward(terms, now, flow)
    back = min(course.deposit_held, (sent.made + sent.unused) * terms.deposit) if ours else 0
    now = course.model_copy(update={"lost": covered})
    flow = Flow(
        protected=covered * terms.rate,
        deposit_back=back,
        deposit_kept=course.deposit_held - back,
        unmade=course.units - covered,
        lost=covered,
    )
    return Moved(course=without_deposit(now), phase=Phase.LOST, flow=flow)


def arrived(terms: ProductionTerms, course: Course, sent: HandIn, *, again: bool) -> Moved:
    """The goods are there. `again`: they were mended; what was not sent with them is not waited for.

    Freight is paid for the first time, and for another when what was wrong is not the maker's fault: the decision
    about the rework has said so. A lot of which nothing was made is settled at once.
    """
    if again:
        missing = course.in_rework - sent.made
        now = course.model_copy(update={"in_rework": 0, "unreturned": course.unreturned + missing})
        return Moved(course=now, phase=Phase.INSPECTING)
    now = course.model_copy(
        update={"made": sent.made, "unused": sent.unused, "spoiled": sent.spoiled}
    )
    if not sent.made:
        return settle(terms, now)
    flow = Flow(freight=sent.made * terms.freight)
    return Moved(course=now, phase=Phase.INSPECTING, flow=flow)


def decided(
    terms: ProductionTerms, course: Course, decision: Decision, *, inspected: bool = True
) -> Moved:
    """Accepted units are paid at once and their deposit goes back at once; rejected ones wait for an appeal.

    Freight for mending is paid when what is wrong is not the maker's fault. An independent inspector is paid for the
    first look, whatever comes of it, but not for silence (`inspected` False).
    """
    require_decision(course, decision)
    others = decision.fault is Fault.REQUESTER
    first_look = inspected and course.rework_rounds == 0
    back = min(course.deposit_held, decision.accepted * terms.deposit)
    now = course.model_copy(
        update={
            "accepted": course.accepted + decision.accepted,
            "in_rework": decision.rework,
            "rejected": course.rejected + decision.rejected,
            "not_at_fault": course.not_at_fault + (decision.rejected if others else 0),
            "rework_rounds": course.rework_rounds + (1 if decision.rework else 0),
            "deposit_held": course.deposit_held - back,
        }
    )
    flow = Flow(
        wages=decision.accepted * terms.rate,
        freight=decision.rework * terms.freight if others else 0,
        certifier=decision.total * terms.certifier_fee if first_look else 0,
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
    if course.rejected:
        return Moved(course=course, phase=Phase.DECIDED, flow=flow)
    end = settle(terms, course)
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def ruled(terms: ProductionTerms, course: Course, granted: int) -> Moved:
    """An appeal is decided: so many of the rejected units are accepted after all. Raises InvalidInput for more."""
    if not 0 <= granted <= course.rejected:
        raise InvalidInput(
            "so many units were not rejected", field="accepted", accepted=f"0 to {course.rejected}"
        )
    back = min(course.deposit_held, granted * terms.deposit)
    rest = course.rejected - granted
    now = course.model_copy(
        update={
            "accepted": course.accepted + granted,
            "rejected": rest,
            "not_at_fault": min(course.not_at_fault, rest),
            "deposit_held": course.deposit_held - back,
        }
    )
    end = settle(terms, now)
    flow = Flow(wages=granted * terms.rate, deposit_back=back, accepted=granted)
    return end.model_copy(update={"flow": plus(flow, end.flow)})


def settle(terms: ProductionTerms, course: Course) -> Moved:
    """All units are decided: what is left of the deposit is divided, unit by unit.

    Materials that came back unused, and rejects that are not the maker's fault, give it back; spoiled, missing and
    rejected units cost their materials and nothing more, never an automatic full forfeit (paths 2.5).
    """
    back = min(course.deposit_held, (course.unused + course.not_at_fault) * terms.deposit)
    again = _made_again(terms, course.unreturned)
    flow = Flow(
        deposit_back=back,
        deposit_kept=course.deposit_held - back,
        unmade=course.unused + course.spoiled + course.missing + again,
        rejected=course.rejected,
        lost=course.unreturned - again,
    )
    return Moved(course=without_deposit(course), phase=Phase.SETTLED, flow=flow)


def _made_again(terms: ProductionTerms, units: int) -> int:
    """Of units that never came back from a rework: how many others can claim.

    None where sending or inspecting costs something: it was paid for them once, and the order holds it once only.
    """
    return 0 if terms.freight or terms.certifier_fee else units
