"""bench-uq tells you which uncertainty method to trust, on which data, under which stress, at what
cost.

    results = bench_uq.run("quick", methods=["map", "dropout"], seeds=[0, 1, 2])
    bench_uq.report(results)
    print(bench_uq.verdict(results))
    bench_uq.summarise(results)

    bench_uq.evaluate(probs, labels, unseen={"letters": other_probs})
    bench_uq.evaluate(model, "digits", conditions={"fgsm": [0.1], "letters": []})

Errors that a user can cause are ``bench_uq.UsageError``, with the one line that the command line
prints. Heavy packages are imported inside the functions, so that ``import bench_uq`` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal

from bench_uq._version import __version__

if TYPE_CHECKING:
    import pandas as pd

    from bench_uq.api.errors import BenchUQError, UsageError
    from bench_uq.check.verdicts import Verdicts
    from bench_uq.evaluate.compare import Comparison
    from bench_uq.evaluate.scores import Scores
    from bench_uq.plan.tuned import Tuned
    from bench_uq.run.suite import Choices
    from bench_uq.score.results import Results
    from bench_uq.score.verdict import Verdict

__all__ = [
    "BenchUQError",
    "UsageError",
    "__version__",
    "check",
    "compare",
    "evaluate",
    "read_scores",
    "report",
    "run",
    "summarise",
    "tune",
    "verdict",
]


def __getattr__(name: str) -> Any:
    """Load the errors on first use: the contract that defines them loads NumPy."""
    if name in ("BenchUQError", "UsageError"):
        from bench_uq.api import errors

        return getattr(errors, name)
    raise AttributeError(f"module 'bench_uq' has no attribute {name!r}")


def __dir__() -> list[str]:
    """Public names."""
    return sorted(__all__)


def run(
    suite: str | Path = "quick",
    *,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    seeds: Sequence[int] = (),
    network: str | Path = "",
    settings: Mapping[str, Any] | None = None,
    results: str | Path = "results",
    data_dir: str | Path = "data",
    plugins: Sequence[str | Path] = (),
    budget: float = 1.0,
    tuned: bool | str | Path = False,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    jobs: int | None = None,
    force: bool = False,
    timeout: float = float("inf"),
    notice: Callable[[str], None] = print,
) -> Results:
    """Train and predict what is missing of a suite, score it, and return its results.

    Methods, datasets and seeds replace those of the suite. ``settings`` holds settings of all
    methods and options of plugins: ``{"epochs": 100, "mnf.hidden": 50}``. ``budget`` is a share of
    the suite's epochs; results at another than 1 lie beside those at 1. With ``tuned`` each method
    runs as ``tune`` chose it, True for the file of the suite. ``notice`` is called with a line per
    run. A run that fails is a row of the results with its reason.
    """
    # Before anything here imports torch too: the two processes do so side by side.
    _start_early(suite, methods, datasets)

    from bench_uq.plan.plugins import Plugins
    from bench_uq.run.record import verdict as ending
    from bench_uq.run.suite import prepare, run_suite
    from bench_uq.score.results import read
    from bench_uq.score.score import score

    choices = _choices(
        suite=suite,
        methods=methods,
        datasets=datasets,
        seeds=seeds,
        network=network,
        settings=settings,
        results=results,
        data_dir=data_dir,
        plugins=plugins,
        budget=budget,
        tuned=Path() if tuned is True else _path(tuned) if tuned else None,
        device=device,
        jobs=jobs,
        force=force,
        timeout=timeout,
    )
    prepared = prepare(choices, notice)
    run_suite(prepared, lambda name, result: notice(f"{name}  {ending(result)}"), scored=True)

    score(prepared.folder, Plugins(choices.plugins))
    return read(prepared.folder)


def tune(
    suite: str | Path = "quick",
    *,
    trials: int | None = None,
    seconds: float | None = None,
    studies: int = 1,
    seed: int = 0,
    sampler: Literal["sobol", "tpe"] = "sobol",
    per_seed: bool = False,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    seeds: Sequence[int] = (),
    network: str | Path = "",
    settings: Mapping[str, Any] | None = None,
    results: str | Path = "results",
    data_dir: str | Path = "data",
    plugins: Sequence[str | Path] = (),
    device: Literal["auto", "cpu", "cuda"] = "auto",
    jobs: int | None = None,
    timeout: float = float("inf"),
    notice: Callable[[str], None] = print,
) -> Tuned:
    """Tune each method with the same budget, on held-out training data alone.

    The budget is a number of ``trials``, or ``seconds`` of training with at most so many trials. Of
    several ``studies``, that of the median result is chosen; ``seed`` is that of the search.
    Points are those of a Sobol sequence, or follow the scores of those before (``tpe``, by Optuna).
    ``seeds`` train the trials, by default the three after those of the suite. With ``per_seed``
    each seed of the suite, or of ``seeds``, has a choice of its own, by examples held out of its
    own training split, as for published splits. What is chosen is written to tuned.toml beside the
    suite's results, where ``run(..., tuned=True)`` reads it, and returned.
    """
    _start_early(suite, methods, datasets)

    from bench_uq.run.choosing import choose, stored
    from bench_uq.run.record import verdict as ending
    from bench_uq.run.tuning import plan_study, run_study, search_of

    search = search_of(trials, seconds, studies, seed, sampler, per_seed=per_seed)
    choices = _choices(
        suite=suite,
        methods=methods,
        datasets=datasets,
        seeds=seeds,
        network=network,
        settings=settings,
        results=results,
        data_dir=data_dir,
        plugins=plugins,
        device=device,
        jobs=jobs,
        timeout=timeout,
    )
    planned = plan_study(choices, search, notice)
    stored(planned)
    run_study(planned, lambda name, result: notice(f"{name}  {ending(result)}"))
    return choose(planned)


def report(
    results: Results | str | Path,
    target: str | Path = "",
    *,
    formats: Sequence[str] = (),
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    metrics: Sequence[str] = (),
    conditions: Sequence[str] = (),
    levels: Mapping[str, float] | None = None,
    width: float | Literal["", "column", "page"] = "",
    panels: bool = False,
    title: str = "",
    labels: Mapping[str, str] | None = None,
    plugins: Sequence[str | Path] = (),
) -> list[Path]:
    """Write tables, figures, a page and a summary; return the files.

    ``results`` is what ``run`` returns, or the folder of a suite. The report goes to ``target``, by
    default reports/<suite>. Formats are latex, markdown, html, pdf, png and svg, by default all.
    ``levels`` stand for conditions where figures and comparisons have room for one: {"fgsm": 0.1}.
    Figures have a ``width`` that suits them, or that of a column or page, or so many centimetres;
    with ``panels`` each panel has a file of its own. ``labels`` are how methods, datasets and
    conditions are called, by name, and ``plugins`` files with metrics.
    """
    from bench_uq.api.arguments import names
    from bench_uq.report import FORMATS, write
    from bench_uq.report.paper import read_paper
    from bench_uq.store.folders import enclosed

    folder = _folder(results)
    return write(
        folder,
        enclosed(_path(target or Path("reports") / folder.name)),
        formats=names(formats, "formats") or FORMATS,
        methods=names(methods, "methods"),
        datasets=names(datasets, "datasets"),
        metrics=names(metrics, "metrics"),
        conditions=names(conditions, "conditions"),
        levels=levels or {},
        paper=read_paper(width, panels=panels),
        title=title,
        labels=labels or {},
        plugins=tuple(map(_path, plugins)),
    )


def check(
    results: Results | str | Path,
    baseline: str | Path,
    margins: str | Path | None = None,
    *,
    methods: Sequence[str] = (),
    datasets: Sequence[str] = (),
    plugins: Sequence[str | Path] = (),
) -> Verdicts:
    """Compare the scores of a suite with a baseline.

    ``exit_code`` of the verdicts is 0 if nothing got worse, 1 if a score regressed or is missing,
    and 3 if there are too few seeds; ``text`` says which.
    """
    from bench_uq.api.arguments import names
    from bench_uq.check.check import check as gate

    return gate(
        _folder(results),
        _path(baseline),
        _path(margins) if margins else None,
        methods=names(methods, "methods"),
        datasets=names(datasets, "datasets"),
        plugins=tuple(map(_path, plugins)),
    )


def evaluate(
    predicted: Any,
    truth: Any = None,
    /,
    draws: Any = None,
    *,
    unseen: Mapping[str, Any] | None = None,
    conditions: Mapping[str, Any] | Iterable[str] = (),
    binary: bool = False,
    variance: Any = None,
    std: Any = None,
    mean: Any = None,
    outputs: Literal["auto", "logits", "probs"] = "auto",
    output: str | int | None = None,
    mc_dropout: bool = False,
    device: str = "auto",
    data_dir: str | Path = "data",
    plugins: Sequence[str | Path] = (),
    test_images: int = 0,
    attack_images: int = 1000,
    shift_images: int = 0,
    name: str = "",
    resamples: int = 1000,
    seed: int = 0,
) -> Scores:
    """Score predictions, or a trained model on a dataset, with intervals by bootstrap over
    examples.

    **Predictions**: ``evaluate(probs, labels)``. ``probs`` are (N, C), or draws (S, N, C) whose
    mean is the prediction, as an array, a tensor, a data frame or lists; ``labels`` (N,) are 0 to
    C - 1. ``draws`` (S, N, C) may stand beside their mean. With ``binary`` probabilities are those
    of class 1, (N,). Real targets: ``evaluate(mean, targets, variance=...)`` or ``std=...``, (N,)
    or (S, N). ``unseen`` holds predictions for out-of-distribution data by name. No torch is
    loaded.

    **A model**: ``evaluate(model, dataset)``. The model is an ``nn.Module`` that gives logits or
    probabilities (B, C), a list of them (an ensemble), or a function (inputs, draws) -> (S, B, C).
    The dataset is the name of one of bench-uq, a torch ``Dataset`` or ``DataLoader``, or
    ``(inputs, labels)``, with inputs in [0, 1] or uint8. ``conditions`` are attacks and shifts
    with their levels and names of out-of-distribution data, as in a suite: ``{"fgsm": [0.1],
    "letters": []}``; ``unseen`` brings such data of your own. ``mean`` and ``std`` are those by
    which the model expects its inputs normalised; attacks then act on pixels. ``mc_dropout``
    leaves dropout on, for ``draws`` passes. ``output`` picks the scores of a model that returns a
    tuple or dict, ``outputs`` says whether they are logits or probabilities, ``seed`` is that of
    the draws. Numbers of images are those of a suite's settings; 0 means all.

    Of what is returned, ``scores["ece"]`` is a value, ``to_frame()`` all scores, ``plot`` figures
    and ``save("results/quick", name="mine")`` a run beside those of a suite. A wrong argument is a
    ValueError of one line.
    """
    from bench_uq.evaluate.choice import Choice, Limits
    from bench_uq.evaluate.evaluate import evaluate_any

    choice = Choice(
        draws=draws,
        unseen={} if unseen is None else unseen,
        conditions=conditions,
        binary=binary,
        variance=variance,
        std=std,
        mean=mean,
        outputs=outputs,
        output=output,
        mc_dropout=mc_dropout,
        device=device,
        data_dir=_path(data_dir),
        plugins=tuple(map(_path, plugins)),
        limits=Limits(test_images, attack_images, shift_images),
        name=name,
        resamples=resamples,
        seed=seed,
    )
    return evaluate_any(predicted, truth, choice)


def compare(first: Scores, second: Scores, *, metrics: Sequence[str] = ()) -> Comparison:
    """Compare two models that ``evaluate`` scored on the same labels, in pairs of examples.

    Differences have intervals by bootstrap over pairs, and p-values corrected after Holm. By
    default metrics are those that ``bench-uq check`` judges.
    """
    from bench_uq.evaluate.compare import compare as paired

    return paired(first, second, metrics=metrics)


def read_scores(path: str | Path) -> pd.DataFrame:
    """Scores of a suite's folder or of a scores.csv, a row per run, condition, level and metric."""
    from bench_uq.score.score import read_scores as read

    return read(path)


def summarise(scores: Results | pd.DataFrame | str | Path) -> pd.DataFrame:
    """Mean, spread, interval and verdict over seeds, as the tables of a report have them.

    ``scores`` is what ``run`` or ``read_scores`` returns, perhaps filtered, or the folder of a
    suite.
    """
    from bench_uq.score.results import Results
    from bench_uq.score.summarise import summary

    return summary(_folder(scores) if isinstance(scores, Results) else scores)


def verdict(results: Results | str | Path) -> Verdict:
    """The sentences with which a report begins, of results or of the folder of a suite.

    ``sentences`` answer which method is best, by how much and at what cost; ``remarks`` are doubts,
    each with its remedy. Printed, they stand line by line.
    """
    from bench_uq.score.analysis import analyse
    from bench_uq.score.results import named, read
    from bench_uq.score.verdict import verdict as said

    return said(analyse(named(read(_folder(results)))))


def _folder(results: Results | str | Path) -> Path:
    """Folder of a suite's results."""
    if isinstance(results, str | Path):
        return _path(results)
    if results.folder is None:
        from bench_uq.api.errors import UsageError

        raise UsageError("these results were not read from a folder: name the folder")
    return results.folder


def _path(name: str | Path) -> Path:
    """A path, with ~ replaced by the user's folder."""
    return Path(name).expanduser()


def _start_early(suite: str | Path, methods: Sequence[str], datasets: Sequence[str]) -> None:
    """Start the process that runs are forked from."""
    from bench_uq.api.arguments import names
    from bench_uq.run.forkserver import start_early

    start_early(str(suite), names(methods, "methods"), names(datasets, "datasets"))


def _choices(
    *,
    suite: str | Path,
    methods: Sequence[str],
    datasets: Sequence[str],
    seeds: Sequence[int],
    network: str | Path,
    settings: Mapping[str, Any] | None,
    results: str | Path,
    data_dir: str | Path,
    plugins: Sequence[str | Path],
    **others: Any,
) -> Choices:
    """What Python's arguments choose, in the form that the command line gives it."""
    from bench_uq.api import arguments
    from bench_uq.api.errors import BadValue
    from bench_uq.run.suite import Choices

    if not isinstance(settings or {}, Mapping):
        raise BadValue("settings are values by name: settings={'epochs': 10}")
    # The command line checks these as its options.
    arguments.device(others["device"])
    arguments.above_zero(others["timeout"], "timeout", finite=False)
    if others["jobs"] is not None:
        others["jobs"] = arguments.whole_number(others["jobs"], "jobs", 1)
    if "budget" in others:
        others["budget"] = arguments.above_zero(others["budget"], "budget")

    assignments = [f"{key}={_written(value)}" for key, value in (settings or {}).items()]
    return Choices(
        suite=str(suite),
        methods=arguments.names(methods, "methods"),
        datasets=arguments.names(datasets, "datasets"),
        seeds=arguments.seeds(seeds),
        network=str(network),
        assignments=tuple(assignments),
        results=_path(results),
        data_dir=_path(data_dir),
        plugins=tuple(map(_path, plugins)),
        **others,
    )


def _written(value: Any) -> str:
    """Value of a setting as --set takes it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


class _Module(ModuleType):
    """The module bench_uq, whose functions keep their names.

    Python binds a package to its name in the parent module when it is first imported. The packages
    bench_uq.run, bench_uq.report and bench_uq.check would so replace the functions.
    """

    def __setattr__(self, name: str, value: Any) -> None:
        if not (name in __all__ and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Module
