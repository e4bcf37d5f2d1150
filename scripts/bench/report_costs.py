"""What runs and answers cost: time, memory, operations, and an estimate of energy."""

import math
from collections.abc import Iterator

from hebbit.scripts.bench import report_numbers as show
from hebbit.scripts.bench.report_document import Cell, Table
from hebbit.scripts.bench.report_study import Study
from hebbit.scripts.bench.report_tables import APART, algorithm, apart_note
from hebbit.scripts.bench.rows import Cost, Task

MULTIPLY_PICOJOULES = 3.7
"""A multiplication of 32-bit floats."""
FLOAT_ADD_PICOJOULES = 0.9
"""An addition of 32-bit floats."""
BYTE_ADD_PICOJOULES = 0.03
"""An addition of 8-bit integers."""
MAC_PICOJOULES = MULTIPLY_PICOJOULES + FLOAT_ADD_PICOJOULES
SOURCE = (
    'M. Horowitz, "Computing\'s energy problem (and what we can do about it)", ISSCC 2014, 45 nm at 0.9 V: '
    f"multiplying 32-bit floats {MULTIPLY_PICOJOULES} pJ, adding them {FLOAT_ADD_PICOJOULES} pJ, adding 8-bit integers "
    f"{BYTE_ADD_PICOJOULES} pJ"
)


def joules(cost: Cost) -> float:
    """Estimated energy of an action's arithmetic; nan where its operations were not counted."""
    each, count = (BYTE_ADD_PICOJOULES, cost.synaptic) if cost.spiking else (MAC_PICOJOULES, cost.macs)
    return count * each * 1e-12


def median_joules(study: Study, task: Task, name: str) -> float:
    """Median over finished runs of :func:`joules`; nan where it is unknown."""
    found = sorted(joules(run.cost) for run in study.runs(task, name) if run.cost is not None)
    known = [value for value in found if not math.isnan(value)]
    middle = len(known) // 2
    if not known:
        return math.nan
    return known[middle] if len(known) % 2 else (known[middle - 1] + known[middle]) / 2


def training(study: Study) -> Table:
    """Time and memory of whole runs."""
    rows: list[list[Cell | str]] = []
    for task in study.tasks:
        mark = "" if study.comparable(task) else APART
        for name in study.finished_on(task):
            values = [study.cost(task, name, one) for one in ("seconds", "cpu_seconds", "startup_seconds")]
            steps = study.cost(task, name, "steps")
            rate = show.whole(steps / values[1]) if values[1] > 0 else show.UNKNOWN
            times = [show.three(value) + mark for value in values]
            memory = show.memory(study.cost(task, name, "peak_bytes"))
            rows.append([algorithm(study, name), task.name, show.whole(steps), *times, rate + mark, memory])
    head = [
        "algorithm",
        "task",
        "steps",
        "seconds",
        "CPU seconds",
        "start-up seconds",
        "steps per CPU second",
        "peak memory",
    ]
    return Table("Training: medians over the finished runs", head, rows, list(_time_notes(study)), words=2)


def _time_notes(study: Study) -> Iterator[str]:
    yield "Seconds are of training alone, without evaluation and start-up (imports, compilation)."
    yield "Memory is the peak of the whole process: interpreter and libraries are in it."
    apart = [task for task in study.tasks if study.origins([task])[1] > 1]
    if apart:
        yield apart_note(study, apart)


def answering(study: Study) -> Table:
    """Size of the policy, and what an answer takes."""
    rows: list[list[Cell | str]] = []
    for task in study.tasks:
        mark = "" if study.comparable(task) else APART
        for name in study.finished_on(task):
            names = ("policy_bytes", "parameters", "answer_seconds", "synaptic", "spikes", "updates", "macs")
            size, parameters, answer, *operations = (study.cost(task, name, one) for one in names)
            rows.append(
                [
                    algorithm(study, name),
                    task.name,
                    show.memory(size) if not math.isnan(size) else show.UNKNOWN,
                    show.whole(parameters),
                    show.three(answer * 1e6) + mark,
                    *map(show.whole, operations),
                    show.energy(median_joules(study, task, name)),
                ]
            )
    head = [
        "algorithm", "task", "policy", "parameters", "microseconds an answer", "synaptic operations an action",
        "spikes an action", "neuron updates an action", "multiply-accumulates an action", "energy an action, estimated",
    ]  # fmt: skip
    return Table("Answering: medians over the finished runs", head, rows, list(_energy_notes()), words=2)


def _energy_notes() -> Iterator[str]:
    yield "An answer is one call of predict with one observation, timed in Python: elsewhere it takes other times."
    yield (
        f"Energy is an estimate, not a measurement: {MAC_PICOJOULES:g} pJ for each multiply-accumulate of a dense "
        f"network, {BYTE_ADD_PICOJOULES} pJ for each synaptic operation (a spike that reaches an 8-bit synapse) of a "
        "spiking one."
    )
    yield (
        "Left out: access to memory, which can cost more than all arithmetic; neuron updates, random numbers and "
        "encoding of a spiking brain; activation functions of a dense network."
    )
    yield f"Source: {SOURCE}."
