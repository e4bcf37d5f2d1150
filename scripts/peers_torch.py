"""snnTorch, Norse and BindsNET: the same network in PyTorch, one thread, without gradients.

torch and the libraries are imported inside the functions: nobody else loads them.
"""

import importlib.util
import math
import sys
import types
import warnings
from collections.abc import Callable
from typing import Any

from hebbit.backends.spec import MAX_CYCLES
from hebbit.scripts.peers_network import LEAK, RECORDED, Task, Timed, answer, spikes, timed, weights

THRESHOLD = 7.5
"""Potential from which a neuron fires: 8 spikes at once, whichever way a library compares."""

Product = Callable[[Any], Any]


def _torch() -> Any:
    """PyTorch with a single thread and no gradients."""
    import torch

    torch.set_num_threads(1)
    torch.set_grad_enabled(False)
    warnings.simplefilter("ignore")  # sparse matrices are announced as beta
    return torch


def _products(task: Task, scale: float) -> dict[str, tuple[Product, Any]]:
    """Ways to multiply by the weights, and the recorded inputs as each takes them, [RECORDED, MAX_CYCLES, ...]."""
    torch = _torch()
    matrix = scale * torch.from_numpy(weights(task))
    fired = torch.from_numpy(spikes(task)).float()
    linear = torch.nn.Linear(task.inputs, task.neurons, bias=False)
    linear.weight.data.copy_(matrix)
    across, sparse = matrix.t().contiguous(), matrix.to_sparse_csr()
    return {
        "dense, Linear": (linear, fired),
        "dense, transposed": (lambda x: x @ across, fired),
        "sparse, CSR": (lambda x: (sparse @ x).t(), fired.transpose(2, 3).contiguous()),
    }


def _layered(task: Task, scale: float, neurons: Callable[[], Callable[[Any], object]]) -> list[Timed]:
    """The clock of a layer of neurons behind each product.

    Args:
        task: the size.
        scale: of the weights.
        neurons: makes a layer that keeps its state and takes the current of a cycle.
    """
    found = []
    for variant, (product, fired) in _products(task, scale).items():
        layer = neurons()

        def present(
            i: int, cycles: int, product: Product = product, fired: Any = fired, layer: Callable[[Any], object] = layer
        ) -> None:
            for cycle in range(cycles):
                layer(product(fired[i, cycle]))

        found.append(timed(variant, present, task))
    return found


def snntorch(task: dict[str, Any]) -> dict[str, Any]:
    """A product and a Leaky neuron for each cycle."""
    asked = Task(**task)

    def neurons() -> Callable[[Any], object]:
        import snntorch as library

        # without the surrogate, which only gradients need, it is quicker
        leaky = library.Leaky(LEAK, threshold=THRESHOLD, reset_mechanism="zero", surrogate_disable=True)
        state: list[Any] = [None]

        def step(current: Any) -> None:
            _, state[0] = leaky(current, state[0])

        return step

    return answer(
        _layered(asked, 1.0, neurons),
        cycle="a matrix product and one call of Leaky: reset, leak, integrate, threshold; eager, looped in Python",
        neuron=f"Leaky(beta={LEAK}, threshold={THRESHOLD}, reset to zero, surrogate disabled)",
    )


def norse(task: dict[str, Any]) -> dict[str, Any]:
    """A product and a LIFBoxCell for each cycle."""
    asked, torch = Task(**task), _torch()
    step_seconds = 0.001
    rate = (1 - LEAK) / step_seconds

    def neurons() -> Callable[[Any], object]:
        from norse.torch import LIFBoxCell
        from norse.torch.functional.lif_box import LIFBoxParameters

        parameters = LIFBoxParameters(tau_mem_inv=torch.tensor(rate), v_th=torch.tensor(THRESHOLD))
        cell, state = LIFBoxCell(parameters, dt=step_seconds), [None]

        def step(current: Any) -> None:
            _, state[0] = cell(current, state[0])

        return step

    # Norse leaks the input too: v + (1 - leak) (i - v)
    return answer(
        _layered(asked, 1 / (1 - LEAK), neurons),
        cycle="a product and one step of LIFBoxCell: leak, integrate, threshold, reset; eager, looped in Python",
        neuron=f"LIFBoxCell, the neuron without a synaptic current: keeps {LEAK} a step, threshold {THRESHOLD}",
    )


def _bindsnet_package() -> str:
    """Make bindsnet.network importable; returns what had to be done for it.

    The package imports its data sets, and with them torchvision, which needs the very build of torch that it was made
    with. The network needs neither.
    """
    try:
        import bindsnet  # noqa: F401

        return ""
    except (ImportError, RuntimeError) as error:
        for name in [name for name in sys.modules if name.partition(".")[0] in ("bindsnet", "torchvision")]:
            del sys.modules[name]
        spec = importlib.util.find_spec("bindsnet")
        if spec is None or spec.submodule_search_locations is None:
            raise
        bare = types.ModuleType("bindsnet")
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules["bindsnet"] = bare
        text = " ".join(str(error).split())
        return f"bindsnet.network imported alone, since the whole package fails here ({text})"


def bindsnet(task: dict[str, Any]) -> dict[str, Any]:
    """Network.run over the cycles of a presentation."""
    asked, torch = Task(**task), _torch()
    note = _bindsnet_package()
    from bindsnet.network import Network
    from bindsnet.network.nodes import Input, LIFNodes
    from bindsnet.network.topology import Connection, SparseConnection

    across = torch.from_numpy(weights(asked)).t().contiguous()
    fired = torch.from_numpy(spikes(asked)).bool()
    shown = [[fired[i, :cycles] for cycles in range(MAX_CYCLES + 1)] for i in range(RECORDED)]
    found = []
    for variant, kind in {"dense, Connection": Connection, "sparse, SparseConnection": SparseConnection}.items():
        network = Network(dt=1.0, learning=False, batch_size=asked.batch)
        source, target = Input(n=asked.inputs), _lif_nodes(LIFNodes, asked.neurons)
        network.add_layer(source, name="source")
        network.add_layer(target, name="target")
        network.add_connection(kind(source=source, target=target, w=across), source="source", target="target")

        def present(i: int, cycles: int, network: Any = network) -> None:
            network.run({"source": shown[i][cycles]}, time=cycles)

        found.append(timed(variant, present, asked))
    return answer(
        found,
        cycle="one time step of Network.run: Connection.compute and forward of both layers; spikes arrive a step later",
        neuron=f"LIFNodes without refractory time: keeps {LEAK} a step, threshold {THRESHOLD}",
        note=note,
    )


def _lif_nodes(kind: Any, neurons: int) -> Any:
    return kind(n=neurons, thresh=THRESHOLD, rest=0.0, reset=0.0, refrac=0, tc_decay=-1 / math.log(LEAK))
