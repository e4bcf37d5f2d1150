"""The way to Weights & Biases, with a stand-in for its package that keeps what it is told."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from hebbit.agents import HebbitError, SpikingAgent
from hebbit.agents.callbacks import EvalCallback, WandbCallback
from hebbit.agents.logger import Logger

SMALL = {"pool_words": 4}


class FakeConfig(dict[str, Any]):
    def update(self, values: dict[str, Any], allow_val_change: bool = False) -> None:  # type: ignore[override]  # as wandb has it
        for key, value in values.items():
            assert allow_val_change or self.get(key, value) == value
            self[key] = value


class FakeArtifact:
    def __init__(self, name: str, type: str) -> None:
        self.name, self.type, self.files = name, type, dict[str, bytes]()

    def add_file(self, path: str) -> None:
        self.files[Path(path).name] = Path(path).read_bytes()


class FakeRun:
    def __init__(self, wandb: "FakeWandb", settings: dict[str, Any]) -> None:
        self.wandb, self.settings = wandb, settings
        self.id = settings.get("id", f"run{len(wandb.runs)}")
        self.config = FakeConfig()
        self.logged: list[tuple[int, dict[str, Any]]] = []
        self.artifacts: list[FakeArtifact] = []
        self.finished = False

    def log(self, values: dict[str, Any], step: int) -> None:
        assert not self.finished and (not self.logged or step >= self.logged[-1][0])
        assert all(type(value) in (int, float) for value in values.values())
        self.logged.append((step, dict(values)))

    def log_artifact(self, artifact: FakeArtifact) -> None:
        self.artifacts.append(artifact)

    def finish(self) -> None:
        self.finished, self.wandb.run = True, None


class FakeWandb(ModuleType):
    Artifact = FakeArtifact

    def __init__(self) -> None:
        super().__init__("wandb")
        self.run: FakeRun | None = None
        self.runs: list[FakeRun] = []

    def init(self, **settings: Any) -> FakeRun:
        self.run = FakeRun(self, settings)
        self.runs.append(self.run)
        return self.run


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> FakeWandb:
    fake = FakeWandb()
    monkeypatch.setitem(sys.modules, "wandb", fake)
    return fake


def newborn() -> SpikingAgent:
    return SpikingAgent("CartPole-v1", config=SMALL, seed=3)


def test_what_is_recorded_is_sent(wandb: FakeWandb, capsys: pytest.CaptureFixture[str]) -> None:
    agent = newborn()
    callback = WandbCallback("tasks", settings={"name": "one", "mode": "offline"}, verbose=1)
    agent.learn(300, [callback, EvalCallback("CartPole-v1", eval_freq=150, n_eval_episodes=2)], log_interval=100)
    (run,) = wandb.runs
    assert run.settings == {"project": "tasks", "name": "one", "mode": "offline"}
    assert [step for step, _ in run.logged] == [100, 150, 200, 300, 300]
    means = [values["eval/mean_reward"] for _, values in run.logged if "eval/mean_reward" in values]
    assert len(means) == 2 and all(mean >= 1 for mean in means)
    assert run.logged[0][1]["time/total_timesteps"] == 100 and run.logged[0][1]["rollout/ep_rew_mean"] >= 1
    assert run.config == {
        "env_id": "CartPole-v1", "seed": 3, "brains": 1, "algorithm": "SpikingAgent", **agent.config.to_dict()
    }  # fmt: skip
    assert run.finished and run.artifacts == [] and agent.logger.outputs == []
    assert capsys.readouterr().out == "Logging to the wandb run run0\n"


def test_texts_are_not_sent(wandb: FakeWandb) -> None:
    agent = newborn()

    def note(locals_: dict[str, Any], _: Any) -> None:
        agent.logger.record("note", "a text")
        agent.logger.dump(agent.num_timesteps)

    agent.learn(2, [WandbCallback(), note], log_interval=None)
    assert wandb.runs[0].logged == [] and wandb.runs[0].settings == {}


def test_the_final_agent_is_kept(wandb: FakeWandb, tmp_path: Path) -> None:
    agent = newborn().learn(50, WandbCallback(save_model=True))
    (artifact,) = wandb.runs[0].artifacts
    assert (artifact.name, artifact.type) == ("model-run0", "model")
    path = tmp_path / "model.zip"
    path.write_bytes(artifact.files["model.zip"])
    assert SpikingAgent.load(path).digest() == agent.digest()


def test_a_run_that_is_open_is_used_and_left_open(wandb: FakeWandb) -> None:
    own = wandb.init(project="mine")
    agent = newborn().learn(100, WandbCallback("other"), log_interval=50)
    assert wandb.runs == [own] and not own.finished and len(own.logged) == 2
    assert agent.logger.outputs == []


def test_a_resumed_training_goes_on_with_its_run(wandb: FakeWandb) -> None:
    agent, callback = newborn(), WandbCallback()
    agent.learn(100, callback, log_interval=50)
    again = WandbCallback()
    again.restore(json.loads(json.dumps(callback.state())))
    agent.learn(100, again, log_interval=50, reset_num_timesteps=False)
    assert wandb.runs[1].settings == {"id": "run0", "resume": "allow"}
    assert [step for step, _ in wandb.runs[1].logged] == [150, 200]
    # the same callback goes on as well; begun anew it is another run, for steps never go back
    agent.learn(100, again, log_interval=50, reset_num_timesteps=False)
    assert wandb.runs[2].settings["id"] == "run0"
    agent.learn(100, again, log_interval=50)
    assert wandb.runs[3].id == "run3" and "id" not in wandb.runs[3].settings


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
@pytest.mark.parametrize("same", [True, False])
def test_a_training_that_broke_off_leaves_nothing_to_the_next(
    wandb: FakeWandb, error: type[BaseException], same: bool
) -> None:
    agent, callback = newborn(), WandbCallback()

    def fail(*_: Any) -> None:
        if agent.num_timesteps == 120:
            raise error

    with pytest.raises(error):
        agent.learn(200, [callback, fail], log_interval=50)
    again = callback if same else WandbCallback()
    if not same:
        again.restore(callback.state())
    agent.learn(80, again, log_interval=50, reset_num_timesteps=False)
    broken, resumed = wandb.runs
    assert broken.finished and resumed.finished and resumed.settings == {"id": "run0", "resume": "allow"}
    assert [step for step, _ in broken.logged] == [50, 100]
    assert [step for step, _ in resumed.logged] == [170]
    assert agent.logger.outputs == [] and again.run is None


def test_a_users_run_stays_open_after_training_broke_off(wandb: FakeWandb) -> None:
    own, agent, callback = wandb.init(), newborn(), WandbCallback()

    def fail(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        agent.learn(100, [callback, fail], log_interval=50)
    agent.learn(100, callback, log_interval=50)
    assert wandb.runs == [own] and not own.finished and [step for step, _ in own.logged] == [50, 100]
    # two of them in one training are no leftovers of each other
    agent.learn(100, [WandbCallback(), WandbCallback()], log_interval=100, reset_num_timesteps=False)
    assert not own.finished and [step for step, _ in own.logged[2:]] == [200, 200]


def test_a_broken_run_of_another_logger_is_ended_too(wandb: FakeWandb) -> None:
    agent, callback = newborn(), WandbCallback()

    def fail(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        agent.learn(100, [callback, fail])
    left = agent.logger
    agent.set_logger(Logger([]))
    agent.learn(100, callback, log_interval=100)
    assert [run.finished for run in wandb.runs] == [True, True]
    assert left.outputs == agent.logger.outputs == []


def test_without_wandb_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # None refuses the import; a module without init is a folder of that name
    for missing in (None, ModuleType("wandb")):
        monkeypatch.setitem(sys.modules, "wandb", missing)
        with pytest.raises(HebbitError, match=r"pip install 'hebbit\[wandb\]'"):
            WandbCallback()
