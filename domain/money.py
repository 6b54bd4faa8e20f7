"""Money: whole minor units of an ISO 4217 currency, and exact ways to share them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import AfterValidator, Field

from domain.errors import AmountOutOfRange, CurrencyMismatch, UnknownCurrency
from domain.model import Message

MAX_AMOUNT = 10_000_000_000_000
"""Largest single amount in minor units. Sums of 900,000 such amounts still fit into 64 bits."""

_EXPONENTS = {
    **dict.fromkeys(
        "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split(), 0
    ),
    **dict.fromkeys(
        "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
        "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
        "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
        "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
        "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
        "TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG".split(),
        2,
    ),
    **dict.fromkeys("BHD IQD JOD KWD LYD OMR TND".split(), 3),
    **dict.fromkeys("CLF UYW".split(), 4),
}
"""Active codes of ISO 4217 list one, with the number of decimals of each; funds, metals and test codes left out."""


def exponent(currency: str) -> int:
    """Decimals of the currency's minor unit (CNY 2, JPY 0, KWD 3).

    Raises UnknownCurrency for anything that is not an active ISO 4217 code.
    """
    try:
        return _EXPONENTS[currency]
    except KeyError:
        raise UnknownCurrency(
            f"{currency[:16]!r} is not an active ISO 4217 currency code",
            field="currency",
            accepted="three capital letters such as CNY, JPY or KWD",
        ) from None


def currencies() -> list[str]:
    """Every accepted code, sorted."""
    return sorted(_EXPONENTS)


def _known(code: str) -> str:
    try:
        exponent(code)
    except UnknownCurrency as unknown:
        raise ValueError(unknown.detail) from unknown
    return code


Currency = Annotated[str, AfterValidator(_known)]
MinorUnits = Annotated[int, Field(strict=True, ge=1, le=MAX_AMOUNT)]
"""A positive whole number of the currency's minor units (fen, cents, yen)."""


class Money(Message):
    """An amount above 0 in one currency."""

    amount: MinorUnits
    currency: Currency

    def __str__(self) -> str:
        return format_money(self.amount, self.currency)


def format_money(amount: int, currency: str) -> str:
    """The amount with its code and decimals, the same in every language: `CNY 1,234.50`."""
    decimals = exponent(currency)
    sign = "-" if amount < 0 else ""
    whole, rest = divmod(abs(amount), 10**decimals)
    fraction = f".{rest:0{decimals}d}" if decimals else ""
    return f"{currency} {sign}{whole:,}{fraction}"


def times(amount: int, quantity: int) -> int:
    """`amount` x `quantity`, refused with AmountOutOfRange above MAX_AMOUNT."""
    total = amount * quantity
    if total > MAX_AMOUNT:
        raise AmountOutOfRange(
            "the total is larger than the platform can hold",
            field="lines",
            accepted=f"a total of at most {MAX_AMOUNT} minor units",
        )
    return total


def basis_points_of(amount: int, basis_points: int) -> int:
    """The given share of an amount, half a minor unit rounded up."""
    return (amount * basis_points + 5_000) // 10_000


def split(amount: int, weights: Sequence[int]) -> list[int]:
    """Shares `amount` by weight so that the parts add up exactly (largest remainder, ties to the earlier).

    Raises AmountOutOfRange when there is no positive weight.
    """
    total = sum(weights)
    if total <= 0 or min(weights) < 0:
        raise AmountOutOfRange("a split needs weights of 0 or more, one of them above 0")
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda i: (-(amount * weights[i] % total), i))
    for i in by_remainder[: amount - sum(parts)]:
        parts[i] += 1
    return parts


def same_currency(codes: Sequence[str]) -> str:
    """The one currency of all, or CurrencyMismatch."""
    if len(set(codes)) != 1:
        raise CurrencyMismatch(f"expected one currency, got {', '.join(sorted(set(codes)))}")
    return codes[0]
