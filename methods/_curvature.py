"""Gauss-Newton curvature of the weights of dense layers and convolutions, a block for each layer.

The curvature of the NLL in nats, summed over the examples, is G = sum_n J_n^T L_n L_n^T J_n: J_n is
the Jacobian of the outputs, and L_n L_n^T the Fisher information of the likelihood in them. For
classes that is the Hessian of the NLL in the logits.

Shapes: B examples, K columns of L, T places that share weights (1 for a dense layer, positions for
a convolution), O outputs of a layer, I its inputs and one more for its bias. Rows (B, T, I) are the
inputs of the weights, columns (K, B, T, O) the gradients of the outputs of the layer.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from bench_uq.api import Gaussian, Likelihood

#: Layers with curvature.
Layer = nn.Linear | nn.Conv2d


def is_curved(layer: nn.Module) -> bool:
    """Whether a layer is dense or a convolution whose positions share all weights."""
    if type(layer) is nn.Conv2d:
        plain = layer.padding_mode == "zeros" and not isinstance(layer.padding, str)
        return plain and layer.groups == 1
    return type(layer) is nn.Linear


def rows_of(layer: Layer, inputs: Tensor) -> Tensor:
    """Inputs of the weights of a layer, (B, T, I)."""
    if isinstance(layer, nn.Conv2d):
        options = (layer.kernel_size, layer.dilation, layer.padding, layer.stride)
        rows = nn.functional.unfold(inputs, *options).transpose(1, 2)  # type: ignore[arg-type]
    else:
        rows = inputs.reshape(len(inputs), -1, layer.in_features)

    if layer.bias is not None:
        rows = torch.cat([rows, rows.new_ones(*rows.shape[:2], 1)], -1)
    return rows


def columns_of(layer: Layer, gradients: Tensor) -> Tensor:
    """Gradients (K, B, ...) of the outputs of a layer as (K, B, T, O)."""
    if isinstance(layer, nn.Conv2d):
        return gradients.flatten(3).transpose(2, 3)
    return gradients.reshape(*gradients.shape[:2], -1, layer.out_features)


def matrix_of(layer: Layer) -> Tensor:
    """The weights of a layer with the bias as the last column, (O, I)."""
    weights = layer.weight.detach().flatten(1)
    if layer.bias is None:
        return weights
    return torch.cat([weights, layer.bias.detach().unsqueeze(1)], 1)


def fisher_root(likelihood: Likelihood, outputs: Tensor) -> Tensor:
    """Columns (K, B, P) of L, where L L^T is the Fisher information in outputs (B, P), K = P."""
    if isinstance(likelihood, Gaussian):
        # Of the mean 1 / variance, of the log-variance 1/2.
        precision = (-outputs[:, 1]).exp()
        information = torch.stack((precision, torch.full_like(precision, 0.5)), -1)
        return information.sqrt().diag_embed().movedim(2, 0)

    # diag(p) - p p^T = L L^T with L = diag(sqrt p) - p sqrt(p)^T.
    probs = outputs.softmax(-1)
    root = probs.sqrt().diag_embed() - probs.unsqueeze(2) * probs.sqrt().unsqueeze(1)
    return root.movedim(2, 0)


def weighed(rows: Tensor, columns: Tensor, weights: Tensor) -> Tensor:
    """Squared gradients of all weights, times ``weights`` (O, I) and summed: (K, B)."""
    if rows.shape[1] == 1:
        outs, ins = columns[:, :, 0].square(), rows[:, 0].square()
        return ((outs @ weights) * ins).sum(-1)

    found = []
    # One column at a time, because a gradient of every example is large.
    for column in columns:
        gradients = torch.einsum("bto,bti->boi", column, rows)
        found.append((gradients.square() * weights).sum((1, 2)))
    return torch.stack(found)


def eigen(matrix: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (D,), at least 0, and orthonormal eigenvectors (D, D) in columns."""
    values, vectors = torch.zeros_like(matrix[0]), torch.eye(len(matrix)).to(matrix)
    # Inputs that are always 0, as behind dead units and in paddings, are directions by themselves.
    # LAPACK fails on thousands of equal eigenvalues.
    used = matrix.diag().nonzero().squeeze(1)
    found = torch.linalg.eigh(matrix[used][:, used])

    # Rounding can leave a negative one.
    values[used] = found.eigenvalues.clamp_min(0)
    vectors[used.unsqueeze(1), used] = found.eigenvectors
    return values, vectors


class Block(nn.Module, ABC):
    """Curvature of one layer: orthonormal directions, and the curvature ``values`` (O, I) along
    them, in nats.
    """

    values: Tensor

    def __init__(self, outs: int, ins: int) -> None:
        super().__init__()
        self.register_buffer("values", torch.zeros(outs, ins))

    @abstractmethod
    def add(self, rows: Tensor, columns: Tensor) -> None:
        """Add the curvature of some examples."""

    @abstractmethod
    def settle(self, examples: int) -> None:
        """Find directions and values after all examples were added."""

    @abstractmethod
    def variance(self, rows: Tensor, columns: Tensor, precision: Tensor) -> Tensor:
        """Posterior variance (K, B) of what has these gradients, with the prior's precision."""

    @abstractmethod
    def sample(self, count: int, precision: Tensor) -> Tensor:
        """Deviations of the weights from their mean, (count, O, I), under the posterior."""

    def noise(self, count: int, precision: Tensor) -> Tensor:
        """Deviations along the directions, (count, O, I)."""
        deviations = (self.values + precision).rsqrt()
        return torch.randn(count, *deviations.shape, device=deviations.device) * deviations


class Diagonal(Block):
    """The curvature of each weight alone."""

    def add(self, rows: Tensor, columns: Tensor) -> None:
        """Sum the squares of the gradients of each example."""
        if rows.shape[1] == 1:
            squares = columns[:, :, 0].square().sum(0)
            self.values += squares.T @ rows[:, 0].square()
            return
        for column in columns:
            self.values += torch.einsum("bto,bti->boi", column, rows).square().sum(0)

    def settle(self, examples: int) -> None:
        """Keep the sums, which are the values."""
        del examples

    def variance(self, rows: Tensor, columns: Tensor, precision: Tensor) -> Tensor:
        """Sum over the weights."""
        return weighed(rows, columns, 1 / (self.values + precision))

    def sample(self, count: int, precision: Tensor) -> Tensor:
        """Independent deviations."""
        return self.noise(count, precision)


class Kronecker(Block):
    """The Kronecker product of the curvature in the outputs and the second moment of the inputs
    (Martens & Grosse 2015; of convolutions Grosse & Martens 2016, eq. 33 and 35).

    It takes the two for independent. In a dense layer that is exact for one example, and where the
    curvature in the outputs is the same for all of them, as in the last layer under Gaussian noise.
    The prior's precision is added to the eigenvalues of the product, without an approximation.
    """

    outs: Tensor
    ins: Tensor

    def __init__(self, outs: int, ins: int) -> None:
        super().__init__(outs, ins)
        self.register_buffer("outs", torch.zeros(outs, outs))
        self.register_buffer("ins", torch.zeros(ins, ins))

    def add(self, rows: Tensor, columns: Tensor) -> None:
        """Sum both factors, that of the outputs as a mean over the places."""
        ins, outs = rows.flatten(0, 1), columns.flatten(0, 2)
        self.ins += ins.T @ ins
        self.outs += outs.T @ outs / rows.shape[1]

    def settle(self, examples: int) -> None:
        """Put eigenvectors in the place of the factors."""
        spectra = []
        for factor in (self.outs, self.ins):
            spectrum, vectors = eigen(factor)
            factor.copy_(vectors)
            spectra.append(spectrum)
        self.values.copy_(torch.outer(*spectra) / examples)

    def variance(self, rows: Tensor, columns: Tensor, precision: Tensor) -> Tensor:
        """Sum over the eigenvectors."""
        return weighed(rows @ self.ins, columns @ self.outs, 1 / (self.values + precision))

    def sample(self, count: int, precision: Tensor) -> Tensor:
        """Independent deviations along the eigenvectors."""
        return self.outs @ self.noise(count, precision) @ self.ins.T


class Full(Block):
    """The whole curvature of a dense layer, (O I)^2 numbers."""

    directions: Tensor

    def __init__(self, outs: int, ins: int) -> None:
        super().__init__(outs, ins)
        self.register_buffer("directions", torch.zeros(outs * ins, outs * ins))

    def add(self, rows: Tensor, columns: Tensor) -> None:
        """Sum the Kronecker products of all examples."""
        size, ins, outs = self.values.shape[1], rows[:, 0], columns[:, :, 0]
        curvature = torch.einsum("kbo,kbp->obp", outs, outs)
        for index, own in enumerate(curvature):
            products = own.unsqueeze(2) * ins.unsqueeze(1)  # (B, O, I)
            rows_of_output = slice(index * size, (index + 1) * size)
            self.directions[rows_of_output] += ins.T @ products.flatten(1)

    def settle(self, examples: int) -> None:
        """Put eigenvectors in the place of the sum."""
        del examples
        values, vectors = eigen(self.directions)
        self.values.copy_(values.view_as(self.values))
        self.directions.copy_(vectors)

    def variance(self, rows: Tensor, columns: Tensor, precision: Tensor) -> Tensor:
        """Sum over the eigenvectors."""
        gradients = torch.einsum("kbo,bi->kboi", columns[:, :, 0], rows[:, 0]).flatten(2)
        variances = 1 / (self.values + precision).flatten()
        return (gradients @ self.directions).square() @ variances

    def sample(self, count: int, precision: Tensor) -> Tensor:
        """Independent deviations along the eigenvectors."""
        noise = self.noise(count, precision).flatten(1)
        return (noise @ self.directions.T).view(count, *self.values.shape)


#: Blocks by the name of their structure.
STRUCTURES: dict[str, type[Block]] = {"full": Full, "kron": Kronecker, "diag": Diagonal}
