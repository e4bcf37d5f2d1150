"""What ``make gpu`` runs, as far as it goes without a GPU: a sanitizer that only notes how it was called."""

import sys
from pathlib import Path

import pytest

from hebbit.backends.cuda_layout import layout
from hebbit.scripts import conformance, gpu_checks
from hebbit.scripts.conformance import Outcome


def sanitizer(folder: Path, status: str = "0") -> Path:
    """A program in the sanitizer's place; it fails with its status under racecheck."""
    folder.mkdir(parents=True)
    path = folder / gpu_checks.SANITIZER
    path.write_text(f'#!/bin/sh\necho "$@" >> {folder / "calls"}\ncase "$2" in racecheck) exit {status};; esac\n')
    path.chmod(0o755)
    return path


def calls(path: Path) -> list[list[str]]:
    return [line.split() for line in (path.parent / "calls").read_text().splitlines()]


@pytest.mark.parametrize("variable", ["CUDA_HOME", "CUDA_PATH"])
def test_the_sanitizer_is_found_in_the_toolkit(tmp_path: Path, variable: str) -> None:
    path = sanitizer(tmp_path / "toolkit" / "bin")
    empty = {"PATH": str(tmp_path)}
    assert gpu_checks.find({**empty, variable: str(tmp_path / "toolkit")}) == str(path)
    first = sanitizer(tmp_path / "first")
    assert gpu_checks.find({"PATH": str(first.parent), variable: str(tmp_path / "toolkit")}) == str(first)


def test_without_a_sanitizer_it_says_where_it_looked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name, path: None)
    said = "neither on PATH nor in /opt/toolkit/bin nor in /usr/local/cuda/bin; it comes with NVIDIA's CUDA toolkit"
    with pytest.raises(SystemExit, match=f"^gpu_checks: compute-sanitizer is {said}") as stop:
        gpu_checks.find({"CUDA_HOME": "/opt/toolkit"})
    assert isinstance(stop.value.code, str), "Python prints it and exits with 1"


def test_every_tool_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    path = sanitizer(tmp_path / "bin")
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")
    assert gpu_checks.main([]) == 0
    ran = calls(path)
    assert [call[1] for call in ran] == list(gpu_checks.TOOLS) == ["memcheck", "racecheck", "synccheck", "initcheck"]
    for call in ran:
        assert call[call.index("--error-exitcode") + 1] == "86"
        assert call[-4:] == [sys.executable, "-m", "hebbit.scripts.gpu_checks", "--child"]
    out, err = capfd.readouterr()
    assert err == "" and all(f"--tool {tool}: " in out for tool in gpu_checks.TOOLS)


@pytest.mark.parametrize(("status", "said"), [("86", "it found something"), ("1", "exit status 1")])
def test_what_a_tool_finds_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], status: str, said: str
) -> None:
    path = sanitizer(tmp_path / "bin", status)
    monkeypatch.setenv("PATH", f"{path.parent}:/bin:/usr/bin")
    assert gpu_checks.main(["--tools", "memcheck", "racecheck"]) == 1
    assert len(calls(path)) == 2
    assert f"gpu_checks: failed under racecheck ({said});" in capfd.readouterr().err


def test_the_shapes_are_what_they_are_called() -> None:
    made = [layout(config, 227 << 10) for config in gpu_checks.SHAPES]
    assert all(one.warps > 1 for one in made)
    assert [one.pairs_shared for one in made] == [True, True, False, True]
    assert made[1].config.learning_words and made[1].config.echo_words
    assert made[3].shared_bytes > 48 << 10


@pytest.mark.parametrize("where", ["nowhere", "random", "shapes"])
def test_the_child_compares_and_fails_where_bits_differ(
    where: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The shim in the place of CuPy, and outcomes as they would be."""
    seen: list[str] = []

    def compare(case: conformance.Case, presentations: int, backend: str) -> Outcome:
        seen.append(backend)
        faulty = where == "shapes" and case.config == gpu_checks.SHAPES[-2]
        return Outcome(case.number, 2, presentations, 100, {"weights": 3} if faulty else {})

    def random(argv: list[str]) -> int:
        assert conformance.parser().parse_args(argv).backend == "cupy"
        return int(where == "random")

    apart: list[bool] = []
    monkeypatch.setattr("hebbit.backends.cupy_backend.allocate_apart", lambda: apart.append(True))
    monkeypatch.setattr(gpu_checks, "compare", compare)
    monkeypatch.setattr(conformance, "main", random)
    assert gpu_checks.main(["--child"]) == int(where != "nowhere")
    assert apart == [True] and seen == ["cupy"] * len(gpu_checks.SHAPES)
    assert capfd.readouterr().out.count(": 0 bits differ") == len(seen) - (where == "shapes")
