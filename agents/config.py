"""Hyperparameters of an agent in natural units, and their integers for the backends."""

import dataclasses
import difflib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

import numpy as np
from numpy.typing import NDArray

from hebbit.agents.errors import HebbitError, brief
from hebbit.backends import spec
from hebbit.backends.spec import BrainConfig, Param

WEIGHT_STEPS = 127
"""Weight steps at which the drive of a motor unit equals ``temperature`` nats."""


@dataclass(frozen=True)
class AgentConfig:
    """One configuration; every field is documented by the string below it."""

    pool_words: int = 64
    """Words of 32 pool neurons, 0..32768."""
    cycles: int = 8
    """Cycles of a presentation, 1..15."""
    slots_min: int = 2
    """Least number of sensory words that a pool word reads (fewer where there are fewer)."""
    slots_max: int = 4
    """Largest number of sensory words that a pool word reads, at most 8."""
    drive: Literal["coincidence", "sum"] = "coincidence"
    """Whether a pool neuron is driven by all of its sources at once, or by how many fired."""
    gain: int = 15
    """Excitement that a coincidence adds, 0..15."""
    threshold: int = 8
    """Excitement at which a neuron with one source fires, 1..31."""
    threshold_slope: int = 0
    """What each further source adds to the threshold."""
    noise_bits: int = 0
    """Bits of uniform noise on the excitement, 0..4."""
    excitement_decay: float = 0.5
    """Chance that excitement halves in a cycle without a spike."""
    sensory: Literal["phase", "bernoulli"] = "phase"
    """Code of the sensory neurons: phases of a clock of its own for each word, or Bernoulli trials."""
    clusters: int = 1
    """Clusters of words, each with its own critic and dopamine."""
    base_rate: float = 0.002
    """Chance that a pool neuron fires spontaneously in a cycle while young; zero in evaluation."""
    base_age: int = 2000
    """Presentations after which the base rate has halved: rate * age / (age + t); 0 keeps it."""
    gamma: float = 0.99
    """Discount of the value, 0..1."""
    trace_lambda: float = 0.884
    """Decay of the eligibility traces besides gamma, 0..1."""
    critic_step: float = 0.32
    """Weight steps of the critic for a dopamine of one weight step and a full trace."""
    actor_step: float = 0.125
    """The same for the actor, whose dopamine may be normalised (surprise_shift)."""
    actor_fading: float = 0.0
    """Share of the motor units' weights, but for those of learning words, that is lost every 1,000 steps: a policy that
    fades goes on exploring."""
    fading_until: int = 0
    """Steps after which nothing fades any more; 0 for ever."""
    fraction_bits: int = 4
    """Binary digits of a weight step that synapses remember beside their eight-bit weights, 0..4: nothing reads them,
    but with them weights move by less than a step at a time, and rounding makes less noise."""
    step_age: int = 0
    """Presentations after which both steps have halved: step * age / (age + t); 0 keeps them."""
    critic_trace: Literal["adding", "replacing"] = "adding"
    """Whether counts add to the critic's traces or a larger count replaces them."""
    motor_rule: Literal["share", "second_draw"] = "share"
    """Credit of the motor units: own share of the volley, or a second draw."""
    motor_ramp: bool = False
    """Whether output spikes of later cycles weigh more."""
    motor_base: float = 0.0
    """Least chance that a motor neuron fires in a cycle."""
    temperature: float = 15.0
    """Nats between two motor units whose mean weights differ by 127 steps: the more, the greedier (an inverse
    temperature)."""
    surprise_shift: int = 0
    """The actor's dopamine is divided by a running mean of its size that follows with 2**-shift; 0 switches it off."""
    surprise_floor: float = 0.25
    """Least running mean, in weight steps."""
    dopamine_clip: float = 8.0
    """Largest dopamine of the actor, in running means."""
    reward_scale: Literal["auto", "fixed"] = "auto"
    """Whether each brain finds by itself what a reward is worth to it, or ``reward_bits`` says so."""
    reward_steps: float = 100.0
    """Weight steps that returns span, about, where the scale is found, 1..127."""
    reward_bits: int = 8
    """Where the scale is fixed, a reward of 1 is 2**reward_bits / 256 weight steps of value, -8..15."""
    tuning_width: float = 4.0
    """Half-width of a tuning curve in neurons (a word has 32 over the range of its dimension)."""
    ranges: Literal["bounds", "adaptive"] = "bounds"
    """Whether a bounded dimension covers its bounds, or finds its range as unbounded ones always do."""
    warmup: int = 10_000
    """Observations after which the ranges that are found are frozen."""
    range_deviations: float = 2.0
    """A range that is found covers this many standard deviations on either side of the mean."""
    optimism: float = 20.0
    """Weight steps that the critic's synapses are born with: what is new looks better than what is known, -128..127."""
    temperature_age: int = 0
    """Presentations after which ``temperature`` has doubled; it rises to four times its start. 0 keeps it."""
    reads: Literal["all", "hidden", "learning"] = "all"
    """What motor units and critics read: all words, pool and learning words, or learning words alone."""
    echo_delay: int = 0
    """Presentations back to which sensory words are remembered by echo words, 0..64."""
    echo_pool: int = 0
    """Echo words that remember what pool or learning words, drawn at random, fired in the last presentation."""
    topography: bool = True
    """Whether pool words read neighbouring places of an image; otherwise any places."""
    relations: int = 0
    """Largest offset, in rows and in columns, at which pairs of an image's pixels are seen wherever they are, 0..32; 0
    for none. Images of more than 4,096 values have none. Topography is off with them."""
    learning_words: int = 0
    """Words of 32 neurons whose synapses learn: each neuron reads whole words, 0..128."""
    learning_pool: bool = False
    """Whether they read the pool words, too, beside sensory and echo words."""
    learning_rule: Literal["feedback", "reinforce", "timing"] = "feedback"
    """Their credit beside dopamine: their own outgoing weights, their own surprise (REINFORCE), or spike timing."""
    learning_step: float = 0.1
    """Weight steps of their synapses for a dopamine of one and a full trace."""
    learning_slope: float = 0.03125
    """Nats by which a source that fires in every cycle excites them for each weight step."""
    learning_bias: float = -1.0
    """Nats by which they are excited without any spike, -8..7.9."""
    learning_density: float = 0.1
    """Share of their synapses that are born with a weight."""
    learning_spread: float = 16.0
    """Standard deviation of these weights, in weight steps."""
    learning_gain: float = 1.0
    """Credit of their synapses; more saturates."""
    critic_feedback: float = 0.0
    """Weight of the critic's synapses beside those of the motor units in that credit, 0..16."""
    learning_every: int = 1
    """Presentations for which dopamine is collected before their weights change."""
    rewire_every: int = 0
    """Steps between two re-wirings: the least useful pool words draw new sources and start anew; 0 for none."""
    rewire_share: float = 0.05
    """Share of the pool words that one re-wiring replaces, at least one word."""
    rewire_protect: int = 2
    """Re-wirings that pass a newborn word by, so that it has time to prove useful."""
    rewire_until: int = 0
    """Steps after which words are re-wired no more; 0 for ever."""
    rewire_choice: Literal["usefulness", "random"] = "usefulness"
    """Which words are replaced: the least useful ones, or any (to compare with)."""
    box_bins: int = 7
    """Motor units, and so preferred values, of each dimension of a Box action."""
    box_decode: Literal["mean", "draw"] = "mean"
    """Deterministic Box actions: mean of the preferred values, or the strongest unit's. Training always draws."""
    replay_steps: int = 0
    """Steps of whole episodes that each brain remembers, to be shown again; 0 for none."""
    replay_episodes: int = 1
    """Remembered episodes, drawn at random, that are shown again after each episode."""

    def __post_init__(self) -> None:
        """Refuse values that no brain can hold."""
        for name, kind in _HINTS.items():
            value = getattr(self, name)
            problem = _problem(name, kind, value)
            if problem:
                raise HebbitError(f"{name} must {problem}, got {brief(value, text=repr)}")
            if kind is float:
                # equal settings have equal digests
                object.__setattr__(self, name, float(value))
        for name, unit in _UNITS.items():
            if 0 < getattr(self, name) * unit < 0.5:
                raise HebbitError(f"{name} must be 0 or at least {0.5 / unit:.2g}, got {getattr(self, name)!r}")
        if 1 - 0.5 / spec.ONE_GAMMA < self.gamma < 1:
            raise HebbitError(f"gamma must be 1 or at most {1 - 0.5 / spec.ONE_GAMMA:.6f}, got {self.gamma!r}")
        if self.threshold + (spec.MAX_SLOTS - 1) * self.threshold_slope > spec.THRESHOLD_MAX:
            raise HebbitError(
                f"threshold + {spec.MAX_SLOTS - 1} threshold_slope must be at most {spec.THRESHOLD_MAX}, got "
                f"{self.threshold} and {self.threshold_slope}"
            )
        if self.slots_min > self.slots_max:
            raise HebbitError(f"slots_min must be at most slots_max, got {self.slots_min} and {self.slots_max}")

    def brain(self, sensory_words: int, groups: tuple[int, ...], image: tuple[int, ...] | None = None) -> BrainConfig:
        """The structure of a brain for an encoder's words and a decoder's groups; rows, columns, planes of an image."""
        topography = image is not None and self.topography
        try:
            return BrainConfig(
                sensory_words=sensory_words,
                pool_words=self.pool_words,
                groups=groups,
                cycles=self.cycles,
                slots_min=self.slots_min,
                slots_max=self.slots_max,
                clusters=self.clusters,
                echo_delay=self.echo_delay,
                echo_pool=self.echo_pool,
                learning_words=self.learning_words,
                learning_pool=self.learning_pool,
                tiles=-(-image[0] * image[1] // spec.LANES) if topography and image else 0,
                row=image[1] if topography and image else 0,
            )
        except ValueError as error:
            raise HebbitError(str(error)) from error

    def params(self) -> NDArray[np.int32]:
        """Integers of one brain: int32 [clusters, Param]."""
        p = np.zeros(len(Param), np.int64)
        p[Param.DRIVE] = self.drive == "sum"
        p[Param.GAIN], p[Param.NOISE] = self.gain, self.noise_bits
        p[Param.THRESHOLD], p[Param.THRESHOLD_SLOPE] = self.threshold, self.threshold_slope
        p[Param.DECAY_SHIFT], p[Param.DECAY_CHANCE] = 1, round(256 * self.excitement_decay)
        p[Param.BASE_RATE], p[Param.BASE_AGE] = round(4096 * self.base_rate), self.base_age
        p[Param.SENSORY] = self.sensory == "bernoulli"
        p[Param.GAMMA] = round(spec.ONE_GAMMA * self.gamma)
        p[Param.CRITIC_RATE], p[Param.ACTOR_RATE] = round(65536 * self.critic_step), round(65536 * self.actor_step)
        p[Param.RATE_AGE], p[Param.FRACTION_BITS] = self.step_age, self.fraction_bits
        keep = decay_by_chance(self.gamma * self.trace_lambda)
        p[Param.CRITIC_SHIFT], p[Param.CRITIC_CHANCE] = keep
        p[Param.ACTOR_SHIFT], p[Param.ACTOR_CHANCE] = keep
        p[Param.TEMPERATURE] = round(4096 * 32 * self.temperature / (WEIGHT_STEPS * spec.UNIT))
        p[Param.MOTOR_BASE] = round(256 * self.motor_base)
        p[Param.MOTOR_RULE], p[Param.MOTOR_RAMP] = self.motor_rule == "second_draw", self.motor_ramp
        p[Param.SURPRISE_SHIFT] = self.surprise_shift
        p[Param.SURPRISE_FLOOR] = round(spec.UNIT * self.surprise_floor)
        p[Param.DOPAMINE_CLIP] = round(256 * self.dopamine_clip) if self.surprise_shift else spec.DOPAMINE_LIMIT
        p[Param.CRITIC_RULE] = self.critic_trace == "replacing"
        p[Param.TEMPERATURE_AGE], p[Param.READS] = self.temperature_age, READS[self.reads]
        self._learning_params(p, keep)
        return np.tile(p.astype(np.int32), (self.clusters, 1))

    def _learning_params(self, p: NDArray[np.int64], keep: tuple[int, int]) -> None:
        """Integers of the learning words."""
        rules = get_args(_HINTS["learning_rule"])
        p[Param.INNER_RULE], p[Param.INNER_RATE] = rules.index(self.learning_rule), round(65536 * self.learning_step)
        p[Param.INNER_SHIFT], p[Param.INNER_CHANCE] = keep
        p[Param.INNER_SLOPE] = round(65536 * 16 * self.learning_slope / self.cycles)
        p[Param.INNER_BIAS] = round(16 * self.learning_bias)
        p[Param.FEEDBACK], p[Param.CRITIC_FEEDBACK] = round(16 * self.learning_gain), round(16 * self.critic_feedback)
        p[Param.INNER_EVERY] = self.learning_every

    def to_dict(self) -> dict[str, Any]:
        """Fields by name, fit for JSON."""
        return dataclasses.asdict(self)

    def replace(self, changes: Mapping[str, Any]) -> "AgentConfig":
        """A copy with some fields changed; text values are converted to the field's type."""
        return dataclasses.replace(self, **{name: convert(name, value) for name, value in changes.items()})


_HINTS: dict[str, Any] = get_type_hints(AgentConfig)
READS = {"all": 7, "hidden": 6, "learning": 4}
_UNITS = {
    "base_rate": 4096, "critic_step": 65536, "actor_step": 65536, "motor_base": 256, "temperature": 4,
    "learning_step": 65536, "learning_gain": 16, "critic_feedback": 16, "learning_density": 256,
}  # fmt: skip
"""What a setting is multiplied by to become an integer: one that is not zero must not become zero."""
_RANGES: dict[str, tuple[float, float]] = {
    "pool_words": (0, 32768), "cycles": (1, 15), "slots_min": (1, 8), "slots_max": (1, 8), "gain": (0, 15),
    "threshold": (1, 31), "threshold_slope": (0, 4), "noise_bits": (0, 4), "excitement_decay": (0, 1),
    "clusters": (1, 1024), "base_rate": (0, 0.5), "base_age": (0, 1 << 20), "gamma": (0, 1), "trace_lambda": (0, 1),
    "critic_step": (0, 16), "actor_step": (0, 16), "step_age": (0, 1 << 20), "motor_base": (0, 1),
    "temperature": (0, 1000), "surprise_shift": (0, 12), "surprise_floor": (0.0, 127.0), "dopamine_clip": (0.0, 255.0),
    "reward_bits": (-8, 15), "tuning_width": (0.5, 64), "warmup": (0, 1 << 30), "range_deviations": (0.01, 100),
    "fraction_bits": (0, 4), "actor_fading": (0, 1), "fading_until": (0, 1 << 30),
    "box_bins": (2, 256), "optimism": (-128, 127), "temperature_age": (0, 1 << 20), "echo_delay": (0, 64),
    "relations": (0, 32), "echo_pool": (0, 32768), "learning_words": (0, 128), "learning_step": (0, 16),
    "learning_slope": (0, 0.5),
    "learning_bias": (-8, 7.9), "learning_density": (0, 1), "learning_spread": (0, 64), "learning_gain": (0, 64),
    "critic_feedback": (0, 16), "learning_every": (1, 1 << 20), "rewire_every": (0, 1 << 30), "rewire_share": (0, 1),
    "rewire_protect": (0, 1 << 20), "rewire_until": (0, 1 << 30),
    "reward_steps": (1, 127), "replay_steps": (0, 1 << 20), "replay_episodes": (0, 64),
}  # fmt: skip


def _problem(name: str, kind: Any, value: Any) -> str | None:
    """What a value of a field must be and is not."""
    if choices := get_args(kind):
        return None if value in choices else f"be one of {', '.join(choices)}"
    if kind is bool:
        return None if isinstance(value, bool) else "be true or false"
    if kind is int and type(value) is not int:
        return "be a whole number"
    least, most = _RANGES[name]
    fits = isinstance(value, int | float) and math.isfinite(value) and least <= value <= most
    return None if fits else f"lie in {least}..{most}"


def decay_by_chance(keep: float) -> tuple[int, int]:
    """Shift and chance of 256 such that losing the share 2**-shift by that chance keeps ``keep`` on average."""
    lost = 1 - keep
    shift = next(s for s in (3, 2, 1, 0) if lost * 2**s <= 1)
    return shift, round(256 * lost * 2**shift)


def convert(name: str, value: Any) -> Any:
    """A value, perhaps text from a command line, as the type of that field."""
    if name not in _HINTS:
        close = difflib.get_close_matches(str(name), _HINTS, 1)
        hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(_HINTS)}"
        raise HebbitError(f"unknown hyperparameter {brief(name, text=repr)}{hint}")
    kind = _HINTS[name]
    try:
        if kind is bool:
            return {"true": True, "1": True, "false": False, "0": False}[str(value).lower()]
        if kind is int:
            return int(str(value).replace("_", ""))
        return float(value) if kind is float else str(value)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        expected = "true or false" if kind is bool else "a whole number" if kind is int else "a number"
        raise HebbitError(f"{name} must be {expected}, got {brief(value, text=repr)}") from error


IMAGE = "image"
"""The preset of environments that show images."""


def presets() -> dict[str, dict[str, Any]]:
    """Settings of ``presets.toml`` by name; those named like an environment are its own."""
    return tomllib.loads(files("hebbit.agents").joinpath("presets.toml").read_text())


def own_preset(env_id: str | None, image: bool = False) -> str:
    """Name of the preset that an environment has by default: its own, that of images, or ``default``."""
    if env_id in presets():
        return str(env_id)
    return IMAGE if image or "MinAtar/" in (env_id or "") else "default"


def configure(
    env_id: str | None, preset: str | None = None, changes: Mapping[str, Any] | None = None, image: bool = False
) -> AgentConfig:
    """Defaults, then the preset (a name, or a TOML or JSON file; by default that of the environment), then changes.

    ``image`` tells that the environment shows images; of MinAtar's that is known.

    ``preset="default"`` takes the bare defaults.
    """
    if not isinstance(changes, Mapping | None):
        raise HebbitError(
            f"config must be an AgentConfig, settings by name, or a preset's name, got {type(changes).__name__}"
        )
    known = presets()
    settings: Mapping[str, Any]
    if preset is None:
        preset = own_preset(env_id, image)
    if preset == "default":
        settings = {}
    elif preset in known:
        settings = known[preset]
    else:
        settings = _preset_file(Path(preset), known)
    return AgentConfig().replace(settings).replace(changes or {})


def _preset_file(path: Path, known: Mapping[str, Any]) -> Mapping[str, Any]:
    if not path.is_file():
        raise HebbitError(f"preset must be default, {', '.join(known)} or a TOML or JSON file, got {str(path)!r}")
    try:
        text = path.read_text()
        settings = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise HebbitError(f"preset {path} must be TOML or JSON with one value per line: {brief(error)}") from error
    if not isinstance(settings, dict):
        raise HebbitError(f"preset {path} must hold settings by name, got {type(settings).__name__}")
    return settings
