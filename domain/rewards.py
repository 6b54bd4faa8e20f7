"""A backer's reward after the campaign: what is asked of the backer, when it is fixed, sent, and has come (paths 2.4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from domain.campaign import Question
from domain.errors import InvalidInput, TooLate, WrongPhase
from domain.pledge import STANDING, PledgeState, RewardState, SurveyAnswers

LONGEST_ANSWER = 500
_R = RewardState
TO_SHIP = frozenset({_R.OWED, _R.LOCKED, _R.MISSING})
"""States in which a reward can be sent; one that has not come is sent anew."""


def require_open(state: str, reward: str, tier: int | None) -> None:
    """Raises WrongPhase unless the backer can still tell where the reward goes and what it is to be like."""
    if tier is None:
        raise WrongPhase("no reward belongs to this pledge", field="reward")
    waits = PledgeState(state) is not PledgeState.COLLECTED or reward == _R.OWED
    if PledgeState(state) not in STANDING or not waits:
        raise WrongPhase(
            f"the reward of a pledge that is {state} is {reward}",
            field="reward",
            accepted="before it is locked; ask the creator to unlock it",
        )


def checked(questions: Sequence[Question], tier: int, answers: Mapping[str, str]) -> SurveyAnswers:
    """The answers to the questions of a tier. Raises InvalidInput for what is not asked, not a choice, or missing."""
    asked = {each.key: each for each in questions if not each.tiers or tier in each.tiers}
    for key, answer in answers.items():
        question = asked.get(key)
        if question is None:
            raise InvalidInput(
                "this is not asked of you",
                field=f"answers.{key[:64]}",
                accepted=", ".join(asked) or "no answers",
            )
        if question.choices and answer not in question.choices:
            raise InvalidInput(
                "this is not one of the choices",
                field=f"answers.{key}",
                accepted=", ".join(question.choices),
            )
    for key, question in asked.items():
        if question.required and not answers.get(key, "").strip():
            raise InvalidInput(question.text, field=f"answers.{key}", accepted="an answer")
    return SurveyAnswers(answers=dict(answers))


def received(reward: str, shipped_at: datetime | None, at: datetime, seconds: int) -> bool:
    """Whether the reward counts as received at this moment; silence after the shipping does."""
    if reward == _R.RECEIVED:
        return True
    silent = shipped_at is not None and shipped_at + timedelta(seconds=seconds) <= at
    return reward == _R.SHIPPED and silent


def require_told(
    reward: str, shipped_at: datetime | None, said: RewardState, until: datetime, at: datetime
) -> None:
    """Raises WrongPhase or TooLate unless the backer can say this of a reward that was shipped.

    `until`: the moment from which silence counts as received.
    """
    possible = {_R.SHIPPED, _R.MISSING, said} if said is _R.RECEIVED else {_R.SHIPPED, said}
    if reward not in possible or shipped_at is None:
        raise WrongPhase(
            f"the reward is {reward}", field="reward", accepted=", ".join(sorted(possible))
        )
    if said is _R.MISSING and reward != said and at >= until:
        raise TooLate(
            "nobody has said in time that it has not come",
            field="shipped_at",
            accepted=f"before {until.isoformat()}",
        )
