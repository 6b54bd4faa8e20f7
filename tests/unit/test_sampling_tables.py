"""The sampling tables against what the standards print, cell by cell, and what holds between the cells."""

from __future__ import annotations

import csv
from decimal import Decimal
from fractions import Fraction
from math import ceil, comb
from pathlib import Path

import pytest

from domain import errors
from domain.sampling import accept_probability_of_process
from domain.sampling_tables import (
    AQLS,
    LETTERS,
    LIMITING_QUALITIES,
    Level,
    Severity,
    SinglePlan,
    code_letter,
    isolated_plan,
    one_step_tighter,
    single_plan,
)

TABLES = {"2-A": Severity.NORMAL, "2-B": Severity.TIGHTENED, "2-C": Severity.REDUCED}
OVER = 500_001
LAST = (8, 15, 25, 50, 90, 150, 280, 500, 1200, 3200, 10_000, 35_000, 150_000, 500_000)
A_10 = ("A", Decimal(10))
"""The only cell whose tightened plan is smaller than the normal one, whose arrow leads to a plan with Ac 1."""

# ISO 2859-2:1985, table A, the columns 2.0 to 31.5 from lots of 26 on, as public code has them: GeoPEC (UFV, Brazil,
# March 2024), which takes them from the Brazilian army's ET-CQDG. The columns 0.50 to 1.25 have no public source here.
TABLE_A = """
     50   50/0   50/0   28/0   22/0   15/0   10/0    6/0
     90   50/0   44/0   34/0   24/0   16/0   10/0    8/0
    150   80/0   55/0   38/0   26/0   18/0   13/0   13/1
    280   95/0   65/0   42/0   28/0   20/0   20/1   13/1
    500  105/0   80/0   50/0   32/0   32/1   20/1   20/3
   1200  125/0  125/1   80/1   50/1   32/1   32/3   32/5
   3200  200/1  125/1  125/3   80/3   50/3   50/5  50/10
  10000  200/1  200/3  200/5  125/5   80/5  80/10  80/18
  35000  315/3  315/5 315/10 200/10 125/10 125/18  80/18
 150000  500/5 500/10 500/18 315/18 200/18 125/18  80/18
 500000 800/10 800/18 500/18 315/18 200/18 125/18  80/18
 500001 1250/18 800/18 500/18 315/18 200/18 125/18 80/18
"""


def printed(*tables: str) -> list[dict[str, str]]:
    """The rows of these tables in the data file."""
    text = (Path(__file__).parent / "data" / "iso2859_1.csv").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return [row for row in csv.DictReader(lines) if row["table"] in tables]


def every_cell() -> list[tuple[str, Decimal]]:
    return [(letter, aql) for letter in LETTERS for aql in AQLS]


def test_table_1_has_the_letters_of_the_standard_from_the_first_to_the_last_lot_of_each_row() -> (
    None
):
    rows = printed("1")
    assert len(rows) == 15 * len(Level)
    for row in rows:
        level = Level(row["column"])
        last = OVER * 10 if row["row"] == "over" else int(row["row"])
        first = max((one + 1 for one in LAST if one < last), default=2)
        letters = {code_letter(size, level) for size in (first, (first + last) // 2, last)}
        assert letters == {row["letter"]}, row


def test_a_larger_lot_or_a_higher_level_never_has_a_smaller_letter() -> None:
    sizes = sorted({1, 2, OVER, *LAST, *(one + 1 for one in LAST)})
    for level in Level:
        order = [LETTERS.index(code_letter(size, level)) for size in sizes]
        assert order == sorted(order), level
    for size in sizes:
        order = [LETTERS.index(code_letter(size, level)) for level in Level]
        assert order == sorted(order), size


@pytest.mark.parametrize("table", sorted(TABLES))
def test_every_cell_of_a_master_table_leads_to_the_printed_plan(table: str) -> None:
    rows = printed(table)
    assert {(row["row"], Decimal(row["column"])) for row in rows} == set(every_cell())
    for row in rows:
        plan = single_plan(TABLES[table], row["row"], Decimal(row["column"]))
        expected = SinglePlan(row["letter"], int(row["size"]), int(row["accept"]))
        assert plan == expected, row
        assert int(row["reject"]) == plan.accept + 1, row


def test_the_plans_of_the_house_rule_are_those_that_were_checked_by_hand() -> None:
    """Level II, AQL 2.5: letter D uses 5 units, E uses 20; Ac for 5, 20, 32, 50, 80, 125 is 0, 1, 2, 3, 5, 7."""
    lots = {20: (5, 0), 40: (5, 0), 70: (20, 1), 120: (20, 1), 200: (32, 2), 400: (50, 3)}
    lots |= {1000: (80, 5), 3000: (125, 7)}
    for size, expected in lots.items():
        plan = single_plan(Severity.NORMAL, code_letter(size), Decimal("2.5"))
        assert (plan.size, plan.accept) == expected, size


def test_a_written_percentage_is_the_same_however_many_zeros_it_has() -> None:
    for text in ("10", "10.0", "1E+1"):
        assert single_plan(Severity.NORMAL, "J", Decimal(text)).accept == 14


@pytest.mark.parametrize(
    ("letter", "aql"), [("J", "3.0"), ("J", "0.040"), ("J", "15"), ("I", "2.5"), ("S", "2.5")]
)
def test_what_the_tables_do_not_have_is_refused(letter: str, aql: str) -> None:
    with pytest.raises(errors.InvalidInput) as refused:
        single_plan(Severity.NORMAL, letter, Decimal(aql))
    assert refused.value.accepted


def test_a_lot_without_units_has_no_letter_and_no_plan() -> None:
    for ask in (lambda: code_letter(0), lambda: isolated_plan(0, Decimal("5.0"))):
        with pytest.raises(errors.InvalidInput):
            ask()


def test_one_step_tighter_has_the_same_sample_and_a_smaller_ac_wherever_the_score_asks_for_it() -> (
    None
):
    asked = 0
    for letter, aql in every_cell():
        plan = single_plan(Severity.NORMAL, letter, aql)
        if plan.accept >= 2:
            tighter = one_step_tighter(plan.letter, aql)
            assert (tighter.letter, tighter.size) == (plan.letter, plan.size)
            assert 1 <= tighter.accept < plan.accept
            asked += 1
    assert asked > 80
    assert one_step_tighter("Q", Decimal("0.065")) == SinglePlan("Q", 1250, 1)


def curve(plan: SinglePlan, known: dict[SinglePlan, list[Fraction]]) -> list[Fraction]:
    """How often a plan accepts processes of 1 % to 95 % nonconforming units."""
    if plan not in known:
        shares = [Fraction(one, 100) for one in (*range(1, 16), 20, 25, 30, 38, 50, 75, 95)]
        known[plan] = [
            accept_probability_of_process(plan.size, plan.accept, share) for share in shares
        ]
    return known[plan]


def test_tightened_accepts_nothing_that_normal_does_not_and_nowhere_more_often() -> None:
    """With the same sample size its Ac is not larger: what it accepts, normal accepts on the same findings.

    With another size it is the larger one, and its curve lies nowhere above the normal one. The one exception is letter
    A at AQL 10 (2/0 against 5/1), whose curves cross at 38 %.
    """
    known: dict[SinglePlan, list[Fraction]] = {}
    for letter, aql in every_cell():
        normal = single_plan(Severity.NORMAL, letter, aql)
        tightened = single_plan(Severity.TIGHTENED, letter, aql)
        if (letter, aql) == A_10:
            assert (normal[1:], tightened[1:]) == ((5, 1), (2, 0))
            continue
        assert tightened.size >= normal.size
        if tightened.size == normal.size:
            assert tightened.accept <= normal.accept
        pairs = zip(curve(tightened, known), curve(normal, known), strict=True)
        assert all(strict <= usual for strict, usual in pairs), (letter, aql)


def test_reduced_looks_at_no_more_units_and_accepts_as_often_but_for_half_a_percentage_point() -> (
    None
):
    """The other way round it is not exact: about the AQL some reduced plans accept a little less often than normal ones."""
    known: dict[SinglePlan, list[Fraction]] = {}
    for letter, aql in every_cell():
        normal = single_plan(Severity.NORMAL, letter, aql)
        reduced = single_plan(Severity.REDUCED, letter, aql)
        assert reduced.size <= normal.size
        pairs = zip(curve(reduced, known), curve(normal, known), strict=True)
        assert all(few >= many - Fraction(1, 200) for few, many in pairs), (letter, aql)


def test_a_process_at_its_aql_is_mostly_accepted_where_the_plan_allows_any() -> None:
    """The producer's risk: a process exactly at the AQL is accepted in 84 of 100 cases or more, never for certain."""
    for letter, aql in every_cell():
        plan = single_plan(Severity.NORMAL, letter, aql)
        share = Fraction(aql) / 100
        assert Fraction(84, 100) < accept_probability_of_process(plan.size, plan.accept, share) < 1


def test_table_a_has_the_printed_plans_for_lots_that_stand_alone() -> None:
    first = 26
    for line in TABLE_A.strip().splitlines():
        last, *cells = line.split()
        for quality, cell in zip(LIMITING_QUALITIES[3:], cells, strict=True):
            size, accept = (int(number) for number in cell.split("/"))
            for lot in (first, int(last)):
                found = isolated_plan(lot, quality)
                assert (found.size, found.accept) == (min(size, lot), accept), (lot, quality)
        first = int(last) + 1
    row = [isolated_plan(25, quality).size for quality in LIMITING_QUALITIES]
    assert row == [25] * 6 + [17, 13, 9, 6]


def test_of_isolated_lots_as_bad_as_the_limiting_quality_few_are_accepted() -> None:
    """The standard names 13 % as the most; two cells whose lots have just two nonconforming units are at 16 % and 19 %."""
    above = {}
    for lot in (*LAST[2:], 1_000_000):
        for quality in LIMITING_QUALITIES:
            plan = isolated_plan(lot, quality)
            bad = ceil(lot * quality / 100)
            ways = sum(
                comb(bad, one) * comb(lot - bad, plan.size - one) for one in range(plan.accept + 1)
            )
            risk = Fraction(ways, comb(lot, plan.size))
            if risk >= Fraction(13, 100):
                above[lot, str(quality)] = round(float(risk), 2)
    assert above == {(90, "2.0"): 0.19, (150, "1.25"): 0.16}


def test_small_lots_that_stand_alone_are_inspected_whole_and_strange_qualities_refused() -> None:
    assert isolated_plan(15, Decimal("31.5")) == SinglePlan("", 15, 0)
    with pytest.raises(errors.InvalidInput):
        isolated_plan(100, Decimal("4.0"))
