"""Same seed, same bits: whatever the threads, the processor and its vector instructions."""

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from hebbit.backends import load, numba_backend, numba_kernels
from hebbit.backends.spec import CONTRACT_VERSION, Backend
from hebbit.scripts import conformance
from hebbit.scripts.conformance import digest, golden, lives, random_case

GOLDEN = Path(__file__).parents[1] / "vectors" / "golden.json"
ADVICE = (
    "the contract changed: if that is meant, raise CONTRACT_VERSION and run "
    "python -m hebbit.scripts.conformance --golden tests/vectors/golden.json"
)


def recorded() -> Any:
    return json.loads(GOLDEN.read_text())


def golden_elsewhere(backend: str, **environment: str) -> Any:
    """The golden digests as a fresh interpreter with other settings finds them, and NumPy's features there."""
    code = (
        "import json, sys, numpy; from hebbit.scripts.conformance import golden; "
        "print(json.dumps([golden(sys.argv[1]), numpy.show_config(mode='dicts')['SIMD Extensions']]))"
    )
    command = [sys.executable, "-c", code, backend]
    run = subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def test_golden_digests(backend: Backend) -> None:
    assert recorded()["contract"] == CONTRACT_VERSION, ADVICE
    assert golden(backend.name) == recorded(), ADVICE


def test_golden_digests_are_what_the_command_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conformance, "GOLDEN_CASES", conformance.GOLDEN_CASES[:1])
    written = tmp_path / "golden.json"
    assert conformance.main(["--golden", str(written)]) == 0
    expected = recorded()
    expected["digests"] = {"0": expected["digests"]["0"]}
    assert written.read_text() == json.dumps(expected, indent=2) + "\n", ADVICE


def life_on(threads: int, monkeypatch: pytest.MonkeyPatch) -> tuple[list[str], set[str]]:
    """Digests of a population's life, and the threads that it ran on."""
    used: set[str] = set()
    kernel = numba_kernels.step_all

    def noting(*arguments: Any) -> Any:
        used.add(threading.current_thread().name)
        return kernel(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(numba_kernels, "step_all", noting)
        patch.setattr(numba_backend, "THREADS", threads)
        case = random_case(5, brains=numba_backend.PARALLEL_FROM + 3)
        digests = [digest(seen) for seen in lives(load("numba"), case, 10)]
    return digests, used


def test_threads_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Shared out evenly or not, and among more threads than there are brains."""
    one, alone = life_on(1, monkeypatch)
    assert len(alone) == 1
    for threads in (2, 3, 16):
        several, together = life_on(threads, monkeypatch)
        assert len(together) > 1
        assert one == several


def test_a_generic_processor_changes_nothing(tmp_path: Path) -> None:
    found, _ = golden_elsewhere("numba", NUMBA_CPU_NAME="generic", NUMBA_CACHE_DIR=str(tmp_path), NUMBA_NUM_THREADS="1")
    assert list(tmp_path.rglob("*.nbc")), "compiled anew, not loaded"
    assert found == recorded()


def test_vector_instructions_of_numpy_change_nothing() -> None:
    here = np.show_config(mode="dicts")["SIMD Extensions"]
    digests, there = golden_elsewhere("numpy", NPY_DISABLE_CPU_FEATURES=" ".join(here.get("found", [])))
    assert "found" not in there, "NumPy still dispatches"
    assert digests == recorded()


def test_digest_sees_values_names_types_and_shapes() -> None:
    zeros = np.zeros((2, 3), np.int32)
    one = zeros.copy()
    one[1, 2] = 1
    variants: list[dict[str, NDArray[Any]]] = [
        {"a": zeros},
        {"a": one},
        {"b": zeros},
        {"a": zeros.astype(np.uint32)},
        {"a": zeros.T},
        {},
    ]
    assert len({digest(arrays) for arrays in variants}) == len(variants)
    assert digest({"a": one.astype(">i4")}) == digest({"a": np.asfortranarray(one)}) == digest({"a": one})
