"""The three words of the physics that an array and a compiled number spell differently.

The worlds' equations are written once, over columns: arrays with one number for each environment. For Numba the same
text is compiled over single numbers, where these functions mean the same and are given other bodies (resident_numba).
"""

from typing import Any

import numpy as np


def select(condition: Any, yes: Any, no: Any) -> Any:
    """``yes`` where the condition holds, else ``no``; neither is touched, so NaN and -0.0 come through as they are."""
    return np.where(condition, yes, no)


def some(condition: Any) -> bool:
    """Whether the condition holds anywhere."""
    return bool(np.any(condition))


def single(x: Any) -> Any:
    """Doubles rounded to the nearest single-precision number, as doubles.

    A product, quotient, sum or difference of two single-precision numbers that is computed in doubles and then rounded
    is the one that single-precision arithmetic gives: 53 bits are more than twice 24 and two.
    """
    return np.float64(np.float32(x))
