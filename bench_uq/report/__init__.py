"""Tables, figures, a page and a summary of a suite, from its derived files alone; loads neither
torch nor netcal.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from bench_uq.api.errors import UsageError, unknown
from bench_uq.report import reuse
from bench_uq.report.paper import PAPER, Paper
from bench_uq.store import sha256, write_bytes

if TYPE_CHECKING:
    from bench_uq.score.analysis import Analysis
    from bench_uq.score.cards import Cards
    from bench_uq.score.results import Results

__all__ = ["FIGURES", "FORMATS", "contents", "earlier", "write"]

#: The formats of figures, and all that a report can be written in.
FIGURES = ("pdf", "png", "svg")
FORMATS = ("latex", "markdown", "html", *FIGURES)
#: The file that lists the others beneath what they show, and what their names look like.
LIST = "files.txt"
OURS = re.compile(
    r"index\.html|summary\.md|tables/[a-z0-9][a-z0-9.-]*\.tex"
    r"|figures/[a-z0-9][a-z0-9.-]*\.(pdf|png|svg)"
)


def write(
    suite: Path,
    target: Path,
    *,
    formats: Collection[str] = FORMATS,
    methods: Collection[str] = (),
    datasets: Collection[str] = (),
    metrics: Collection[str] = (),
    conditions: Collection[str] = (),
    title: str = "",
    plugins: Collection[Path] = (),
    labels: Mapping[str, str] = MappingProxyType({}),
    levels: Mapping[str, float] = MappingProxyType({}),
    paper: Paper = PAPER,
    notice: Callable[[str], None] = lambda text: None,
) -> list[Path]:
    """Write the report of the results in ``suite`` to ``target``; return its files.

    ``methods``, ``datasets``, ``metrics`` and ``conditions`` limit it, ``title`` replaces the
    suite's name, and ``plugins`` are files with metrics; ``labels`` are how methods, datasets and
    conditions are called, by name. ``levels`` stand for conditions where there is room for one, and
    figures are drawn for ``paper``. Files of an earlier report are deleted if this one lacks
    them in the same formats, or if it shows other results or other parts of them, so that no paper
    goes on with them. A mistake leaves nothing behind. ``notice`` is told the verdict in sentences.
    """
    for name in formats:
        if name not in FORMATS:
            raise unknown("format", name, FORMATS)

    chosen = {"methods": methods, "datasets": datasets, "metrics": metrics}
    chosen["conditions"] = conditions
    spelled = {**chosen, "title": [title], "labels": list(map(str, labels.items()))}
    spelled |= {"levels": list(map(str, levels.items())), "paper": [str(paper)]}
    code = reuse.code_key(file for file in plugins if file.is_file())
    shown = _shown(suite, spelled) if suite.is_dir() else ""
    old_runs = reuse.stale_key(suite, plugins) if suite.is_dir() else ""
    key = hashlib.sha256(f"{shown} {code} {old_runs}".encode()).hexdigest()
    made = reuse.read(_list(target))
    if made is not None and made.fits(key, formats) and reuse.whole(target, made, made.sums):
        return _as_before(suite, target, made, plugins, notice)

    # Everything is worked out before the first file is touched, so that a mistake leaves an earlier
    # report as it was.
    analysis = _analysed(suite, chosen, title, labels, levels, plugins)
    found = _assembled(analysis, formats, _Earlier(target, made, code), paper)
    new = replace(_told(analysis), key=key, formats=tuple(sorted(formats)))
    new = replace(new, sums=reuse.sums_of(found.files), drawings=found.drawings)
    written = _replace(target, found.files, formats, shown, new)
    for sentence in new.told:
        notice(sentence)
    return written


@dataclass(frozen=True)
class _Earlier:
    """The report that lies in a folder, and the hash of the code of the one to be made."""

    folder: Path
    made: reuse.Made | None
    code: str


@dataclass(frozen=True)
class _Assembled:
    """The files of a report by their path in it, and the files of each drawing by its key."""

    files: dict[str, bytes]
    drawings: dict[str, tuple[str, ...]]


def _analysed(
    suite: Path,
    chosen: Mapping[str, Collection[str]],
    title: str,
    labels: Mapping[str, str],
    levels: Mapping[str, float],
    plugins: Collection[Path],
) -> Analysis:
    """The analysis of the chosen results, with the names that readers see."""
    # Formats can be listed without the seconds that pandas and matplotlib take to load.
    from bench_uq.plan.plugins import Plugins
    from bench_uq.score.analysis import analyse
    from bench_uq.score.asked_levels import levels_at
    from bench_uq.score.cards import Cards
    from bench_uq.score.results import named, read, select

    cards = Cards(Plugins(tuple(plugins)).metrics())
    results = select(read(suite, cards, plugins), cards=cards, **chosen)
    results = named(replace(results, title=title), labels)
    return analyse(results, cards, levels_at(results, levels))


def _told(analysis: Analysis) -> reuse.Made:
    """Print the warnings about results; the verdict in sentences, and whether there were any."""
    from bench_uq.score.banners import banner, say_of
    from bench_uq.score.verdict import verdict

    say_of(analysis.results)
    return reuse.Made(told=verdict(analysis).all, warned=bool(banner(analysis.results)))


def _as_before(
    suite: Path,
    target: Path,
    made: reuse.Made,
    plugins: Collection[Path],
    notice: Callable[[str], None],
) -> list[Path]:
    """Say what was said of a report that lies there as it would be made again; its files."""
    from bench_uq.score.banners import tell

    if made.warned:
        tell(suite, plugins)
    for sentence in made.told:
        notice(sentence)
    return [target / name for name in sorted({*made.sums, LIST})]


def _list(target: Path) -> list[str]:
    """The lines of the list of a report; empty without one."""
    if not (target / LIST).is_file():
        return []
    # The list may be damaged or made by others.
    return (target / LIST).read_bytes().decode("utf-8", errors="replace").splitlines()


def _replace(
    target: Path, files: dict[str, bytes], formats: Collection[str], shown: str, made: reuse.Made
) -> list[Path]:
    """Write the files of a report, and delete those of an earlier one that are no longer true."""
    try:
        stale, kept = earlier(target) - files.keys(), set[str]()
        # A page of all methods beside the summary of one would be read as one report.
        if stale and (target / LIST).read_bytes().startswith(shown.encode()):
            kept = {name for name in stale if _format(name) not in formats}
        names = sorted(kept | files.keys())
        files[LIST] = "\n".join([shown, *names, "", *made.lines(), ""]).encode()

        written = []
        for name, content in sorted(files.items()):
            write_bytes(target / name, content)
            written.append(target / name)
        for name in stale - kept:
            (target / name).unlink(missing_ok=True)
    except OSError as error:
        raise UsageError(
            f"cannot write the report to {error.filename or target}: {error.strerror or error}"
        ) from None
    return written


def _format(name: str) -> str:
    """Return the format that a file of a report belongs to."""
    suffix = PurePosixPath(name).suffix[1:]
    return {"tex": "latex", "md": "markdown"}.get(suffix, suffix)


def _shown(suite: Path, chosen: Mapping[str, Collection[str]]) -> str:
    """A line that is the same for the same results, narrowed to the same parts."""
    from bench_uq.score.published import FILE
    from bench_uq.score.trials import of_tuned, untuned
    from bench_uq.store import derived
    from bench_uq.store.about import ABOUT
    from bench_uq.store.budgets import other_budgets
    from bench_uq.store.examples import EXAMPLES

    parts: dict[str, Any] = {name: sorted(values) for name, values in chosen.items()}
    for name in (*derived.COLUMNS, *derived.PACKED, "environment.json", EXAMPLES, ABOUT, FILE):
        if (suite / name).is_file():
            parts[name] = sha256(suite / name)
    trials, defaults = of_tuned(suite), untuned(suite)
    if trials is not None:
        parts[trials.name] = sha256(trials)
    if trials is not None and defaults is not None:
        for name in (derived.RUNS, derived.SCORES, *derived.PACKED, derived.BY_GROUP):
            if (defaults / name).is_file():
                parts[f"{name} at the defaults"] = sha256(defaults / name)
    for budget, folder in other_budgets(suite).items():
        for name in (derived.RUNS, derived.SCORES, *derived.PACKED):
            if (folder / name).is_file():
                parts[f"{name} at {budget:g}"] = sha256(folder / name)
    return f"of {hashlib.sha256(json.dumps(parts).encode()).hexdigest()}"


def earlier(target: Path) -> set[str]:
    """Return the files of the report that lies in a folder, as it lists them; none but those that a
    report writes.
    """
    # Files that it names are deleted.
    return set(filter(OURS.fullmatch, _list(target)))


def contents(
    results: Results, formats: Collection[str] = FORMATS, cards: Cards | None = None
) -> dict[str, bytes]:
    """The files of a report by their path in it."""
    from bench_uq.score.analysis import analyse

    return _assembled(analyse(results, cards), formats, None, PAPER).files


def _assembled(
    analysis: Analysis, formats: Collection[str], earlier: _Earlier | None, paper: Paper
) -> _Assembled:
    """The files of a report on an analysis.

    Drawings of an earlier report that show the same are taken from there.
    """
    from bench_uq.report import latex, markdown

    files, drawings = dict[str, bytes](), dict[str, tuple[str, ...]]()
    links = list[tuple[str, PurePosixPath]]()
    # The tables first: what they work out, the processes that draw do not work out again.
    if "latex" in formats:
        for name, text in latex.fragments(analysis).items():
            files[f"tables/{name}"] = text.encode()

    images = [name for name in FIGURES if name in formats]
    shown = dict[tuple[str, str], bytes]()
    if images:
        shown, drawings = _drawn_once(analysis, images, earlier, paper)
        for (dataset, name), image in shown.items():
            files[f"figures/{name}"] = image
            links.append((dataset, PurePosixPath("figures", name)))

    if "markdown" in formats:
        files["summary.md"] = markdown.summary(analysis, links).encode()
    if "html" in formats:
        from bench_uq.report import page as html

        files["index.html"] = html.page(analysis, shown).encode()
    return _Assembled(files, drawings)


def _drawn_once(
    analysis: Analysis, formats: Collection[str], earlier: _Earlier | None, paper: Paper
) -> tuple[dict[tuple[str, str], bytes], dict[str, tuple[str, ...]]]:
    """The images of all figures, and the files of each drawing by its key.

    Those that an earlier report shows the same are taken from there.
    """
    # seaborn takes seconds to load, and text needs none of it.
    from bench_uq.report import figures

    drawings = figures.drawings_of(analysis)
    if earlier is None:
        each = figures.draw_each(analysis, drawings, formats, paper)
        return _joined(each), {}

    keys = reuse.drawing_keys(drawings, earlier.code, formats, paper)
    known = dict[str, figures.Known]()
    for one in drawings:
        images = None
        if earlier.made is not None:
            images = reuse.images_of(earlier.folder, earlier.made, keys[one.name], one.dataset)
        if images is not None:
            known[one.name] = images

    each, files = figures.draw_each(analysis, drawings, formats, paper, known), {}
    for name, images in each.items():
        files[keys[name]] = tuple(f"figures/{file}" for _, file in images)
    return _joined(each), files


def _joined(each: Mapping[str, Mapping[tuple[str, str], bytes]]) -> dict[tuple[str, str], bytes]:
    """The images of all drawings together."""
    found = dict[tuple[str, str], bytes]()
    for images in each.values():
        found |= images
    return found
