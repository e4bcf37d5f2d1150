"""What stands in docs/callbacks.md runs, and names what there is."""

import re
from pathlib import Path

import pytest

from hebbit.agents import callbacks

PAGE = Path(__file__).parents[2] / "docs" / "callbacks.md"
TEXT = PAGE.read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL)


@pytest.mark.parametrize(
    ("example", "expected"),
    [
        (0, r"stopped after (\d+) steps, the best mean return was (\d+)\.\d\n"),
        (1, r"the longest episode had (1\d\d) steps\n"),
    ],
)
def test_the_examples_run(
    example: int, expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(EXAMPLES) == 3  # the last one needs Stable-Baselines3: tests/sb3/test_callbacks.py
    exec(compile(EXAMPLES[example], str(PAGE), "exec"), {"__name__": "example"})
    assert re.fullmatch(expected, capsys.readouterr().out)
    if example == 0:
        assert (tmp_path / "best" / "best_model.zip").exists()
        assert (tmp_path / "checkpoints" / "rl_model_5000_steps.zip").exists()


def test_every_callback_is_named() -> None:
    inner = {"BaseCallback", "CallbackList", "ConvertCallback", "EventCallback", "Callback"}
    ready = {name for name in callbacks.__all__ if isinstance(getattr(callbacks, name), type)} - inner - {"Model"}
    named = set(re.findall(r"`(\w+)\(", TEXT))
    assert ready and ready <= named
