"""Requirements of a method's draws: shape, normalisation, seeds, and dependence on the state."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench_uq.api.likelihoods import Categorical
from bench_uq.predict.predict import BadDraws, checked_beside
from bench_uq.testing.contract import Broken, NotReached, require
from bench_uq.testing.method_trials import COUNT, MethodTrial, subjects
from bench_uq.testing.tensors import same

__all__ = ["subjects"]


def check_draws(trial: MethodTrial) -> None:
    """Draws are (S, B, P), with S at least 1 and at most the number asked for."""
    require(not trial.shape_fault, f"draws are {trial.shape_fault}")


def check_finite(trial: MethodTrial) -> None:
    """Draws are finite, also for black and white inputs."""
    draws = trial.draws(trial.trained, trial.batch()[0])
    require(draws.isfinite().all(), "some draws are not finite")


def finite(draws: Tensor) -> Tensor:
    """The draws, unless check_finite fails."""
    if not draws.isfinite().all():
        raise NotReached("'finite' fails")
    return draws


def check_normalised(trial: MethodTrial) -> None:
    """Draws over classes are log-probabilities: their probabilities sum to 1."""
    if isinstance(trial.task.likelihood, Categorical):
        draws = finite(trial.draws(trial.trained, trial.batch()[0]))
        total = draws.exp().sum(-1)
        worst = total.flatten()[(total - 1).abs().argmax()].item()
        advice = "return task.likelihood.normalise(...)"
        # About as far off as predictions accept: in float32 a sum is not exactly 1.
        require(abs(worst - 1) < 1e-3, f"probabilities of a draw sum to {worst:.4g}: {advice}")


def check_inference(trial: MethodTrial) -> None:
    """Draws work under torch.inference_mode, in which the engine asks for them."""
    net, (inputs, _) = trial.trained, trial.batch()
    with torch.inference_mode():
        trial.method.draws(net, inputs, COUNT)


def check_differentiable(trial: MethodTrial) -> None:
    """Draws carry finite gradients to the inputs, for attacks to follow."""
    inputs = trial.batch()[0].requires_grad_()
    draws = finite(trial.method.draws(trial.trained, inputs, COUNT))
    words = "draws do not depend on the inputs"
    require(draws.requires_grad, f"{words}: neither detach them nor use no_grad in draws")

    (gradient,) = torch.autograd.grad(draws[..., 0].sum(), inputs, allow_unused=True)
    if gradient is None:
        raise Broken(words)
    require(gradient.isfinite().all(), "some gradients of the draws in the inputs are not finite")


def check_reproduces(trial: MethodTrial) -> None:
    """The same global seed of torch gives the same draws."""
    advice = "take noise from torch's global generator alone"
    require(trial.steady, f"draws differ under one torch.manual_seed: {advice}")


def check_seeds(trial: MethodTrial) -> None:
    """Other seeds give other draws if draws vary; fewer stored networks are picked at random."""
    draws = trial.draws(trial.comparable, trial.batch()[0])
    advice = "seed no generator, pick stored networks by torch.randperm"
    # A method whose draws differ within a call has noise, so its seeds must show.
    fine = trial.varies or not differ(draws)
    require(fine, f"one draw is the same under every seed: {advice}")


def check_noise(trial: MethodTrial) -> None:
    """If draws are random, those of one call differ: each row of a batch has its own noise."""
    draws = trial.draws(trial.comparable, trial.batch()[0])
    advice = "the engine runs several as one batch, so a layer draws noise for each row"
    # A single stored network that was picked at random has no second draw.
    fine = not trial.varies or len(draws) == 1 or differ(draws)
    require(fine, f"all draws of one call are equal: {advice}")


def differ(draws: Tensor) -> bool:
    """Whether the draws of one call differ."""
    return any(not same(draws[0], draw) for draw in draws[1:])


def check_mode(trial: MethodTrial) -> None:
    """Draws do not depend on net.training: a method's own noise stays on in evaluation."""
    net, (inputs, _) = trial.comparable, trial.batch()
    before = trial.draws(net, inputs)
    # Norm layers stay in evaluation, by the contract.
    norms = torch.nn.modules.batchnorm._NormBase
    try:
        for module in net.modules():
            module.training = not isinstance(module, norms)
        after = trial.draws(net, inputs)
    finally:
        net.eval()

    words = "draws differ with net.train(): nn.Dropout, for example, is off in evaluation"
    require(same(before, after), words)


def check_history(trial: MethodTrial) -> None:
    """Draws depend on the state alone, not on earlier use of the network."""
    if trial.below:
        # Its base has a loss.
        return
    net, (inputs, targets) = trial.comparable, trial.batch()
    before, state = trial.draws(net, inputs), copied(net)
    # Losses may cache values, or move the statistics of norm layers.
    trial.loss(net, inputs, targets)
    # The state is as before, so only what is hidden elsewhere can differ.
    net.load_state_dict(state)

    advice = "keep nothing on the network but parameters and buffers"
    after = trial.draws(net.eval(), inputs)
    require(same(before, after), f"a loss in training mode changes later draws: {advice}")


def check_beside(trial: MethodTrial) -> None:
    """Arrays beside the draws have names of their own, a row for each example, and finite numbers;
    to ask for them changes neither draws nor state.
    """
    net, (inputs, _) = trial.comparable, trial.batch()
    before, state = finite(trial.draws(net, inputs)), copied(net)
    with torch.inference_mode():
        arrays = trial.method.beside(net, inputs, before)
    try:
        checked_beside(arrays, inputs)
    except BadDraws as error:
        raise Broken(str(error)) from None

    changed = [name for name, value in net.state_dict().items() if not same(value, state[name])]
    require(not changed, f"beside changed {', '.join(changed)}")
    require(same(before, trial.draws(net, inputs)), "draws differ after a call of beside")


def check_draws_alone(trial: MethodTrial) -> None:
    """Drawing changes no parameter or buffer."""
    net, (inputs, _) = trial.trained, trial.batch()
    before = copied(net)
    trial.draws(net, inputs)
    changed = [name for name, value in net.state_dict().items() if not same(value, before[name])]
    # Other checks share this network.
    net.load_state_dict(before)
    require(not changed, f"draws changed {', '.join(changed)}")


def copied(net: nn.Module) -> dict[str, Tensor]:
    """A copy of a network's state."""
    return {name: value.clone() for name, value in net.state_dict().items()}
