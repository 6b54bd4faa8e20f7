"""Nobody fills the history of a path with acts of their own: others still have to be heard."""

from __future__ import annotations

import pytest

from domain.errors import LimitReached
from domain.lot import Event, Phase
from domain.path import Standing
from domain.production_messages import LotAct, LotStart
from workflows.lot import Lot
from workflows.story import MOST_ACTS

TEMPORALS_UPDATES = 2_000
"""That one run takes; refused by a validator they do not count."""


def test_one_person_is_refused_and_others_are_heard() -> None:
    lot = Lot(LotStart(lot_id="lot_1", order_id="prd_1", maker_id="usr_maker"))
    lot.standing = Standing(path_id="lot_1", phase=Phase.MAKING)
    lot.acts["usr_maker"] = MOST_ACTS
    with pytest.raises(LimitReached):
        lot.require(Event.HEARTBEAT, LotAct(actor="maker", user_id="usr_maker"))
    lot.require(Event.EXTENDED, LotAct(actor="requester", user_id="usr_requester"))
    # Maker, broker, requester, certifier, second inspector and an operator.
    assert 6 * MOST_ACTS < TEMPORALS_UPDATES
