"""The other side of a benchmark: Stable-Baselines3 and its contrib package, set up as rl-zoo does."""

import warnings
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError
from hebbit.agents.evaluation import Policy
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.play import stacked
from hebbit.scripts.bench.side import Callback

NORMALIZATION = "model.normalization.npz"
"""Beside model.zip: mean, variance, epsilon and clip of the observations, where they were normalised."""
_CONTRIB = {"qrdqn": "QRDQN", "ars": "ARS"}
_OWN = {"ppo": "PPO", "a2c": "A2C", "dqn": "DQN"}


def kind_of(algorithm: str) -> Any:
    """An algorithm's class; torch is left one thread.

    Raises:
        HebbitError: no such algorithm, or Stable-Baselines3 is not installed.
    """
    if algorithm not in (*_OWN, *_CONTRIB):
        raise HebbitError(f"an algorithm must be one of {', '.join((*_OWN, *_CONTRIB))}, got {algorithm!r}")
    try:
        import torch

        torch.set_num_threads(1)
        if algorithm in _CONTRIB:
            import sb3_contrib

            return getattr(sb3_contrib, _CONTRIB[algorithm])
        import stable_baselines3

        return getattr(stable_baselines3, _OWN[algorithm])
    except ModuleNotFoundError as error:
        raise HebbitError("baselines need Stable-Baselines3 and torch: pip install 'hebbit[sb3]'") from error


class Drawn:
    """A model whose stochastic answers are drawn for each observation of a batch and each step on its own.

    Left alone, a model with state-dependent exploration would answer with the noise that its last rollout has left, and
    DQN would toss one coin for the whole batch. ARS has no stochastic policy: its answers are the greedy ones.
    """

    def __init__(self, model: Any) -> None:
        """Take over a model."""
        self.model = model
        self._coins = np.random.default_rng(model.seed or 0)
        self._answers = 0

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Action and state for one observation or a batch."""
        if deterministic or episode_start is None:
            answer: tuple[Any, Any] = self.model.predict(observation, state, episode_start, deterministic)
            return answer
        if hasattr(self.model, "exploration_rate"):
            return self._tossed(observation, len(episode_start)), None
        if getattr(self.model, "use_sde", False):
            self._shake(np.asarray(episode_start))
        drawn: tuple[Any, Any] = self.model.predict(observation, state, episode_start, False)
        return drawn

    def _shake(self, episode_start: NDArray[np.bool_]) -> None:
        """New noise for each observation, when an episode begins and as often as in training."""
        every = self.model.sde_sample_freq
        if episode_start.any() or (every > 0 and self._answers % every == 0):
            self.model.policy.reset_noise(len(episode_start))
        self._answers += 1

    def _tossed(self, observation: Any, n: int) -> Any:
        """Greedy actions, each replaced by a random one with the model's own small rate."""
        actions = self.model.predict(observation, deterministic=True)[0]
        explore = self._coins.random(n) < self.model.exploration_rate
        space = self.model.action_space
        return np.where(explore, space.start + self._coins.integers(space.n, size=n), actions)


class Normalized:
    """A policy that sees observations normalised by fixed statistics."""

    def __init__(self, model: Any, normalize: Callable[[Any], Any]) -> None:
        """Take over a model and what its observations go through."""
        self.model, self._normalize = model, normalize

    def predict(
        self, observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False
    ) -> tuple[Any, Any]:
        """Action and state for one observation or a batch."""
        return self.model.predict(self._normalize(observation), state, episode_start, deterministic)  # type: ignore[no-any-return]  # SB3 is untyped here


def load(path: Path, algorithm: str) -> Policy:
    """A saved model, with the normalisation that lies beside it, if any.

    Args:
        path: of the zip.
        algorithm: ppo, a2c, dqn, qrdqn or ars.

    Raises:
        HebbitError: it cannot be loaded.
    """
    kind = kind_of(algorithm)
    try:
        model = kind.load(path, device="cpu")
    except Exception as error:  # whatever torch and cloudpickle raise, the user named the file
        raise HebbitError(f"{path} cannot be loaded as a model of {algorithm}: {error}") from error
    beside = path.with_name(path.name.removesuffix(".zip") + ".normalization.npz")
    if not beside.exists():
        return Drawn(model)
    with np.load(beside) as arrays:
        return Normalized(Drawn(model), normalizer({name: arrays[name] for name in arrays.files}))


def normalizer(statistics: Mapping[str, NDArray[Any]]) -> Callable[[Any], Any]:
    """VecNormalize's formula for observations, from what :meth:`Theirs.save` wrote."""
    mean, variance = statistics["mean"], statistics["variance"]
    epsilon, clip = float(statistics["epsilon"]), float(statistics["clip"])

    def normalize(observation: Any) -> NDArray[np.float32]:
        scaled: NDArray[np.float64] = (np.asarray(observation) - mean) / np.sqrt(variance + epsilon)
        clipped: NDArray[np.float32] = np.clip(scaled, -clip, clip).astype(np.float32)
        return clipped

    return normalize


class Theirs:
    """A newborn model; a :class:`hebbit.scripts.bench.side.Side`."""

    def __init__(self, job: Job) -> None:
        """Set everything up, and let a throwaway copy learn for a moment: torch warms up."""
        self.job = job
        self._observation: Any = None
        self._make().learn(_WARM_STEPS)
        self.model = self._make()
        venv = self.model.get_vec_normalize_env()
        self._venv = venv if venv is not None and venv.norm_obs else None
        drawn = Drawn(self.model)
        self.policy: Policy = drawn if self._venv is None else Normalized(drawn, self._venv.normalize_obs)

    def _make(self) -> Any:
        from stable_baselines3.common.env_util import make_vec_env
        from stable_baselines3.common.vec_env import VecNormalize

        kind, job = kind_of(self.job.algorithm), self.job
        # copied: some algorithms write into the settings they are given
        own = {name: scheduled(value) for name, value in deepcopy(job.settings).items() if name != "source"}
        normalize = own.pop("normalize", False)
        env = make_vec_env(job.whole_task().environment().make, int(own.pop("n_envs", 1)), seed=job.seed)
        if normalize:
            chosen = dict(normalize) if isinstance(normalize, dict) else {}
            if "gamma" in own:
                chosen["gamma"] = own["gamma"]
            env = VecNormalize(env, **chosen)
        with warnings.catch_warnings():
            # advice about batch sizes, which rl-zoo's settings do not follow
            warnings.simplefilter("ignore", UserWarning)
            return kind(own.pop("policy"), env, seed=job.seed, device="cpu", **own)

    def learn(self, steps: int, callback: Callback) -> None:
        """Train to the end of the budget, which the algorithm may exceed by a rollout."""
        self.model.learn(steps, callback)

    def steps(self) -> int:
        """Steps that were made, over all environments; an algorithm finishes the rollout that it has begun."""
        return int(self.model.num_timesteps)

    def save(self, folder: Path) -> None:
        """Write ``model.zip`` and the statistics of the observations."""
        self.model.save(folder / "model.zip")
        if self._venv is not None:
            own = self._venv.obs_rms
            np.savez(
                folder / NORMALIZATION,
                mean=own.mean,
                variance=own.var,
                epsilon=self._venv.epsilon,
                clip=self._venv.clip_obs,
            )

    def policy_bytes(self) -> int:
        """Parameters of the layers that an answer uses."""
        return self._used()[0] * 4

    def operations(self) -> dict[str, Any]:
        """Multiplications with following addition in the layers that an answer uses; other work is not counted."""
        parameters, macs = self._used()
        return {
            "kind": "dense",
            "parameters": parameters,
            "synaptic_per_action": None,
            "spikes_per_action": None,
            "neuron_updates_per_action": None,
            "macs_per_action": macs,
        }

    def _used(self) -> tuple[int, int]:
        """Parameters and multiply-accumulates of one greedy answer."""
        import torch

        found: dict[Any, int] = {}

        def note(layer: Any, _: Any, output: Any) -> None:
            # a convolution uses its weights once for each place of the output, a dense layer once
            found[layer] = layer.weight.numel() * (output[0, 0].numel() if output.ndim == 4 else 1)

        kinds = (torch.nn.Linear, torch.nn.Conv2d)
        hooks = [m.register_forward_hook(note) for m in self.model.policy.modules() if isinstance(m, kinds)]
        env = self.job.whole_task().environment().make()
        observation, _ = env.reset(seed=0)
        env.close()
        self.policy.predict(stacked([observation]), deterministic=True)
        for hook in hooks:
            hook.remove()
        return sum(p.numel() for layer in found for p in layer.parameters()), sum(found.values())


_WARM_STEPS = 64


def scheduled(value: Any) -> Any:
    """``lin_x`` is x times the share of training that is left."""
    if isinstance(value, str) and value.startswith("lin_"):
        begin = float(value.removeprefix("lin_"))
        return lambda left: begin * left
    return value
