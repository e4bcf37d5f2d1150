"""Our logs, read by Stable-Baselines3 and beside its own."""

import json
from pathlib import Path

import numpy as np
from stable_baselines3.common.monitor import ResultsWriter, get_monitor_files, load_results
from stable_baselines3.common.results_plotter import ts2xy

from hebbit.agents.logger import EvaluationLog, MonitorWriter
from hebbit.agents.runs import RunDirectory


def test_our_episodes_are_read(tmp_path: Path) -> None:
    with RunDirectory.create("ns/Name-v0", tmp_path / "run") as run:
        for rank in range(2):
            with MonitorWriter(run.monitor_path(rank), run.env_id, 100.0 + rank) as monitor:
                for episode in range(1, 4):
                    monitor.write(episode + rank / 2, 10 * episode, float(episode))
        assert sorted(map(Path, get_monitor_files(str(run.path)))) == [run.monitor_path(0), run.monitor_path(1)]
        frame = load_results(str(run.path))
    assert frame["t"].tolist() == [1.0, 2.0, 2.0, 3.0, 3.0, 4.0]
    assert sorted(frame["r"]) == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5]
    steps, returns = ts2xy(frame, "timesteps")
    assert steps[-1] == 120 and len(returns) == 6


def test_our_episodes_are_written_as_theirs(tmp_path: Path) -> None:
    theirs = ResultsWriter(str(tmp_path / "theirs"), header={"t_start": 1.5, "env_id": "E"})
    with MonitorWriter(tmp_path / "ours.monitor.csv", "E", 1.5) as ours:
        for episode in range(3):
            theirs.write_row({"r": round(episode / 3, 6), "l": episode, "t": round(episode / 7, 6)})
            ours.write(episode / 3, episode, episode / 7)
    theirs.close()
    texts = [(tmp_path / f"{name}.monitor.csv").read_bytes() for name in ("theirs", "ours")]
    assert texts[0].replace(b"\r\n", b"\n") == texts[1]
    assert json.loads(texts[1].splitlines()[0][1:]) == {"t_start": 1.5, "env_id": "E"}


def test_our_evaluations_have_their_arrays(tmp_path: Path) -> None:
    log = EvaluationLog(tmp_path / "evaluations.npz")
    # What EvalCallback hands to np.savez: lists of Python numbers.
    timesteps, results, lengths = [100, 200], [[1.0, 2.0], [3.0, 4.0]], [[5, 6], [7, 8]]
    np.savez(tmp_path / "theirs.npz", timesteps=timesteps, results=results, ep_lengths=lengths)
    for row in zip(timesteps, results, lengths, strict=True):
        log.append(*row)
    with np.load(tmp_path / "theirs.npz") as theirs, np.load(tmp_path / "evaluations.npz") as ours:
        assert sorted(theirs.files) == sorted(ours.files)
        for name in theirs.files:
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
