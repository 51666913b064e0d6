"""How long a run will take: a few steps and one block are timed, the rest is arithmetic."""

from __future__ import annotations

import dataclasses
import math
import time

import torch

from bench_uq import store
from bench_uq.config import Settings
from bench_uq.data import Resident, fitted, load, training_splits
from bench_uq.execute import Job, missing
from bench_uq.plugins import Plugins
from bench_uq.predict import BLOCK, Trained, predict_block
from bench_uq.train import build, train_epoch

STEPS = 5


def estimate(job: Job) -> float:
    """Return seconds that a run would take on this machine, alone."""
    run, settings = job.run, Settings(**job.run.settings)
    device = torch.device(job.device)
    threads = torch.get_num_threads()
    torch.set_num_threads(settings.threads if device.type == "cpu" else threads)
    plugins = Plugins(job.files)
    method = plugins.spec("method", run.method_full).value
    dataset = plugins.spec("dataset", run.dataset_full).value
    examples, _ = training_splits(load(dataset, "train", job.root, run.seed), settings, run.seed)
    task = dataclasses.replace(fitted(dataset.task(job.root), examples), network=run.network)
    net = build(method, task, device)
    sample = Resident(examples[: settings.batch * STEPS], device, settings.batch)
    optimiser, shuffling = method.optimiser(net), torch.Generator()
    train_epoch(method, net, optimiser, sample, shuffling, (0, 1))  # warm up
    start = time.perf_counter()
    train_epoch(method, net, optimiser, sample, shuffling, (0, 1))
    step = (time.perf_counter() - start) / math.ceil(len(sample) / settings.batch)
    trained = Trained(method, net.task, torch.nn.ModuleList([net.eval()] * method.members), run.seed)  # type: ignore[arg-type]
    inputs, _ = sample.take(slice(0, BLOCK))
    start = time.perf_counter()
    predict_block(trained, inputs, None, settings.draws, 0)
    example = (time.perf_counter() - start) / len(inputs)
    torch.set_num_threads(threads)
    steps = 0 if store.run_folder(job.folder, run.name).holds(store.NETWORK) else settings.epochs * method.members
    size = len(load(dataset, "test", job.root, run.seed))
    shown = sum(min(one.count or size, size) for one in missing(job))
    return steps * math.ceil(len(examples) / settings.batch) * step + shown * example
