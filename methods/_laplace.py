"""Gaussian posterior of the weights of one trained network, from its Gauss-Newton curvature.

Shapes as in _curvature.py, and S draws.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import cast

import torch
from torch import Tensor, nn
from torch.func import functional_call, jvp

from bench_uq.api import Network, UsageError, task_of
from bench_uq.methods._curvature import (
    Block,
    Layer,
    columns_of,
    fisher_root,
    is_curved,
    matrix_of,
    rows_of,
)
from bench_uq.methods._members import in_units

#: Gradients of examples that are computed at once.
GRADIENTS = 1024

#: Bounds of the search for the precision of the prior.
PRECISIONS = (1e-6, 1e6)


def chosen(net: Network, which: str) -> dict[str, Layer]:
    """Layers whose weights have a posterior, by name: the ``last`` one or ``all``.

    Those of other kinds, such as norm layers, keep their trained values.
    """
    found = {name: layer for name, layer in net.named_modules() if is_curved(layer)}
    if which == "last":
        last = f"stages.{len(net.stages) - 1}"
        found = {name: layer for name, layer in found.items() if name == last}
    if not found:
        raise UsageError(
            f"layers={which} needs a dense layer at the end, or convolutions without groups "
            "(layers=all)"
        )
    return found


class Posterior(nn.Module):
    """N(w, (G + precision I)^-1) over the weights and biases of some layers of a network.

    w are the trained values and G is the curvature. The prior is N(0, I / precision): the precision
    is 1 / prior_std^2 of ``map``. The network itself belongs to the base, and is handed in.
    """

    precision: Tensor

    def __init__(self, layers: dict[str, Layer], kind: type[Block]) -> None:
        super().__init__()
        self.names = tuple(layers)
        self.blocks = nn.ModuleList(kind(*matrix_of(layer).shape) for layer in layers.values())
        self.register_buffer("precision", torch.ones(()))

    def parts(self, net: nn.Module) -> list[tuple[Layer, Block]]:
        """The layers of a network that have a posterior, each with its block."""
        layers = [net.get_submodule(name) for name in self.names]
        return cast("list[tuple[Layer, Block]]", list(zip(layers, self.blocks, strict=True)))

    def traced(
        self, net: nn.Module, inputs: Tensor
    ) -> tuple[Tensor, dict[nn.Module, tuple[Tensor, Tensor]]]:
        """Outputs (B, P) of a network, and inputs and outputs of its layers, on the graph."""
        seen: dict[nn.Module, tuple[Tensor, Tensor]] = {}

        def keep(layer: nn.Module, given: tuple[Tensor, ...], outputs: Tensor) -> Tensor:
            if layer in seen:
                raise UsageError("laplace is not defined for a network that uses a layer twice")
            seen[layer] = given[0], outputs
            # A copy, because an activation in place would change the one that is kept.
            return outputs.clone()

        handles = [layer.register_forward_hook(keep) for layer, _ in self.parts(net)]
        try:
            return net(inputs), seen
        finally:
            for handle in handles:
                handle.remove()

    def gradients(
        self,
        net: nn.Module,
        outputs: Tensor,
        seen: dict[nn.Module, tuple[Tensor, Tensor]],
        vectors: Tensor,
        *,
        graph: bool = False,
    ) -> Iterator[tuple[Block, Tensor, Tensor]]:
        """Each block with rows (B, T, I), and columns (K, B, T, O): the gradients of the outputs
        along ``vectors`` (K, B, P).
        """
        ends = [seen[layer][1] for layer, _ in self.parts(net)]
        gradients = torch.autograd.grad(
            outputs, ends, vectors, is_grads_batched=True, create_graph=graph
        )
        for (layer, block), gradient in zip(self.parts(net), gradients, strict=True):
            yield block, rows_of(layer, seen[layer][0]), columns_of(layer, gradient)

    def fit(self, net: nn.Module, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        """Sum the curvature over all examples."""
        likelihood, examples = task_of(net).likelihood, 0
        # Sums of many examples lose digits in float32, which small eigenvalues need.
        self.blocks.double()

        for inputs, _ in batches:
            for shown in inputs.split(max(1, GRADIENTS // likelihood.parameters)):
                # Stages before the first such layer need no graph, but cost little with it.
                outputs, seen = self.traced(net, shown)
                root = fisher_root(likelihood, outputs.detach())
                for block, rows, columns in self.gradients(net, outputs, seen, root):
                    block.add(rows.detach(), columns)
                examples += len(shown)

        for _, block in self.parts(net):
            block.settle(examples)
        self.blocks.float()

    def best_precision(self, net: nn.Module) -> float:
        """The precision of the prior with the highest marginal likelihood, at the trained weights
        and curvature.
        """
        spectra, norms = [], []
        for layer, block in self.parts(net):
            spectra.append(block.values.double().flatten())
            norms.append(matrix_of(layer).double().square().sum())
        values, squares = torch.cat(spectra), torch.stack(norms).sum()
        low, high = map(math.log, PRECISIONS)
        # The evidence is concave in the logarithm, so that thirds close in on its top.
        for _ in range(100):
            third = (high - low) / 3
            lower, upper = low + third, high - third
            if evidence(values, squares, lower) < evidence(values, squares, upper):
                low = lower
            else:
                high = upper
        return math.exp((low + high) / 2)

    def variance(self, net: nn.Module, inputs: Tensor) -> tuple[Tensor, Tensor]:
        """Outputs (B, P), and the posterior variance of each under linearised weights (B, P).

        Gradients go to the inputs where they are asked for.
        """
        graph = torch.is_grad_enabled()
        # The variance needs gradients in any case, which inference mode excludes.
        with torch.inference_mode(False), torch.enable_grad():
            shown = inputs.clone() if inputs.is_inference() else inputs
            outputs, seen = self.traced(net, shown)
            each = torch.eye(outputs.shape[1], device=outputs.device)
            each = each.unsqueeze(1).expand(-1, *outputs.shape)
            total = torch.zeros((), device=outputs.device)
            for block, rows, columns in self.gradients(net, outputs, seen, each, graph=graph):
                total = total + block.variance(rows, columns, self.precision)

        if not graph:
            outputs, total = outputs.detach(), total.detach()
        return outputs, total.T

    def draws(self, net: Network, inputs: Tensor, count: int, *, linear: bool) -> Tensor:
        """Draws (S, B, P) under samples of the weights; with ``linear`` the outputs are those of a
        network that is linear in its weights around the trained ones.
        """
        # The stages before the first such layer run once.
        first = min(int(name.split(".")[1]) for name in self.names)
        shared, rest = net.stages[:first](inputs), net.stages[first:]
        values, deviations = self.moved(net, count)

        def outputs_of(values: dict[str, Tensor]) -> Tensor:
            return functional_call(rest, values, (shared,))

        found = []
        for draw in range(count):
            deviation = {name: moved[draw] for name, moved in deviations.items()}
            if linear:
                found.append(linearised(outputs_of, values, deviation))
            else:
                weights = {name: value + deviation[name] for name, value in values.items()}
                found.append(outputs_of(weights))
        return in_units(net, torch.stack(found))

    def moved(self, net: nn.Module, count: int) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Trained weights and biases by their names in the stages, and deviations (S, ...)."""
        values, deviations = {}, {}
        for name, (layer, block) in zip(self.names, self.parts(net), strict=True):
            own = name.partition(".")[2]
            sample = block.sample(count, self.precision)
            if layer.bias is not None:
                values[f"{own}.bias"] = layer.bias
                deviations[f"{own}.bias"] = sample[:, :, -1]
                sample = sample[:, :, :-1]
            values[f"{own}.weight"] = layer.weight
            deviations[f"{own}.weight"] = sample.reshape(count, *layer.weight.shape)
        return values, deviations


def linearised(
    function: Callable[[dict[str, Tensor]], Tensor],
    values: dict[str, Tensor],
    deviation: dict[str, Tensor],
) -> Tensor:
    """The function at values moved by a deviation, to first order."""
    with warnings.catch_warnings():
        # Torch's own rules for forward gradients are written in it, and load on first use.
        warnings.filterwarnings("ignore", ".*torch.jit.script", FutureWarning)
        outputs, slope = jvp(function, (values,), (deviation,))[:2]
    return outputs + slope


def evidence(values: Tensor, squares: Tensor, log_precision: float) -> float:
    """The part of the log marginal likelihood in nats that depends on the precision of the prior
    (MacKay 1992; Daxberger et al. 2021, eq. 4).

    ``values`` (D,) is the curvature along all directions, ``squares`` the squared norm of the
    weights.
    """
    precision = math.exp(log_precision)
    weights = len(values) * log_precision - precision * squares
    return float(weights - (values + precision).log().sum()) / 2
