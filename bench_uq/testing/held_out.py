"""The requirement on what a method fits to the examples that are held out of its training."""

from __future__ import annotations

import dataclasses

import numpy as np
from torch import Tensor, nn

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.task import Examples
from bench_uq.testing.contract import Note, NotReached, require
from bench_uq.testing.method_trials import CPU, HELD_OUT, SETTINGS, MethodTrial, subjects
from bench_uq.testing.tensors import same
from bench_uq.train import loop, posthoc
from bench_uq.train.resident import Resident

__all__ = ["subjects"]

#: Examples that are trained on here: the method is trained two or three times.
TRAINED_ON = 160


def check_held_out(trial: MethodTrial) -> None:
    """fits_held_out is True if, and only if, finish fits something to held-out targets."""
    if isinstance(trial.training, Exception):
        raise NotReached("'trains' fails")

    held_out = trial.examples[:HELD_OUT]
    nets = trained(trial, held_out)
    reads = not equal(nets, trained(trial, moved(trial, held_out)))
    if reads and not equal(nets, trained(trial, held_out)):
        raise NotReached("the same training twice gives two networks")

    declared = trial.method.fits_held_out
    consequence = "its sets would be calibrated on examples that it was fitted to"
    fault = "other targets of the held-out examples give another network"
    require(declared or not reads, f"{fault}: set fits_held_out, else {consequence}")

    # A remark alone: fitted is perhaps a choice among few, or what only another task has.
    if declared and not reads:
        consequence = "half of these are kept from calibrating its sets for nothing"
        raise Note(f"fits_held_out, but other held-out targets change nothing: {consequence}")


def trained(trial: MethodTrial, held_out: Examples) -> nn.ModuleList:
    """The method, trained on few examples and then given these held-out ones.

    Its base is trained with those that the trial has, as what that fits to them is its own affair.
    """
    few = Resident(trial.examples[HELD_OUT : HELD_OUT + TRAINED_ON], CPU, 32)
    given = few, Resident(held_out, CPU, 32)
    if not trial.below:
        return loop.train(trial.method, trial.task, given, SETTINGS, seed=0)[0]

    first, *rest = trial.below
    base = MethodTrial(first, trial.task, trial.examples, trial.where, rest)
    nets = base.trained_on((few, Resident(trial.examples[:HELD_OUT], CPU, 32)))
    chain = (trial.method, *trial.below)
    return posthoc.fit(chain, trial.task, given, nets.state_dict(), seed=0)


def moved(trial: MethodTrial, examples: Examples) -> Examples:
    """The same inputs with other targets: the next class, or far from where they were."""
    likelihood, targets = trial.task.likelihood, examples.targets
    if isinstance(likelihood, Categorical):
        other = (targets + 1) % likelihood.parameters
    else:
        other = 2 * targets + 1
    return dataclasses.replace(examples, targets=np.asarray(other, targets.dtype))


def equal(nets: nn.ModuleList, others: nn.ModuleList) -> bool:
    """Whether two trainings end in the same state, to the last bit."""
    first, second = tensors_of(nets), tensors_of(others)
    if first.keys() != second.keys():
        return False
    return all(same(value, second[name]) for name, value in first.items())


def tensors_of(nets: nn.ModuleList) -> dict[str, Tensor]:
    """The tensors of a state by name; what else it holds cannot be stored, as check_state says."""
    state = nets.state_dict()
    return {name: value for name, value in state.items() if isinstance(value, Tensor)}
