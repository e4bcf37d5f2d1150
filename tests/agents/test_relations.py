"""Relations between the planes of an image: what a plain search finds, wherever it is, and where it is shown."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from hebbit.agents import AgentConfig, HebbitError, SpikingAgent
from hebbit.agents.encoder import Encoder
from hebbit.agents.leaves import LANES
from hebbit.agents.relations import MAX_PIXELS, Relations

U8 = NDArray[np.uint8]
ALL = slice(None)
SHAPES = [
    ((4, 4, 2), 1),
    ((5, 7, 3), 2),
    ((4, 9, 4), 3),
    ((9, 4, 2), 4),
    ((7, 5, 3), 32),
    ((4, 4, 2), 4),
    ((6, 6, 2), 0),
    ((5, 5, 1), 2),
]
"""Rows, columns and planes, and a reach; some are larger than the image."""


def searched(image: U8, reach: int) -> list[int]:
    """The neurons of an image [planes, rows, columns], by looking for each of them everywhere."""
    planes, rows, columns = image.shape
    down, right = min(reach, rows - 1), min(reach, columns - 1)
    lit = [{(int(r), int(c)) for r, c in np.argwhere(plane >= 8)} for plane in image]
    return [
        15 * any((r + y, c + x) in lit[other] for r, c in lit[one])
        for one in range(planes)
        for other in range(one + 1, planes)
        for y in range(-down, down + 1)
        for x in range(-right, right + 1)
    ]


def laid_out(images: U8, width: int) -> U8:
    """Images [n, planes, rows, columns] as the neurons of planes of that width."""
    number, planes = images.shape[:2]
    pixels = images.reshape(number, planes, -1)
    return np.pad(pixels, ((0, 0), (0, 0), (0, width - pixels.shape[2]))).reshape(number, -1)


def drawn(shape: tuple[int, int, int], number: int = 6, share: float = 0.1, seed: int = 0) -> U8:
    """Random images [n, planes, rows, columns], mostly dark; the first is black, the last is white."""
    dice, (rows, columns, planes) = np.random.default_rng(seed), shape
    size = number, planes, rows, columns
    images = np.where(dice.random(size) < share, dice.integers(1, 16, size), 0).astype(np.uint8)
    images[0], images[-1] = 0, 15
    return images


@pytest.mark.parametrize(("shape", "reach"), SHAPES)
@pytest.mark.parametrize("spare", [0, 3, 64])
def test_a_plain_search_finds_the_same(shape: tuple[int, int, int], reach: int, spare: int) -> None:
    width, images = shape[0] * shape[1] + spare, drawn(shape)
    relations = Relations(shape, reach, width)
    expected = np.array([searched(image, reach) for image in images], np.uint8)
    shown = relations.encode(laid_out(images, width))
    assert shown.dtype == np.uint8 and shown.shape == (len(images), relations.size)
    np.testing.assert_array_equal(shown, expected)


def test_how_many_there_are() -> None:
    sizes = [Relations(shape, reach, shape[0] * shape[1]).size for shape, reach in SHAPES]
    assert sizes == [9, 3 * 25, 6 * 7 * 7, 9 * 7, 3 * 13 * 9, 49, 1, 0]
    # in every direction, and only some of them at once
    assert 0 < Relations((5, 7, 3), 2, 35).encode(laid_out(drawn((5, 7, 3)), 35))[1:5].sum() < 4 * 75 * 15


def test_a_pair_of_planes_and_an_offset_is_one_neuron() -> None:
    image = np.zeros((1, 3, 6, 8), np.uint8)
    image[0, 0, 2, 3] = image[0, 2, 1, 5] = 15
    # of the pairs 0-1, 0-2 and 1-2 the second, one row up and two columns to the right
    relations = Relations((6, 8, 3), 2, 64)
    assert np.flatnonzero(relations.encode(laid_out(image, 64))).tolist() == [25 + 5 * (2 - 1) + (2 + 2)]
    image[0, 2, 1, 5], image[0, 2, 1, 6] = 0, 15
    assert not relations.encode(laid_out(image, 64)).any()


def test_only_lit_pixels_count() -> None:
    relations = Relations((4, 4, 2), 1, 32)
    for one, other, lit in ((8, 8, True), (15, 8, True), (7, 15, False), (15, 7, False), (1, 1, False)):
        image = np.zeros((1, 2, 4, 4), np.uint8)
        image[0, 0, 1, 1], image[0, 1, 2, 2] = one, other
        assert relations.encode(laid_out(image, 32)).max() == 15 * lit


def test_where_things_are_does_not_matter() -> None:
    dice = np.random.default_rng(3)
    relations, image = Relations((9, 8, 3), 3, 96), np.zeros((20, 3, 9, 8), np.uint8)
    image[0, :, 3:6, 3:6] = 15 * (dice.random((3, 3, 3)) < 0.4)
    for n in range(1, 20):
        down, right = dice.integers(-3, 4), dice.integers(-3, 3)
        image[n] = np.roll(image[0], (down, right), axis=(1, 2))
    shown = relations.encode(laid_out(image, 96))
    assert len(np.unique(image, axis=0)) > 10 and shown[0].any() and (shown == shown[0]).all()


def image_space(*shape: int) -> spaces.Box:
    return spaces.Box(0, 255, shape, np.uint8)


def config(relations: int = 2, **settings: Any) -> AgentConfig:
    return AgentConfig(pool_words=2, cycles=2, relations=relations, **settings)


def shown(space: spaces.Space[Any], observations: list[Any], settings: AgentConfig) -> U8:
    """Everything that neurons are shown, [n, words * 32]."""
    return Encoder(space, settings, len(observations)).encode(observations, ALL).reshape(len(observations), -1)


def observed(images: U8) -> list[Any]:
    """Images of 0..15 as an environment shows them: rows, columns, planes; 0..255."""
    return list(16 * images.transpose(0, 2, 3, 1))


def test_their_neurons_follow_the_planes() -> None:
    space, images = image_space(5, 7, 3), drawn((5, 7, 3))
    whole, plain = (shown(space, observed(images), config(reach)) for reach in (2, 0))
    # three planes of two words each, and 75 pairs in three words
    assert whole.shape == (6, 9 * LANES) and plain.shape == (6, 6 * LANES)
    np.testing.assert_array_equal(whole[:, : 6 * LANES], plain)
    np.testing.assert_array_equal(whole[:, 6 * LANES :][:, :75], [searched(image, 2) for image in images])
    assert not whole[:, 6 * LANES + 75 :].any() and whole[1:-1, 6 * LANES :].any()


def test_several_observations_are_shown_like_one() -> None:
    space, images = image_space(5, 7, 3), drawn((5, 7, 3), number=4)
    encoder = Encoder(space, config(), 4)
    batch = encoder.as_batch(np.stack(observed(images)))
    assert batch is not None and len(batch) == 4
    together = encoder.encode(batch, ALL)
    for row, observation in zip(together, observed(images), strict=True):
        np.testing.assert_array_equal(row, Encoder(space, config()).encode([observation], ALL)[0])
    assert encoder.as_batch(observed(images)[0]) is None


@pytest.mark.parametrize(("shape", "related"), [((32, 64, 2), True), ((32, 65, 2), False), ((41, 50, 2), False)])
def test_large_images_have_none(shape: tuple[int, ...], related: bool) -> None:
    assert (np.prod(shape) <= MAX_PIXELS) == related
    encoder, plain = (Encoder(image_space(*shape), config(reach)) for reach in (1, 0))
    assert encoder.neurons - plain.neurons == 9 * related
    assert plain.image == shape and encoder.image == (None if related else shape)


def test_an_image_among_others() -> None:
    parts = {
        "a": spaces.Box(-1, 1, (2,)),
        "b": image_space(4, 8, 2),
        "c": spaces.Discrete(3),
        "d": image_space(5, 4, 3),
    }
    space, number = spaces.Dict(parts), 3
    images = {"b": drawn((4, 8, 2), number, 0.2), "d": drawn((5, 4, 3), number, 0.2, seed=1)}
    values = {
        "a": list(np.random.default_rng(0).uniform(-1, 1, (number, 2)).astype(np.float32)),
        "c": [2, 0, 1],
        **{name: observed(each) for name, each in images.items()},
    }
    flat = shown(space, [{name: own[n] for name, own in values.items()} for n in range(number)], config())
    np.testing.assert_array_equal(flat[:, : 2 * LANES], shown(parts["a"], values["a"], config()))
    own = {name: shown(parts[name], values[name], config(0)) for name in ("b", "c", "d")}
    pairs = {name: np.array([searched(image, 2) for image in each], np.uint8) for name, each in images.items()}
    rest = np.concatenate([own["b"], pairs["b"], own["c"][:, :3], own["d"], pairs["d"]], axis=1)
    np.testing.assert_array_equal(flat[:, 2 * LANES :][:, : rest.shape[1]], rest)
    # 2 + 3 words of planes, 25 + 75 pairs and 3 of the counted thing
    assert rest.shape[1] == 5 * LANES + 103 and flat.shape[1] == (2 + 9) * LANES
    assert not flat[:, 2 * LANES + rest.shape[1] :].any()


@pytest.mark.parametrize(
    "space", [spaces.Box(-1, 1, (3,)), spaces.Box(0, 1, (3, 9, 2), np.uint8), spaces.MultiBinary((4, 4, 2))]
)
def test_what_is_no_image_has_none(space: spaces.Space[Any]) -> None:
    with_any, without = (Encoder(space, config(reach)) for reach in (2, 0))
    assert with_any.words == without.words and with_any.neurons == without.neurons


@pytest.mark.parametrize("value", [-1, 33, 1.5, True, "two"])
def test_reaches_that_there_are_not(value: Any) -> None:
    with pytest.raises(HebbitError, match="relations must"):
        AgentConfig(relations=value)


def test_the_least_and_the_largest_reach() -> None:
    assert [AgentConfig(relations=reach).relations for reach in (0, 32)] == [0, 32]


class Catch(gym.Env[Any, Any]):
    """Two pixels in a row of an image, each in its plane: the reward is to move towards the other one."""

    observation_space, action_space = image_space(4, 6, 2), spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = 8
        return self.show(), {}

    def show(self) -> Any:
        image = np.zeros((4, 6, 2), np.uint8)
        self.row, (self.own, self.other) = self.np_random.integers(4), self.np_random.choice(6, 2, replace=False)
        image[self.row, self.own, 0] = image[self.row, self.other, 1] = 255
        return image

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        reward = float(bool(action) == bool(self.other > self.own))
        self.left -= 1
        return self.show(), reward, self.left == 0, False, {}


CATCH = "hebbit-tests/Catch-v0"
gym.register(CATCH, lambda **_: Catch())


def catcher(**settings: Any) -> SpikingAgent:
    chosen = {"pool_words": 2, "cycles": 2, "relations": 5, **settings}
    return SpikingAgent(CATCH, seed=1, config=chosen, backend="numpy")


def test_a_brain_learns_from_them_and_is_saved(tmp_path: Path) -> None:
    agent = catcher().learn(30)
    # two words of planes and 7 x 11 pairs; what was lit there has left its traces in the weights
    assert agent.brain_config.sensory_words == 2 + 3
    assert agent.arrays()["weights"][0, 0, 2:5].any()
    agent.save(tmp_path / "a.zip")
    again = SpikingAgent.load(tmp_path / "a.zip", backend="numpy")
    assert again.digest() == agent.digest() and again.config.relations == 5
    for one in (agent, again):
        one.learn(10, reset_num_timesteps=False)
    assert again.digest() == agent.digest() == catcher().learn(40).digest()


def test_topography_is_off_with_them() -> None:
    assert catcher(relations=0).brain_config.tiles == 1
    brain = catcher().brain_config
    assert (brain.tiles, brain.row) == (0, 0)
