"""Brian2: the same network as generated code, event-driven, in one thread."""

import math
import shutil
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from hebbit.backends.spec import MAX_CYCLES
from hebbit.scripts.peers_network import LEAK, RECORDED, Task, Timed, answer, sources, spikes, timed

THRESHOLD = 7.5
STEPS = 2_000
"""Least steps of a run: the first ones are slower, until the program's memory is in the cache."""
STEPS_OF_ALL = 50_000
"""Steps of a run, shared out among the networks of a batch."""
MOST_RUNS, FEW_RUNS = 20, 3
"""Of a program, and of a network run from Python."""


def brian2(task: dict[str, Any]) -> dict[str, Any]:
    """A C++ program where a compiler is found (the fastest), else Cython, else NumPy."""
    asked = Task(**task)
    failed: list[str] = []
    # Brian2's own order of speed; the first that works is taken.
    for target in ("cpp_standalone", "cython", "numpy"):
        folder = Path(tempfile.mkdtemp(prefix="hebbit-brian2-"))
        try:
            found = _standalone(asked, folder) if target == "cpp_standalone" else _runtime(asked, target, folder)
            return _answer(found, failed)
        except Exception as error:
            failed.append(f"{target} failed: {' '.join(str(error).split()) or type(error).__name__}")
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    raise RuntimeError("; ".join(failed))


def _answer(found: Timed, failed: list[str]) -> dict[str, Any]:
    batch = "a batch is as many networks side by side in one"
    return answer(
        [found],
        cycle="one step of the clock: exact leak, threshold, recorded spikes, delivery of each spike to its synapses, "
        "reset; as a C++ program there is no Python between the steps, and no answer before its end, so no whole",
        neuron=f"dv/dt = -v/tau with {LEAK} kept a step, threshold {THRESHOLD}, float32",
        note="; ".join([batch, *failed]),
    )


def _network(task: Task) -> Any:
    """Spike generator, neurons and synapses for all networks of the batch."""
    import brian2 as library

    library.prefs.core.default_float_dtype = np.float32
    # the generated initial check of the spike generator's period overflows float32, harmlessly
    library.BrianLogger.suppress_name("py.warnings")
    library.defaultclock.dt = library.ms
    fired = spikes(task).reshape(RECORDED * MAX_CYCLES, task.batch * task.inputs)
    steps, neurons = np.nonzero(fired)
    period = len(fired) * library.ms
    source = library.SpikeGeneratorGroup(task.batch * task.inputs, neurons, steps * library.ms, period=period)
    tau = -1 / math.log(LEAK) * library.ms
    target = library.NeuronGroup(
        task.batch * task.neurons,
        "dv/dt = -v / tau : 1",
        threshold=f"v > {THRESHOLD}",
        reset="v = 0",
        method="exact",
        namespace={"tau": tau},
    )
    synapses = library.Synapses(source, target, on_pre="v_post += 1")
    read, copies = sources(task), np.arange(task.batch)[:, None]
    before = (read.ravel() + copies * task.inputs).ravel()
    after = (np.repeat(np.arange(task.neurons), task.synapses) + copies * task.neurons).ravel()
    synapses.connect(i=before, j=after)
    return library.Network(source, target, synapses)


def run_steps(task: Task) -> int:
    """Steps of a run."""
    return max(STEPS, STEPS_OF_ALL // task.batch)


def _standalone(task: Task, folder: Path) -> Timed:
    """Compile a program and let it time its own loop: only the steps, not the start."""
    import brian2 as library

    library.set_device("cpp_standalone", directory=str(folder), build_on_run=False)
    library.prefs.devices.cpp_standalone.openmp_threads = 0
    network = _network(task)
    steps = run_steps(task)
    network.run(steps * library.ms)
    library.device.build(directory=str(folder), compile=True, run=False, debug=False)
    seconds = []
    for _ in range(1 + min(task.repeats, MOST_RUNS)):
        library.device.run()
        seconds.append(float((folder / "results" / "last_run_info.txt").read_text().split()[0]))
    return Timed("C++ standalone", {steps: seconds[1:]})


def _runtime(task: Task, target: str, folder: Path) -> Timed:
    """Runs from Python, whose preparation dominates a presentation; a slope needs long runs."""
    import brian2 as library

    library.set_device("runtime")
    library.prefs.codegen.target = target
    library.prefs.codegen.runtime.cython.cache_dir = str(folder)
    network = _network(task)

    def present(_: int, cycles: int) -> None:
        network.run(cycles * library.ms)

    few, steps = replace(task, repeats=min(task.repeats, FEW_RUNS)), run_steps(task)
    taken = timed(target, present, few).seconds
    taken[steps] = []
    for _ in range(few.repeats):
        begin = time.perf_counter()
        network.run(steps * library.ms)
        taken[steps].append(time.perf_counter() - begin)
    return Timed(target, taken)
