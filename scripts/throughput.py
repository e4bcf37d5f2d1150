"""hebbit throughput: what a backend computes in a second, and the same network in other libraries."""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from hebbit import backends
from hebbit.agents import AgentConfig, HebbitError
from hebbit.agents.files import atomic_write_text
from hebbit.backends.spec import CONTRACT_VERSION, Backend
from hebbit.scripts import peers, throughput_device, throughput_figure
from hebbit.scripts import throughput_points as sizes
from hebbit.scripts.claims_machine import machine
from hebbit.scripts.evaluate import check_output
from hebbit.scripts.throughput_timing import Budget, device, measure, threads
from hebbit.scripts.train import check_backend

FULL = {
    "brains": [1, 8, 64, 512, 2048],
    "words": [1, 8, 32, 64],
    "synapses": [1, 2, 3, 4, 5, 6, 7, 8],
    "cycles": [1, 4, 8, 15],
    "population": 64,
}
QUICK = {"brains": [1, 8], "words": [1, 32], "synapses": [1, 8], "cycles": [1, 8], "population": 8}
BUDGET, QUICK_BUDGET = Budget(seconds=0.1, repeats=21), Budget(seconds=0.02, repeats=3)
EFFORT, QUICK_EFFORT = peers.Effort(0.002, 200, 3), peers.Effort(0.002, 20, 1)
PREFIXES = ("", " k", " M", " G", " T", " P")
COLUMNS = {
    "presentations/s": ("learning", "presentations_per_second"),
    "updates/s": ("learning", "neuron_updates_per_second"),
    "visits/s": ("learning", "synapse_visits_per_second"),
    "delivered/s": ("learning", "delivered_spikes_per_second"),
    "per CPU s": ("learning", "presentations_per_cpu_second"),
    "answers/s": ("answering", "answers_per_second"),
}


def run(options: argparse.Namespace) -> int:
    """See ``hebbit throughput --help``; 1 if nothing could be measured."""
    check_backend(options.backend)
    check_files(options.out)
    command = command_line(options)
    for name, value in (QUICK if options.quick else FULL).items():
        if getattr(options, name) is None:
            setattr(options, name, value)
    backend = backends.load(options.backend)
    result = {
        "command": command,
        "backend": backend.name,
        "contract": CONTRACT_VERSION,
        "threads": threads(backend),
        "machine": machine(),
        "settings": settings(options),
        "definitions": sizes.DEFINITIONS,
        **measured(backend, options),
    }
    print(report(result))
    write(options.out, result)
    return 0 if any("refused" not in row for row in result["measurements"]) else 1


def measured(backend: Backend, options: argparse.Namespace) -> dict[str, Any]:
    """Every point, what the backend says about its device, and the peers if they were asked for."""
    plan, compared = sizes.points(options), None
    turns = peers.turns(effort(options)) if options.peers else 0
    rows = []
    # disable=None: progress is for terminals only
    with tqdm(total=len(plan) + turns, unit="figure", disable=None, leave=False) as bar:
        for point, varied in plan.items():
            rows.append({"varied": varied, **measure(backend, point, budget(options), on_device)})
            bar.update()
        reported = device(backend)
        if options.peers:
            base = sizes.base_point(options)
            shape = {"sensory_words": base.sensory_words, "pool_words": base.pool_words, "synapses": base.slots[0]}
            compared = peers.compare(backend.name, shape, effort(options), done=bar.update)
    return {"device": reported, "measurements": rows, "peers": compared}


def on_device(backend: Backend, state: Any, point: sizes.Point, given: Budget) -> dict[str, Any]:
    """What a backend with a device of its own does without transfers."""
    replayed = throughput_device.replaying(backend, state, point, given)
    return {"replayed": replayed, "roofline": throughput_device.roofline(backend, point, replayed)}


def budget(options: argparse.Namespace) -> Budget:
    """How long a point is measured."""
    return QUICK_BUDGET if options.quick else BUDGET


def effort(options: argparse.Namespace) -> peers.Effort:
    """How long peers are measured."""
    return QUICK_EFFORT if options.quick else EFFORT


def settings(options: argparse.Namespace) -> dict[str, Any]:
    """What was asked for, and what never changes."""
    return {
        **{name: getattr(options, name) for name in (*FULL, "sensory", "quick")},
        "base": sizes.base_point(options).describe(),
        "rules": {rule: {p.name: value for p, value in own.items()} for rule, own in sizes.RULES.items()},
        "hyperparameters": AgentConfig().to_dict(),
        "age": sizes.AGE,
        "seed": sizes.SEED,
        "least_seconds_of_a_call": budget(options).seconds,
        "most_repeats": budget(options).repeats,
    }


def command_line(options: argparse.Namespace) -> str:
    """The command for the result file, without --out."""
    words = ["hebbit throughput", f"--backend {options.backend}"]
    words += [f"--{name}" for name in ("quick", "peers") if getattr(options, name)]
    for name in FULL:
        value = getattr(options, name)
        if value is not None:
            words.append(f"--{name} " + " ".join(str(one) for one in (value if isinstance(value, list) else [value])))
    return " ".join([*words, f"--sensory {options.sensory}"])


def check_files(name: str | None) -> None:
    """Refuse before the work what could not be written after it."""
    if name is None:
        return
    if not name.endswith(".json"):
        raise HebbitError(f"--out must end in .json, since a picture goes beside it, got {name!r}")
    check_output(name)
    check_output(str(picture(name)))


def picture(name: str) -> Path:
    """The picture beside a result."""
    return Path(name).with_suffix(".png")


def write(name: str | None, result: Mapping[str, Any]) -> None:
    """Write the result and its picture, whole or not at all and over nothing."""
    if name is None:
        return
    check_files(name)
    atomic_write_text(name, json.dumps(result, indent=1, allow_nan=False, default=str) + "\n")
    throughput_figure.draw(result, picture(name))


def report(result: Mapping[str, Any]) -> str:
    """The result in lines."""
    lines = [f"{result['backend']}, {throughput_figure.place(result)}"]
    compiled = next((row["learning"]["compile_seconds"] for row in result["measurements"] if "learning" in row), None)
    if compiled is not None:
        lines.append(f"first call, with compilation: {compiled:.2f} s; the table gives the best repeat")
    alone = throughput_device.table(result["measurements"], si)
    lines += ["", table(result["measurements"]), *([alone] if alone else [])]
    if result["peers"] is not None:
        lines += ["", peers.table(result["peers"])]
    return "\n".join(lines)


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """One line for each value that is varied; a base point stands in every group that it belongs to.

    Neuron updates, synapse visits and delivered spikes are those of learning, and "per CPU s" are its presentations.
    """
    head = f"{'varied':<16}{'brains':>7}{'neurons':>8}{'synapses':>9}{'cycles':>7}  {'rule':<8}"
    lines = [head + "".join(f"{name:>{len(name) + 2}}" for name in COLUMNS)]
    for group in sizes.SWEEPS:
        own = [row for row in rows if group in row["varied"]]
        lines.extend(f"{group:<16}{_line(row)}" for row in sorted(own, key=_order))
    return "\n".join(lines)


def _order(row: Mapping[str, Any]) -> tuple[Any, ...]:
    rules = list(sizes.RULES)
    return row["brains"], row["neurons"], row["synapses"], row["cycles"], rules.index(row["rule"])


def _line(row: Mapping[str, Any]) -> str:
    least, most = row["synapses"]
    synapses = str(least) if least == most else f"{least}-{most}"
    sizes_ = f"{row['brains']:>7}{row['neurons']:>8}{synapses:>9}{row['cycles']:>7}  {row['rule']:<8}"
    if "refused" in row:
        return f"{sizes_}  refused: {row['refused']}"
    return sizes_ + "".join(f"{si(row[part][key]['best']):>{len(name) + 2}}" for name, (part, key) in COLUMNS.items())


def si(value: float) -> str:
    """Three digits and a prefix: 12345 is 12.3 k."""
    if value < 1:
        return f"{value:.3g}"
    exponent = min(math.floor(math.log10(float(f"{value:.3g}"))), 3 * len(PREFIXES) - 1)
    digits = 2 - exponent % 3
    return f"{value / 1000 ** (exponent // 3):.{digits}f}{PREFIXES[exponent // 3]}"
