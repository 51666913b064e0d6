"""AutoAttack in its randomised mode, from its authors' package, on the averaged predictor."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from bench_uq.api import Attack, Categorical, LogProbs, Search, Task, UsageError
from bench_uq.conditions._gradients import log_mean


@dataclass(frozen=True)
class AutoAttack(Attack):
    """APGD on the cross-entropy, then on the DLR loss for the images that are still right.

    An image that neither fools stays as it is. Each step follows ``calls`` predictions, each the
    mean of ``draws`` draws; by default these are as many draws as the mode's own 20 calls of one.
    The attack leaves an image once one such prediction is wrong. Near the boundary the evaluated
    prediction, of other draws, may be right again: PGD can go further.
    Needs ``pip install "bench-uq[autoattack]"``.
    """

    reference: ClassVar[str] = "Croce & Hein 2020, https://arxiv.org/abs/2003.01690"

    family: ClassVar[str] = "ensemble of attacks"

    draws: int = 10
    calls: int = 2
    steps: int = 100
    norm: Literal["linf", "l2"] = "linf"

    def __post_init__(self) -> None:
        for name in ("draws", "calls", "steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def suits(self, task: Task) -> bool:
        """Whether there are classes, and the three at least that the DLR loss needs."""
        # Said when the suite is planned, before anything is trained.
        if importlib.util.find_spec("pyautoattack") is None:
            raise UsageError("autoattack needs a package: pip install 'bench-uq[autoattack]'")
        return isinstance(task.likelihood, Categorical) and task.likelihood.parameters >= 3

    def search(self) -> Search:
        """Its steps, on two losses."""
        settings = f"calls={self.calls}"
        return Search(self.norm, True, "APGD-CE, APGD-DLR", self.draws, self.steps, settings)

    def __call__(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        levels: Sequence[float],
        generator: Generator,
    ) -> list[Tensor]:
        """Attack the inputs, once per epsilon; epsilon 0 gives the inputs themselves."""
        seed = int(torch.randint(2**31, (1,), generator=generator))
        return [self.searched(log_probs, inputs, targets, level, seed) for level in levels]

    def searched(
        self, log_probs: LogProbs, inputs: Tensor, targets: Tensor, epsilon: float, seed: int
    ) -> Tensor:
        """Attack the inputs within one epsilon."""
        from pyautoattack import AutoAttack as Package

        if epsilon == 0:
            return inputs.clone()

        torch.manual_seed(seed)
        norm = {"linf": "Linf", "l2": "L2"}[self.norm]
        options = {"version": "rand", "seed": seed, "device": inputs.device}
        attack = Package(Averaged(log_probs, self.draws), norm=norm, eps=epsilon, **options)
        # The package has no options for them.
        attack.apgd.eot_iter, attack.apgd.n_iter = self.calls, self.steps
        found, _ = attack.run_standard_evaluation(inputs, targets, batch_size=len(inputs))
        return found.to(inputs).clamp(0, 1)


class Averaged(nn.Module):
    """The reported predictor as a network: its logits are the log of the mean probability."""

    def __init__(self, log_probs: LogProbs, draws: int) -> None:
        super().__init__()
        self.log_probs, self.draws = log_probs, draws

    def forward(self, inputs: Tensor) -> Tensor:
        """log((1/S) sum_s p(k | input, w_s)), (B, C)."""
        return log_mean(self.log_probs, inputs, self.draws)
