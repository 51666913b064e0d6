"""Deep ensembles: networks that differ in their initial weights and their order of examples."""

from dataclasses import dataclass, field
from typing import ClassVar

import torch
from torch import Tensor, nn

from bench_uq.api import Method, Task, network


@dataclass(frozen=True)
class Ensemble(Method):
    """Five plain networks, on request trained on adversarial examples too."""

    reference: ClassVar[str] = "Lakshminarayanan et al. 2017, https://arxiv.org/abs/1612.01474"
    title: ClassVar[str] = "Deep ensemble"
    order: ClassVar[int] = 2

    members: int = field(default=5, kw_only=True)
    adversarial_epsilon: float = 0.0  # in pixel units; 0: no adversarial training

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.adversarial_epsilon <= 1:
            epsilon = self.adversarial_epsilon
            raise ValueError(f"adversarial_epsilon must be in [0, 1], not {epsilon}")

    def build(self, task: Task) -> nn.Module:
        """Build one member."""
        return network(task)

    def loss(
        self, net: nn.Module, inputs: Tensor, targets: Tensor, size: int, progress: float
    ) -> Tensor:
        """NLL of the examples, or its mean with the NLL of their FGSM examples (Algorithm 1)."""
        if self.adversarial_epsilon == 0:
            return super().loss(net, inputs, targets, size, progress)

        # A tensor of its own, so that no gradient is left on the given inputs.
        shown = inputs.detach().requires_grad_()
        clean = super().loss(net, shown, targets, size, progress)
        # The graph is kept for the step on the weights, which needs it once more.
        (gradient,) = torch.autograd.grad(clean, shown, retain_graph=True)
        attacked = (inputs + self.adversarial_epsilon * gradient.sign()).clamp(0, 1)
        # Unlike the paper's sum, the mean of the two keeps the loss in nats per example.
        return (clean + super().loss(net, attacked, targets, size, progress)) / 2
