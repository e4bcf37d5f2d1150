"""The contract on a machine that runs the CUDA kernels: a GPU, or the shim that stands for one on a CPU."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from hebbit.backends import spec
from hebbit.backends.cuda_layout import PLANES, Layout, layout
from hebbit.backends.planes import pack, pack_traces, unpack, unpack_traces, unpack_weights
from hebbit.backends.resident import F64, I64, Life, Room, World
from hebbit.backends.spec import LANES, Arrays, BrainConfig, Flag, Prediction

I32 = NDArray[np.int32]
U8 = NDArray[np.uint8]
U32 = NDArray[np.uint32]
PLANES_OF = {
    f"{prefix}{name}": planes
    for prefix in ("", "inner_")
    for name, planes in (("fractions", slice(0, 4)), ("weights", slice(4, 12)), ("traces", slice(12, PLANES)))
}
"""Which planes of all pairs of output and word are whose."""
AT_ONCE = 1 << 22
"""Synapses that are turned into planes at once: on the way, each takes some bytes."""
RESERVE = 64 << 20
"""Device memory that is left alone: the driver and others need some."""


class Call(NamedTuple):
    """One launch: a block for each brain or observation."""

    kernel: str
    blocks: int
    arguments: Sequence[Any]
    """Device arrays, and NumPy scalars of 32 bits."""
    written: Sequence[int]
    """Places of the arguments that the kernel writes."""


class Machine(Protocol):
    """What runs kernels and holds their arrays."""

    name: str
    shared_limit: int
    """Bytes of shared memory that a block may have."""
    multiprocessors: int
    shared_total: int
    """Bytes of shared memory of a multiprocessor."""

    def free_memory(self) -> int:
        """Bytes of device memory that can still be had."""

    def upload(self, array: NDArray[Any]) -> Any:
        """A copy on the device."""

    def empty(self, shape: tuple[int, ...], dtype: type) -> Any:
        """Room on the device, uninitialised."""

    def download(self, array: Any) -> NDArray[Any]:
        """A copy on the host."""

    def store(self, array: Any, host: NDArray[Any]) -> None:
        """Overwrite an array of the device, for which it needs no further room."""

    def load(self, made: Layout) -> Any:
        """The kernels compiled for a layout."""

    def launch(self, module: Any, made: Layout, call: Call) -> None:
        """Run one kernel."""


@dataclass
class DeviceState:
    """R brains on a device; ``memory`` is all that learning changes."""

    config: BrainConfig
    params: I32
    """[R, K, Param], as it was given."""
    seed: int
    brains: int
    layout: Layout
    module: Any
    memory: Any
    """uint32 [R, ROW_LENGTH] on the device, see :class:`Layout`."""
    rules: Any
    """The hyperparameters on the device."""
    groups: Any
    """int32 on the device: first unit of each group and the end, then the group of each unit."""
    lives: Any = None
    """Layout and kernels of the world that it lived in last."""


class Recorded(NamedTuple):
    """Presentations that lie on the device."""

    steps: int
    """T."""
    intensities: Any
    """uint8 [T, R, D, 32]."""
    rewards: Any
    """int32 [T, R]."""
    flags: Any
    """uint8 [T, R]."""
    forced: Any
    """int32 [T, R, G], -1 where the action is free; of no size if all are."""
    actions: Any
    """int32 [T, R, G], of the last replay."""


def portions(config: BrainConfig, brains: int) -> Iterator[slice]:
    """Brains whose arrays are turned into planes at once."""
    synapses = LANES * (config.outputs * config.words + config.learning_units * config.learning_sources)
    size = max(1, AT_ONCE // synapses)
    return (slice(start, start + size) for start in range(0, brains, size))


def to_rows(config: BrainConfig, made: Layout, arrays: Mapping[str, Any]) -> U32:
    """Canonical arrays as the rows of device memory: uint32 [R, ROW_LENGTH]."""
    rows = np.zeros((len(arrays["brain"]), made.row["LENGTH"]), np.uint32)
    fill_rows(config, made, {name: arrays[name] for name in spec.CANONICAL}, rows)
    return rows


def fill_rows(config: BrainConfig, made: Layout, arrays: Mapping[str, Any], rows: U32) -> None:
    """Put some canonical arrays into such rows."""
    own = {name: np.asarray(array) for name, array in arrays.items()}
    for some in portions(config, len(rows)):
        for name, array in own.items():
            _place(config, made, rows[some], name)[...] = _words(config, name, array[some])


def _words(config: BrainConfig, name: str, array: NDArray[Any]) -> U32:
    """A canonical array as it lies in rows: numbers, or planes [R, planes, words]."""
    if name in PLANES_OF:
        flat, planes = array.reshape(len(array), -1, LANES), PLANES_OF[name]
        return pack_traces(flat) if name.endswith("traces") else pack(flat, planes.stop - planes.start)
    if name == "excitement":
        return pack(array, 4)
    return array.astype(np.int64).astype(np.uint32).reshape(len(array), -1)


def _place(config: BrainConfig, made: Layout, rows: U32, name: str) -> U32:
    """A view of where a canonical array lies in rows."""
    if name in PLANES_OF:
        inner = name.startswith("inner_")
        pairs = config.learning_units * config.learning_sources if inner else config.outputs * config.words
        start = made.row["INNER" if inner else "PAIRS"]
        whole = rows[:, start : start + PLANES * pairs].reshape(len(rows), PLANES, pairs)
        return whole[:, PLANES_OF[name]]
    start, words = made.row[name.upper()], config.carried_words
    if name == "excitement":
        return rows[:, start : start + 4 * words].reshape(len(rows), 4, words)
    length = {"generation": config.pool_words, "value": config.clusters, "surprise": config.clusters}.get(name, 1)
    return rows[:, start : start + length]


def from_rows(config: BrainConfig, made: Layout, rows: U32, names: Sequence[str] = spec.CANONICAL) -> Arrays:
    """The canonical arrays back from rows of device memory, or those that are named."""
    empty = spec.empty_arrays(config, np.zeros(len(rows), np.uint32))
    found = {name: empty[name] for name in names}
    for some in portions(config, len(rows)):
        for name, array in found.items():
            part = _unfilled(config, made, rows[some], name)
            array[some] = part.astype(array.dtype).reshape(array[some].shape)
    return found


def _unfilled(config: BrainConfig, made: Layout, rows: U32, name: str) -> NDArray[Any]:
    """One canonical array of some rows."""
    words = _place(config, made, rows, name)
    if name in PLANES_OF:
        if name.endswith("weights"):
            return unpack_weights(words)
        return unpack_traces(words) if name.endswith("traces") else unpack(words)
    return unpack(words) if name == "excitement" else words


def group_table(groups: tuple[int, ...]) -> I32:
    """First unit of each group and the end, then the group of each unit: int32 [G + 1 + A]."""
    starts = np.concatenate([[0], np.cumsum(groups)])
    return np.concatenate([starts, np.repeat(np.arange(len(groups)), groups)]).astype(np.int32)


def shaped(name: str, array: Any, shape: tuple[int, ...], dtype: type) -> NDArray[Any]:
    """A contiguous array of that shape and type: a kernel would read beyond the end of a smaller one.

    Raises:
        ValueError: another shape, or a type whose values need not fit.
    """
    given = np.asarray(array)
    if not np.can_cast(given.dtype, dtype, "same_kind"):
        raise ValueError(f"{name} must be of type {np.dtype(dtype).name}, got {given.dtype.name}")
    own: NDArray[Any] = np.ascontiguousarray(given, dtype)
    if own.shape != shape:
        raise ValueError(f"{name} must be of shape {list(shape)}, got {list(own.shape)}")
    return own


def size_text(size: float) -> str:
    """Bytes for people."""
    return f"{size / (1 << 30):.2f} GiB" if size >= 1 << 30 else f"{size / (1 << 20):.1f} MiB"


class DeviceBackend:
    """The contract, with one block of threads for each brain."""

    def __init__(self, machine: Machine) -> None:
        """Keep the machine; nothing is asked of it yet."""
        self._machine = machine
        self.name = machine.name

    def create(self, config: BrainConfig, params: I32, seed: int, arrays: Mapping[str, Any]) -> DeviceState:
        """See :class:`hebbit.backends.spec.Backend`.

        Raises:
            ValueError: the brain is too large for one block.
            MemoryError: the population is too large for the device.
        """
        spec.check(config, np.asarray(params), seed, arrays)
        machine, brains = self._machine, len(arrays["brain"])
        made = layout(config, machine.shared_limit)
        self._plan(brains * (made.row_bytes + step_bytes(config)), f"{brains} brains", made.row_bytes)
        own: I32 = np.array(params, np.int32, order="C")
        return DeviceState(
            config=config,
            params=own,
            seed=seed,
            brains=brains,
            layout=made,
            module=machine.load(made),
            memory=machine.upload(to_rows(config, made, arrays)),
            rules=machine.upload(own),
            groups=machine.upload(group_table(config.groups)),
        )

    def _plan(self, needed: int, what: str, each: int) -> None:
        """Refuse what the device cannot hold before anything is allocated."""
        free = self._machine.free_memory() - RESERVE
        if needed > free:
            raise MemoryError(
                f"{what} need {size_text(needed)} of device memory ({each:,} bytes each) and {size_text(max(free, 0))} "
                "are free; use fewer, smaller brains, or the backend numba"
            )

    def export(self, state: DeviceState, names: Sequence[str] = spec.CANONICAL) -> Arrays:
        """See :class:`hebbit.backends.spec.Backend`."""
        return from_rows(state.config, state.layout, self._machine.download(state.memory), names)

    def refill(self, state: DeviceState, arrays: Mapping[str, Any]) -> None:
        """See :class:`hebbit.backends.spec.Backend`."""
        rows = np.array(self._machine.download(state.memory))
        fill_rows(state.config, state.layout, arrays, rows)
        self._machine.store(state.memory, rows)

    def step(self, state: DeviceState, intensities: U8, rewards: I32, flags: U8, forced: I32 | None = None) -> I32:
        """See :class:`hebbit.backends.spec.Backend`."""
        told = None if forced is None else forced[None]
        actions: I32 = self.run(state, intensities[None], rewards[None], flags[None], told)[0]
        return actions

    def run(self, state: DeviceState, intensities: U8, rewards: I32, flags: U8, forced: I32 | None = None) -> I32:
        """See :class:`hebbit.backends.spec.Backend`.

        Raises:
            MemoryError: so many presentations do not fit the device at once.
        """
        if not np.size(flags):
            return np.zeros((*np.shape(flags), len(state.config.groups)), np.int32)
        recorded = self.record(state, intensities, rewards, flags, forced)
        self.replay(state, recorded)
        return self._machine.download(recorded.actions)

    def record(
        self, state: DeviceState, intensities: U8, rewards: I32, flags: U8, forced: I32 | None = None
    ) -> Recorded:
        """Bring the arguments of :meth:`run` to the device, to be replayed without moving them again.

        Raises:
            ValueError: another shape or type, or an unknown flag.
            MemoryError: so many presentations do not fit the device at once.
        """
        config, machine = state.config, self._machine
        steps = len(flags)
        shape = (steps, state.brains)
        known = shaped("flags", flags, shape, np.uint8)
        if known.max(initial=0) > Flag.TRUNCATED:
            raise ValueError(f"flags must be of {[int(flag) for flag in Flag]}, got {known.max()}")
        seen = shaped("intensities", intensities, (*shape, config.sensory_words, LANES), np.uint8)
        earned = shaped("rewards", rewards, shape, np.int32)
        acts = (*shape, len(config.groups))
        told = np.zeros(0, np.int32) if forced is None else shaped("forced", forced, acts, np.int32)
        if steps > 1:  # one presentation was planned with the brains
            self._plan(known.size * step_bytes(config), f"{steps} presentations", state.brains * step_bytes(config))
        actions = machine.empty(acts, np.int32)
        on_device = (machine.upload(seen), machine.upload(earned), machine.upload(known), machine.upload(told))
        return Recorded(steps, *on_device, actions)

    def replay(self, state: DeviceState, recorded: Recorded) -> None:
        """One launch: all recorded presentations, learning included; the actions stay on the device."""
        if recorded.steps == 0:
            return
        arguments = (
            state.memory, state.rules, state.groups, recorded.intensities, recorded.rewards, recorded.flags,
            recorded.forced, recorded.actions, np.uint32(state.seed), np.uint32(recorded.steps),
            np.uint32(recorded.forced.nbytes > 0),
        )  # fmt: skip
        self._machine.launch(state.module, state.layout, Call("run", state.brains, arguments, (0, 7)))

    def live(self, state: DeviceState, life: Life) -> None:
        """See :class:`hebbit.backends.resident.ResidentBackend`."""
        from hebbit.backends.cuda_lives import live

        live(self._machine, state, life)

    def trial(
        self, state: DeviceState, life: Life, brains: I64, episodes: int, seed: int, calm: bool
    ) -> tuple[F64, I64]:
        """See :class:`hebbit.backends.resident.ResidentBackend`."""
        from hebbit.backends.cuda_lives import trial

        return trial(self._machine, state, life, brains, episodes, seed, calm)

    def room(self, state: DeviceState, world: World) -> Room:
        """See :class:`hebbit.backends.resident.ResidentBackend`."""
        from hebbit.backends.cuda_lives import room

        return room(self._machine, state, world)

    def predict(
        self,
        state: DeviceState,
        brains: NDArray[np.int64],
        intensities: U8,
        excitement: U8,
        presentations: U32,
        deterministic: bool,
    ) -> Prediction:
        """See :class:`hebbit.backends.spec.Backend`."""
        config, machine, e = state.config, self._machine, len(brains)
        shapes = {
            "actions": (e, len(config.groups)), "volley": (e, config.units), "values": (e, config.clusters),
            "spikes": (e,), "excitement": (e, config.carried_words, LANES),
        }  # fmt: skip
        kinds = {name: np.uint8 if name == "excitement" else np.int32 for name in shapes}
        if e == 0:
            return Prediction(**{name: np.zeros(shape, kinds[name]) for name, shape in shapes.items()})
        asked = np.asarray(brains)
        if asked.min() < 0 or asked.max() >= state.brains:
            raise ValueError(f"brains must be within 0..{state.brains - 1}, got {asked.tolist()}")
        answers = [machine.empty(shape, kinds[name]) for name, shape in shapes.items()]
        questions = (
            shaped("brains", asked.astype(np.uint32), (e,), np.uint32),
            shaped("intensities", intensities, (e, config.sensory_words, LANES), np.uint8),
            shaped("excitement", excitement, shapes["excitement"], np.uint8),
            shaped("presentations", presentations, (e,), np.uint32),
        )
        arguments = (
            state.memory, state.rules, state.groups, *(machine.upload(array) for array in questions), *answers,
            np.uint32(state.seed), np.uint32(deterministic),
        )  # fmt: skip
        machine.launch(state.module, state.layout, Call("predict", e, arguments, range(7, 12)))
        return Prediction(*(machine.download(answer) for answer in answers))


def step_bytes(config: BrainConfig) -> int:
    """Device memory of one presentation of one brain: what it sees, earns, is told and forced to, and its actions."""
    return LANES * config.sensory_words + 4 + 1 + 2 * 4 * len(config.groups)
