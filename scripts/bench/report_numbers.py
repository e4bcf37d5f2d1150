"""Figures as they are read: no more digits than they deserve, and units that fit."""

import math

from hebbit.scripts.bench.statistics import Estimate

NEVER, UNKNOWN = "never", "-"
PERCENT = 100


def digits(size: float) -> int:
    """Decimals that a number of this size is written with."""
    size = abs(size)
    if size >= 1000 or size == 0:
        return 0
    return 1 if size >= 10 else 2 if size >= 1 else 3


def number(value: float, size: float | None = None) -> str:
    """A number; ``size`` is that of its neighbours, where they are written with equal decimals."""
    if math.isnan(value):
        return UNKNOWN
    if math.isinf(value):
        return NEVER
    text = f"{value:,.{digits(value if size is None else size)}f}"
    return text[1:] if text.startswith("-") and not text.strip("-0.,") else text


def estimate(found: Estimate) -> tuple[str, str]:
    """A value, and its interval; no interval where there is none."""
    parts = [abs(part) for part in found if math.isfinite(part)]
    size = max(parts, default=0.0)
    interval = "" if math.isnan(found.low) else f"[{number(found.low, size)}, {number(found.high, size)}]"
    return number(found.value, size), interval


def sentence(found: Estimate) -> str:
    """A value and its interval in a sentence."""
    return " ".join(part for part in estimate(found) if part)


def chance(found: Estimate) -> tuple[str, str]:
    """A probability with two decimals, and its interval."""
    if math.isnan(found.value):
        return UNKNOWN, ""
    interval = "" if math.isnan(found.low) else f"[{found.low:.2f}, {found.high:.2f}]"
    return f"{found.value:.2f}", interval


def probability(p: float) -> str:
    """A p-value."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def three(value: float) -> str:
    """A positive number with at least three digits, such as seconds."""
    if not math.isfinite(value):
        return number(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def scaled(value: float, units: tuple[tuple[float, str], ...]) -> str:
    """A number of at least three digits in the largest unit that it reaches."""
    if math.isnan(value):
        return UNKNOWN
    size, unit = next(((size, unit) for size, unit in units if abs(value) >= size), units[-1])
    part = value / size
    return f"{part:,.0f} {unit}" if part >= 100 else f"{part:.1f} {unit}" if part >= 10 else f"{part:.2f} {unit}"


def memory(value: float) -> str:
    """Bytes."""
    if value < 1000:
        return f"{value:.0f} B"
    return scaled(value, ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")))


def energy(joules: float) -> str:
    """Joules."""
    return scaled(joules, ((1e-3, "mJ"), (1e-6, "uJ"), (1e-9, "nJ"), (1e-12, "pJ")))


def whole(value: float) -> str:
    """A count."""
    return UNKNOWN if math.isnan(value) else NEVER if math.isinf(value) else f"{value:,.0f}"


def seeds(count: int) -> str:
    """How many seeds."""
    return f"{count} seed{'' if count == 1 else 's'}"


def listed(names: list[str]) -> str:
    """a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
