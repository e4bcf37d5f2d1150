"""The same runs as tasks of a local Ray."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hebbit.agents import HebbitError
from hebbit.scripts.bench import engine_ray

Cli = Callable[..., Any]
HERE = Path(__file__).parent


@pytest.fixture
def suite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A small suite in a world that obeys the file ``order``."""
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(HERE.parents[1] / "tests" / "_path"), str(HERE)]))
    monkeypatch.syspath_prepend(str(HERE))
    wrapper = f"hostile_env.Hostile:{json.dumps({'folder': str(tmp_path)})}"
    path = tmp_path / "tiny.toml"
    text = f"wrappers = ['{wrapper}']\nepisodes = 3\n[[tasks]]\nenv_id = 'CartPole-v1'\nsteps = 300\n"
    path.write_text(text + "settings = {hebbit = {pool_words = 2}}\n")
    return path


def rows(folder: str) -> dict[str, Any]:
    return {path.name: json.loads(path.read_text()) for path in Path(folder, "runs").rglob("*.json")}


@pytest.mark.slow
def test_ray_finds_the_same_and_loses_nothing_when_a_worker_dies(suite: Path, cli: Cli, tmp_path: Path) -> None:
    assert cli("benchmark --suite tiny.toml --seeds 3 --jobs 1 --out here").status == 0
    # one Ray worker is killed in the middle of its task
    (tmp_path / "order").write_text("kill the parent, once")
    status, out, err = cli("benchmark --suite tiny.toml --seeds 3 --jobs 2 --ray --out there")
    assert status == 0, err
    assert not (tmp_path / "order").exists() and "[3/3]" in out
    ours, theirs = rows("here"), rows("there")
    assert ours.keys() == theirs.keys()
    for name, row in ours.items():
        assert row["final"] == theirs[name]["final"] and theirs[name]["status"] == "done"


def test_no_cluster_is_said() -> None:
    with pytest.raises(HebbitError, match="Ray cannot be reached at '127.0.0.1:1'"):
        engine_ray.connect("127.0.0.1:1", 1)
