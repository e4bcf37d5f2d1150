"""Doing the runs of a benchmark as tasks of Ray, on this machine or on a cluster; scheduling is Ray's."""

import socket
from collections.abc import Iterator, Sequence
from typing import Any

from hebbit.agents.errors import HebbitError, brief
from hebbit.scripts.bench.engine import perform
from hebbit.scripts.bench.jobs import Job
from hebbit.scripts.bench.rowbook import CRASHED, Outcome, failed

RETRIES = 3
"""Of a task whose worker dies; a run that kills them all is a row that says so."""
PATIENCE = 10
"""Seconds for a cluster to answer."""
HERE = "local"
"""Address of a Ray that is started for this call alone."""


def connect(address: str, number: int) -> Any:
    """Ray, connected.

    Args:
        address: of a cluster, or HERE.
        number: tasks at a time of a Ray that is started here.

    Raises:
        HebbitError: Ray is not installed, or there is no cluster.
    """
    try:
        import ray
    except ModuleNotFoundError as error:
        raise HebbitError("--ray needs Ray, which is not installed: pip install 'hebbit[ray]'") from error
    own = {"num_cpus": number, "include_dashboard": False} if address == HERE else {}
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **own)
    except (Exception, SystemExit) as error:  # Ray raises many kinds, and ends the process where it finds no cluster
        raise HebbitError(f"Ray cannot be reached at {address!r}: {brief(error, 300)}") from error
    return ray


def _knock(address: str) -> None:
    """Find out in a moment that nobody is there: Ray itself tries for minutes."""
    host, colon, port = address.rpartition("//")[2].rpartition(":")
    if colon and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=PATIENCE).close()


def on_ray(
    jobs: Sequence[Job], invocation: str, timeout: float | None, number: int, address: str
) -> Iterator[tuple[Job, Outcome]]:
    """Do runs as Ray tasks of one core each, and give each as it ends.

    A task whose worker dies is done again, RETRIES times. hebbit must be installed on the cluster's machines, in the
    version that is used here.
    """
    ray = connect(address, number)
    try:
        remote = ray.remote(num_cpus=1, max_retries=RETRIES)(perform)
        waiting = {remote.remote(job, invocation, timeout): job for job in jobs}
        while waiting:
            ready, _ = ray.wait(list(waiting), num_returns=1)
            for reference in ready:
                job = waiting.pop(reference)
                try:
                    outcome = ray.get(reference)
                except ray.exceptions.RayError as error:
                    outcome = failed(job, invocation, CRASHED, brief(error, 1000))
                yield job, outcome
    finally:
        ray.shutdown()
