"""A charge that failed, mended through the API: on the page with another card, or by one more try of the saved one."""

from __future__ import annotations

from tests.stories.deals import refused
from tests.stories.funds import PRICE, Fund, people
from tests.stories.house import House
from tests.stories.pledging import act, backed, press, sound, stands, try_act
from tests.stories.test_campaign import decline


async def test_mended_on_the_page_and_by_another_try(house: House) -> None:
    fund = await Fund.live(house, goal=2 * PRICE)
    on_page, by_retry = people(2)[1]
    for name in (on_page, by_retry):
        await backed(fund, name)
        await refused(await try_act(fund, name, "mend"), 409, "wrong_phase", "state")
        await refused(await try_act(fund, name, "retry"), 409, "wrong_phase", "state")
    await decline(house, on_page, fund)
    await decline(house, by_retry, fund, times=1)
    await fund.close()
    for name in (on_page, by_retry):
        found = await stands(fund, name, "errored")
        assert (found["to_do"]["action"], found["attempts"]) == ("mend", 1)
        assert found["decline_reason"] and found["to_do"]["until"]
        await refused(await try_act(fund, name, "cancel"), 409, "wrong_phase", "phase")
    page = (await act(fund, on_page, "mend"))["to_do"]["checkout_url"]
    again = await act(fund, by_retry, "retry")
    assert again["state"] == "collected"
    await refused(await try_act(fund, by_retry, "retry"), 409, "wrong_phase", "state")
    await house.sandbox.delete("/v1/behaviours")
    assert (await press(fund, page, "pay")).status_code == 200
    await stands(fund, on_page, "collected")
    await fund.until("successful")
    assert fund.states() == ["collected", "collected"]
    await sound(fund)
