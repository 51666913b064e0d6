"""Training and predicting with mean-field LeNet 20-50-500, beside bayesian-torch.

    pip install -e '.[bench]'
    python -m benchmarks.variational     # 94 steps of 128 images, then 20 draws of 10,000 images

bayesian-torch averages the probabilities of passes one by one. The ratio is that of both parts
together.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench_uq.plan.plugins import Plugins
from benchmarks import peers, rounds
from benchmarks.attack import images
from benchmarks.predict import one_by_one, ours
from benchmarks.steps import TASK, WIDTHS, our_step

#: The largest ratio that we accept, of bench-uq's time and that of each kind of layers.
LIMIT = 0.6

KINDS = ("Flipout", "Reparameterization")


class Outputs(nn.Module):
    """A network that returns its outputs alone, without the KL."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, inputs: Tensor) -> Tensor:
        """Outputs of shape (B, classes)."""
        outputs: Tensor = self.net(inputs)[0]
        return outputs


def both(step: peers.Step, steps: int, draws: Callable[[], object]) -> Callable[[], None]:
    """Training, then predicting."""

    def work() -> None:
        for _ in range(steps):
            step()
        draws()

    return work


def main() -> None:
    parser = rounds.parser(__doc__, "variational.csv", rounds=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--steps", type=int, default=94, help="two epochs of 6,000 images")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--draws", type=int, default=20)
    parser.add_argument("--batch", type=int, default=128)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    device, widths = torch.device("cpu"), WIDTHS["lenet"]
    shown, batch = images(arguments.images, device), images(arguments.batch, device)
    inputs, targets = batch.take(slice(None))
    inputs = inputs.clone(memory_format=torch.contiguous_format)

    method = Plugins().spec("method", "mean-field").value
    predicts = ours("mean-field", shown, arguments.draws)[1]
    own = both(our_step(method, TASK, batch), arguments.steps, predicts)
    subjects: dict[str, rounds.Work] = {"mean-field": own}
    for kind in KINDS:
        step = peers.bayesian_torch_step(kind, inputs, targets, widths)
        net = Outputs(peers.bayesian_torch_net(kind, peers.shape_of(inputs), widths))
        passes = one_by_one(net, shown, arguments.draws, torch.contiguous_format)
        subjects[f"bayesian-torch {kind}"] = both(step, arguments.steps, passes)

    measured = rounds.interleaved(subjects, arguments.rounds, warm_up=0)  # a warm-up takes a minute
    made = []
    for name in subjects:
        if name != "mean-field":
            made += rounds.rows("variational", measured, {"mean-field": name})

    done = f"{arguments.steps} steps, {arguments.draws} draws of {arguments.images} images"
    print(f"{done}, {arguments.threads} threads, torch {torch.__version__}")
    rounds.show(made, {("mean-field", row.against): LIMIT for row in made})
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
