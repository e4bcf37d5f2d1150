"""The rules of the house that no linter checks: sizes, marks, the package list, and what an import drags in."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE_DIRS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-dir"]
FOLDERS = ("agents", "backends", "envs", "scripts", "tests")
SOURCES = sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py") if "_path" not in path.parts)

TYPICAL_FUNCTION_LINES = 25  # nine functions in ten
MAX_FUNCTION_LINES = 80
MAX_FILE_LINES = 400
MAX_CONSTRUCTOR_ARGUMENTS = 8  # without self; more belong in a config object

# Written in halves, so that this file does not find itself.
UNFINISHED = r"TO" r"DO|FIX" r"ME|XX" r"X"
AVOIDED = r"x" r"fail|(?:mark|pytest)\.s" r"kip(?:if)?|importors" r"kip"
BANNED_MARKS = re.compile(rf"\b(?:{UNFINISHED}|{AVOIDED})\b")
TYPE_IGNORE = re.compile(r"#\s*type:\s*ig" r"nore")
EXPLAINED_TYPE_IGNORE = re.compile(r"#\s*type:\s*ig" r"nore\[[a-z-]+(?:,\s*[a-z-]+)*\]\s+#\s*\S+\s+\S+")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions() -> list[tuple[str, ast.FunctionDef | ast.AsyncFunctionDef]]:
    return [
        (f"{name_of(path)}:{node.lineno} {node.name}", node)
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def lines_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    assert node.end_lineno is not None
    return node.end_lineno - node.lineno + 1


def arguments_of(node: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    arguments = node.args
    return len(arguments.posonlyargs) + len(arguments.args) + len(arguments.kwonlyargs)


def matches(pattern: re.Pattern[str]) -> list[tuple[str, str]]:
    """Where a pattern stands, and the line it stands in."""
    return [
        (f"{name_of(path)}:{number}", line)
        for path in SOURCES
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if pattern.search(line)
    ]


def modules_after(statement: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after one statement."""
    code = f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "tests")
    return set(run.stdout.split())


def test_functions_are_short() -> None:
    sizes = sorted((lines_of(node), name) for name, node in functions())
    assert [name for lines, name in sizes if lines > MAX_FUNCTION_LINES] == []
    long = [name for lines, name in sizes if lines > TYPICAL_FUNCTION_LINES]
    assert len(long) <= 0.1 * len(sizes), f"{len(long)} of {len(sizes)} are over {TYPICAL_FUNCTION_LINES}: {long}"


def test_files_are_short() -> None:
    sizes = {name_of(path): len(path.read_text().splitlines()) for path in SOURCES}
    assert {name: lines for name, lines in sizes.items() if lines > MAX_FILE_LINES} == {}


def test_constructors_take_few_arguments() -> None:
    counts = {name: arguments_of(node) - 1 for name, node in functions() if node.name == "__init__"}
    assert {name: count for name, count in counts.items() if count > MAX_CONSTRUCTOR_ARGUMENTS} == {}


def test_no_work_is_left_unfinished_and_no_test_avoided() -> None:
    assert matches(BANNED_MARKS) == []


def test_ignored_types_name_their_code_and_reason() -> None:
    assert [hit for hit in matches(TYPE_IGNORE) if not EXPLAINED_TYPE_IGNORE.search(hit[1])] == []


def test_every_package_is_listed() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert sorted(settings["packages"]) == sorted(PACKAGE_DIRS)
    found = {name_of(path.parent) for path in SOURCES if path.name == "__init__.py"}
    found |= {name_of(path.parent) for path in ROOT.glob("*/__init__.py")}
    assert found == set(PACKAGE_DIRS.values())


@pytest.mark.parametrize("package", PACKAGE_DIRS)
def test_every_package_is_typed_and_linked(package: str) -> None:
    folder = ROOT / PACKAGE_DIRS[package]
    linked = ROOT / "tests" / "_path" / Path(*package.split("."))
    assert (folder / "py.typed").is_file()
    assert (linked / "__init__.py").samefile(folder / "__init__.py")


def test_import_is_light() -> None:
    heavy = {"gymnasium", "llvmlite", "matplotlib", "numba", "numpy", "stable_baselines3", "torch"}
    loaded = modules_after("import hebbit")
    assert "hebbit" in loaded
    assert loaded & heavy == set()


def test_backends_load_their_compiler_when_asked() -> None:
    assert modules_after("import hebbit.backends") & {"cupy", "numba", "llvmlite"} == set()
    assert "numba" in modules_after("from hebbit.backends import load\nload('numba')")


def test_sb3_is_loaded_by_nobody() -> None:
    loaded = modules_after("from hebbit import SpikingAgent\nimport hebbit.envs, hebbit.scripts")
    assert loaded & {"stable_baselines3", "torch"} == set()


def test_an_unknown_export_says_what_there_is() -> None:
    import hebbit

    with pytest.raises(AttributeError, match="it offers BrainRecorder, SpikingAgent, __version__"):
        _ = hebbit.Spiking_Agent  # type: ignore[attr-defined]  # the misspelt name is the point
    assert set(hebbit.__all__) <= set(dir(hebbit))
