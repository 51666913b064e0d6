"""Predicting with many draws, LeNet 20-50-500: ours against a user's passes one by one.

    python -m benchmarks.predict       # 100 draws of 384 images: the ratio holds for any number
    python -m benchmarks.predict --images 10000 --rounds 1

``plain passes`` are those of nn.Dropout in contiguous nn layers; ``one by one`` those of our own
stochastic layers. All average the probabilities of the draws, in batches of 128.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from bench_uq.plan.plugins import Plugins
from bench_uq.predict.predict import Trained, predict
from bench_uq.train.loop import build
from bench_uq.train.resident import Resident
from bench_uq.train.settings import BLOCK
from benchmarks import peers, rounds
from benchmarks.attack import images
from benchmarks.steps import TASK, WIDTHS

#: The largest ratios that we accept, on two CPU cores.
LIMITS = {
    ("dropout[where=last]", "plain passes"): 0.10,
    ("dropout", "plain passes"): 0.35,
    ("mean-field", "mean-field one by one"): 0.8,
    ("mnf", "mnf one by one"): 0.8,
}


def ours(full: str, data: Resident, draws: int) -> tuple[nn.Module, Callable[[], object]]:
    """A network of a method, and its prediction as the engine makes it."""
    method = Plugins().spec("method", full).value
    net = build(method, TASK, data.inputs.device).eval()
    model = Trained(method, TASK, nn.ModuleList([net]), 0)
    return net, lambda: predict(model, data, len(data), draws, labelled=False)


def one_by_one(
    net: nn.Module, data: Resident, draws: int, layout: torch.memory_format
) -> Callable[[], None]:
    """The average of this many passes, one after the other."""
    batches = []
    for start in range(0, len(data), BLOCK):
        inputs = data.take(slice(start, start + BLOCK))[0]
        batches.append(inputs.clone(memory_format=layout))

    def passes() -> None:
        with torch.inference_mode():
            for inputs in batches:
                total: Tensor | float = 0.0
                for _ in range(draws):
                    total = total + net(inputs).softmax(-1)

    return passes


def with_dropout(device: torch.device) -> nn.Module:
    """Plain LeNet with nn.Dropout before both dense layers, switched on as in training."""
    stages = list(peers.plain((1, 28, 28), WIDTHS["lenet"]).children())
    stages.insert(9, nn.Dropout(0.5))
    stages.insert(7, nn.Dropout(0.5))
    return nn.Sequential(*stages).to(device).train()


def main() -> None:
    parser = rounds.parser(__doc__, "predict.csv", rounds=5)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--images", type=int, default=384)
    parser.add_argument("--draws", type=int, default=100)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    device = torch.device(arguments.device)
    data, draws = images(arguments.images, device), arguments.draws
    plain = own = torch.contiguous_format
    if device.type == "cpu":
        own = torch.channels_last  # as our networks have their images on a CPU

    subjects: dict[str, rounds.Work] = {
        "plain passes": one_by_one(with_dropout(device), data, draws, plain)
    }
    for full, other in LIMITS:
        net, subjects[full] = ours(full, data, draws)
        if other not in subjects:
            subjects[other] = one_by_one(net, data, draws, own)

    measured = rounds.interleaved(subjects, arguments.rounds)
    made = rounds.rows("predict", measured, dict(tuple(LIMITS)), arguments.device)
    where = f"{arguments.device}, {arguments.threads} threads, torch {torch.__version__}"
    print(f"{draws} draws of {arguments.images} images, {where}")
    rounds.show(made, LIMITS)
    rounds.write(arguments.out, made)


if __name__ == "__main__":
    main()
