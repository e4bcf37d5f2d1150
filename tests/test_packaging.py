"""The wheel, the sdist and the editable install, made from a copy of the tree and tried in empty environments."""

import os
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE_DIRS = PROJECT["tool"]["setuptools"]["package-dir"]
TRAINED = "trained_brains"
DATA_SUFFIXES = {".py", ".toml", ".json", ".cu", ".h", ".typed"}
LEFT_BEHIND = (".*", "build", "dist", "runs", "__pycache__", "*.egg-info", "_path")

# The root first: it must not need the packages below it.
USE = f"""
import hebbit
print(hebbit.__version__)
from hebbit import SpikingAgent
import {", ".join(sorted(PACKAGE_DIRS))}
for module in ({", ".join(sorted(PACKAGE_DIRS))}):
    print(module.__file__)
"""


def run(*command: str | Path, cwd: Path) -> str:
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True)
    assert result.returncode == 0, f"{command} failed:\n{result.stdout}\n{result.stderr}"
    return result.stdout


def build(kind: str, tree: Path, out: Path) -> Path:
    run(sys.executable, "-m", "build", "--no-isolation", f"--{kind}", "--outdir", out, tree, cwd=out.parent)
    (result,) = out.iterdir()
    return result


def copy_sources(folder: Path) -> Path:
    """Building in the repository would leave files there that a later build picks up."""
    return Path(shutil.copytree(ROOT, folder / "sources", ignore=shutil.ignore_patterns(*LEFT_BEHIND)))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copy_sources(tmp_path_factory.mktemp("tree"))


@pytest.fixture(scope="module")
def wheel(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", tree, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", tree, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def environment(tmp_path: Path) -> Path:
    """An environment without hebbit that sees this one's other packages."""
    folder = tmp_path / "environment"
    venv.create(folder, symlinks=os.name == "posix")
    variables = {"base": str(folder), "platbase": str(folder)}
    site = Path(sysconfig.get_path("purelib", "venv", variables))
    # A folder named by a .pth file gets its own .pth files ignored, so this one's editable hebbit stays out.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder


def python_of(environment: Path) -> Path:
    scripts = sysconfig.get_path("scripts", "venv", {"base": str(environment), "platbase": str(environment)})
    return Path(scripts) / Path(sys.executable).name


def install(environment: Path, *what: str | Path) -> list[str]:
    """Install without dependencies, use hebbit from a neutral folder, and return what USE printed."""
    python = python_of(environment)
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-index", "--no-deps", "--no-build-isolation", *what, cwd=environment)
    run(python.with_name("hebbit"), "--help", cwd=environment)
    return run(python, "-c", USE, cwd=environment).split()


def modules_in(wheel: Path) -> set[str]:
    return {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}


def modules_in_tree(tree: Path) -> set[str]:
    brains = {f"hebbit/agents/{TRAINED}/{path.name}" for path in (tree / "agents" / TRAINED).iterdir()}
    return brains | {
        f"{package.replace('.', '/')}/{path.name}"
        for package, folder in PACKAGE_DIRS.items()
        for path in (tree / folder).iterdir()
        if path.suffix in DATA_SUFFIXES or path.name == "py.typed"
    }


def test_wheel_holds_every_module(wheel: Path, tree: Path) -> None:
    assert modules_in(wheel) == modules_in_tree(tree)
    assert "hebbit/__init__.py" in modules_in(wheel)


def test_wheel_works_in_an_empty_environment(wheel: Path, environment: Path) -> None:
    version, *files = install(environment, wheel)
    assert version == PROJECT["project"]["version"]
    assert len(files) == len(PACKAGE_DIRS)
    assert all(Path(file).is_relative_to(environment) for file in files)


def test_sdist_builds_the_same_wheel(sdist: Path, wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path / "unpacked", filter="data")
    (sources,) = (tmp_path / "unpacked").iterdir()
    again = build("wheel", sources, tmp_path / "wheel")
    assert modules_in(again) == modules_in(wheel)
    assert {"LICENSE", "README.md", "CHANGELOG.md", "constraints.txt"} <= {path.name for path in sources.iterdir()}
    assert (sources / "tests" / "conftest.py").is_file()
    assert not (sources / "tests" / "_path").exists()


def test_editable_install_sees_the_sources(environment: Path, tmp_path: Path) -> None:
    tree = copy_sources(tmp_path)
    _, *files = install(environment, "--editable", tree)
    assert all(Path(file).is_relative_to(tree) for file in files)
    (tree / "agents" / "fresh.py").write_text("VALUE = 4\n")
    printed = run(python_of(environment), "-c", "from hebbit.agents.fresh import VALUE; print(VALUE)", cwd=environment)
    assert printed.split() == ["4"]
