"""Contests: one with its public notice, and one whose owner falls silent, so that the crowd decides."""

from __future__ import annotations

from deploy.local.errors import LocalError
from deploy.local.stories.stage import Anything, Id, Person, ShownContest, ShownReceipts, Stage

_SECONDS = {
    "entry_seconds": 8,
    "choose_seconds": 6,
    "vote_seconds": 6,
    "vote_notice_seconds": 2,
    "notice_seconds": 4,
}
"""Windows of days, shortened for a demonstration."""


def with_public_notice(stage: Stage) -> None:
    """A tea house looks for a mark: bounty first, sealed entries, the choice announced, the licence signed, the prize paid."""
    owner, first, second = stage.person("hua"), stage.person("mei"), stage.person("shan")
    contest = _opened(stage, owner, "茶馆标志 A mark for a tea house", 100_000)
    stage.say(f"hua pays a bounty of {contest.bounty.text} into escrow; entries are sealed")
    entries = {person.name: _enter(contest, person) for person in (first, second)}
    stage.say("mei and shan enter; hash and time of their files are kept as proof")
    _until(stage, owner, contest, "choosing")
    awards = [{"prize": 1, "entry_id": entries["mei"]}]
    runners_up = [entries["shan"]]
    owner.post(
        f"/v1/contests/{contest.id}/announce",
        ShownContest,
        {"awards": awards, "runners_up": runners_up},
    )
    stage.say("hua chooses mei's; the choice is on public notice before any money moves (公示)")
    _until(stage, owner, contest, "hand_over")
    _hand_over(contest, first)
    owner.post(f"/v1/contests/{contest.id}/accept", ShownContest, {"note": "Just right."})
    _until(stage, owner, contest, "completed")
    stage.ended.append(("The mark for a tea house", contest.id))
    stage.say("nobody objects; mei signs the licence and hands over, hua accepts, mei is paid")


def decided_by_the_crowd(stage: Stage) -> None:
    """An owner who shortlists two entries and is not heard of again: the crowd chooses, and the winner is paid all the same."""
    owner, creators = stage.person("hua"), [stage.person("aoi"), stage.person("mei")]
    contest = _opened(stage, owner, "包装 Paper for a tea box", 60_000)
    entries = [_enter(contest, creator) for creator in creators]
    owner.post(f"/v1/contests/{contest.id}/shortlist", Anything, {"entry_ids": entries})
    _until(stage, owner, contest, "choosing")
    receipts = owner.get(f"/v1/contests/{contest.id}/deadlines", ShownReceipts)
    stage.say(f"hua shortlists two and falls silent. What then? {receipts.deadlines[0].outcome}")
    voting = _until(stage, owner, contest, "voting")
    stage.until(
        lambda: owner.http.get(f"/v1/ballots/{voting.ballot_id}"),
        # The ballot opens a moment after the contest has asked for it.
        lambda answer: answer.status_code == 200 and answer.json()["phase"] == "open",
        f"{voting.ballot_id} opens",
    )
    for name in ("lin", "wu"):
        stage.person(name).post(
            f"/v1/ballots/{voting.ballot_id}/votes", Anything, {"options": [entries[1]]}
        )
    stage.say("lin and wu vote; the tally is hidden until the ballot closes")
    announced = _until(stage, owner, contest, "hand_over")
    if announced.prizes[0].entry_id != entries[1]:
        raise LocalError("the crowd's choice was not followed")
    _hand_over(contest, creators[1])
    owner.post(f"/v1/contests/{contest.id}/accept", ShownContest)
    _until(stage, owner, contest, "completed")
    stage.ended.append(("The paper for a tea box", contest.id))
    stage.say("the crowd chose mei's, which is announced, handed over and paid")


def _opened(stage: Stage, owner: Person, title: str, bounty: int) -> ShownContest:
    windows = {name: seconds * stage.pace for name, seconds in _SECONDS.items()}
    body = {"title": title, "bounty": {"amount": bounty}, "windows": windows}
    draft = owner.post("/v1/contests", ShownContest, body)
    signed = {"licence_sha256": draft.licence.sha256}
    funding = owner.post(f"/v1/contests/{draft.id}/fund", ShownContest, signed)
    stage.pay(funding)
    return _until(stage, owner, funding, "open")


def _enter(contest: ShownContest, creator: Person) -> str:
    """An entry with a private picture; its id."""
    files = [creator.upload_picture("seagreen", private=True)]
    body = {"title": f"By {creator.name}", "file_ids": files}
    return creator.post(f"/v1/contests/{contest.id}/entries", Id, body).id


def _hand_over(contest: ShownContest, winner: Person) -> None:
    body = {
        "licence_sha256": contest.licence.sha256,
        "file_ids": [winner.upload_picture("darkgreen", private=True)],
    }
    winner.post(f"/v1/contests/{contest.id}/hand-over", ShownContest, body)


def _until(stage: Stage, owner: Person, contest: ShownContest, phase: str) -> ShownContest:
    return stage.until(
        lambda: owner.get(f"/v1/contests/{contest.id}", ShownContest),
        lambda seen: seen.phase == phase,
        f"{contest.id} becomes {phase}",
    )


STORIES = (
    ("Contest: with public notice", with_public_notice),
    ("Contest: the owner is silent, the crowd decides", decided_by_the_crowd),
)
