"""hebbit inspect: what a brain does, as pictures, figures, arrays and a page."""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from hebbit.agents.environment import checked_seed
from hebbit.agents.files import atomic_write_text, replacing
from hebbit.agents.recording import CUT, TERMINATED, TRUNCATED, BrainRecorder, Recording
from hebbit.agents.runs import versions
from hebbit.agents.tape import Tally
from hebbit.agents.trained import PREFIX, located
from hebbit.scripts import raster
from hebbit.scripts.evaluate import Subject, load
from hebbit.scripts.look import activity, choices, folder, measures, page, synapses
from hebbit.scripts.train import BEST_BRAIN, check_backend

MEMORY = 256 << 20
"""Bytes that a recording may take; of a longer play every k-th presentation is kept. It is copied once out of its ring,
and the counts of all spikes, which the analysis makes, are about as large again."""
CONSECUTIVE = 1000
"""Presentations in a row behind the picture of the value, where not all were kept."""


@dataclass(frozen=True)
class Findings:
    """What was recorded of a brain, and what it says."""

    subject: Subject
    played: Recording
    """Spread over the whole play."""
    consecutive: Recording
    """Its beginning, without gaps."""
    names: Sequence[str]
    """Of the observation's numbers."""
    tunings: Sequence[measures.Tuning]
    figures: dict[str, Any]

    def synapses(self, name: str) -> NDArray[np.int8]:
        """Weights or traces of the brain, [O, P, 32]."""
        agent = self.subject.agent
        array: NDArray[np.int8] = agent.arrays()[name][agent.active]
        return array


def run(arguments: argparse.Namespace) -> int:
    """See ``hebbit inspect --help``."""
    path = located(arguments.run)
    check_backend(arguments.backend)
    out = Path(arguments.out) if arguments.out is not None else _default_folder(arguments.run, path)
    if path.exists():
        folder.check_folder(out)
    if arguments.video:
        from hebbit.scripts.look.filming import check_movie

        check_movie()
    subject = load(path, _which(path, arguments.brain), arguments.backend, arguments.trust)
    seed = subject.agent.seed if arguments.seed is None else checked_seed(arguments.seed)
    findings = look(subject, arguments.steps, seed, not arguments.stochastic)
    folder.renew(out)
    _write(findings, out, seed)
    if arguments.watch or arguments.video:
        from hebbit.scripts.look.episode import film

        film(subject, arguments, seed, out)
    page.write_index(out, findings.figures)
    _report(findings, out)
    return 0


def _default_folder(name: str, path: Path) -> Path:
    """Within a run's folder, beside a checkpoint; here for a brain that comes along."""
    if name.startswith(PREFIX):
        return Path(f"{path.stem}_inspection")
    return path / "inspection" if path.is_dir() else path.with_name(f"{path.stem}_inspection")


def _which(path: Path, brain: str | int | None) -> str | int | None:
    """The best brain of a population whose brains were compared, unless another was asked for."""
    return "best" if brain is None and (path / BEST_BRAIN).is_file() else brain


def look(subject: Subject, steps: int, seed: int, deterministic: bool) -> Findings:
    """Play, record and measure.

    Args:
        subject: who plays where.
        steps: observations to be played.
        seed: of the episodes.
        deterministic: the strongest unit acts instead of a spike drawn at random.
    """
    agent = subject.agent
    row = BrainRecorder(agent, 1).nbytes
    most = max(1, MEMORY // row)
    every = -(-steps // most)
    recorder = BrainRecorder(agent, min(steps, most), every)
    with tqdm(total=steps, disable=None, unit="observation", leave=False, file=sys.stderr) as bar:

        def watch(env: gym.Env[Any, Any]) -> None:
            bar.update()

        played = recorder.play(subject.spec, steps, deterministic=deterministic, seed=seed, on_step=watch)
    consecutive = played
    if every > 1:
        number = min(steps, most, CONSECUTIVE)
        consecutive = BrainRecorder(agent, number).play(subject.spec, number, deterministic=deterministic, seed=seed)
    tunings = measures.tunings(played, measures.sorted_columns(played, recorder.columns))
    about = {
        **_about(subject, seed, deterministic),
        "observations": recorder.presentations,
        "kept": len(played),
        "every": every,
        "recording_bytes": recorder.nbytes,
        "bytes_per_presentation": row,
        "episodes": _episodes(recorder.tally),
        "return_mean": recorder.tally.return_mean,
        **_measured(subject, played, consecutive),
        "information": {one.column.name: float(one.information.max(initial=0)) for one in tunings},
    }
    return Findings(subject, played, consecutive, recorder.columns, tunings, about)


def _about(subject: Subject, seed: int, deterministic: bool) -> dict[str, Any]:
    agent = subject.agent
    return {
        "made_by": folder.MADE_BY,
        "versions": versions(),
        "env_id": subject.spec.id,
        "checkpoint": str(subject.path),
        "digest": agent.digest(),
        "backend": agent.backend.name,
        "brains": len(agent.brains),
        "brain": int(agent.brains[agent.active]),
        "timesteps": agent.num_timesteps,
        "seed": seed,
        "deterministic": deterministic,
    }


def _episodes(tally: Tally) -> dict[str, int]:
    """Of the whole play, also where not all presentations were kept."""
    names = {"terminated": TERMINATED, "truncated": TRUNCATED, "cut": CUT}
    return {"whole": tally.whole, **{name: tally.ends[code] for name, code in names.items()}}


def _measured(subject: Subject, played: Recording, consecutive: Recording) -> dict[str, Any]:
    agent = subject.agent
    names = synapses.output_names(played.groups)
    weights, traces = (agent.arrays()[name][agent.active] for name in ("weights", "traces"))
    return {
        "activity": measures.activity(played),
        "actions": measures.actions(played),
        "values": measures.values(played, consecutive),
        "synapses": {
            "weights": measures.synapses(weights, names, measures.WEIGHT_BOUNDS),
            "traces": measures.synapses(traces, names, measures.TRACE_BOUNDS),
        },
    }


def _write(findings: Findings, out: Path, seed: int) -> None:
    """Figures first: they say that the folder is ours."""
    text = json.dumps(findings.figures, indent=2, allow_nan=False) + "\n"
    atomic_write_text(out / folder.FIGURES, text)
    with replacing(out / folder.ARRAYS, what="arrays") as file:
        np.savez_compressed(file, **_arrays(findings))  # type: ignore[arg-type]  # the stub takes names for its flags
    _draw(findings, out, seed)


def _arrays(findings: Findings) -> dict[str, NDArray[Any]]:
    """The recording, the tuning of every pool neuron, weights and traces."""
    found = dict(findings.played.arrays())
    found |= {"columns": np.array(findings.names), "weights": findings.synapses("weights")}
    found["traces"] = findings.synapses("traces")
    for one in findings.tunings:
        prefix = f"tuning_{one.column.place}"
        found |= {f"{prefix}_rates": one.rates.astype(np.float32), f"{prefix}_information": one.information}
        found |= {f"{prefix}_centres": one.column.centres, f"{prefix}_occupancy": one.column.occupancy}
    return found


def _draw(findings: Findings, out: Path, seed: int) -> None:
    subject, agent, played = findings.subject, findings.subject.agent, findings.played
    stretch = BrainRecorder(agent, raster.SHOWN)
    spikes = stretch.play(subject.spec, raster.SKIPPED + raster.SHOWN, episodes=1, deterministic=False, seed=seed)
    raster.draw(raster.presentations(spikes), subject.spec.id, played.groups, out / "raster.png")
    activity.draw_rates(played, out / "rates.png")
    shown = activity.informative(findings.tunings)
    if shown and agent.brain_config.pool_words:
        activity.draw_tuning(shown, out / "tuning.png")
        activity.draw_preferred(shown, out / "preferred.png")
    if len(shown) > 1 and agent.brain_config.pool_words:
        first, second = activity.informative(findings.tunings, 2)
        activity.draw_fields(played, first, second, out / "fields.png")
    names, sensory = synapses.output_names(played.groups), agent.brain_config.sensory_words
    for what, bounds in (("weights", measures.WEIGHT_BOUNDS), ("traces", measures.TRACE_BOUNDS)):
        synapses.draw_synapses(findings.synapses(what), names, sensory, bounds, what, out / f"{what}.png")
    choices.draw_value(findings.consecutive, out / "value.png")
    choices.draw_actions(played, out / "actions.png")


def _report(findings: Findings, out: Path) -> None:
    figures = findings.figures
    brain = f", brain {figures['brain']}" if figures["brains"] > 1 else ""
    print(f"{figures['env_id']}, {figures['checkpoint']}{brain}: {figures['observations']:,} observations")
    for name, figure, beside in page.tiles(figures):
        print(f"  {name:<26}{figure:>12}  {beside}".rstrip())
    print(f"{out}: {', '.join(sorted(entry.name for entry in out.iterdir()))}")
