"""How the CUDA kernels lay a brain out: its row of device memory, the board in shared memory, the launch.

Every size and place is fixed when the kernels are compiled, through ``-D``; :func:`source` is their whole text.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum
from importlib.resources import files

import numpy as np

from hebbit.backends import philox, spec
from hebbit.backends.resident import LEVELS, RECENT, Real, Whole, World
from hebbit.backends.spec import LANES, BrainConfig, Flag, Param, Stream

WARP = 32
MAX_WARPS = 24
"""Warps of the largest block: with the 32 that CUDA allows, 64 registers a thread would be too few on some GPUs."""
PLANES = 17
"""Planes of a pair of output and word: four of the weight's fraction, eight of the weight, five of the trace."""
WARP_SHARE = 24 << 10
"""Bytes of shared memory that a warp may take: with more, too few warps fit beside each other to hide latency, and
weights and traces stay in device memory (and its caches)."""
RESIDENT_WARPS = 16
"""Warps that a multiprocessor's registers are to hold: 128 for each thread. Shared memory may hold fewer."""
PARTS = ("cuda_bits.cu", "cuda_phases.cu", "cuda_learning.cu", "cuda_inner.cu", "cuda_kernels.cu")
LIVES = "cuda_lives.cu"
"""What comes behind them for resident runs."""


@dataclass(frozen=True)
class Layout:
    """What a brain needs on the device."""

    config: BrainConfig
    warps: int
    """Warps of its block."""
    pairs_shared: bool
    """Weights and traces live in shared memory while the kernel runs."""
    row: dict[str, int]
    """Places in the brain's row of device memory, in words of 32 bits; LENGTH is its end."""
    board: dict[str, int]
    """Places in shared memory, likewise."""
    world: World | None = None
    """Of resident runs; these have kernels of their own."""

    @property
    def kernels(self) -> tuple[str, ...]:
        """Names of the kernels."""
        return ("run", "predict") if self.world is None else ("live", "trial")

    @property
    def threads(self) -> int:
        """Threads of a block."""
        return WARP * self.warps

    @property
    def blocks(self) -> int:
        """Blocks whose registers a multiprocessor holds, at least."""
        return max(1, RESIDENT_WARPS // self.warps)

    @property
    def row_bytes(self) -> int:
        """Device memory of a brain, hyperparameters included."""
        return 4 * (self.row["LENGTH"] + self.config.clusters * len(Param))

    @property
    def shared_bytes(self) -> int:
        """Dynamic shared memory of a block."""
        return 4 * self.board["LENGTH"]


def places(parts: Iterable[tuple[str, int]]) -> dict[str, int]:
    """Where each part starts when they lie one behind the other, and where the last one ends."""
    start, found = 0, {}
    for name, length in parts:
        found[name] = start
        start += length
    return found | {"LENGTH": start}


def board_parts(config: BrainConfig) -> list[tuple[str, int]]:
    """What the threads of a brain share, without the pairs; all from SUMS to SUMS_END is cleared every presentation."""
    i, w, k, a, g, c = (
        config.inputs, config.pool_words, config.clusters, config.units, len(config.groups), config.cycles,
    )  # fmt: skip
    learning = config.learning_words
    # counts as they are besides what the readouts see of them
    fired = 4 * config.words if config.echo_words or learning else 0
    return [
        ("PLANES", 4 * i), ("SPIKES", 2 * c * i), ("WIRES", config.slots[1] * w), ("SLOTS", w), ("DRIVE", c * w),
        ("COUNTS", 4 * config.words), ("SUMS", config.outputs + 2), ("OWN", 2 * k), ("BEST", g), ("VOLLEY", a),
        ("SUMS_END", 0), ("DRIVES", a + k), ("CREDIT", a), ("CHOICE", 3 * g), ("MOVES", 2 * k), ("MEAN", k),
        ("VALUE", k), ("SURPRISE", k), ("COLLECTED", 1), ("FIRED", fired), ("SOURCES", config.echo_pool),
        ("BEFORE", 4 * learning), ("CHANCES", config.learning_units), ("INNER_CREDIT", config.learning_units),
        ("INNER_MOVE", int(learning > 0)),
    ]  # fmt: skip


def life_parts(config: BrainConfig) -> list[tuple[str, int]]:
    """What a resident run adds, first of all: rows of doubles begin at even places."""
    return [("REAL", 2 * Real.RETURNS), ("WHOLE", 2 * Whole.LENGTHS), ("SEEN", 8 * config.sensory_words), ("NEWS", 3)]


def layout(config: BrainConfig, shared_limit: int, world: World | None = None) -> Layout:
    """The layout of a brain on a device whose blocks have so many bytes of shared memory, perhaps with a world.

    Raises:
        ValueError: the brain is too large for one block.
    """
    w, k = config.pool_words, config.clusters
    if w > WARP * MAX_WARPS:
        raise ValueError(
            f"a brain on a GPU has at most {WARP * MAX_WARPS} pool words ({LANES * WARP * MAX_WARPS} neurons), got "
            f"{w}; use fewer pool_words or the backend numba"
        )
    # a warp for each learning word, as long as it may have the registers that the others have
    warps = min(MAX_WARPS, max(-(-w // WARP), -(-config.inputs // WARP), min(config.learning_words, RESIDENT_WARPS)))
    pairs = PLANES * config.outputs * config.words
    small = [*(life_parts(config) if world else ()), *board_parts(config)]
    shared = 4 * places([*small, ("PAIRS", pairs)])["LENGTH"] <= min(shared_limit, warps * WARP_SHARE)
    board = places([*small, ("PAIRS", pairs if shared else 0)])
    if 4 * board["LENGTH"] > shared_limit:
        raise ValueError(
            f"a brain of {config.words} words, {config.clusters} clusters and {config.cycles} cycles needs "
            f"{4 * board['LENGTH']} bytes of shared memory and the GPU has {shared_limit} for a block; "
            "use a smaller brain or the backend numba"
        )
    row = places(
        [
            ("PAIRS", pairs),
            ("INNER", PLANES * config.learning_units * config.learning_sources),
            ("EXCITEMENT", 4 * config.carried_words),
            ("VALUE", k),
            ("SURPRISE", k),
            ("PRESENTATION", 1),
            ("BRAIN", 1),
            ("EPISODE", 1),
            ("COLLECTED", 1),
            ("GENERATION", w),
        ]  # fmt: skip
    )
    return Layout(config, warps, shared, row, board, world)


def defines(made: Layout) -> tuple[str, ...]:
    """Compiler options that fix the sizes: -DNAME=VALUE."""
    config = made.config
    numbers = {
        "SENSORY": config.sensory_words,
        "ECHOES": config.echo_words,
        "ECHO_POOL": config.echo_pool,
        "TILES": config.tiles,
        "TILE_ROW": config.row,
        "POOL": config.pool_words,
        "LEARNING": config.learning_words,
        "READ": config.learning_sources,
        "WORDS": config.words,
        "UNITS": config.units,
        "OUTPUTS": config.outputs,
        "GROUPS": len(config.groups),
        "CLUSTERS": config.clusters,
        "CYCLES": config.cycles,
        "SLOTS_MIN": config.slots[0],
        "SLOTS": config.slots[1],
        "WARPS": made.warps,
        "PAIRS_SHARED": int(made.pairs_shared),
        "MIN_BLOCKS": made.blocks,
        # large blocks have only 80 registers a thread: too few to hold random planes, or the keys of all ten rounds
        "HOLD_PLANES": int(made.warps <= RESIDENT_WARPS),
        "ROUNDS_UNROLLED": 10 if made.warps <= RESIDENT_WARPS else 5,
        **{f"ROW_{name}": place for name, place in made.row.items()},
        **{f"BOARD_{name}": place for name, place in made.board.items()},
    }
    lives = () if made.world is None else (f"-DWORLD={made.world.number}",)
    return (*(f"-D{name}={number}" for name, number in numbers.items()), *lives)


def constants() -> str:
    """The constants of the contract as C text, so that they stand in one place only."""

    def lines(prefix: str, members: type[IntEnum]) -> list[str]:
        return [f"#define {prefix}_{member.name} {int(member)}" for member in members]

    # one array, as what reads machine code looks for one
    tables = np.concatenate([spec.EXPONENTIAL, spec.SIGMOID])
    values = np.array2string(tables, separator=",", threshold=10**6, max_line_width=100)[1:-1]
    numbers = {
        "PARAM_COUNT": len(Param), "UNIT": spec.UNIT, "DOPAMINE_LIMIT": spec.DOPAMINE_LIMIT,
        "RATE_BITS": spec.RATE_BITS, "MAX_STEP_SHIFT": spec.MAX_STEP_SHIFT, "FRACTION_BITS": spec.FRACTION_BITS,
        "EXPONENTIAL_SIZE": len(spec.EXPONENTIAL), "COPY_SHIFT": spec.COPY_SHIFT,
    }  # fmt: skip
    random = {
        "M0": philox.MULTIPLIER_0, "M1": philox.MULTIPLIER_1, "W0": philox.WEYL_0, "W1": philox.WEYL_1,
    }  # fmt: skip
    return "\n".join(
        [
            f"// From spec.py and philox.py, contract version {spec.CONTRACT_VERSION}.",
            *lines("STREAM", Stream), *lines("PARAM", Param), *lines("FLAG", Flag),
            *(f"#define {name} {number}" for name, number in numbers.items()),
            *(f"#define PHILOX_{name} {number:#x}u" for name, number in random.items()),
            f"static __device__ const unsigned short TABLES[{len(tables)}] = {{{values}}};",
            "#define EXPONENTIAL TABLES",
            "#define SIGMOID (TABLES + EXPONENTIAL_SIZE)",
            "",
        ]
    )  # fmt: skip


def life_constants() -> str:
    """The places of a life's rows as C text."""
    rows = [f"#define {kind.__name__.upper()}_{place.name} {int(place)}" for kind in (Real, Whole) for place in kind]
    numbers = {"LEVELS": LEVELS, "RECENT": RECENT, "EVERY": EVERY, "FORGETTING": f"(1.0 / {1 << FORGETTING_BITS})"}
    return "\n".join([*rows, *(f"#define {name} {number}" for name, number in numbers.items()), ""])


EVERY, FORGETTING_BITS = 256, 14
"""As in :mod:`hebbit.agents.rewards`."""


def source(world: World | None = None) -> str:
    """The text of the kernels: constants, then the parts, with their names for the compiler's messages."""
    folder = files("hebbit.backends")
    parts = [f'#line 1 "{name}"\n' + (folder / name).read_text(encoding="utf-8") for name in PARTS]
    if world is not None:
        parts.insert(1, '#line 1 "world"\n' + world.cuda())
        parts.append(f'#line 1 "{LIVES}"\n' + (folder / LIVES).read_text(encoding="utf-8"))
        parts.insert(0, life_constants())
    return '#line 1 "constants"\n' + constants() + "\n".join(parts)
