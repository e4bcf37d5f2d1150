"""The front door: help, versions, what is imported, and how errors are told."""

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

import hebbit
from hebbit.scripts import info

Cli = Callable[..., Any]


def test_help_names_the_commands_and_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom hebbit.scripts import main\nassert main(['--help']) == 0\n"
        "print(*{'numpy', 'numba', 'gymnasium', 'matplotlib'} & set(sys.modules), file=sys.stderr, end='')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout.startswith("usage: hebbit")
    assert all(f"\n    {command} " in done.stdout for command in ("train", "evaluate", "info"))


@pytest.mark.parametrize("command", ["train", "evaluate", "info"])
def test_every_command_has_help(cli: Cli, command: str) -> None:
    status, out, err = cli(f"{command} --help")
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: hebbit {command}") and "--debug" in out


def test_version(cli: Cli) -> None:
    assert cli("--version") == (0, f"hebbit {hebbit.__version__}\n", "")


def test_no_command_prints_the_help(cli: Cli) -> None:
    status, out, _ = cli("")
    assert status == 0 and out.startswith("usage: hebbit")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("dance", "invalid choice: 'dance'"),
        ("train", "ENV_ID"),
        ("train CartPole-v1 --steps -5", "expected a whole number of 0 or more, got '-5'"),
        ("train CartPole-v1 --steps many", "got 'many'"),
        ("train CartPole-v1 --steps 5 --brains 0", "expected a whole number of 1 or more, got '0'"),
        ("train CartPole-v1 --steps 5 --colour red", "--colour"),
        ("evaluate run --brain worst", "expected best, median or a number of 0 or more, got 'worst'"),
        ("evaluate run --render --video v", "not allowed with"),
    ],
)
def test_misunderstood_flags_are_one_sentence(cli: Cli, line: str, said: str) -> None:
    status, out, err = cli(line)
    assert (status, out) == (2, "")
    assert err.startswith("hebbit: ") and err.count("\n") == 1 and said in err and "--help" in err


def test_debug_shows_where_an_error_comes_from(cli: Cli) -> None:
    from hebbit.agents import HebbitError

    for line in ("--debug evaluate nothing", "evaluate nothing --debug"):
        with pytest.raises(HebbitError, match="nothing"):
            cli(line)


def test_what_nobody_expected_is_one_sentence_too(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ZeroDivisionError("by\nzero")

    monkeypatch.setattr(info, "_installed", fail)
    status, out, err = cli("info")
    assert (status, out) == (1, "")
    assert err.startswith("hebbit: unexpected ZeroDivisionError: by zero; ") and err.count("\n") == 1
    monkeypatch.setattr(
        info, "_installed", lambda: (_ for _ in ()).throw(PermissionError(13, "Permission denied", "x"))
    )
    assert cli("info") == (2, "", "hebbit: x cannot be used: Permission denied; choose another place\n")


def test_module_runs_as_a_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hebbit.scripts", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"hebbit {hebbit.__version__}\n"
