"""`python -m deploy.docs`: writes the generated parts of docs/ from the code; `--check` only compares."""

from __future__ import annotations

import sys
from pathlib import Path

from domain.policy import SalePolicy
from domain.sale import FINAL, TRANSITIONS, Phase

DOCS = Path(__file__).parent.parent / "docs"
BEGIN = "<!-- generated: python -m deploy.docs -->\n"
END = "<!-- end -->\n"


def sale_section() -> str:
    """The sale's state diagram, its windows and its commission, as the code has them."""
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {Phase.PENDING_PAYMENT}"]
    lines += [f"    {old} --> {new}: {event}" for (old, event), new in TRANSITIONS.items()]
    lines += [f"    {phase} --> [*]" for phase in Phase if phase in FINAL]
    lines += ["```", "", "| window | default | setting |", "|---|---|---|"]
    defaults = SalePolicy()
    lines += [
        f"| {_words(name)} | {_duration(getattr(defaults, name))} | "
        f"`BAIGONG_SALE_POLICY__{name.upper()}` |"
        for name in SalePolicy.model_fields
        if name.endswith("_seconds")
    ]
    whole, hundredths = divmod(defaults.fee_basis_points, 100)
    lines += [
        "",
        f"Commission: {whole}.{hundredths:02d} % of each line (`BAIGONG_SALE_POLICY__FEE_BASIS_POINTS`).",
    ]
    return "\n".join(lines) + "\n"


def with_section(text: str, section: str) -> str:
    """The document with its generated part replaced."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{section}{END}{tail}"


def _words(name: str) -> str:
    return name.removesuffix("_seconds").replace("_", " ")


def _duration(seconds: int) -> str:
    for unit, length in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds % length == 0:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"


def main() -> int:
    """Writes or checks docs/sale.md; 1 when `--check` finds it out of date."""
    page = DOCS / "sale.md"
    current = page.read_text(encoding="utf-8")
    wanted = with_section(current, sale_section())
    if "--check" in sys.argv[1:]:
        return int(current != wanted)
    page.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
