"""One run of a benchmark, in a process of its own: ``python -m hebbit.scripts.bench.worker FOLDER``.

The job is the first line of standard input, which then stays open: when it ends, whoever asked is gone, however he
went, and the work is dropped. What was found is written to FOLDER, ``row.json`` last.
"""

import time

_BEGAN = time.perf_counter()

import json  # noqa: E402  the clock runs before the imports, which are part of the start-up
import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
import threading  # noqa: E402
from collections.abc import Mapping, Sequence  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Any  # noqa: E402

ABANDONED = 75
ANSWERS = 200
"""Single answers that are timed."""


def main(words: Sequence[str]) -> int:
    """Do the job that stands in the first line of standard input."""
    text = sys.stdin.readline()
    threading.Thread(target=_outlive, daemon=True).start()
    order = json.loads(text)
    work(order["job"], order["invocation"], Path(words[0]))
    return 0


def _outlive() -> None:
    """End at once when standard input does."""
    while sys.stdin.read(1 << 16):
        pass
    # with whatever the environment has started
    if hasattr(os, "killpg"):
        os.killpg(0, signal.SIGKILL)
    os._exit(ABANDONED)


def work(content: Mapping[str, Any], invocation: str, folder: Path) -> None:
    """Train, evaluate and write everything into a folder."""
    from hebbit.agents.errors import HebbitError
    from hebbit.agents.files import atomic_write_text
    from hebbit.scripts.bench import jobs
    from hebbit.scripts.bench.rowbook import about, blank
    from hebbit.scripts.bench.side import Side

    job = jobs.of_dict(content)
    here = jobs.versions(job.algorithm)
    if here != job.versions:
        raise HebbitError(f"the versions here are {here}, the benchmark's {job.versions}: install the same ones")
    side: Side
    if job.algorithm == jobs.OURS:
        from hebbit.scripts.bench.ours import Ours

        side = Ours(job)
    else:
        from hebbit.scripts.bench.sb3 import Theirs

        side = Theirs(job)
    startup = time.perf_counter() - _BEGAN
    row = blank(job, invocation) | about() | measure(job, side, startup)
    side.save(folder)
    atomic_write_text(folder / "row.json", json.dumps(row, allow_nan=False) + "\n")


def measure(job: Any, side: Any, startup: float) -> dict[str, Any]:
    """Learning curve, final evaluation and cost of a run."""
    from hebbit.scripts.bench.play import play

    referee = Referee(job, side.policy)
    referee.begin()
    side.learn(job.steps, referee)
    steps = side.steps()
    referee.end(steps)
    peak = peak_bytes()
    task = job.whole_task()
    final = {}
    for name, greedy in (("greedy", True), ("stochastic", False)):
        found = play(side.policy, task.environment().make, task.final_seeds(), greedy)
        final[name] = {"returns": found.returns.tolist(), "lengths": found.lengths.tolist()}
    cost = {
        "seconds": round(referee.clock.wall, 4),
        "cpu_seconds": round(referee.clock.cpu, 4),
        "startup_seconds": round(startup, 3),
        "steps": steps,
        "peak_bytes": peak,
        "policy_bytes": side.policy_bytes(),
        "answer_seconds": answer_seconds(side.policy, task),
        "operations": side.operations(),
    }
    return {"final": final, "curve": referee.points, "cost": cost}


class Referee:
    """A callback for every algorithm: stops the clock at each mark of the learning curve and plays some episodes."""

    def __init__(self, job: Any, policy: Any) -> None:
        """Stand still until training begins."""
        from hebbit.scripts.claims_tools import Clock

        self.task, self.policy = job.whole_task(), policy
        self.clock = Clock()
        self.points: list[dict[str, Any]] = []
        self._marks = job.marks()

    def begin(self) -> None:
        """Play before training, and start the clock."""
        self._play(0)
        self.clock.start()

    def __call__(self, locals_: Mapping[str, Any], _: object) -> bool:
        """After every step of the training loop."""
        if self._marks and locals_["self"].num_timesteps >= self._marks[0]:
            self.clock.stop()
            self._play(locals_["self"].num_timesteps)
            self.clock.start()
        return True

    def end(self, steps: int) -> None:
        """Stop the clock, and play as the last point what came of it all: updates may follow the last step."""
        self.clock.stop()
        if self.points[-1]["steps"] == steps:
            self.points.pop()
        self._play(steps)

    def _play(self, steps: int) -> None:
        from hebbit.scripts.bench.play import play

        while self._marks and self._marks[0] <= steps:
            self._marks.pop(0)
        found = play(self.policy, self.task.environment().make, self.task.curve_seeds())
        seconds = {"seconds": round(self.clock.wall, 4), "cpu_seconds": round(self.clock.cpu, 4)}
        self.points.append({"steps": steps, **seconds, "greedy": found.returns.tolist()})


def answer_seconds(policy: Any, task: Any) -> float:
    """Median seconds of a single greedy answer, in an episode."""
    import statistics

    import numpy as np

    env, state, taken = task.environment().make(), None, []
    observation, _ = env.reset(seed=task.curve_seeds()[0])
    begin = True
    for _ in range(ANSWERS):
        before = time.perf_counter()
        action, state = policy.predict(observation, state, np.array([begin]), deterministic=True)
        taken.append(time.perf_counter() - before)
        # of a single Discrete answer Stable-Baselines3 makes an array without dimensions
        observation, _, terminated, truncated, _ = env.step(action[()] if np.ndim(action) == 0 else action)
        begin = bool(terminated or truncated)
        if begin:
            observation, _ = env.reset()
    env.close()
    return round(statistics.median(taken), 8)


def peak_bytes() -> int | None:
    """Largest memory of this process so far, where the system tells it."""
    if sys.platform == "win32":
        return None
    if os.path.exists("/proc/self/status"):
        # ru_maxrss would begin with what the parent had when it started this process
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
