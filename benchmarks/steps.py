"""One training step of each method, beside the alternatives of a user, interleaved.

``plain`` is LeNet as in tutorials, of contiguous nn layers, with cross entropy and fused Adam on a
batch in memory; ``plain loop`` adds a DataLoader. Ours has the network, loss, optimiser and batches
that bench-uq trains with.
"""

from __future__ import annotations

import numpy as np
import torch

from bench_uq.api.likelihoods import Categorical
from bench_uq.api.method import Method
from bench_uq.api.task import Examples, Task
from bench_uq.plan.plugins import Plugins
from bench_uq.train.loop import build, gradients_of
from bench_uq.train.resident import Resident
from bench_uq.train.settings import Settings
from benchmarks import peers, rounds

TASK = Task((1, 28, 28), Categorical(10), (0.1307,), (0.3081,), "lenet")
WIDE = Task((3, 32, 32), Categorical(10), (0.49, 0.48, 0.45), (0.25, 0.24, 0.26), "lenet-wide")
WIDTHS = {"lenet": (20, 50, 500), "lenet-wide": (192, 192, 1000)}
METHODS = ("map", "dropout", "mean-field", "mnf")
FLIPOUT = "bayesian-torch Flipout"

#: The largest ratios that we accept, LeNet 20-50-500 with batches of 128 on two CPU cores.
LIMITS = {
    ("map", "plain"): 0.75,
    ("mean-field", "plain"): 1.8,
    ("mnf", "plain"): 2.4,
    ("mean-field", FLIPOUT): 0.65,
}


def our_step(method: Method, task: Task, data: Resident) -> peers.Step:
    """A step as the engine takes it on all of ``data``, the batch taken from the resident bytes."""
    net = build(method, task, data.inputs.device)
    optimiser = method.optimiser(net)
    gradients = gradients_of(method, net, peers.SIZE, Settings())

    def step() -> None:
        inputs, targets = data.take(torch.arange(len(data), device=data.inputs.device))
        gradients(inputs, targets, 0.0)
        optimiser.step()

    return step


def subjects(task: Task, batch: int, device: str) -> dict[str, peers.Step]:
    """A step of each subject: the peers that are installed, and our methods."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (max(batch, 2048), *task.input_shape), dtype=np.uint8)
    labels = rng.integers(0, 10, len(images))
    data = Resident(Examples(images[:batch], labels[:batch]), torch.device(device), batch)
    inputs, targets = data.take(slice(None))
    inputs = inputs.clone(memory_format=torch.contiguous_format)

    widths, loop = WIDTHS[task.network], (torch.from_numpy(images), torch.from_numpy(labels))
    steps = {
        "plain": peers.plain_step(inputs, targets, widths),
        "plain loop": peers.loop_step(*loop, batch, widths, device),
    }
    if peers.installed("bayesian_torch"):
        for kind in ("Flipout", "Reparameterization"):
            step = peers.bayesian_torch_step(kind, inputs, targets, widths)
            steps[f"bayesian-torch {kind}"] = step
    if peers.installed("blitz"):
        steps["blitz"] = peers.blitz_step(inputs, targets, widths)
    for name in METHODS:
        steps[name] = our_step(Plugins().spec("method", name).value, task, data)
    return steps


def main() -> None:
    parser = rounds.parser(__doc__, "steps.csv", rounds=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--wide-rounds", type=int, default=3, help="of lenet-wide; 0 skips it")
    arguments = parser.parse_args()
    device = arguments.device
    torch.set_num_threads(arguments.threads)
    where = f"{device}, {arguments.threads} threads, torch {torch.__version__}"

    made = []
    for task, count, repeats in ((TASK, arguments.rounds, 3), (WIDE, arguments.wide_rounds, 1)):
        if not count:
            continue
        steps = subjects(task, arguments.batch, device)
        measured = rounds.interleaved(steps, count, repeats, warm_up=3)

        title = f"step {task.network}"
        own = rounds.rows(title, measured, dict.fromkeys(steps, "plain"), device)
        if FLIPOUT in steps:
            pairs = dict.fromkeys(("mean-field", "mnf"), FLIPOUT)
            own += rounds.rows(title, measured, pairs, device)

        widths = "-".join(map(str, WIDTHS[task.network]))
        print(f"{task.network} {widths}, batch {arguments.batch}, {where}")
        rounds.show(own, LIMITS if task is TASK else None)
        made += own
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
