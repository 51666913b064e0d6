"""A method of two chains, which a suite can name as its reference."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch

from bench_uq.api import Method, network, task_of


@dataclass(frozen=True)
class Chains(Method):
    """A network whose draws are its outputs, at two temperatures."""

    reference: ClassVar[str] = "a test, https://example.org"
    weight_prior: ClassVar[str] = "N(0, prior_std^2)"

    prior_std: float = 1.0
    count: int = 2
    rhat: float = 1.01
    disagree: bool = False

    @property
    def replicas(self) -> int:
        """The chains."""
        return self.count

    def build(self, task):
        """The plain network."""
        return network(task)

    def draws(self, net, inputs, count):
        """Outputs over whole numbers."""
        outputs = net(inputs)
        scales = 1 + torch.arange(self.count, device=outputs.device)
        return task_of(net).likelihood.normalise(outputs / scales[:, None, None])

    def diagnosis(self, net) -> str:
        """That R-hat is large."""
        return f"R-hat {self.rhat}" if self.rhat > 1.05 else ""

    def failure(self, net) -> str:
        """What the option says."""
        return "the chains disagree" if self.disagree else ""

    def measured(self, net) -> Mapping[str, float]:
        """R-hat, and a number that is none."""
        return {"rhat": self.rhat, "never": float("nan")}

    def beside(self, net, inputs, draws):
        """The mixture of each chain, which is of one draw."""
        found = [task_of(net).likelihood.mixture(draw.unsqueeze(0), None) for draw in draws]
        arrays = {}
        for name in found[0]:
            arrays[f"chain_{name}"] = torch.stack([one[name] for one in found], 1)
        return arrays
