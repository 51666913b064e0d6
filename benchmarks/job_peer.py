"""The job of benchmarks/job.py with torch-uncertainty, in the Python that has it: one method.

    python job_peer.py METHOD FILE.npz EPOCHS DRAWS MEMBERS

Tensors stay in memory and a batch is one index into them, without workers: its fastest form.
"""

from __future__ import annotations

import json
import logging
import sys
import warnings

import numpy as np
import torch
from torch import nn
from torch.utils.data import BatchSampler, DataLoader, RandomSampler, SequentialSampler

# The package prints remarks of its dependencies.
warnings.simplefilter("ignore")
logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)

from torch_uncertainty import TUTrainer  # noqa: E402
from torch_uncertainty.methods import deep_ensembles, mc_dropout  # noqa: E402
from torch_uncertainty.routines import ClassificationRoutine  # noqa: E402
from torch_uncertainty.transforms import RepeatTarget  # noqa: E402

BATCH, SHOWN = 128, 512
MEAN, STD = 0.1307, 0.3081


class Images(torch.utils.data.Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Images as bytes, and labels; an index may be a list."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels = torch.from_numpy(images), torch.from_numpy(labels)

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        inputs = self.images[index].float().div_(255).sub_(MEAN).div_(STD)
        return inputs, self.labels[index]


def loader(data: Images, batch: int, *, shuffled: bool = False) -> DataLoader[object]:
    """Batches that are indexed at once."""
    order = RandomSampler(data) if shuffled else SequentialSampler(data)
    return DataLoader(data, batch_size=None, sampler=BatchSampler(order, batch, drop_last=False))


def lenet(dropout: float) -> nn.Module:
    """LeNet as bench-uq has it: 20-50-500, with dropout before its dense layers."""

    def before_dense() -> list[nn.Module]:
        return [nn.Dropout(dropout)] if dropout else []

    return nn.Sequential(
        *(nn.Conv2d(1, 20, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Conv2d(20, 50, 5), nn.MaxPool2d(2), nn.ReLU()),
        *(nn.Flatten(), *before_dense(), nn.Linear(800, 500), nn.ReLU()),
        *(*before_dense(), nn.Linear(500, 10)),
    )


def main() -> None:
    """Train, test, and print the scores as JSON."""
    method, file = sys.argv[1:3]
    epochs, draws, members = map(int, sys.argv[3:6])
    torch.manual_seed(0)
    data = np.load(file)
    train, test, unseen = (
        Images(data[f"{name}_images"], data[f"{name}_labels"])
        for name in ("train", "test", "unseen")
    )

    model, options = lenet(0.0), {}
    if method == "dropout":
        model = mc_dropout(lenet(0.5), num_estimators=draws, on_batch=True)
        options = {"is_ensemble": True}
    elif method == "ensemble":
        model = deep_ensembles(lenet(0.0), num_estimators=members)
        options = {"is_ensemble": True, "format_batch_fn": RepeatTarget(num_repeats=members)}

    routine = ClassificationRoutine(
        model,
        10,
        nn.CrossEntropyLoss(),
        optim_recipe=torch.optim.Adam(model.parameters(), lr=1e-3, fused=True),
        eval_ood=True,
        ood_criterion="entropy",
        **options,
    )
    trainer = TUTrainer(
        accelerator="cpu",
        max_epochs=epochs,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(routine, loader(train, BATCH, shuffled=True))
    shown = [loader(test, SHOWN), loader(unseen, SHOWN)]
    (scores, *rest) = trainer.test(routine, shown, verbose=False)
    for one in rest:
        scores |= one
    print(json.dumps(scores))


main()
