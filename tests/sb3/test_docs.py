"""What stands in docs/sb3.md runs."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sb3.md"
EXAMPLES = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_there_is_one() -> None:
    assert len(EXAMPLES) == 1


def test_the_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(EXAMPLES[0], str(PAGE), "exec"), {"__name__": "example"})
    shown = re.fullmatch(r"4 brains, the active one gets (\d+) \+- \d+\n", capsys.readouterr().out)
    assert shown and int(shown[1]) > 50
