"""The inspection 检验 of a lot: its plan, what findings mean, what an inspector may decide upon them, and the appeal.

The plan is drawn up by domain.sampling before anybody has looked at a unit, and never again. What it says binds the
inspector: a sample that passes accepts the lot, apart from units that were found defective; one that fails leaves
four ways: accept all the same (a concession), look at every unit, send everything to be mended, or reject everything.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from decimal import Decimal

from domain.ballot import BallotOption, BallotTerms
from domain.errors import InvalidInput, WrongPhase
from domain.lot import Decision
from domain.model import Message
from domain.policy import BallotPolicy
from domain.production import ProductionTerms, Sampling, Standard
from domain.production_policy import ProductionPolicy
from domain.sampling import (
    ClassLimit,
    DefectClass,
    Finding,
    Plan,
    Scheme,
    Verdict,
    judged,
    planned,
    planned_alone,
    taken,
    unit_by_unit,
)
from domain.sampling import Decision as Judgement
from domain.sampling_rules import LotOutcome, SwitchState, after, outcome
from domain.sampling_tables import Level, Severity

MISSING = "missing"
"""What an inspector reports of a unit that is not there; no contract has to name it, and no plan judges by it."""
JURORS = 3
QUORUM = 2
"""Jurors who have to vote; with fewer the jury decides nothing."""
GRANT = "as-agreed"
UPHOLD = "not-as-agreed"
_REMINDERS = (50, 80)
"""Percent of the inspector's time after which they are reminded."""
_NOTICE_SHARE = 5
"""One part in so many of the time for a ruling is the public notice of a jury's vote."""


class UnitFinding(Message):
    """What an inspector has found on one unit, by the codes of the contract."""

    unit: int
    defects: tuple[str, ...] = ()
    """None: the unit is as agreed."""
    note: str = ""
    file_ids: tuple[str, ...] = ()


# The plan.


def limits_of(sampling: Sampling) -> tuple[ClassLimit, ...]:
    """What the contract allows of each class of defects; by limiting quality never a critical one."""
    percents = {
        DefectClass.CRITICAL: None if sampling.limiting_quality else sampling.critical_aql,
        DefectClass.MAJOR: sampling.limiting_quality or sampling.major_aql,
        DefectClass.MINOR: sampling.limiting_quality or sampling.minor_aql,
    }
    return tuple(
        ClassLimit(defect_class=each, percent=Decimal(percent) if percent else None)
        for each, percent in percents.items()
    )


def plan_of(terms: ProductionTerms, units: int, severity: Severity) -> Plan:
    """How so many units are inspected: by a sample, or every unit of a small lot."""
    sampling = terms.standard.sampling
    limits, small = limits_of(sampling), terms.policy.inspect_all_up_to
    if not units:
        return unit_by_unit(0, limits)
    if sampling.limiting_quality is not None:
        return planned_alone(units, limits, every_unit_up_to=small)
    level = Level(sampling.level)
    return planned(units, limits, every_unit_up_to=small, level=level, severity=severity)


def full_plan(terms: ProductionTerms, units: int) -> Plan:
    """Every unit is looked at, and accepted or not for itself."""
    return unit_by_unit(units, limits_of(terms.standard.sampling))


def drawn_by(plan: Plan, seed: str) -> tuple[int, ...]:
    """The units that are looked at, in the order of drawing; none named when every unit is."""
    if plan.scheme is Scheme.EVERY_UNIT:
        return ()
    return taken(plan, seed, range(1, plan.lot_size + 1)).units


# Findings.


def require_findings(
    standard: Standard, plan: Plan, drawn: Collection[int], findings: Sequence[UnitFinding]
) -> None:
    """Raises InvalidInput for a unit that was not drawn or is named twice, and for a defect the contract does not name."""
    codes = {each.code for each in standard.defects}
    known = set(drawn)
    seen: set[int] = set()
    for index, finding in enumerate(findings):
        inside = finding.unit in known if known else 1 <= finding.unit <= plan.lot_size
        if not inside:
            raise InvalidInput(
                f"unit {finding.unit} was not drawn",
                field=f"findings[{index}].unit",
                accepted="units of the sample" if known else f"1 to {plan.lot_size}",
            )
        if finding.unit in seen:
            raise InvalidInput(
                f"unit {finding.unit} is named twice",
                field=f"findings[{index}].unit",
                accepted="each unit once",
            )
        seen.add(finding.unit)
        unknown = sorted(set(finding.defects) - codes - {MISSING})
        if unknown:
            raise InvalidInput(
                f"the contract names no defect {unknown[0]}",
                field=f"findings[{index}].defects",
                accepted=", ".join([*sorted(codes), f"{MISSING} when the unit is not there"]),
            )
        if MISSING in finding.defects and len(set(finding.defects)) > 1:
            raise InvalidInput(
                f"unit {finding.unit} is not there, and has defects all the same",
                field=f"findings[{index}].defects",
                accepted=f"{MISSING} alone",
            )


def require_same(before: UnitFinding, now: UnitFinding, field: str) -> None:
    """Raises InvalidInput when a unit that was looked at would be found otherwise."""
    if set(before.defects) != set(now.defects):
        raise InvalidInput(
            f"unit {now.unit} was looked at already, with another result",
            field=field,
            accepted=", ".join(before.defects) or "no defects",
        )


def judge(
    standard: Standard, plan: Plan, seed: str, findings: Iterable[tuple[int, Sequence[str]]]
) -> Verdict:
    """What the findings mean by the plan. Raises InvalidInput while drawn units were not looked at."""
    classes = {each.code: DefectClass(each.severity) for each in standard.defects}
    found = dict(findings)
    seen = [
        Finding(unit=unit, classes=tuple(sorted({classes[c] for c in codes if c != MISSING})))
        for unit, codes in found.items()
    ]
    verdict = judged(plan, taken(plan, seed, range(1, plan.lot_size + 1)), seen)
    missing = tuple(sorted(unit for unit, codes in found.items() if MISSING in codes))
    return verdict.model_copy(update={"missing": missing})


# The decision.


def require_allowed(plan: Plan, verdict: Verdict, decision: Decision) -> Decision:
    """The decision with its concession told. Raises InvalidInput for one that the findings do not bear.

    At most the units that were found defective are not accepted one by one, and those that are not there. A sample that
    failed lets everything be sent back or rejected as well; to accept it all the same is a concession and has to be named
    one. How many are missing is what the inspector has counted; where every unit is looked at it shows.
    """
    refused = decision.rework + decision.rejected - decision.missing
    found = len(verdict.nonconforming)
    failed = verdict.decision is Judgement.NOT_ACCEPTED
    if plan.scheme is Scheme.EVERY_UNIT and decision.missing > len(verdict.missing):
        raise InvalidInput(
            f"{len(verdict.missing)} units were not there",
            field="missing",
            accepted=f"at most {len(verdict.missing)}",
        )
    if decision.concession and not failed:
        raise InvalidInput(
            "there is nothing to concede: no sample has failed",
            field="concession",
            accepted="false",
        )
    if failed and not decision.accepted:
        return decision
    if refused > found:
        everything = f", or all {plan.lot_size}" if failed else ""
        raise InvalidInput(
            f"{found} units were found defective, {refused} would not be accepted",
            field="rejected",
            accepted=f"at most {found} to be mended or rejected{everything}",
        )
    if failed and not decision.concession:
        raise InvalidInput(
            "the sample has failed: to accept units all the same is a concession",
            field="concession",
            accepted="true; or look at every unit, or accept none",
        )
    return decision


def require_full_look(plan: Plan, verdict: Verdict) -> None:
    """Raises WrongPhase unless a sample has failed: only then may every unit be looked at."""
    if plan.scheme is Scheme.EVERY_UNIT:
        raise WrongPhase("every unit is looked at already", accepted="a decision")
    if verdict.decision is not Judgement.NOT_ACCEPTED:
        raise WrongPhase("the sample has passed: it stands for the lot", accepted="a decision")


def reminders(opened_at: datetime, due_at: datetime) -> tuple[datetime, ...]:
    """When the inspector is reminded, before silence accepts everything."""
    window = due_at - opened_at
    return tuple(opened_at + window * percent // 100 for percent in _REMINDERS)


# The series.


def counts_for_series(plan: Plan, *, round_: int, appeal: bool) -> bool:
    """Whether the switching rules hear of the inspection: a sample by acceptable quality limits, the first time."""
    return plan.scheme is Scheme.LOT_BY_LOT and round_ == 0 and not appeal


def next_state(state: SwitchState, plan: Plan, verdict: Verdict, sampling: Sampling) -> SwitchState:
    """Where the series of a maker and a requester stands after one more lot; a stopped one stays so."""
    if state.stopped:
        return state
    told: LotOutcome = outcome(
        plan, verdict, original=True, steady=sampling.reduced, reduced_wished=sampling.reduced
    )
    return after(state, told)


# The jury.


def jury_terms(terms: ProductionTerms, rejected: int, barred_ids: tuple[str, ...]) -> BallotTerms:
    """The ballot of the jurors. A tie is for the maker, whose word stands first."""
    voting, notice = jury_seconds(terms.policy)
    return BallotTerms(
        title=f"{terms.title}: are {rejected} rejected units as agreed after all?"[:200],
        description="The maker appeals against an inspection. A tie is for the maker.",
        options=(
            BallotOption(id=GRANT, label="They are as agreed, and are paid"),
            BallotOption(id=UPHOLD, label="They are not as agreed"),
        ),
        quorum=QUORUM,
        account_age_seconds=0,
        voting_seconds=voting,
        notice_seconds=notice,
        barred_ids=barred_ids,
        jury=True,
        policy=_JURY_POLICY,
    )


_JURY_POLICY = BallotPolicy(grace_seconds=0)


def jury_seconds(policy: ProductionPolicy) -> tuple[int, int]:
    """Time to vote and on public notice, so that even a voting that is prolonged ends within the time for a ruling."""
    notice = max(1, policy.ruling_seconds // _NOTICE_SHARE)
    whole = 100 + _JURY_POLICY.extension_percent
    return max(1, (policy.ruling_seconds - notice) * 9_500 // (whole * 100)), notice
