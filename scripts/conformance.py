"""Does a backend keep the contract? Random brains with every option, compared bit for bit with the specification.

python -m hebbit.scripts.conformance --brains 1000 --presentations 200 --jobs 2 --out conformance.json
python -m hebbit.scripts.conformance --golden tests/vectors/golden.json
"""

import argparse
import functools
import hashlib
import json
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hebbit.backends import load, names, spec
from hebbit.backends.spec import LANES, RANGES, STATE_MAX, Arrays, Backend, BrainConfig, Flag, Param, Prediction

SPECIFICATION = "numpy"
PREDICT_EVERY = 4
"""Presentations between two comparisons of predict: it costs as much as a step."""
GOLDEN_CASES = tuple(range(8))
GOLDEN_PRESENTATIONS = 12
SIZES = (1, 2, 3, 9)
"""Brains of a population; 9 are enough for backends that share large ones out among threads."""
UNUSABLE = 2
SHOWN = 10  # failing cases that are described; the others are counted

FLAGS = (Flag.CONTINUE,) * 8 + (Flag.IDLE, Flag.START, Flag.TERMINATED, Flag.TRUNCATED)
CYCLES = (1, 1, 2, 2, 3, 4, 5, 8, 11, 15)
"""Short presentations are frequent because the specification is slow; all sizes beyond a block of 8 occur."""


class Dice:
    """Integers that are the same for ever.

    NumPy promises that for the raw words of a bit generator, not for what its Generator makes of them.
    """

    def __init__(self, *seed: int) -> None:
        """Begin the sequence of this seed."""
        self._words = np.random.PCG64(np.random.SeedSequence(seed))

    def integers(self, low: int, high: int, shape: Sequence[int]) -> NDArray[np.int64]:
        """Integers between low and high, both included (bias below 2**-16, which is no matter here)."""
        raw = self._words.random_raw(int(np.prod(shape, dtype=np.int64))) >> np.uint64(15)
        return (low + (raw % np.uint64(high - low + 1)).astype(np.int64)).reshape(tuple(shape))

    def between(self, low: int, high: int) -> int:
        """One integer between low and high, both included."""
        return int(self.integers(low, high, (1,))[0])

    def one_in(self, number: int) -> bool:
        """True with the chance 1 / number."""
        return self.between(1, number) == 1

    def across(self, low: int, high: int) -> int:
        """One integer between low and high: of every order of magnitude, and often an end."""
        if self.one_in(8):
            return low if self.one_in(2) else high
        width = (high - low) >> self.between(0, (high - low).bit_length() - 1)
        return low + self.between(0, width)


@dataclass(frozen=True)
class Case:
    """A population of random brains."""

    number: int
    config: BrainConfig
    params: NDArray[np.int32]
    seed: int
    arrays: Arrays


class Observed(NamedTuple):
    """The arguments of one step."""

    intensities: NDArray[np.uint8]
    rewards: NDArray[np.int32]
    flags: NDArray[np.uint8]
    forced: NDArray[np.int32] | None


class Asked(NamedTuple):
    """The arguments of one predict."""

    brains: NDArray[np.int64]
    intensities: NDArray[np.uint8]
    excitement: NDArray[np.uint8]
    presentations: NDArray[np.uint32]
    deterministic: bool


@dataclass(frozen=True)
class Outcome:
    """What the comparison of one case found."""

    number: int
    brains: int
    presentations: int
    bits: int
    """Bits compared."""
    differing: dict[str, int]
    """Bits that differ, by array, after the presentation where the first one did."""


def random_config(dice: Dice) -> BrainConfig:
    """Small shapes, multiples of nothing in particular; now and then just below or above one or two blocks."""
    sensory = dice.between(15, 33) if dice.one_in(12) else dice.between(1, 6)
    pool = dice.between(15, 33) if dice.one_in(12) else dice.between(0, 9)
    slots_min = 1 if dice.one_in(2) else dice.between(1, 8)
    # learning words are slow in the specification
    learning = dice.between(1, 2) if dice.one_in(3) else 0
    divisors = [tiles for tiles in range(1, sensory + 1) if sensory % tiles == 0]
    tiles = divisors[dice.between(0, len(divisors) - 1)] if dice.one_in(4) else 0
    return BrainConfig(
        sensory_words=sensory,
        pool_words=pool,
        groups=tuple(dice.between(1, 4) for _ in range(dice.between(1, 2))),
        cycles=CYCLES[dice.between(0, len(CYCLES) - 1)],
        slots_min=slots_min,
        slots_max=dice.between(slots_min, 8),
        clusters=dice.between(1, min(3, sensory + pool)),
        echo_delay=dice.between(0, 2),
        echo_pool=dice.between(0, min(3, pool + learning)),
        learning_words=learning,
        learning_pool=dice.one_in(2),
        tiles=tiles,
        row=dice.between(1, 40) if tiles else 0,
    )


def random_params(dice: Dice, brains: int, clusters: int) -> NDArray[np.int32]:
    """Hyperparameters, each anywhere in its range; a third of the brains are quiet (no noise, all or nothing).

    Half of them have learning words that neither fire always nor never, and that are credited by parts.
    """
    params = np.zeros((brains, clusters, len(Param)), np.int32)
    for brain in params:
        for row in brain:
            row[: Param.COPY] = [dice.across(*RANGES[param]) for param in Param if param < Param.COPY]
            slope = dice.across(0, 4)
            most = spec.THRESHOLD_MAX - (spec.MAX_SLOTS - 1) * slope if dice.one_in(3) else min(12, 31 - 7 * slope)
            row[[Param.THRESHOLD_SLOPE, Param.THRESHOLD]] = slope, dice.across(1, most)
        if dice.one_in(3):
            brain[:, [Param.DRIVE, Param.GAIN, Param.NOISE]] = (0, STATE_MAX, 0)
        if dice.one_in(2):
            brain[:, [Param.BASE_RATE, Param.MOTOR_BASE]] = 0
        if dice.one_in(2):
            brain[:, [Param.INNER_SLOPE, Param.INNER_BIAS]] = dice.across(0, 1000), dice.between(-30, 30)
            brain[:, Param.FEEDBACK] = dice.between(0, 30)
    return params


def random_numbers(dice: Dice, low: int, high: int, shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Numbers between low and high: anything, only the ends, one end, or 0."""
    style = dice.between(0, 5)
    if style < 2:
        return dice.integers(low, high, shape)
    if style == 2:
        return low + (high - low) * dice.integers(0, 1, shape)
    return np.full(shape, (low, high, 0)[style - 3])


def random_arrays(dice: Dice, config: BrainConfig, brains: int) -> Arrays:
    """Brains in the middle of a life, up to the last presentations that a counter holds."""
    arrays = spec.empty_arrays(config, dice.integers(0, 2**32 - 1, (brains,)).astype(np.uint32))
    now = (0, dice.between(0, 10**6), 2**32 - 3)[dice.between(0, 2)]
    arrays["presentation"][:] = now
    arrays["generation"][:] = dice.integers(0, 2 ** dice.between(0, 32) - 1, arrays["generation"].shape)
    arrays["episode"][:] = dice.integers(0, 1000, (brains,))
    if dice.one_in(2):
        arrays["excitement"][:] = random_numbers(dice, 0, STATE_MAX, arrays["excitement"].shape)
    arrays["weights"][:] = random_numbers(dice, spec.WEIGHT_MIN, spec.WEIGHT_MAX, arrays["weights"].shape)
    arrays["traces"][:] = random_numbers(dice, -STATE_MAX, STATE_MAX, arrays["traces"].shape)
    # Counts are never negative, so no critic ever has a negative trace.
    arrays["traces"][:, -1] = np.abs(arrays["traces"][:, -1])
    arrays["value"][:] = random_numbers(dice, -32768, 32512, arrays["value"].shape)
    arrays["surprise"][:] = random_numbers(dice, 0, 256 * 65535, arrays["surprise"].shape)
    shape = arrays["inner_weights"].shape
    inner = dice.integers if dice.one_in(2) else functools.partial(random_numbers, dice)
    arrays["inner_weights"][:] = inner(spec.WEIGHT_MIN, spec.WEIGHT_MAX, shape) >> dice.between(0, 7)
    for name in ("fractions", "inner_fractions"):
        arrays[name][:] = random_numbers(dice, 0, spec.FRACTION_MAX, arrays[name].shape)
    arrays["inner_traces"][:] = random_numbers(dice, -STATE_MAX, STATE_MAX, shape)
    limit = spec.DOPAMINE_LIMIT
    arrays["collected"][:] = random_numbers(dice, -limit, limit, (brains,))
    return arrays


def random_case(number: int, brains: int | None = None) -> Case:
    """The population of that number: 1 to 3 brains unless told otherwise."""
    dice = Dice(number, 0)
    config = random_config(dice)
    size = 1 + number % 3 if brains is None else brains
    params = random_params(dice, size, config.clusters)
    seed, arrays = dice.between(0, 2**32 - 1), random_arrays(dice, config, size)
    for brain in params:  # which copy it is belongs to the whole of it
        brain[:, Param.COPY] = dice.across(*RANGES[Param.COPY]) if dice.one_in(2) else 0
    return Case(number, config, params, seed, arrays)


def random_intensities(dice: Dice, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Observations: now and then all silent or all at their loudest, often loud, else anything."""
    style = dice.between(0, 9)
    if style < 2:
        return np.full(shape, (0, STATE_MAX)[style], np.uint8)
    return dice.integers(STATE_MAX - 3 if style < 6 else 0, STATE_MAX, shape).astype(np.uint8)


def random_observed(dice: Dice, case: Case) -> Observed:
    """What the brains of a case meet next."""
    brains = len(case.params)
    intensities = random_intensities(dice, (brains, case.config.sensory_words, LANES))
    rewards = dice.integers(-spec.REWARD_LIMIT, spec.REWARD_LIMIT, (brains,)) >> dice.between(0, 15)
    flags = np.array(FLAGS, np.uint8)[dice.integers(0, len(FLAGS) - 1, (brains,))]
    return Observed(intensities, rewards.astype(np.int32), flags, random_forced(dice, case))


def random_forced(dice: Dice, case: Case) -> NDArray[np.int32] | None:
    """Now and then actions that are forced upon some of the brains."""
    if not dice.one_in(3):
        return None
    sizes = np.array(case.config.groups)
    chosen = dice.integers(0, 11, (len(case.params), len(sizes))) % sizes
    return np.where(dice.integers(0, 1, chosen.shape) == 0, chosen, -1).astype(np.int32)


def random_asked(dice: Dice, case: Case, deterministic: bool) -> Asked:
    """A question to one or two brains of a case."""
    e, d, w = dice.between(1, 2), case.config.sensory_words, case.config.carried_words
    excitement = random_numbers(dice, 0, STATE_MAX, (e, w, LANES)).astype(np.uint8)
    presentations = dice.integers(0, 2**32 - 1, (e,)).astype(np.uint32)
    brains = dice.integers(0, len(case.params) - 1, (e,))
    return Asked(brains, random_intensities(dice, (e, d, LANES)), excitement, presentations, deterministic)


def differing_bits(one: NDArray[Any], other: NDArray[Any]) -> int:
    """Bits in which two arrays differ; all of them where shape or dtype do."""
    if one.shape != other.shape or one.dtype != other.dtype:
        return 8 * max(one.nbytes, other.nbytes, 1)
    both = (np.frombuffer(array.tobytes(), np.uint8) for array in (one, other))
    return int(np.bitwise_count(np.bitwise_xor(*both)).sum())


def differences(one: Mapping[str, NDArray[Any]], other: Mapping[str, NDArray[Any]]) -> dict[str, int]:
    """Differing bits of the arrays that differ at all, by name."""
    counts = {name: differing_bits(one[name], other[name]) for name in one}
    return {name: count for name, count in counts.items() if count}


def lives(backend: Backend, case: Case, presentations: int) -> Iterator[dict[str, NDArray[Any]]]:
    """Everything to be seen of a case's brains after each presentation: actions, arrays and predictions."""
    dice = Dice(case.number, 1)
    state = backend.create(case.config, case.params, case.seed, case.arrays)
    for i in range(presentations):
        seen = {"actions": backend.step(state, *random_observed(dice, case)), **backend.export(state)}
        if i % PREDICT_EVERY == 0:
            answer = backend.predict(state, *random_asked(dice, case, i % (2 * PREDICT_EVERY) == 0))
            seen |= {f"predicted {name}": getattr(answer, name) for name in Prediction._fields}
        yield seen


def compare(case: Case, presentations: int, backend: str) -> Outcome:
    """Run a case on the specification and on another backend until a bit differs."""
    bits, done, differing = 0, 0, dict[str, int]()
    both = (lives(load(name), case, presentations) for name in (SPECIFICATION, backend))
    for one, other in zip(*both, strict=True):
        done += 1
        bits += sum(8 * array.nbytes for array in one.values())
        differing = differences(one, other)
        if differing:
            break
    return Outcome(case.number, len(case.params), done, bits, differing)


def compare_number(number: int, brains: int, presentations: int, backend: str) -> Outcome:
    """The same for a case by its number, as a worker is told."""
    return compare(random_case(number, brains), presentations, backend)


def outcomes(sizes: Sequence[int], presentations: int, backend: str, jobs: int) -> Iterator[Outcome]:
    """The comparison of cases 0, 1, .. with so many brains each, as they finish."""
    if jobs == 1:
        yield from (compare_number(i, size, presentations, backend) for i, size in enumerate(sizes))
        return
    with ProcessPoolExecutor(jobs, get_context("spawn")) as pool:
        tasks = [pool.submit(compare_number, i, size, presentations, backend) for i, size in enumerate(sizes)]
        for task in as_completed(tasks):
            yield task.result()


def case_sizes(brains: int) -> list[int]:
    """Populations of 1, 2, 3, 9, 1, .. brains, so many in all."""
    sizes: list[int] = []
    while sum(sizes) < brains:
        sizes.append(min(SIZES[len(sizes) % len(SIZES)], brains - sum(sizes)))
    return sizes


def digest(arrays: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over named arrays, with their types and shapes."""
    sha = hashlib.sha256()
    for name in sorted(arrays):
        little = np.ascontiguousarray(arrays[name], arrays[name].dtype.newbyteorder("<"))
        sha.update(f"{name} {little.dtype.str} {little.shape}\n".encode())
        sha.update(little.tobytes())
    return sha.hexdigest()


def golden(backend: str) -> dict[str, Any]:
    """Digests of a few fixed lives, which change only when the contract (or :func:`random_case`) does."""
    digests = {}
    for number in GOLDEN_CASES:
        seen = lives(load(backend), random_case(number), GOLDEN_PRESENTATIONS)
        parts = "".join(digest(arrays) for arrays in seen)
        digests[str(number)] = hashlib.sha256(parts.encode()).hexdigest()
    return {"contract": spec.CONTRACT_VERSION, "presentations": GOLDEN_PRESENTATIONS, "digests": digests}


def report(found: Sequence[Outcome], seconds: float, options: argparse.Namespace) -> dict[str, Any]:
    """What was compared, where, and what came of it."""
    differing: Counter[str] = Counter()
    for outcome in found:
        differing.update(outcome.differing)
    failed = sorted((outcome for outcome in found if outcome.differing), key=lambda outcome: outcome.number)
    return {
        "contract": spec.CONTRACT_VERSION,
        "backends": [SPECIFICATION, options.backend],
        "brains": sum(outcome.brains for outcome in found),
        "presentations": sum(outcome.brains * outcome.presentations for outcome in found),
        "compared_bits": sum(outcome.bits for outcome in found),
        "differing_bits": differing.total(),
        "differing_by_array": dict(differing),
        "failed_cases": [asdict(outcome) for outcome in failed],
        "seconds": round(seconds, 1),
        "machine": platform.platform(),
        "versions": {name: version(name) for name in ("numpy", "numba")},
    }


def parser() -> argparse.ArgumentParser:
    """Options of the command."""
    made = argparse.ArgumentParser(
        prog="conformance", description="Compare a backend with the specification, bit for bit."
    )
    made.add_argument("--brains", type=int, default=100, help="random brains (default %(default)s)")
    made.add_argument("--presentations", type=int, default=20, help="presentations of each (default %(default)s)")
    made.add_argument("--backend", choices=names(), default="numba", help="what to compare (default %(default)s)")
    made.add_argument("--jobs", type=int, default=1, help="processes (default %(default)s)")
    made.add_argument("--out", type=Path, help="JSON file for the result")
    made.add_argument("--golden", type=Path, help="instead, write the specification's golden digests to this file")
    return made


def main(argv: list[str] | None = None) -> int:
    """Compare and report; 1 if any bit differs, 2 if the backend cannot load."""
    options = parser().parse_args(argv)
    if options.golden:
        options.golden.write_text(json.dumps(golden(SPECIFICATION), indent=2) + "\n")
        return 0
    try:
        load(options.backend)
    except ImportError as error:
        print(f"conformance: {error}", file=sys.stderr)
        return UNUSABLE
    begin = time.perf_counter()
    found = []
    # disable=None: progress is for terminals only
    with tqdm(total=options.brains, unit="brain", disable=None) as bar:
        for outcome in outcomes(case_sizes(options.brains), options.presentations, options.backend, options.jobs):
            found.append(outcome)
            bar.update(outcome.brains)
    result = report(found, time.perf_counter() - begin, options)
    for failure in result["failed_cases"][:SHOWN]:
        print("differs:", json.dumps(failure))
    print(
        f"{result['brains']} brains, {result['presentations']} presentations, {result['compared_bits']} bits compared: "
        f"{result['differing_bits']} differ"
    )
    if options.out:
        options.out.write_text(json.dumps(result, indent=2) + "\n")
    return 1 if result["differing_bits"] else 0


if __name__ == "__main__":
    raise SystemExit(main())
