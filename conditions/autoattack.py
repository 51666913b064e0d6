"""AutoAttack from its authors' package, on the averaged predictor."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Generator, Tensor, nn

from bench_uq.api import Attack, Categorical, LogProbs, Search, Task, UsageError
from bench_uq.conditions._gradients import log_mean


@dataclass(frozen=True)
class AutoAttack(Attack):
    """AutoAttack: its standard version for a fixed predictor, its randomised mode for the others.

    A predictor is fixed if two predictions agree, such as those of ``map`` and of ``ensemble``.
    ``standard`` runs APGD on the cross-entropy, APGD and FAB toward other classes, and Square, for
    the images that are still right; ``rand`` runs APGD on the cross-entropy and the DLR loss, and
    each step follows ``calls`` predictions. Each prediction is the mean of ``draws`` draws; by
    default two of them are as many draws as the mode's own 20 calls of one.

    An image that nothing fools stays as it is. The attack leaves an image once one prediction is
    wrong. Near the boundary the evaluated prediction, of other draws, may be right again: PGD can
    go further. Unlike the package, inputs that are no images are spared Square, and three classes
    have the untargeted DLR loss. Needs ``pip install "bench-uq[autoattack]"``.
    """

    reference: ClassVar[str] = "Croce & Hein 2020, https://arxiv.org/abs/2003.01690"
    title: ClassVar[str] = "AutoAttack"

    family: ClassVar[str] = "ensemble of attacks"

    draws: int = 10
    calls: int = 2
    steps: int = 100
    norm: Literal["linf", "l2"] = "linf"
    version: Literal["auto", "standard", "rand"] = "auto"

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
        """Its steps, on several losses."""
        settings = f"calls={self.calls},version={self.version}"
        return Search(self.norm, True, "several losses", self.draws, self.steps, settings)

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
        standard = self.version == "standard"
        if self.version == "auto":
            torch.manual_seed(seed)
            standard = fixed(log_probs, inputs[:16], self.draws)

        attacked = []
        for level in levels:
            images = inputs.clone()
            if level > 0:
                images = self.searched(log_probs, inputs, targets, level, seed, standard=standard)
            attacked.append(images)
        return attacked

    def searched(
        self,
        log_probs: LogProbs,
        inputs: Tensor,
        targets: Tensor,
        epsilon: float,
        seed: int,
        *,
        standard: bool,
    ) -> Tensor:
        """Attack the inputs within one epsilon."""
        from pyautoattack import AutoAttack as Package

        torch.manual_seed(seed)
        net = Averaged(log_probs, self.draws)
        with torch.no_grad():
            classes = net(inputs[:1]).shape[-1]

        # In its randomised mode the package does not warn of randomness, which is asked for.
        mode: dict[str, Any] = {"version": "rand"}
        if standard:
            mode = {"version": "custom", "attacks": parts(classes, inputs.dim())}
        attack = Package(
            net,
            **mode,
            norm={"linf": "Linf", "l2": "L2"}[self.norm],
            eps=epsilon,
            seed=seed,
            device=inputs.device,
        )
        # The package has no options for them. Its standard version has these numbers at 100 steps.
        attack.apgd.eot_iter = 1 if standard else self.calls
        for part in (attack.apgd, attack.apgd_targeted, attack.fab):
            part.n_restarts, part.n_iter = 1, self.steps
        for part in (attack.apgd_targeted, attack.fab):
            part.n_target_classes = min(9, classes - 1)
        attack.square.n_queries = 50 * self.steps

        found, _ = attack.run_standard_evaluation(inputs, targets, batch_size=len(inputs))
        return found.to(inputs).clamp(0, 1)


def fixed(log_probs: LogProbs, inputs: Tensor, draws: int) -> bool:
    """Whether the predictor is one function: predictions by other random numbers agree."""
    with torch.no_grad():
        first, second = (log_mean(log_probs, inputs, draws) for _ in range(2))
    return torch.allclose(first, second, rtol=0, atol=1e-5)


def parts(classes: int, axes: int) -> list[str]:
    """The attacks of the standard version that suit the classes and the axes of the inputs."""
    # The targeted DLR loss needs four classes, and the squares need images.
    names = ["apgd-ce", "apgd-t" if classes >= 4 else "apgd-dlr", "fab-t"]
    return [*names, "square"] if axes == 4 else names


class Averaged(nn.Module):
    """The reported predictor as a network: its logits are the log of the mean probability."""

    def __init__(self, log_probs: LogProbs, draws: int) -> None:
        super().__init__()
        self.log_probs, self.draws = log_probs, draws

    def forward(self, inputs: Tensor) -> Tensor:
        """log((1/S) sum_s p(k | input, w_s)), (B, C), differentiable in the inputs alone."""
        if not (inputs.requires_grad and torch.is_grad_enabled()):
            return log_mean(self.log_probs, inputs, self.draws)
        outputs: Tensor = OfInputs.apply(inputs, self)
        return outputs


class OfInputs(torch.autograd.Function):
    """The outputs of a network, through which no gradient reaches its parameters."""

    # FAB calls backward(), which would leave a gradient on each of them.

    @staticmethod
    def forward(ctx: Any, inputs: Tensor, net: Averaged) -> Tensor:
        """Outputs, and their graph for the backward pass."""
        with torch.enable_grad():
            ctx.inputs = inputs.detach().requires_grad_()
            ctx.outputs = log_mean(net.log_probs, ctx.inputs, net.draws)
        outputs: Tensor = ctx.outputs.detach()
        return outputs

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        """Gradient of the inputs; FAB asks once for each class."""
        (found,) = torch.autograd.grad(ctx.outputs, ctx.inputs, gradients[0], retain_graph=True)
        return found, None
