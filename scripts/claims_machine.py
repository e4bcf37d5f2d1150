"""What a measurement was made on and with. No paths and no names of hosts or users."""

import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = ("hebbit", "numpy", "numba", "llvmlite", "gymnasium", "torch", "stable_baselines3")
CODE = ("agents", "backends", "envs", "scripts", "pyproject.toml", "constraints.txt")
"""What of a checkout decides a result."""


def machine() -> dict[str, Any]:
    """Processor, memory, system, versions and, in a checkout, the commit."""
    return {
        "cpu": cpu_model(),
        "cores": os.cpu_count(),
        "usable_cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": memory_gib(),
        "load_average": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": versions(),
        **commit(),
    }


def cpu_model() -> str:
    """The processor's name as the system gives it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def memory_gib() -> float | None:
    """Main memory, where the system tells it."""
    try:
        return round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def versions() -> dict[str, str | None]:
    """Versions of what takes part; None where it is not installed."""
    found: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = None
    return found


def commit() -> dict[str, Any]:
    """The commit of the checkout that this code runs from, and whether code there differs from it; None elsewhere."""
    # from scripts/ in a checkout; in an installed package the parent is no checkout of ours
    root = Path(__file__).resolve().parents[1]
    head = changes = None
    if (root / ".git").exists() and (root / "pyproject.toml").is_file():
        head = _git(root, "rev-parse", "HEAD")
        changes = _git(root, "status", "--porcelain", "--", *CODE)
    return {"commit": head, "code_changed": None if changes is None else bool(changes)}


def _git(root: Path, *words: str) -> str | None:
    try:
        asked = subprocess.run(
            ["git", "--no-optional-locks", "-C", str(root), *words], capture_output=True, text=True, check=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return asked.stdout.strip()
