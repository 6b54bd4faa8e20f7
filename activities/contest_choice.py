"""From the close of entries to the announcement: finalists, the owner's choice, and what happens when it does not come."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from sqlalchemy import select, update

from activities.contest_case import Case, Change, all_back
from db.queries import file_access, kinship
from db.tables import Entry, EntryRevision
from domain import accounts, postings
from domain.ballot import BallotOption, BallotTerms, Mode
from domain.contest import (
    ELIGIBLE,
    IN_PROGRESS,
    Contender,
    ContestState,
    DecidedBy,
    EliminationReason,
    EntryStatus,
    Outcome,
    Phase,
    Prize,
    PrizeState,
    Resolution,
    refund_until,
    resolve,
    sharing,
    split_shares,
)
from domain.contest_deadlines import deadlines
from domain.errors import InvalidInput, SelfDealing, TooLate, WrongPhase
from domain.ids import new_id
from domain.postings import Share


async def entries_closed(case: Case) -> Change:
    """Entries are closed: without a valid one everything goes back, commission included."""
    if not case.contenders:
        amount = case.state.open_amount
        return Change(
            phase=Phase.REFUNDED,
            state=_refunded(case.state),
            summary=f"No valid entries; {case.money(amount)} goes back to the owner",
            returns=await all_back(case, amount),
            end_reason="no_entries",
        )
    count = len(case.contenders)
    if case.terms.rounds == 2:
        return Change(
            phase=Phase.PICKING,
            state=case.state,
            summary=f"Entries closed with {count}; the owner picks the finalists",
        )
    return _choosing(case, f"Entries closed with {count}; the owner chooses")


async def finalists_picked(case: Case) -> Change:
    """The owner names the finalists; the others are out."""
    limit = case.terms.max_finalists
    if not 1 <= len(set(case.act.entry_ids)) <= limit:
        raise InvalidInput(
            f"{len(set(case.act.entry_ids))} finalists", field="entry_ids", accepted=f"1 to {limit}"
        )
    chosen = [_eligible(case, e, f"entry_ids[{i}]") for i, e in enumerate(case.act.entry_ids)]
    return await _final_round(case, chosen, "picked by the owner")


async def picking_lapsed(case: Case) -> Change:
    """The owner named nobody: the shortlisted are the finalists; without any the owner chooses among all."""
    shortlisted = [c for c in case.contenders if c.status is EntryStatus.SHORTLISTED]
    if not shortlisted:
        return _choosing(case, "No finalists were picked; the owner chooses among all entries")
    return await _final_round(case, shortlisted[: case.terms.max_finalists], "shortlisted before")


async def _final_round(case: Case, finalists: Sequence[Contender], how: str) -> Change:
    ids = [c.entry_id for c in finalists]
    await case.session.execute(
        update(Entry)
        .where(Entry.id.in_(ids))
        .values(finalist=True, status=EntryStatus.ENTERED)
        .execution_options(synchronize_session=False)
    )
    await case.session.execute(
        update(Entry)
        .where(
            Entry.contest_id == case.path.id,
            Entry.id.not_in(ids),
            Entry.status.in_(ELIGIBLE),
        )
        .values(status=EntryStatus.ELIMINATED, reason=EliminationReason.NOT_A_FINALIST)
        .execution_options(synchronize_session=False)
    )
    return Change(
        phase=Phase.FINAL_ROUND,
        state=case.state.model_copy(update={"final_round": True}),
        summary=f"{len(ids)} finalists, {how}; from now on the bounty is guaranteed",
    )


async def final_round_closed(case: Case) -> Change:
    """The finalists' entries stand; the owner chooses."""
    return _choosing(case, "The final round is over; the owner chooses")


def _choosing(case: Case, summary: str) -> Change:
    return Change(phase=Phase.CHOOSING, state=case.state, summary=summary)


async def nudged(case: Case) -> Change:
    """A reminder to an owner who has not chosen yet."""
    return Change(phase=Phase.CHOOSING, state=case.state, summary="The owner is reminded to choose")


async def taken_back(case: Case) -> Change:
    """The owner of a refundable contest takes the bounty back, as long as nobody is shortlisted."""
    until = refund_until(case.terms, case.state)
    if until is None or case.state.in_state(PrizeState.RELEASED, *IN_PROGRESS):
        raise WrongPhase(
            "the bounty of this contest is guaranteed", field="guaranteed", accepted="an award"
        )
    if case.at > until:
        raise TooLate("the time for taking the bounty back is over", accepted=until.isoformat())
    if any(c.status is EntryStatus.SHORTLISTED for c in case.contenders):
        raise WrongPhase("an entry is shortlisted", field="entries", accepted="an award")
    amount = case.state.open_amount
    return Change(
        phase=Phase.REFUNDED,
        state=_refunded(case.state),
        summary=f"The owner takes {case.money(amount)} back; all entries are hidden again",
        returns=await all_back(case, amount),
        end_reason="taken_back",
    )


async def announced(case: Case) -> Change:
    """The owner's choice, awaiting objections."""
    if not case.act.awards:
        raise InvalidInput("no award", field="awards", accepted="one for each prize")
    _require_distinct(case)
    state = case.state
    for index, award in enumerate(case.act.awards):
        prize = state.prize(award.prize, f"awards[{index}].prize")
        if prize.state is not PrizeState.OPEN:
            raise WrongPhase(
                f"prize {prize.rank} is {prize.state}",
                field=f"awards[{index}].prize",
                accepted=PrizeState.OPEN,
            )
        winner = _eligible(case, award.entry_id, f"awards[{index}].entry_id")
        state = state.with_prize(awarded(prize, winner))
    followers = [
        _eligible(case, entry_id, f"runners_up[{index}]")
        for index, entry_id in enumerate(case.act.runners_up)
    ]
    await _refuse_kin(case, [p.creator_id for p in state.in_state(PrizeState.ANNOUNCED)], "awards")
    await _refuse_kin(case, [c.creator_id for c in followers], "runners_up")
    state = state.model_copy(update={"ranking": case.act.runners_up})
    return await _announce(case, state, DecidedBy.OWNER, "chosen by the owner")


def _require_distinct(case: Case) -> None:
    prizes = [award.prize for award in case.act.awards]
    entries = [award.entry_id for award in case.act.awards] + list(case.act.runners_up)
    if len(set(prizes)) != len(prizes) or len(set(entries)) != len(entries):
        raise InvalidInput(
            "a prize or an entry appears twice", field="awards", accepted="one entry a prize"
        )


def _eligible(case: Case, entry_id: str, field: str) -> Contender:
    """The entry, if it can win. Raises InvalidInput for one that is withdrawn, put aside, taken out or a winner already."""
    found = case.contender(entry_id)
    if found is None or found.status not in ELIGIBLE or entry_id in case.state.winners:
        standing = found.status if found else "not in the contest any more"
        raise InvalidInput(
            f"the entry is {'a winner already' if entry_id in case.state.winners else standing}",
            field=field,
            accepted="an entry that is entered or shortlisted",
        )
    return found


async def _refuse_kin(case: Case, creators: Sequence[str | None], field: str) -> None:
    """Raises SelfDealing when a creator counts as the same person as the owner: accounts may have been tied since."""
    people = [creator for creator in creators if creator is not None]
    if await kinship.tie(case.session, case.terms.owner_id, people):
        raise SelfDealing("a creator counts as the same person as the owner", field=field)


def awarded(prize: Prize, winner: Contender) -> Prize:
    """The prize, announced for this entry."""
    return prize.model_copy(
        update={
            "state": PrizeState.ANNOUNCED,
            "entry_id": winner.entry_id,
            "creator_id": winner.creator_id,
            "revisions": 0,
        }
    )


async def _announce(case: Case, state: ContestState, by: DecidedBy, how: str) -> Change:
    """公示: winning entries can be seen by everybody, so that anybody can object. The time for that begins anew."""
    state = state.model_copy(update={"decided_by": by})
    winners = [p for p in state.in_state(PrizeState.ANNOUNCED)]
    titles = {c.entry_id: c.title for c in case.contenders}
    await show_to_members(case, [p.entry_id for p in winners if p.entry_id])
    names = "; ".join(f"prize {p.rank} to {titles.get(p.entry_id or '', '')!r}" for p in winners)
    return Change(
        phase=Phase.ANNOUNCED,
        state=state,
        summary=f"Announced, {how}: {names}",
        deadlines=deadlines(case.terms, state, Phase.ANNOUNCED, case.at, case.contenders, ()),
    )


async def show_to_members(case: Case, entry_ids: Collection[str]) -> None:
    """Opens the files of these entries to everybody who is signed in."""
    for entry_id in entry_ids:
        revision = await newest_revision(case, entry_id)
        if revision is not None:
            files = [str(file["id"]) for file in revision.files]
            await file_access.grant(case.session, files, case.path.id, file_access.MEMBERS)


async def newest_revision(case: Case, entry_id: str) -> EntryRevision | None:
    """The entry as it was last handed in."""
    found: EntryRevision | None = await case.session.scalar(
        select(EntryRevision)
        .where(EntryRevision.entry_id == entry_id)
        .order_by(EntryRevision.number.desc())
        .limit(1)
    )
    return found


async def choosing_lapsed(case: Case) -> Change:
    """The silence resolver: one shortlisted entry wins, several go to the crowd, none by the contest's kind."""
    case = replace(case, contenders=await without_kin(case))
    found = resolve(case.terms, case.state, case.contenders)
    match found.outcome:
        case Outcome.WIN:
            prize = case.state.in_state(PrizeState.OPEN)[0]
            state = case.state.with_prize(awarded(prize, found.contenders[0]))
            how = "the only shortlisted entry, the owner was silent"
            return await _announce(case, state, DecidedBy.SILENCE, how)
        case Outcome.VOTE:
            return _vote(case, found)
        case Outcome.SPLIT:
            return shared(case, found.contenders, "The owner was silent")
        case Outcome.REFUND:
            return await _rest_back(case)


async def without_kin(case: Case) -> list[Contender]:
    """The entries of people who do not count as the same person as the owner."""
    creators = {c.creator_id for c in case.contenders}
    ties = await kinship.ties(case.session, case.terms.owner_id, creators)
    kin = {tie.other_id for tie in ties}
    return [c for c in case.contenders if c.creator_id not in kin]


def _vote(case: Case, found: Resolution) -> Change:
    policy = case.terms.policy
    ballot_id = new_id("bal")
    ballot = BallotTerms(
        title=f"{case.terms.title}: which entry shall win?",
        description="The owner of the contest did not choose in time, so the crowd does.",
        mode=Mode.APPROVAL,
        options=tuple(
            BallotOption(id=c.entry_id, label=c.title, author_id=c.creator_id)
            for c in found.contenders
        ),
        max_choices=len(found.contenders),
        account_age_seconds=case.terms.ballot_policy.account_age_seconds,
        voting_seconds=policy.vote_seconds,
        notice_seconds=policy.vote_notice_seconds,
        barred_ids=(case.terms.owner_id,),
        policy=case.terms.ballot_policy,
    )
    state = case.state.model_copy(update={"ballot_id": ballot_id})
    return Change(
        phase=Phase.VOTING,
        state=state,
        summary=f"The owner was silent; the crowd votes on {len(found.contenders)} entries",
        ballot_id=ballot_id,
        ballot=ballot,
    )


async def voted(case: Case) -> Change:
    """The crowd's order: its best entries get the prizes, the others follow when a winner is lost."""
    order = await _crowds_order(case, case.state)
    if not order:
        return await not_decided(case)
    state = _awarded_in_order(case.state, order)
    return await _announce(case, state, DecidedBy.CROWD, "chosen by the crowd")


async def _crowds_order(case: Case, state: ContestState) -> list[Contender]:
    """The entries that can win, the crowd's favourite first."""
    by_id = {c.entry_id: c for c in await without_kin(case) if c.status in ELIGIBLE}
    return [by_id[e] for e in case.act.ranking if e in by_id and e not in state.winners]


def _awarded_in_order(state: ContestState, order: Sequence[Contender]) -> ContestState:
    for prize, winner in zip(state.in_state(PrizeState.OPEN), order, strict=False):
        state = state.with_prize(awarded(prize, winner))
    ranking = tuple(c.entry_id for c in order if c.entry_id not in state.winners)
    return state.model_copy(update={"ranking": ranking})


async def not_decided(case: Case) -> Change:
    """Too few voted: those whom the owner had shortlisted share the bounty."""
    left = [c for c in await without_kin(case) if c.entry_id not in case.state.winners]
    shortlisted = [c for c in left if c.status is EntryStatus.SHORTLISTED]
    sharers = sharing(shortlisted or left)
    if not sharers:
        return await _rest_back(case)
    return shared(case, sharers, "Too few voted")


async def recounted(case: Case) -> Change:
    """Void votes have changed the crowd's order: prizes that are not paid yet are announced anew if others win them.

    With too few votes left there is no decision any more. What the owner has decided since stands.
    """
    undecided = case.state
    for prize in undecided.in_state(*IN_PROGRESS):
        undecided = undecided.with_prize(opened(prize))
    state = case.state
    if state.decided_by is DecidedBy.CROWD:
        order = await _crowds_order(case, undecided)
        if not order:
            return await not_decided(replace(case, state=undecided))
        anew = _awarded_in_order(undecided, order)
        if _holders(anew) != _holders(state):
            return await _announce(case, anew, DecidedBy.CROWD, "counted again")
        state = state.model_copy(update={"ranking": anew.ranking})
    return Change(
        phase=case.phase,
        state=state,
        summary="Votes were counted again; the winners stay the same",
    )


def _holders(state: ContestState) -> list[str | None]:
    return [prize.entry_id for prize in state.prizes]


def opened(prize: Prize) -> Prize:
    """The prize without a winner."""
    return prize.model_copy(
        update={"state": PrizeState.OPEN, "entry_id": None, "creator_id": None, "revisions": 0}
    )


def shared(case: Case, sharers: Sequence[Contender], why: str) -> Change:
    """RELEASE to each in even shares, the odd units to the earliest; nobody gives up any right."""
    amount = case.state.open_amount
    fee, parts = split_shares(case.terms, amount, len(sharers))
    shares = [
        Share(account=accounts.payable(c.creator_id), amount=part)
        for c, part in zip(sharers, parts, strict=True)
    ]
    shares.append(Share(account=accounts.FEE, amount=fee))
    state = _all_open(case.state, PrizeState.SHARED)
    return Change(
        phase=_after_choice(state, Phase.SPLIT),
        state=state,
        summary=f"{why}; {len(sharers)} creators share {case.money(amount)}",
        entries=[postings.release(case.key, case.path.id, shares, case.terms.currency)],
        earners=tuple(c.creator_id for c in sharers),
        end_reason="split",
    )


async def _rest_back(case: Case) -> Change:
    """Nobody can have what is left: it goes back to the owner."""
    amount = case.state.open_amount
    state = _refunded(case.state)
    return Change(
        phase=_after_choice(state, Phase.REFUNDED),
        state=state,
        summary=f"Nobody was chosen; {case.money(amount)} goes back to the owner",
        returns=await all_back(case, amount),
        end_reason="not_chosen",
    )


def _after_choice(state: ContestState, otherwise: Phase) -> Phase:
    """Prizes that still wait for objections go on; the end is a completion when any prize was paid to a winner."""
    if state.in_state(*IN_PROGRESS):
        return Phase.ANNOUNCED
    return Phase.COMPLETED if state.in_state(PrizeState.RELEASED) else otherwise


def _refunded(state: ContestState) -> ContestState:
    return _all_open(state, PrizeState.REFUNDED)


def _all_open(state: ContestState, become: PrizeState) -> ContestState:
    for prize in state.in_state(PrizeState.OPEN):
        state = state.with_prize(prize.model_copy(update={"state": become}))
    return state
