"""Synthetic results that look like those of real runs, the same for the same arguments.

``python -m benchmarks.synthetic FOLDER`` writes a suite of 1,000 runs: 10 methods, 4 datasets and
25 seeds.
"""

from __future__ import annotations

import csv
import dataclasses
import gzip
import itertools
import json
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from scipy import ndimage, stats
from sklearn.datasets import load_digits

from bench_uq import store
from bench_uq.api.condition import GRADIENT_ATTACK, Search
from bench_uq.api.errors import UsageError
from bench_uq.api.names import parse
from bench_uq.score.curves import rounded
from bench_uq.score.stale import VERSIONS
from bench_uq.store.about import ABOUT, About, ConditionFacts
from bench_uq.store.derived import COLUMNS, LATER

EXAMPLES, CLASSES, BINS = 2000, 10, 15
EPSILONS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5)
SHIFTS = {
    "rotate": tuple(30.0 * step for step in range(7)),
    "translate": (0.0, 0.05, 0.1, 0.15, 0.2),
    "corruption": (1.0, 2.0, 3.0, 4.0, 5.0),
}
METHODS = (
    "map",
    "dropout",
    "ensemble",
    "mean-field",
    "mnf",
    "laplace",
    "mean-field[prior=log-uniform]",
    "mnf[flows=4,hidden=50,members=5]",
    "sgld",
    "swag[rank=20]",
    "temperature",
    "vogn[damping=0.001,momentum=0.9,samples=8]",
)
#: Facts of conditions, which reports read from about.json.
_EPSILON = ("ε", "pixels in [0, 1]")
FACTS = {
    "fgsm": ConditionFacts(*_EPSILON, GRADIENT_ATTACK, search=Search(draws=0, steps=1)),
    "pgd": ConditionFacts(*_EPSILON, GRADIENT_ATTACK, search=Search(draws=0, steps=20)),
    "transfer": ConditionFacts(*_EPSILON, "transferred attack", "map", Search(draws=0, steps=20)),
    "autoattack": ConditionFacts(*_EPSILON, "ensemble of attacks", search=Search(steps=100)),
    "rotate": ConditionFacts("angle", "degrees", "rotation"),
    "translate": ConditionFacts("shift", "share of the side", "translation"),
    "corruption": ConditionFacts("severity", "", "corruption"),
}
#: How much of its ignorance a method knows, and by how much it is overconfident.
CHARACTERS = {
    "map": (0.1, 0.06),
    "dropout": (0.35, 0.03),
    "ensemble": (0.5, -0.12),
    "mean-field": (0.6, 0.01),
}
ENVIRONMENT = {
    "device": "cpu",
    "processor": "AMD EPYC (AVX512)",
    "python": "3.11.7",
    "system": "Linux x86_64",
    "torch": "2.15.0",
}
#: A name that LaTeX, Markdown and HTML must escape.
HOSTILE = r"a_b%$&{}\input{x}|<script>"

Rows = list[dict[str, Any]]


def write_results(
    folder: Path,
    methods: Iterable[str] = METHODS[:2],
    seeds: Iterable[int] = (0,),
    *,
    datasets: Iterable[str] = ("digits",),
    unseen: Iterable[str] = ("letters",),
    attacks: Iterable[str] = ("fgsm",),
    regression: Iterable[str] = (),
    one_feature: Iterable[str] = (),
    runs: Mapping[tuple[str, int], Mapping[str, Any]] | None = None,
) -> Path:
    """Write the derived files of a suite; ``runs`` overrides fields of runs by method and seed."""
    tables: dict[str, Rows] = {name: [] for name in COLUMNS}
    everything = [*datasets, *regression, *one_feature]
    for dataset, method, seed in itertools.product(everything, list(methods), list(seeds)):
        run = plan_run(dataset, method, seed) | dict((runs or {}).get((method, seed), {}))
        tables["runs.csv"].append(run)
        if run["status"] != "ok":
            continue
        if dataset in one_feature:
            _regression(tables, run, _bands(run))
        elif dataset in regression:
            _regression(tables, run, ([], []))
        else:
            _classification(tables, run, list(unseen), list(attacks))

    folder.mkdir(parents=True, exist_ok=True)
    for name, rows in tables.items():
        write_table(folder / name, rows)
    (folder / "environment.json").write_text(json.dumps([{"id": "0123abcd", **ENVIRONMENT}]))

    write_about(folder, methods, attacks)
    shown = ["clean", *unseen]
    for attack in attacks:
        shown += [f"{attack}@{level!r}" for level in levels_of(attack)]
    finished = [run for run in tables["runs.csv"] if run["status"] == "ok"]
    images = [run for run in finished if run["dataset"] in datasets]
    write_examples(folder / "examples.npz", images, shown)
    return folder


def write_about(folder: Path, methods: Iterable[str], conditions: Iterable[str]) -> None:
    """Write the facts of methods and conditions as runs of bench-uq's own plugins store them."""
    orders = {name: METHODS.index(name) for name in methods if name in METHODS[:5]}
    facts = {}
    for name in conditions:
        if name.partition("[")[0] in FACTS:
            facts[name] = _with_options(name)
    store.write_json(folder / ABOUT, dataclasses.asdict(About(orders, facts)))


def _with_options(condition: str) -> ConditionFacts:
    """Facts of a condition whose options are as in its name."""
    try:
        plain, options = parse(condition)
    except UsageError:  # a hostile name
        return FACTS[condition.partition("[")[0]]
    facts = FACTS[plain]
    if facts.search is None:
        return facts

    search = dataclasses.replace(
        facts.search,
        norm=options.get("norm", "linf"),
        objective=options.get("objective", "predictive"),
        draws=int(options.get("draws", facts.search.draws)),
        true_label=not {"label", "objective"} & options.keys(),
    )
    return dataclasses.replace(facts, search=search)


def levels_of(condition: str) -> tuple[float, ...]:
    """Levels of an attack or shift."""
    return SHIFTS.get(condition.partition("[")[0], EPSILONS)


def write_examples(path: Path, runs: Rows, shown: Iterable[str]) -> None:
    """Write eight images and predictions per condition and level, of the first seed of each run."""
    arrays: dict[str, np.ndarray] = {}
    first = {(run["dataset"], run["method"]): run for run in reversed(runs)}
    images = {where: _images(*_place(where)) for where in shown}

    for (dataset, method), run in sorted(first.items()):
        for where, inputs in images.items():
            condition, level = _place(where)
            text = "" if level is None else repr(level)
            place = "|".join([dataset, method, str(run["seed"]), condition, text])
            arrays[f"{place}|inputs"] = inputs
            arrays[f"{place}|probs"] = _probs(method, condition, level)
            if condition == "clean" or level is not None:
                arrays[f"{place}|targets"] = np.arange(8)
    np.savez_compressed(path, **arrays)  # type: ignore[arg-type]


def _place(where: str) -> tuple[str, float | None]:
    """Condition and level of a place such as ``fgsm@0.1``."""
    if "@" not in where:
        return where, None
    condition, _, level = where.rpartition("@")
    return condition, float(level)


def _images(condition: str, level: float | None) -> np.ndarray:
    """Eight grey images (8, 1, 16, 16): digits changed as the level says, or blobs if OOD."""
    if condition != "clean" and level is None:
        rows, columns = np.mgrid[:16, :16]
        centres = _random("examples", condition).uniform(4, 12, (8, 2, 1, 1))
        blobs = np.exp(-((rows - centres[:, 0]) ** 2 + (columns - centres[:, 1]) ** 2) / 20)
        return (255 * blobs[:, None]).astype(np.uint8)

    digits = ndimage.zoom(load_digits().images[:8] / 16, (1, 2, 2), order=1)
    if condition.startswith("rotate"):
        digits = ndimage.rotate(digits, level or 0, axes=(1, 2), reshape=False, order=1)
    elif level:
        noise = _random("noise", condition).normal(0, 1, digits.shape)
        digits = digits + 0.5 * level / levels_of(condition)[-1] * noise
    return (255 * digits.clip(0, 1)[:, None]).astype(np.uint8)


def _probs(method: str, condition: str, level: float | None) -> np.ndarray:
    """Probabilities of eight images of the classes 0 to 7: less sure, and wrong, at high levels."""
    stress = 0.0 if level is None else level / levels_of(condition)[-1]
    random = _random("logits", method, condition)
    logits = random.random((8, CLASSES))
    wrong = random.integers(0, CLASSES, 8)
    logits[range(8), range(8)] += 1.2 * np.cos(np.pi * stress) + 0.2
    logits[range(8), wrong] += 1.3 * stress
    logits[range(8), (wrong + 3) % CLASSES] += 1.5 * np.sin(np.pi * stress)

    sharp = 8 * (1 - 0.5 * _character(method)[0] * stress)
    if condition != "clean" and level is None:
        sharp = 2
    scaled = np.exp(sharp * (logits - logits.max(1, keepdims=True)))
    return (scaled / scaled.sum(1, keepdims=True)).astype(np.float32)


def write_table(path: Path, rows: Rows) -> None:
    """Write one derived file, sorted like those of real runs."""
    columns = [*COLUMNS[path.name].split(), *LATER.get(path.name, "").split()]
    lines = []
    for row in rows:
        lines.append([str(row.get(column, "")) for column in columns])
    opened = gzip.open if path.suffix == ".gz" else open
    with opened(path, "wt", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([columns, *sorted(lines)])


def plan_run(dataset: str, method: str, seed: int) -> dict[str, Any]:
    """A run that ended well."""
    number = zlib.crc32(method.encode())
    return {
        "run": f"{method.partition('[')[0]}-{dataset}-s{seed}-{number:08x}",
        "method": method,
        "dataset": dataset,
        "seed": seed,
        "status": "ok",
        "converged": True,
        "parameters": 61706,
        "train_seconds": 12.5 + seed,
        "predict_seconds": 3.25,
        "peak_memory": 512_000_000,
        "environment": "0123abcd",
        "network": "lenet",
        "epochs": 40,
        "draws": 50,
        "seconds_per_1000": 0.2 + 0.01 * (number % 97),
        "command": "bench-uq run --suite quick",
        "facts": json.dumps(VERSIONS),
    }


def _random(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def _character(method: str) -> tuple[float, float]:
    random = _random("character", method)
    drawn = (random.uniform(0.2, 1), random.uniform(-0.04, 0.05))
    return CHARACTERS.get(method, drawn)


def _classification(
    tables: dict[str, Rows], run: dict[str, Any], unseen: list[str], attacks: list[str]
) -> None:
    caution, surplus = _character(run["method"])
    clean, correct = _entropies(run, 0.13, surplus, "clean")
    scores, curves = _measured(clean, correct, clean)
    if run["method"] == "ensemble":
        curves += _members(scores["nll"])
    _add(tables, run, ("clean", ""), scores, curves)

    for number, name in enumerate(unseen):
        entropy, _ = _entropies(run, 0.4 + caution + 0.2 * number, surplus, name)
        _add(tables, run, (name, ""), *_measured(entropy, None, clean))

    for name in attacks:
        harm = 1.5 if name == "fgsm" else 1.0
        for level in levels_of(name):
            stress = 0.5 * level / levels_of(name)[-1]
            spread = 0.13 + harm * caution * stress
            fooled = min(0.9, 3 * stress * (1.2 - caution / 2))
            entropy, correct = _entropies(run, spread, surplus, "clean", fooled)
            scores, curves = _measured(entropy, correct, clean)
            _add(tables, run, (name, level), scores | {"unmoved": float(level == 0)}, curves)
    _add(tables, run, ("train", ""), {}, _training(run))


def _members(nll: float) -> Rows:
    """NLL of one to five networks, that of all at the end."""
    networks = np.arange(1, 6)
    return _points("members_nll", networks, nll + 0.1 * (1 / networks - 1 / 5))


def _entropies(
    run: dict[str, Any], spread: float, surplus: float, key: str, fooled: float = 0.0
) -> tuple[Any, Any]:
    """Predictive entropies on some examples, and which predictions are right."""
    random = _random(run["dataset"], run["method"], run["seed"], key)
    entropy = np.log(CLASSES) * random.beta(spread, 1.3, EXAMPLES)
    right = np.clip(_confidence(entropy) - surplus, 0.1, 1) * (1 - fooled)
    return entropy, random.uniform(size=EXAMPLES) < right


def _confidence(entropy: Any) -> Any:
    return 1 - (1 - 1 / CLASSES) * (entropy / np.log(CLASSES)) ** 1.2


def _measured(entropy: Any, correct: Any, clean: Any) -> tuple[dict[str, float], Rows]:
    """Scores and curves of entropies, and of right predictions unless ``correct`` is None."""
    ends = (0, np.log(CLASSES))
    shares, edges = np.histogram(entropy, 40, ends)
    grid = np.linspace(*ends, 101)
    curves = _points("entropy_histogram", (edges[:-1] + edges[1:]) / 2, shares / EXAMPLES)
    curves += _points("entropy_ecdf", grid, (entropy[:, None] <= grid + 1e-12).mean(axis=0))

    mean = entropy.mean()
    scores = {"entropy": mean, "aleatoric": 0.8 * mean, "epistemic": 0.2 * mean}
    if entropy is not clean:
        scores |= _separation(entropy, clean)
    if correct is None:
        return scores, curves

    confidence = _confidence(entropy)
    probability = np.where(correct, confidence, (1 - confidence) / (CLASSES - 1))
    ece, reliability = _reliability(confidence, correct)
    scores |= {
        "accuracy": correct.mean(),
        "nll": -np.log(np.maximum(probability, 1e-6)).mean(),
        "ece": ece,
        "brier": ((1 - probability) ** 2).mean(),
        "ece_if_calibrated": 0.0087,
        "adaptive_ece": 0.9 * ece + 0.001,
    }

    right_so_far = np.cumsum(correct[np.argsort(-confidence)])
    accuracy = right_so_far / np.arange(1, EXAMPLES + 1)
    scores |= {"aurc": float((1 - accuracy).mean()), **_errors(entropy, correct, accuracy)}
    return scores, [*curves, *reliability, *_selective(confidence, right_so_far)]


def _separation(entropy: Any, clean: Any) -> dict[str, float]:
    """Scores of separating these examples from clean ones."""
    auroc = (np.sort(clean)[::20, None] < np.sort(entropy)[::20]).mean()
    scores = {}
    for place, by in enumerate(("entropy", "epistemic", "confidence")):
        scores[f"auroc_{by}"] = min(1.0, auroc + 0.004 * place)
        scores[f"aupr_{by}"] = min(1.0, auroc + 0.02 + 0.004 * place)
        scores[f"fpr95_{by}"] = max(0.0, 1.2 * (1 - auroc) - 0.004 * place)
    return scores


def _reliability(confidence: Any, correct: Any) -> tuple[float, Rows]:
    """ECE and the curves of a reliability diagram."""
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts = np.bincount(bins, minlength=BINS)
    filled, centres = counts > 0, (np.arange(BINS) + 0.5) / BINS
    right = np.bincount(bins, correct, BINS)[filled] / counts[filled]
    sure = np.bincount(bins, confidence, BINS)[filled] / counts[filled]
    ece = float((counts[filled] / EXAMPLES * abs(right - sure)).sum())

    curves = _points("reliability_accuracy", centres[filled], right)
    curves += _points("reliability_confidence", centres[filled], sure)
    return ece, curves + _points("reliability_share", centres, counts / EXAMPLES)


def _selective(confidence: Any, right_so_far: Any) -> Rows:
    """Curves of selective prediction; ``right_so_far`` counts by falling confidence."""
    coverage = np.arange(1, 101) / 100
    taken = np.maximum(1, (coverage * EXAMPLES).astype(int))
    least = np.arange(50) / 50
    sure = np.maximum(1, (confidence[:, None] >= least).sum(axis=0))
    curves = _points("risk_coverage", coverage, 1 - right_so_far[taken - 1] / taken)
    return curves + _points("accuracy_confidence", least, right_so_far[sure - 1] / sure)


def _errors(entropy: Any, correct: Any, accuracy: Any) -> dict[str, float]:
    """Scores of entropies against errors; ``accuracy`` is that of the n lowest entropies."""
    wrong = np.count_nonzero(~correct)
    pairs = wrong * (EXAMPLES - wrong)
    shares = np.arange(1, EXAMPLES + 1) / EXAMPLES
    found = dict.fromkeys(("entropy_right", "entropy_wrong", "auroc_errors_entropy"), np.nan)
    if wrong < EXAMPLES:
        found["entropy_right"] = entropy[correct].mean()
    if wrong:
        found["entropy_wrong"] = entropy[~correct].mean()
    if pairs:
        ranks = stats.rankdata(entropy)[~correct]
        found["auroc_errors_entropy"] = (ranks.sum() - wrong * (wrong + 1) / 2) / pairs

    for risk in (1, 5):
        found[f"coverage_at_risk_{risk}"] = shares[accuracy >= 1 - risk / 100].max(initial=0)
    for kept in (80, 50):
        found[f"accuracy_kept_{kept}"] = accuracy[EXAMPLES * kept // 100 - 1]
    return found


def _training(run: dict[str, Any], epochs: int = 40) -> Rows:
    """Curves of a training that flattens out; plain networks have no KL."""
    random = _random("training", run["dataset"], run["method"], run["seed"])
    epoch = np.arange(1, epochs + 1)
    nll = 2.2 * np.exp(-epoch / 4) + random.uniform(0.02, 0.2) + 0.01 * random.uniform(size=epochs)
    kl = np.zeros(epochs)
    if run["method"] not in ("map", "dropout", "ensemble"):
        kl = random.uniform(0.5, 3) * np.exp(-epoch / 15) + 0.2
    points = _points("training_loss", epoch, nll + kl)
    return points + _points("training_nll", epoch, nll) + _points("training_kl", epoch, kl)


def _bands(run: dict[str, Any]) -> tuple[Rows, Rows]:
    """Curves of clean data and of the training with one feature, different for each seed."""
    random, x = _random("bands", run["dataset"], run["seed"]), np.linspace(-6, 6, 49)
    std = 3 + _character(run["method"])[0] * x**2
    shown = _points("regression_mean", x, x**3 / 2)
    shown += _points("regression_std", x, std)
    shown += _points("regression_epistemic_std", x, np.sqrt(std**2 - 9))
    shown += _points("regression_target", x, x**3 + random.normal(0, 3))

    inputs = random.uniform(-4, 4, 20)
    return shown, _points("regression_target", inputs, inputs**3)


def _regression(tables: dict[str, Rows], run: dict[str, Any], bands: tuple[Rows, Rows]) -> None:
    random = _random(run["dataset"], run["method"], run["seed"])
    scores = {"rmse": 3.1, "nll": 2.5, "crps": 1.7, "picp": 0.94, "mpiw": 11.8}
    noisy = {metric: value * random.normal(1, 0.03) for metric, value in scores.items()}
    _add(tables, run, ("clean", ""), noisy, bands[0])

    epoch = np.arange(1, 21)
    loss = 1 - np.log(epoch)  # a density may exceed 1: its loss is negative
    _add(tables, run, ("train", ""), {}, [*_points("training_loss", epoch, loss), *bands[1]])


def _points(curve: str, xs: Any, ys: Any) -> Rows:
    found = []
    for x, y in zip(rounded(xs).tolist(), rounded(ys).tolist(), strict=True):
        found.append({"curve": curve, "x": x, "y": y})
    return found


def _add(
    tables: dict[str, Rows], run: dict[str, Any], where: tuple[str, Any], scores: Any, curves: Rows
) -> None:
    place = {name: run[name] for name in ("dataset", "method", "seed", "run")}
    place |= {"condition": where[0], "level": where[1]}
    for metric, value in scores.items():
        cell = "" if np.isnan(value) else float(value)
        tables["scores.csv"].append(place | {"metric": metric, "value": cell})
    tables["curves.csv.gz"] += [place | point for point in curves]


def write_thousand(folder: Path) -> Path:
    """Write a suite of 1,000 runs: 10 methods, 4 datasets, 25 seeds."""
    datasets = ("digits", "fashion-mnist", "kmnist", "mnist")
    return write_results(folder, METHODS[:10], range(25), datasets=datasets)


if __name__ == "__main__":
    write_thousand(Path(sys.argv[1]))
