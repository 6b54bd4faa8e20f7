"""Campaigns at random: review, pledges by card and wallet, the deadline, what is released, and everybody's silence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from tests.model.paths import Move, Path, Silence, Turn
from tests.model.playing import play
from tests.stories.funds import ADMIN, DAY, GRACE, PRICE, Fund, people
from tests.stories.house import House, Json

CREATOR, OPERATOR = "creator", "operator"
BY_CREATOR, BY_OPERATOR = frozenset({CREATOR}), frozenset({OPERATOR})
LIVE = ("live",)
DECIDED = frozenset({"collecting", "waiting_funds", "successful", "failed"})
RUNNING = ("live", "collecting", "waiting_funds")


async def note(path: CampaignPath) -> Json:
    return {"note": "Show a lamp."}


async def backed(path: CampaignPath, method: str) -> None:
    """A pledge whose backer does what the provider asks for; the money of a wallet comes at once."""
    [name] = await path.fund.backed_by(method)
    path.notes["backers"] = path.notes.get("backers", 0) + 1
    path.notes["paid"] = path.notes.get("paid", 0) + (PRICE if method == "wallet" else 0)
    assert name in path.fund.pledges


class CampaignPath(Path):
    """Two lamps are the goal."""

    kind = "campaign"
    segment = "campaigns"
    final = frozenset({"completed", "failed", "cancelled", "stopped"})
    moves = (
        Move("submit", BY_CREATOR, {"draft": "in_review"}),
        Move("approve", BY_OPERATOR, {"in_review": "live"}),
        Move("send-back", BY_OPERATOR, {"in_review": "draft"}, note, ({"note": ""},)),
        Move(
            "cancel",
            BY_CREATOR,
            {
                **dict.fromkeys(RUNNING, "cancelled"),
                "successful": "stopped",
                "fulfilling": "stopped",
            },
            note,
        ),
    )
    turns = (
        Turn("backed by wallet", {"live": "live"}, lambda path: backed(path, "wallet")),
        Turn("backed by card", {"live": "live"}, lambda path: backed(path, "card")),
    )
    silences: ClassVar[Mapping[str, Silence]] = {
        "live": Silence(DAY + GRACE, DECIDED),
        "successful": Silence(14 * DAY, frozenset({"fulfilling", "completed"})),
    }

    @classmethod
    async def begin(cls, house: House) -> CampaignPath:
        fund = await Fund.drafted(house, creator=people()[0])
        roles = {CREATOR: fund.creator, OPERATOR: ADMIN}
        return cls(house, roles, fund.id, "draft", notes={"fund": fund})

    @property
    def fund(self) -> Fund:
        fund: Fund = self.notes["fund"]
        return fund

    def held(self) -> int | None:
        """What wallets have paid while nothing is decided, and nothing in the end."""
        if self.phase == "live":
            return int(self.notes.get("paid", 0))
        return 0 if self.over or self.phase in ("draft", "in_review") else None

    async def lapsed(self, silence: Silence) -> None:
        """Two lamps make the goal, one does not."""
        if self.phase == "live":
            reached = self.notes.get("backers", 0) >= 2
            return await self.moved(frozenset({"successful" if reached else "failed"}))
        return await super().lapsed(silence)

    async def give_up(self) -> None:
        """A draft is withdrawn, and what runs is called off."""
        if self.phase in ("draft", "in_review"):
            await self.fund.act("withdraw", self.fund.creator)
            await self.moved("cancelled")
        else:
            await self.fund.act("cancel", self.fund.creator, note="The kiln has burst")
            await self.moved("stopped")


async def test_campaigns_stand_as_their_model_says(house: House) -> None:
    await play(CampaignPath, house)
