"""What hebbit throughput measures on a device alone: kernels without transfers, their share of the counted bound."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hebbit.backends.spec import LANES, Backend, BrainConfig
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.throughput_points import Point
from hebbit.scripts.throughput_timing import MOST_BYTES, Budget, device, sentence, sustained, timed


def replaying(backend: Backend, state: Any, point: Point, budget: Budget) -> dict[str, Any] | None:
    """Presentations a second with learning on, observations on the device already; None where there is no device."""
    record, replay = (getattr(backend, name, None) for name in ("record", "replay"))
    if record is None or replay is None:
        return None

    def prepare(presentations: int) -> Callable[[], object]:
        recorded = record(state, *sizes.workload(point, presentations))
        return lambda: replay(state, recorded)

    most = max(1, MOST_BYTES // (point.brains * point.sensory_words * LANES))
    steps, taken = sustained(backend, prepare, most, budget)
    return {"presentations_per_launch": steps, **timed("presentations", steps * point.brains, taken)}


def roofline(backend: Backend, point: Point, replayed: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The bound that the instructions of the compiled kernel set on this device, and the share of it that was reached.

    A share tells of the kernel only where there are brains enough to fill the device.
    """
    reported = device(backend)
    if replayed is None or not isinstance(reported, Mapping) or "compute_capability" not in reported:
        return None
    architecture = int(reported["compute_capability"])
    try:
        counted = _counted(point.brain_config(), architecture, point.rule)
    except Exception as error:  # a tool that is missing, or a device newer than what is understood: no bound is stated
        return {"not_counted": sentence(error)}
    clock = 1e3 * int(reported["clock_khz"])
    bound = counted.bound(_gpu(architecture, int(reported["multiprocessors"]), clock))
    return {
        "instructions": counted.instructions,
        "warps": counted.warps,
        "clocks": counted.clocks(),
        "bound_presentations_per_second": bound,
        "share": replayed["presentations_per_second"]["best"] / bound,
    }


def _gpu(architecture: int, multiprocessors: int, clock: float) -> Any:
    from hebbit.scripts.instructions_count import Gpu

    return Gpu(architecture, multiprocessors, clock)


@functools.cache
def _counted(config: BrainConfig, architecture: int, rule: str) -> Any:
    """Counting takes seconds; brains of one population are alike."""
    from hebbit.scripts.instructions_count import per_presentation

    return per_presentation(config, architecture, rule)


def table(rows: Sequence[Mapping[str, Any]], si: Callable[[float], str]) -> str:
    """Presentations a second without transfers, and the share of the bound; empty where there is no device.

    Args:
        rows: measurements.
        si: writes a number.
    """
    lines = []
    for row in rows:
        replayed, bound = row.get("replayed"), row.get("roofline") or {}
        if replayed is None:
            continue
        rate = si(replayed["presentations_per_second"]["best"])
        line = f"{row['brains']:>7}{row['neurons']:>8}{row['cycles']:>7}  {row['rule']:<8}{rate:>10}"
        if "share" in bound:
            line += f"{si(bound['bound_presentations_per_second']):>10}{100 * bound['share']:>7.1f} %"
        lines.append(line + ("  " + bound["not_counted"] if "not_counted" in bound else ""))
    if not lines:
        return ""
    head = f"{'brains':>7}{'neurons':>8}{'cycles':>7}  {'rule':<8}{'replayed/s':>10}{'bound/s':>10}{'share':>9}"
    return "\n".join(["", "observations on the device already, actions left there:", head, *lines])
