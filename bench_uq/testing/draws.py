"""What the draws of a method promise: shaped, normalised, reproducible, and those of the state alone."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench_uq.api.likelihoods import Categorical
from bench_uq.testing import Broken, NotReached, require
from bench_uq.testing.method_trials import COUNT, MethodTrial, same
from bench_uq.testing.training import subjects

__all__ = ["subjects"]


def check_draws(trial: MethodTrial) -> None:
    """Draws are (S, B, P), at least one and at most as many as asked for."""
    require(not trial.shape_fault, f"draws are {trial.shape_fault}")


def check_finite(trial: MethodTrial) -> None:
    """Draws are finite, on black and white inputs too."""
    require(bool(drawn(trial).isfinite().all()), "some draws are not finite")


def drawn(trial: MethodTrial) -> Tensor:
    """Return draws of a trained network."""
    return trial.draws(trial.trained, trial.batch()[0])


def check_normalised(trial: MethodTrial) -> None:
    """Draws over classes are log-probabilities: their probabilities sum to 1."""
    if not isinstance(trial.task.likelihood, Categorical):
        return
    draws = drawn(trial)
    if not draws.isfinite().all():
        raise NotReached("'finite' fails")
    total = draws.exp().sum(-1)
    worst = total.flatten()[(total - 1).abs().argmax()].item()
    require(
        abs(worst - 1) < 1e-3,
        f"probabilities of a draw sum to {worst:.4g}: return task.likelihood.normalise(...)",
    )


def check_inference(trial: MethodTrial) -> None:
    """Draws can be had under torch.inference_mode, as the engine asks for them."""
    net, (inputs, _) = trial.trained, trial.batch()
    with torch.inference_mode():
        trial.method.draws(net, inputs, COUNT)


def check_differentiable(trial: MethodTrial) -> None:
    """Draws carry finite gradients to the inputs, which attacks follow."""
    inputs = trial.batch()[0].requires_grad_()
    draws = trial.method.draws(trial.trained, inputs, COUNT)
    if not draws.isfinite().all():
        raise NotReached("'finite' fails")
    require(
        draws.requires_grad,
        "draws do not depend on the inputs: neither detach them nor use no_grad in draws",
    )
    (gradient,) = torch.autograd.grad(draws[..., 0].sum(), inputs, allow_unused=True)
    if gradient is None:
        raise Broken("draws do not depend on the inputs")
    require(
        bool(gradient.isfinite().all()), "some gradients of the draws in the inputs are not finite"
    )


def check_reproduces(trial: MethodTrial) -> None:
    """The same global seed of torch gives the same draws."""
    require(
        trial.steady,
        "draws differ under one torch.manual_seed: noise comes from torch's global generator alone",
    )


def check_seeds(trial: MethodTrial) -> None:
    """Other seeds give other draws where draws differ at all; of stored networks fewer are picked at random."""
    draws = trial.draws(trial.comparable, trial.batch()[0])
    random = any(not same(draws[0], draw) for draw in draws[1:])
    require(
        trial.varies or not random,
        "one draw is the same under every seed: seed no generator, pick stored networks by torch.randperm",
    )


def check_noise(trial: MethodTrial) -> None:
    """Where draws are random, those of one call differ: each row of a batch has noise of its own."""
    if not trial.varies:
        return
    draws = trial.draws(trial.comparable, trial.batch()[0])
    require(
        len(draws) == 1 or any(not same(draws[0], draw) for draw in draws[1:]),
        "all draws of one call are equal: the engine runs several as one batch, so a layer draws noise for each row",
    )


def check_mode(trial: MethodTrial) -> None:
    """Draws do not depend on net.training: noise that belongs to the method is on in evaluation too."""
    net, (inputs, _) = trial.comparable, trial.batch()
    before = trial.draws(net, inputs)
    norms = torch.nn.modules.batchnorm._NormBase  # still in evaluation, by the contract
    try:
        for module in net.modules():
            module.training = not isinstance(module, norms)
        after = trial.draws(net, inputs)
    finally:
        net.eval()
    require(
        same(before, after), "draws differ with net.train(): nn.Dropout, say, is off in evaluation"
    )


def check_history(trial: MethodTrial) -> None:
    """Draws depend on the state alone, not on what the network was used for before."""
    net, (inputs, targets) = trial.comparable, trial.batch()
    before, state = trial.draws(net, inputs), copied(net)
    trial.loss(net, inputs, targets)
    net.load_state_dict(state)
    require(
        same(before, trial.draws(net.eval(), inputs)),
        "a loss in training mode changes later draws: keep nothing on the network but parameters and buffers",
    )


def check_draws_alone(trial: MethodTrial) -> None:
    """Drawing changes no parameter or buffer."""
    net, (inputs, _) = trial.trained, trial.batch()
    before = copied(net)
    trial.draws(net, inputs)
    changed = [name for name, value in net.state_dict().items() if not same(value, before[name])]
    net.load_state_dict(before)
    require(not changed, f"draws changed {', '.join(changed)}")


def copied(net: nn.Module) -> dict[str, Tensor]:
    """Return a copy of a network's state."""
    return {name: value.clone() for name, value in net.state_dict().items()}
