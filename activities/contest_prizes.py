"""From the announcement to the money: objections, hand-over, acceptance, lost and taken back prizes."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from activities import payees
from activities.contest_case import Case, Change, all_back
from activities.contest_choice import awarded, opened, show_to_members, without_kin
from db.entries import contenders
from db.queries import file_access, files
from db.tables import Ballot, Entry, HandOver, LicenceSignature, Objection
from domain import accounts, postings
from domain.ballot_tally import BallotResult
from domain.contest import (
    ContestState,
    DecidedBy,
    EntryStatus,
    Event,
    Phase,
    Prize,
    PrizeState,
    after_prizes,
    next_ranked,
    release_entry,
)
from domain.contest_deadlines import rank_of
from domain.errors import Forbidden, InvalidInput, LimitReached, NotFound, TooLate, WrongPhase
from domain.ids import step_key, step_workflow
from ledger import journal


async def notice_passed(case: Case) -> Change:
    """Nobody objected: the winners hand over. What somebody has said against one of them earlier is ruled on first."""
    if await _open_objections(case):
        return Change(
            phase=Phase.CONTESTED,
            state=case.state,
            summary="An objection against a winner is still open; operators decide",
        )
    return Change(
        phase=Phase.HAND_OVER,
        state=_handing_over(case.state),
        summary="No objection in time; the winners hand over",
    )


async def objected(case: Case) -> Change:
    """Somebody objects: the operators look at it before anything goes on."""
    objection = await _objection(case)
    return Change(
        phase=Phase.CONTESTED,
        state=case.state,
        summary=f"Objection against entry {objection.entry_id} ({objection.ground}); operators decide",
    )


async def objection_dismissed(case: Case) -> Change:
    """The operators find nothing wrong; with the last open objection gone the decision stands."""
    await _rule(case, "dismissed")
    if await _open_objections(case):
        return Change(
            phase=Phase.CONTESTED,
            state=case.state,
            summary="Objection dismissed; another one is open",
            deadlines=None,
        )
    return Change(
        phase=Phase.HAND_OVER,
        state=_handing_over(case.state),
        summary="Objection dismissed; the winners hand over",
    )


async def objection_lapsed(case: Case) -> Change:
    """The operators did not rule in time: the announcement stands, or creators would wait on their silence."""
    await case.session.execute(
        update(Objection)
        .where(Objection.contest_id == case.path.id, Objection.status == "open")
        .values(status="lapsed", ruled_at=case.at)
        .execution_options(synchronize_session=False)
    )
    return Change(
        phase=Phase.HAND_OVER,
        state=_handing_over(case.state),
        summary="No ruling in time; the decision stands and the winners hand over",
    )


async def entry_voided(case: Case) -> Change:
    """The operators take a winning entry out: its prize goes on; one that is paid already is clawed back first."""
    if case.act.objection_id is not None:
        await _rule(case, "upheld")
    entry_id = case.act.entry_id or ""
    prize = _prize_of(case.state, entry_id)
    await _take_out(case, entry_id, "void")
    if prize.state is PrizeState.RELEASED:
        await _claw_back(case, prize)
    if case.phase is Phase.CONTESTED:
        return Change(
            phase=Phase.CHOOSING,
            state=case.state.with_prize(opened(prize)),
            summary=f"Entry {entry_id} is void; the owner chooses again",
        )
    return await _pass_on(case, prize, f"Entry {entry_id} is void")


async def handed_over(case: Case) -> Change:
    """The winner signs the licence and hands over the files."""
    delivery = case.act.delivery
    prize = case.state.prize(case.act.prize)
    if prize.creator_id != case.act.user_id:
        raise Forbidden(
            "only the winner of this prize hands over", field="prize", accepted="the winner"
        )
    if prize.state is not PrizeState.HAND_OVER or delivery is None:
        raise WrongPhase(
            f"prize {prize.rank} is {prize.state}", field="prize", accepted=PrizeState.HAND_OVER
        )
    if delivery.licence_sha256 != case.terms.licence_sha256:
        raise InvalidInput(
            "this is not the licence of the contest",
            field="licence_sha256",
            accepted=case.terms.licence_sha256,
        )
    attached = await files.attachable(case.session, prize.creator_id or "", delivery.file_ids)
    ids = [file.id for file in attached]
    await file_access.grant(case.session, ids, case.path.id, case.terms.owner_id)
    case.session.add(
        HandOver(
            contest_id=case.path.id,
            entry_id=prize.entry_id,
            number=await _deliveries(case, prize) + 1,
            prize=prize.rank,
            note=case.act.note,
            files=[files.proof_of(file) for file in attached],
            handed_over_at=case.at,
        )
    )
    case.session.add(
        LicenceSignature(
            path_id=case.path.id,
            user_id=prize.creator_id,
            role="creator",
            entry_id=prize.entry_id,
            text_sha256=delivery.licence_sha256,
            signed_at=case.at,
        )
    )
    return Change(
        phase=Phase.HAND_OVER,
        state=_with_state(case.state, prize, PrizeState.REVIEW),
        summary=f"Licence signed and {len(ids)} files handed over for prize {prize.rank}",
    )


async def _deliveries(case: Case, prize: Prize) -> int:
    """How often the winner has handed over: also before the prize went to somebody else and came back."""
    count = await case.session.scalar(
        select(func.count())
        .select_from(HandOver)
        .where(HandOver.contest_id == case.path.id, HandOver.entry_id == prize.entry_id)
    )
    return int(count or 0)


async def revision_asked(case: Case) -> Change:
    """The owner asks the winner for a revision, a limited number of times; both windows begin anew."""
    prize = _in_review(case)
    limit = case.terms.policy.revisions
    if prize.revisions >= limit:
        raise LimitReached(
            f"{limit} revisions were asked for already", field="prize", accepted="acceptance"
        )
    asked = prize.model_copy(
        update={"state": PrizeState.HAND_OVER, "revisions": prize.revisions + 1}
    )
    return Change(
        phase=Phase.HAND_OVER,
        state=case.state.with_prize(asked),
        summary=f"Revision {asked.revisions} of {limit} asked for prize {prize.rank}",
    )


async def accepted(case: Case) -> Change:
    """The owner is content, by word or by silence: the prize is released."""
    prize = case.state.prize(rank_of(case.subject)) if case.subject else _in_review(case)
    creator = prize.creator_id or ""
    state = _with_state(case.state, prize, PrizeState.RELEASED)
    phase = after_prizes(state)
    net = case.money(case.terms.net(prize.amount))
    how = "No objection in time" if case.event is Event.ACCEPTANCE_LAPSED else "Accepted"
    return Change(
        phase=phase,
        state=state,
        summary=f"{how}; {net} released to the winner of prize {prize.rank}",
        entries=[release_entry(case.terms, prize, accounts.payable(creator), case.key)],
        earners=(creator,),
        end_reason="awarded" if phase is Phase.COMPLETED else None,
    )


async def hand_over_lapsed(case: Case) -> Change:
    """The winner was silent: the prize goes to the next in the order, else the owner chooses again."""
    prize = case.state.prize(rank_of(case.subject))
    await _take_out(case, prize.entry_id or "", "silent_winner")
    return await _pass_on(case, prize, f"The winner of prize {prize.rank} was silent")


async def reopened(case: Case) -> Change:
    """Operators take a paid prize back: what the winner got is clawed back, and goes to the next, else to the owner."""
    completed_at = case.state.completed_at
    until = completed_at and completed_at + timedelta(seconds=case.terms.policy.plagiarism_seconds)
    if until is None or case.at > until:
        raise TooLate(
            "an award can no longer be taken back",
            accepted=f"until {until.isoformat()}" if until else "after an award",
        )
    entry_id = case.act.entry_id or ""
    prize = _prize_of(case.state, entry_id)
    if prize.state is not PrizeState.RELEASED:
        raise WrongPhase(
            f"prize {prize.rank} is {prize.state}", field="entry_id", accepted=PrizeState.RELEASED
        )
    if case.act.objection_id is not None:
        await _rule(case, "upheld")
    await _take_out(case, entry_id, "void")
    await _claw_back(case, prize)
    ranking = await _newest_ranking(case)
    state = case.state.with_prize(opened(prize)).model_copy(
        update={"ranking": ranking, "reopened": case.state.reopened + 1}
    )
    # The story that has ended told it under the first id; acts reach the one that goes on.
    case.path.workflow_id = step_workflow(case.key)
    follower = next_ranked(state, await without_kin(case))
    if follower is not None:
        return await _go_to(case, state, prize, follower.entry_id, "The award was taken back")
    back = state.with_prize(opened(prize).model_copy(update={"state": PrizeState.REFUNDED}))
    return Change(
        phase=Phase.COMPLETED,
        state=back,
        summary=f"The award was taken back; {case.money(prize.amount)} goes to the owner",
        returns=await all_back(case, prize.amount),
        end_reason="taken_back_from_winner",
    )


async def _claw_back(case: Case, prize: Prize) -> None:
    """Dr what the winner has, then what they owe, and the commission/Cr escrow."""
    creator = prize.creator_id or ""
    payee = await payees.payee_account(case.session, creator)
    owed = accounts.receivable(creator)
    touched = [payee, owed, accounts.FEE, accounts.escrow(case.path.id)]
    held = await journal.balances(
        case.session, touched, case.terms.currency, for_update=True, path_id=case.path.id
    )
    net = case.terms.net(prize.amount)
    await journal.post(
        case.session,
        postings.clawback(
            step_key(case.key, "clawback"),
            case.path.id,
            creator,
            net,
            held[payee].available,
            case.terms.currency,
            fee=prize.amount - net,
            payee=payee,
        ),
    )


async def _newest_ranking(case: Case) -> tuple[str, ...]:
    """The order to follow: the crowd's as it was counted last, when the crowd had decided."""
    if case.state.ballot_id is None or case.state.decided_by is not DecidedBy.CROWD:
        return case.state.ranking
    ballot = await case.session.get_one(Ballot, case.state.ballot_id)
    if ballot.result is None:
        return case.state.ranking
    return BallotResult.model_validate(ballot.result).outcome(ballot.id).ranking


async def _pass_on(case: Case, prize: Prize, why: str) -> Change:
    """A prize without its winner: the next in the order, else it waits for the others and is then chosen again."""
    state = case.state.with_prize(opened(prize))
    follower = next_ranked(state, await without_kin(case))
    if follower is not None:
        return await _go_to(case, state, prize, follower.entry_id, why)
    return Change(
        phase=after_prizes(state),
        state=state,
        summary=f"{why}; nobody follows, the owner chooses again",
    )


async def _go_to(case: Case, state: ContestState, prize: Prize, entry_id: str, why: str) -> Change:
    """The next in the order has the prize and hands over."""
    follower = case.contender(entry_id)
    assert follower is not None
    taken = awarded(opened(prize), follower).model_copy(update={"state": PrizeState.HAND_OVER})
    await show_to_members(case, [entry_id])
    ranking = tuple(e for e in state.ranking if e != entry_id)
    return Change(
        phase=Phase.HAND_OVER,
        state=state.with_prize(taken).model_copy(update={"ranking": ranking}),
        summary=f"{why}; prize {prize.rank} goes to {follower.title!r}",
    )


def _handing_over(state: ContestState) -> ContestState:
    for prize in state.in_state(PrizeState.ANNOUNCED):
        state = _with_state(state, prize, PrizeState.HAND_OVER)
    return state


def _with_state(state: ContestState, prize: Prize, become: PrizeState) -> ContestState:
    return state.with_prize(prize.model_copy(update={"state": become}))


def _in_review(case: Case) -> Prize:
    prize = case.state.prize(case.act.prize)
    if prize.state is not PrizeState.REVIEW:
        raise WrongPhase(
            f"prize {prize.rank} is {prize.state}", field="prize", accepted=PrizeState.REVIEW
        )
    return prize


def _prize_of(state: ContestState, entry_id: str) -> Prize:
    """The prize that an entry has. Raises InvalidInput."""
    for prize in state.prizes:
        if prize.entry_id == entry_id:
            return prize
    raise InvalidInput(
        "this entry has no prize", field="entry_id", accepted="an entry that has a prize"
    )


async def _take_out(case: Case, entry_id: str, reason: str) -> None:
    await case.session.execute(
        update(Entry)
        .where(Entry.id == entry_id)
        .values(status=EntryStatus.VOID, reason=reason, remark=case.act.note)
        .execution_options(synchronize_session=False)
    )
    case.contenders = await contenders(case.session, case.path.id)


async def _objection(case: Case) -> Objection:
    found = await case.session.get(Objection, case.act.objection_id or "")
    if found is None or found.contest_id != case.path.id:
        raise NotFound("there is no such objection")
    return found


async def _rule(case: Case, status: str) -> None:
    """Records the operators' ruling. Raises WrongPhase when it was ruled on already."""
    objection = await _objection(case)
    if objection.status != "open":
        raise WrongPhase(
            f"the objection is {objection.status}", field="objection_id", accepted="open"
        )
    objection.status = status
    objection.ruling = case.act.note
    objection.ruled_by = case.act.user_id
    objection.ruled_at = case.at


async def _open_objections(case: Case) -> int:
    await case.session.flush()
    return await open_objections(case.session, case.path.id, case.state)


async def open_objections(session: AsyncSession, contest_id: str, state: ContestState) -> int:
    """How many objections against announced winners nobody has ruled on."""
    winners = [p.entry_id for p in state.in_state(PrizeState.ANNOUNCED)]
    count = await session.scalar(
        select(func.count())
        .select_from(Objection)
        .where(
            Objection.contest_id == contest_id,
            Objection.status == "open",
            Objection.entry_id.in_(winners),
        )
    )
    return int(count or 0)
