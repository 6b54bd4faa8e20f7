"""The tables of acceptance sampling, as the standards print them, and how to read them.

ISO 2859-1:1999 (the same: GB/T 2828.1-2012): table 1 and the single sampling plans of tables 2-A, 2-B and 2-C for
AQLs of 0.065 % to 10 %. ANSI/ASQ Z1.4 and MIL-STD-105E have the same tables 1 and 2-A. They differ in two places:
their reduced plans have a gap between the acceptance and the rejection number and shorter ways between Ac 0 and Ac 1,
which the 1999 edition took out (here Re is always Ac + 1); and for letter A at AQL 10, tightened, they go down to
letter D (8 units, Ac 1) where the 1999 edition has a plan of its own (2 units, Ac 0). ISO has published a third
edition in 2026; it is not what these tables show.

Letter S (3,150 units) of table 2-B is reached only from AQL 0.025, which is not offered here.

ISO 2859-2:1985, table A (procedure A): plans for a lot that stands alone, by limiting quality. Later editions arrange
their tables otherwise.

Percentages are `Decimal`s, as printed: `Decimal("2.5")` is 2.5 %.
"""

from __future__ import annotations

from decimal import Decimal
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from domain.errors import InvalidInput

LOT_BY_LOT = "ISO 2859-1:1999"
"""The edition whose tables 1 and 2 are meant."""
ISOLATED_LOT = "ISO 2859-2:1985"
"""The edition whose table A is meant."""


class Level(StrEnum):
    """How much is inspected for a lot size: three general levels, four special ones for small samples."""

    S1 = "S-1"
    S2 = "S-2"
    S3 = "S-3"
    S4 = "S-4"
    I = "I"  # noqa: E741
    II = "II"
    III = "III"


class Severity(StrEnum):
    """Which of the tables 2-A, 2-B and 2-C is in force; what came before decides."""

    NORMAL = "normal"
    TIGHTENED = "tightened"
    REDUCED = "reduced"


class SinglePlan(NamedTuple):
    """One plan: inspect so many units, accept with at most so many nonconforming ones among them."""

    letter: str
    """The code letter whose row it is: another one than asked for where an arrow was followed."""
    size: int
    accept: int
    """Ac. Re is one more."""


# Last lot size of each row; the columns are the levels in their order above.
_TABLE_1 = """
         8  A A A A A A B
        15  A A A A A B C
        25  A A B B B C D
        50  A B B C C D E
        90  B B C C C E F
       150  B B C D D F G
       280  B C D E E G H
       500  B C D E F H J
     1,200  C C E F G J K
     3,200  C D E G H K L
    10,000  C D F G J L M
    35,000  C D F H K M N
   150,000  D E G J L N P
   500,000  D E G J M P Q
      over  D E H K N Q R
"""

# Column 0.040 is there for the switching score alone: it is one step tighter than 0.065.
_TABLE_2_A = """
           0.040 0.065  0.10  0.15  0.25  0.40  0.65   1.0   1.5   2.5   4.0   6.5    10
    A    2     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓
    B    3     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓
    C    5     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     1
    D    8     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     1     2
    E   13     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     1     2     3
    F   20     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     1     2     3     5
    G   32     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     1     2     3     5     7
    H   50     ↓     ↓     ↓     ↓     0     ↑     ↓     1     2     3     5     7    10
    J   80     ↓     ↓     ↓     0     ↑     ↓     1     2     3     5     7    10    14
    K  125     ↓     ↓     0     ↑     ↓     1     2     3     5     7    10    14    21
    L  200     ↓     0     ↑     ↓     1     2     3     5     7    10    14    21     ↑
    M  315     0     ↑     ↓     1     2     3     5     7    10    14    21     ↑     ↑
    N  500     ↑     ↓     1     2     3     5     7    10    14    21     ↑     ↑     ↑
    P  800     ↓     1     2     3     5     7    10    14    21     ↑     ↑     ↑     ↑
    Q 1250     1     2     3     5     7    10    14    21     ↑     ↑     ↑     ↑     ↑
    R 2000     2     3     5     7    10    14    21     ↑     ↑     ↑     ↑     ↑     ↑
"""

_TABLE_2_B = """
           0.065  0.10  0.15  0.25  0.40  0.65   1.0   1.5   2.5   4.0   6.5    10
    A    2     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0
    B    3     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓
    C    5     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓     ↓
    D    8     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓     ↓     1
    E   13     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓     ↓     1     2
    F   20     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓     ↓     1     2     3
    G   32     ↓     ↓     ↓     ↓     ↓     0     ↓     ↓     1     2     3     5
    H   50     ↓     ↓     ↓     ↓     0     ↓     ↓     1     2     3     5     8
    J   80     ↓     ↓     ↓     0     ↓     ↓     1     2     3     5     8    12
    K  125     ↓     ↓     0     ↓     ↓     1     2     3     5     8    12    18
    L  200     ↓     0     ↓     ↓     1     2     3     5     8    12    18     ↑
    M  315     0     ↓     ↓     1     2     3     5     8    12    18     ↑     ↑
    N  500     ↓     ↓     1     2     3     5     8    12    18     ↑     ↑     ↑
    P  800     ↓     1     2     3     5     8    12    18     ↑     ↑     ↑     ↑
    Q 1250     1     2     3     5     8    12    18     ↑     ↑     ↑     ↑     ↑
    R 2000     2     3     5     8    12    18     ↑     ↑     ↑     ↑     ↑     ↑
"""

_TABLE_2_C = """
           0.065  0.10  0.15  0.25  0.40  0.65   1.0   1.5   2.5   4.0   6.5    10
    A    2     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↓
    B    2     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓
    C    2     ↓     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     ↓
    D    3     ↓     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     ↓     1
    E    5     ↓     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     ↓     1     2
    F    8     ↓     ↓     ↓     ↓     ↓     0     ↑     ↓     ↓     1     2     3
    G   13     ↓     ↓     ↓     ↓     0     ↑     ↓     ↓     1     2     3     5
    H   20     ↓     ↓     ↓     0     ↑     ↓     ↓     1     2     3     5     6
    J   32     ↓     ↓     0     ↑     ↓     ↓     1     2     3     5     6     8
    K   50     ↓     0     ↑     ↓     ↓     1     2     3     5     6     8    10
    L   80     0     ↑     ↓     ↓     1     2     3     5     6     8    10     ↑
    M  125     ↑     ↓     ↓     1     2     3     5     6     8    10     ↑     ↑
    N  200     ↓     ↓     1     2     3     5     6     8    10     ↑     ↑     ↑
    P  315     ↓     1     2     3     5     6     8    10     ↑     ↑     ↑     ↑
    Q  500     1     2     3     5     6     8    10     ↑     ↑     ↑     ↑     ↑
    R  800     2     3     5     6     8    10     ↑     ↑     ↑     ↑     ↑     ↑
"""

# Sample size and Ac by last lot size and limiting quality; "all" where the sample is not smaller than any lot of the row.
_TABLE_A = """
           0.50    0.80    1.25     2.0    3.15     5.0     8.0    12.5    20.0    31.5
        25   all     all     all     all     all     all    17/0    13/0     9/0     6/0
        50   all     all     all    50/0    50/0    28/0    22/0    15/0    10/0     6/0
        90   all     all    90/0    50/0    44/0    34/0    24/0    16/0    10/0     8/0
       150   all   150/0    90/0    80/0    55/0    38/0    26/0    18/0    13/0    13/1
       280 200/0   170/0   130/0    95/0    65/0    42/0    28/0    20/0    20/1    13/1
       500 280/0   220/0   155/0   105/0    80/0    50/0    32/0    32/1    20/1    20/3
     1,200 380/0   255/0   170/0   125/0   125/1    80/1    50/1    32/1    32/3    32/5
     3,200 430/0   280/0   200/0   200/1   125/1   125/3    80/3    50/3    50/5   50/10
    10,000 450/0   315/0   315/1   200/1   200/3   200/5   125/5    80/5   80/10   80/18
    35,000 500/0   500/1   315/1   315/3   315/5  315/10  200/10  125/10  125/18   80/18
   150,000 800/1   500/1   500/3   500/5  500/10  500/18  315/18  200/18  125/18   80/18
   500,000 800/1   800/3   800/5  800/10  800/18  500/18  315/18  200/18  125/18   80/18
      over 1250/3  1250/5 1250/10 1250/18  800/18  500/18  315/18  200/18  125/18   80/18
"""

_SMALLEST_ISOLATED_LOT = 16
"""Table A begins here; of smaller lots every unit is inspected."""
_STEP = MappingProxyType({"↓": 1, "↑": -1})


class _Rows(NamedTuple):
    columns: tuple[Decimal, ...]
    rows: tuple[tuple[str, ...], ...]


def _read(table: str) -> _Rows:
    head, *rows = (tuple(line.split()) for line in table.strip().splitlines())
    return _Rows(tuple(Decimal(column) for column in head), tuple(rows))


def _upper(text: str) -> int | None:
    """Last lot size of a row; none for the row without an end."""
    return None if text == "over" else int(text.replace(",", ""))


_LETTERS_BY_LOT = tuple(
    (_upper(last), dict(zip(Level, letters, strict=True)))
    for last, *letters in (line.split() for line in _TABLE_1.strip().splitlines())
)
_SINGLE = MappingProxyType(
    {
        Severity.NORMAL: _read(_TABLE_2_A),
        Severity.TIGHTENED: _read(_TABLE_2_B),
        Severity.REDUCED: _read(_TABLE_2_C),
    }
)
_ISOLATED = _read(_TABLE_A)

AQLS: tuple[Decimal, ...] = _SINGLE[Severity.TIGHTENED].columns
"""The acceptance quality limits on offer, percent nonconforming, from the strictest on."""
LIMITING_QUALITIES: tuple[Decimal, ...] = _ISOLATED.columns
"""The limiting qualities on offer, percent nonconforming, from the strictest on."""
LETTERS: tuple[str, ...] = tuple(row[0] for row in _SINGLE[Severity.NORMAL].rows)
"""The sample size code letters in their order: A to R without I and O."""


def code_letter(lot_size: int, level: Level = Level.II) -> str:
    """Table 1: the code letter of a lot. A lot of one unit, which the table leaves out, counts to the first row.

    Raises `InvalidInput` for a lot without units.
    """
    _at_least_one(lot_size)
    return next(
        letters[level] for last, letters in _LETTERS_BY_LOT if last is None or lot_size <= last
    )


def single_plan(severity: Severity, letter: str, aql: Decimal) -> SinglePlan:
    """Tables 2-A to 2-C: the plan of a letter and an AQL; arrows lead to the first plan below or above, with its size.

    Raises `InvalidInput` for an AQL or a letter the tables do not have.
    """
    if aql not in AQLS:
        raise InvalidInput(
            f"There are no plans for an AQL of {aql} %", field="aql", accepted=_listed(AQLS)
        )
    return _followed(_SINGLE[severity], letter, aql)


def one_step_tighter(letter: str, aql: Decimal) -> SinglePlan:
    """The normal plan of the same letter for the AQL before this one, by which the switching score is counted.

    Asked for where Ac is 2 or more, where it has the same sample size. Raises `InvalidInput` for an unknown AQL or letter.
    """
    rows = _SINGLE[Severity.NORMAL]
    if aql not in AQLS:
        raise InvalidInput(
            f"There are no plans for an AQL of {aql} %", field="aql", accepted=_listed(AQLS)
        )
    return _followed(rows, letter, rows.columns[rows.columns.index(aql) - 1])


def isolated_plan(lot_size: int, limiting_quality: Decimal) -> SinglePlan:
    """Table A: sample size and Ac for a lot that stands alone. The letter is empty: the table has none.

    The size is that of the lot where the table's sample would not be smaller. Raises `InvalidInput` for a limiting
    quality the table does not have.
    """
    _at_least_one(lot_size)
    if limiting_quality not in LIMITING_QUALITIES:
        raise InvalidInput(
            f"There are no plans for a limiting quality of {limiting_quality} %",
            field="limiting_quality",
            accepted=_listed(LIMITING_QUALITIES),
        )
    if lot_size < _SMALLEST_ISOLATED_LOT:
        return SinglePlan("", lot_size, 0)
    cells = next(
        cells
        for last, *cells in _ISOLATED.rows
        if (upper := _upper(last)) is None or lot_size <= upper
    )
    cell = cells[LIMITING_QUALITIES.index(limiting_quality)]
    if cell == "all":
        return SinglePlan("", lot_size, 0)
    size, accept = (int(number) for number in cell.split("/"))
    return SinglePlan("", min(size, lot_size), accept)


def _followed(table: _Rows, letter: str, aql: Decimal) -> SinglePlan:
    if letter not in LETTERS:
        raise InvalidInput(
            f"{letter} is not a code letter", field="letter", accepted=", ".join(LETTERS)
        )
    row, column = LETTERS.index(letter), table.columns.index(aql)
    cell = table.rows[row][2 + column]
    while cell in _STEP:
        row += _STEP[cell]
        cell = table.rows[row][2 + column]
    found, size, *_ = table.rows[row]
    return SinglePlan(found, int(size), int(cell))


def _at_least_one(lot_size: int) -> None:
    if lot_size < 1:
        raise InvalidInput(
            "A lot has at least one unit", field="lot_size", accepted="a whole number from 1"
        )


def _listed(values: tuple[Decimal, ...]) -> str:
    return ", ".join(str(value) for value in values)
