"""hebbit throughput --peers: the same network in other libraries, in turn with ours, a fresh interpreter each time.

Fresh interpreters, because libraries set threads and devices once, and disturb each other. A peer that is not
installed, or fails, is named with that.
"""

import importlib.util
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from hebbit.scripts.claims_tools import ONE_THREAD, pinned
from hebbit.scripts.peers_network import CYCLES, Task
from hebbit.scripts.throughput_timing import spread

OURS = "hebbit"
PEERS = {
    OURS: "hebbit.scripts.peers_ours:measure",
    "snntorch": "hebbit.scripts.peers_torch:snntorch",
    "norse": "hebbit.scripts.peers_torch:norse",
    "bindsnet": "hebbit.scripts.peers_torch:bindsnet",
    "brian2": "hebbit.scripts.peers_brian2:brian2",
}
"""Packages, and the function that measures each; all give what peers_network.answer gives."""
BATCHES = (1, 64)
"""One network, and a population of them."""
LIMIT_SECONDS = 900
"""After which a peer is given up."""
MEASURES = ("whole", "slope")
"""t(8 cycles) / 8, everything shared out; (t(15 cycles) - t(1 cycle)) / 14, what one more cycle adds. Of the best
repeats, since others may use the machine. The slope compares nothing where cycles are computed side by side."""
WHOLE = CYCLES[1]


@dataclass(frozen=True)
class Effort:
    """How long is measured."""

    seconds: float
    """Least length of what is timed: shorter than a busy system's time slices, so that some repeats go undisturbed."""
    repeats: int
    rounds: int
    """Times that everybody's turn comes."""


class PeerError(RuntimeError):
    """A peer that could not be measured."""


Ask = Callable[[str, Mapping[str, Any]], Any]
"""Calls module:function with keyword arguments somewhere, and gives its answer."""


def in_child(function: str, arguments: Mapping[str, Any]) -> Any:
    """Call a function in a fresh interpreter with one thread; what it says on failing becomes the error.

    Raises:
        PeerError: it failed or took too long.
    """
    code = "from hebbit.scripts.claims_tools import answer; answer()"
    command = [sys.executable, "-c", code, function, json.dumps(arguments)]
    try:
        child = subprocess.run(
            command, env=os.environ | ONE_THREAD, capture_output=True, text=True, timeout=LIMIT_SECONDS
        )
    except subprocess.TimeoutExpired as error:
        raise PeerError(f"took longer than {LIMIT_SECONDS} seconds") from error
    if child.returncode:
        said = child.stderr.strip().splitlines()
        raise PeerError(said[-1].strip() if said else f"ended with status {child.returncode}")
    return json.loads(child.stdout.splitlines()[-1])


def turns(effort: Effort) -> int:
    """How many there are, for a progress bar."""
    return effort.rounds * len(PEERS) * len(BATCHES)


def compare(
    backend: str, sizes: Mapping[str, int], effort: Effort, ask: Ask = in_child, done: Callable[[], object] = int
) -> dict[str, Any]:
    """Measure everybody in turn, and the ratios to ours.

    Args:
        backend: of our side.
        sizes: sensory_words, pool_words and synapses.
        effort: how long is measured.
        ask: calls the functions of :data:`PEERS`.
        done: called after every turn.
    """
    rows = {name: _row(name) for name in PEERS}
    with pinned() as core:
        for name, batch in _order(effort.rounds):
            row = rows[name]
            if row["status"] == "measured":
                task = Task(**sizes, batch=batch, seconds=effort.seconds, repeats=effort.repeats)
                arguments = {"task": asdict(task)} | ({"backend": backend} if name == OURS else {})
                try:
                    row["turns"].append({"batch": batch, **ask(PEERS[name], arguments)})
                except Exception as error:  # whatever a stranger's code raises is its result
                    row |= {"status": "failed", "error": " ".join(str(error).split()) or type(error).__name__}
            done()
    for row in rows.values():
        _summarise(row)
    for name, row in rows.items():
        if name != OURS:
            row["ratios"] = _ratios(row, rows[OURS])
    settings = {
        **sizes,
        **asdict(effort),
        "batches": list(BATCHES),
        "threads": 1,
        "pinned_to_one_core": core is not None,
    }
    return {"backend": backend, "settings": settings, "rows": list(rows.values())}


def _order(rounds: int) -> Iterator[tuple[str, int]]:
    for _ in range(rounds):
        for batch in BATCHES:
            for name in PEERS:
                yield name, batch


def _row(name: str) -> dict[str, Any]:
    """A peer before its turns; hebbit itself runs from a checkout too."""
    try:
        found = version(name)
    except PackageNotFoundError:
        found = None
    installed = name == OURS or importlib.util.find_spec(name) is not None
    return {"name": name, "version": found, "status": "measured" if installed else "not installed", "turns": []}


def _summarise(row: dict[str, Any]) -> None:
    """Gather a row's turns: figures of each variant and batch over all rounds."""
    turns = row.pop("turns")
    if not turns or row["status"] != "measured":
        return
    row |= {key: turns[-1][key] for key in ("cycle", "neuron", "note")}
    clocks: dict[tuple[str, int], dict[int, list[float]]] = {}
    for turn in turns:
        for one in turn["variants"]:
            clock = clocks.setdefault((one["variant"], turn["batch"]), {})
            for cycles, seconds in one["seconds"].items():
                clock.setdefault(int(cycles), []).extend(seconds)
    row["variants"] = [
        {"variant": name, "batch": batch, **microseconds(clock, batch), "seconds": _spreads(clock)}
        for (name, batch), clock in clocks.items()
    ]


def _spreads(clock: Mapping[int, Sequence[float]]) -> dict[str, dict[str, float]]:
    """Seconds of presentations by their cycles, for the result file."""
    return {str(cycles): spread(seconds) for cycles, seconds in clock.items()}


def microseconds(clock: Mapping[int, Sequence[float]], batch: int) -> dict[str, dict[str, float] | None]:
    """Microseconds of a cycle of one network: what one more takes, and the whole shared out.

    Args:
        clock: seconds of presentations by their cycles. Of one length alone, which then is a long run, the slope is
            its share, and there is no whole.
        batch: networks that a presentation serves.
    """
    kinds: dict[str, Callable[[Sequence[float]], float]] = {"best": min, "median": statistics.median}
    first, last = min(clock), max(clock)
    if first == last:
        slope = {kind: of(clock[last]) / last for kind, of in kinds.items()}
    else:
        slope = {kind: (of(clock[last]) - of(clock[first])) / (last - first) for kind, of in kinds.items()}
    whole = {kind: of(clock[WHOLE]) / WHOLE for kind, of in kinds.items()} if WHOLE in clock else None

    def scaled(seconds: dict[str, float] | None) -> dict[str, float] | None:
        return None if seconds is None else {kind: 1e6 * value / batch for kind, value in seconds.items()}

    return {"slope": scaled(slope), "whole": scaled(whole)}


def quickest(row: Mapping[str, Any], batch: int, measure: str) -> dict[str, Any] | None:
    """The variant of a row that takes least time, if it was measured so."""
    found = [one for one in row.get("variants", ()) if one["batch"] == batch and one[measure] is not None]
    return min(found, key=lambda one: float(one[measure]["best"]), default=None)


def _ratios(row: Mapping[str, Any], ours: Mapping[str, Any]) -> list[dict[str, Any]]:
    """How many times longer a peer's quickest variant takes for a whole presentation than each of ours.

    A peer without a whole is compared by its slope, which favours it. None where nothing was measured.
    """
    found = []
    for own in ours.get("variants", ()):
        measure = "whole" if quickest(row, own["batch"], "whole") else "slope"
        theirs = quickest(row, own["batch"], measure)
        ratio = None if theirs is None else theirs[measure]["best"] / own["whole"]["best"]
        found.append({"batch": own["batch"], "ours": own["variant"], "theirs": measure, "ratio": ratio})
    return found


def table(result: Mapping[str, Any]) -> str:
    """The comparison in lines: microseconds a cycle of one network, and the ratios to ours."""
    lines = [_line("us a cycle, one thread", [f"{m}, batch {b}" for m in MEASURES for b in BATCHES])]
    for row in result["rows"]:
        label = row["name"] + (f" {row['version']}" if row["version"] else "")
        if row["status"] != "measured":
            lines.append(f"{label}  {row['status']}" + (f": {row['error']}" if "error" in row else ""))
            continue
        for name, cells in _by(row["variants"], "variant").items():
            figures = [cells[batch][measure] for measure in MEASURES for batch in BATCHES]
            lines.append(_line(f"{label}, {name}", [_cell(one and one["best"]) for one in figures]))
    for row in result["rows"]:
        for name, cells in _by(row.get("ratios", ()), "ours").items():
            if row["status"] == "measured":
                theirs = "" if cells[BATCHES[0]]["theirs"] == "whole" else ", its slope"
                ratios = [_cell(cells[batch]["ratio"]) for batch in BATCHES]
                lines.append(_line(f"{row['name']}{theirs} / hebbit {name}", ratios))
    return "\n".join(lines)


def _by(rows: Sequence[Mapping[str, Any]], key: str) -> dict[str, dict[int, Mapping[str, Any]]]:
    """Rows by a name and their batch."""
    return {
        name: {row["batch"]: row for row in rows if row[key] == name} for name in dict.fromkeys(r[key] for r in rows)
    }


def _line(label: str, cells: Sequence[str]) -> str:
    return f"{label:<42}" + "".join(f"{cell:>17}" for cell in cells)


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"
