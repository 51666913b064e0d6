"""The pages in docs/ work as they are written: their files are made, their commands run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest
import yaml
from click.testing import CliRunner
from scipy import stats

from bench_uq import read_scores
from bench_uq.check.margins import read_margins
from bench_uq.cli import main
from bench_uq.plan.suite import shipped
from bench_uq.store import derived

REPO = Path(__file__).resolve().parents[1]
DOCS = REPO / "docs"
#: What makes a documented run small; the commands are else run as they stand.
FEW = ["--set", "epochs=2", "--set", "draws=3", "--set", "attack_images=20"]
SMALL = ["--seeds", "0", *FEW, "--device", "cpu"]
#: What a documented report leaves out: its figures, which take the most time.
QUICKLY = ["--formats", "html,markdown"]


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return the fenced blocks of a page: the last line before each, its language, its content."""
    found: list[tuple[str, str, str]] = []
    before, language, inside = "", None, list[str]()

    for line in (DOCS / page).read_text().splitlines():
        if language is not None and line == "```":
            found.append((before, language, "\n".join(inside) + "\n"))
            before, language, inside = "", None, []
        elif language is not None:
            inside.append(line)
        elif line.startswith("```"):
            language = line[3:]
        else:
            before = line or before

    return found


def follow(page: str, folder: Path, *small: str) -> list[str]:
    """Do what a page says, from its top to its end, and return the commands that were run.

    A Python block after a line that names a file is that file, one without is run; blocks without
    a language are commands.
    """
    done = []
    for before, language, text in blocks(page):
        named = re.search(r"`(\w+\.py)`", before)
        if language == "python" and named:
            (folder / named[1]).write_text(text)
        elif language == "python":
            command = [sys.executable, "-c", text]
            subprocess.run(command, cwd=folder, check=True, timeout=300)
        elif not language:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "bench-uq", line
                few = (*SMALL, *small) if words[1] == "run" else ()
                # The first page is done as it stands.
                if words[1] == "report" and "--formats" not in words and page != "index.md":
                    few = QUICKLY
                with contextlib.chdir(folder):
                    result = CliRunner().invoke(main, [*words[1:], *few])
                assert result.exit_code == 0, f"{line}\n{result.output}"
                done.append(line)

    return done


def shell(script: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run lines of a shell that must go well."""
    command, environment = ["bash", "-e", "-c", script], {**os.environ, **variables}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def program(folder: Path, content: str) -> str:
    """Write a bench-uq of these lines of a shell, and return the PATH in which it is the first."""
    command = folder / "bin" / "bench-uq"
    command.parent.mkdir()
    command.write_text(f"#!/bin/sh\n{content}\n")
    command.chmod(0o755)
    return f"{command.parent}:{os.environ['PATH']}"


@pytest.fixture
def path(tmp_path: Path) -> str:
    """Return a PATH in which bench-uq runs one method for few epochs."""
    few = " ".join(["--methods", "map", "--device", "cpu", *FEW])
    start = f'exec {shlex.quote(sys.executable)} -m bench_uq "$@"'
    return program(tmp_path, f'[ "$1" = run ] && set -- "$@" {few}\n{start}')


@pytest.fixture
def noted(tmp_path: Path) -> str:
    """Return a PATH in which bench-uq only notes what it is asked for, for ``replay``."""
    note = (
        "import json, os, sys; print(json.dumps(sys.argv[1:]), file=open(os.environ['NOTE'], 'a'))"
    )
    return program(tmp_path, f'exec {shlex.quote(sys.executable)} -c "{note}" "$@"')


def replay(script: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run lines of a shell, then what they asked of bench-uq: one method, for few epochs."""
    note = folder / "commands.txt"
    shell(script, folder, {**variables, "NOTE": str(note)})
    lines = note.read_text().splitlines()
    note.unlink()
    for line in lines:
        # In this process, which has imported torch once for all.
        words = json.loads(line)
        if words[0] == "run":
            words += ["--methods", "map", "--device", "cpu", *FEW]
        elif words[0] == "report" and "--formats" not in words:
            words += QUICKLY
        with contextlib.chdir(folder):
            result = CliRunner().invoke(main, words)
        assert result.exit_code == 0, f"{line}\n{result.output}"


def test_add_a_method(tmp_path: Path) -> None:
    """The method of the tutorial, under 60 lines, passes its checks, and stands beside map in the
    scores and report.
    """
    assert len(follow("add-a-method.md", tmp_path)) == 3
    assert len((tmp_path / "edl.py").read_text().splitlines()) < 60
    scores = read_scores(tmp_path / "results" / "quick")
    assert set(scores.method) == {"map", "edl"}
    assert "edl" in (tmp_path / "reports" / "quick" / "summary.md").read_text()


def test_add_a_metric(tmp_path: Path) -> None:
    """The metric of the page passes its checks, and every finished run has its score."""
    assert len(follow("add-a-metric.md", tmp_path)) == 4
    scores = read_scores(tmp_path / "results" / "quick")
    worst, all_nll = (scores[scores.metric == name] for name in ("worst_tenth", "nll"))
    assert len(worst) == len(all_nll) > 0
    assert (worst.value.to_numpy() > all_nll.value.to_numpy()).all()


def test_add_your_data(tmp_path: Path) -> None:
    """The arrays and the dataset of the page are learned, better than chance after two epochs."""
    assert len(follow("add-your-data.md", tmp_path)) == 4
    scores = read_scores(tmp_path / "results" / "quick")
    clean = scores[(scores.condition == "clean") & (scores.metric == "accuracy")]
    assert set(clean.dataset) == {"npz[path=cats.npz]", "cats"}
    assert clean[clean.method == "map"].value.min() > 0.5


def test_add_a_network(tmp_path: Path) -> None:
    """The network of the page passes its checks and is trained by every method of the quick suite."""
    assert len(follow("add-a-network.md", tmp_path)) == 2
    assert len(set(read_scores(tmp_path / "results" / "quick").method)) == 7


def test_reports(tmp_path: Path) -> None:
    """The commands and the notebook of the page run; the narrowed report replaces the whole one."""
    assert len(follow("reports.md", tmp_path)) == 3
    report = tmp_path / "reports" / "quick"
    assert (report / "summary.md").read_text().startswith("# Only map\n")
    assert not (report / "index.html").exists()


def test_start(tmp_path: Path) -> None:
    """The two commands of the first page leave a report, and its array is scored."""
    assert len(follow("index.md", tmp_path)) == 2
    assert (tmp_path / "reports" / "quick" / "index.html").is_file()


def test_bring_your_own(tmp_path: Path) -> None:
    """The forest and the network of the page are scored; the network stands in a suite."""
    follow("bring-your-own.md", tmp_path)
    assert (tmp_path / "reliability.png").stat().st_size > 10_000
    assert r"Accuracy $\uparrow$" in (tmp_path / "forest.tex").read_text()
    scores = read_scores(tmp_path / "results" / "quick")
    assert set(scores.condition) == {"clean", "fgsm", "rotate", "letters"}


def test_stress(tmp_path: Path) -> None:
    """The suite of the page is run and reported, and its shift keeps the contract."""
    for name, kind in (("mine.toml", "toml"), ("dim.py", "python")):
        (text,) = (text for _, language, text in blocks("stress.md") if language == kind)
        (tmp_path / name).write_text(text)
    follow("stress.md", tmp_path, "--methods", "map,dropout")
    conditions = set(read_scores(tmp_path / "results" / "mine").condition)
    assert {"pgd[draws=1]", "transfer", "rotate", "corruption[kind=fog]"} <= conditions
    assert (tmp_path / "reports" / "mine" / "index.html").is_file()


def script_of(job: Mapping[str, Any]) -> str:
    """Return the shell lines of a job of a build server, but what installs and what comments."""
    lines = job.get("script") or [step.get("run", "") for step in job["steps"]]
    return "\n".join(line for line in lines if not line.startswith(("pip install", "gh ")))


def test_ci(tmp_path: Path, path: str) -> None:
    """The page's commands run, and both build jobs, with few epochs, pass and leave reports."""
    paths = {"PATH": path, "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}
    shell("\n".join(text for _, language, text in blocks("ci.md") if not language), tmp_path, paths)

    builds = [yaml.safe_load(text) for _, language, text in blocks("ci.md") if language == "yaml"]
    assert len(builds) == 2
    for build in builds:
        for name in ("check.md", "check.xml"):
            (tmp_path / name).unlink(missing_ok=True)
        job = build["jobs"]["check"] if "jobs" in build else build["uncertainty"]
        shell(script_of(job), tmp_path, paths)
        assert "quick: pass" in (tmp_path / "check.md").read_text()
        assert ElementTree.parse(tmp_path / "check.xml").getroot().get("failures") == "0"
    assert "quick: pass" in (tmp_path / "summary.md").read_text()


def test_arrays_of_jobs(tmp_path: Path, noted: str) -> None:
    """The loop, the array of SLURM and both matrices make the same scores and a report."""
    scores = []
    for name, parts, joined in arrays():
        folder, total = tmp_path / name, str(len(parts))
        folder.mkdir()
        for number, part in enumerate(parts, start=1):
            array = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": total}
            nodes = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": total}
            replay(part, folder, {**array, **nodes, "PATH": noted})

        replay(joined, folder, {"PATH": noted})
        assert len(list((folder / "results/quick/runs").glob("map-*"))) == 5, name
        scores.append((folder / "results/quick/scores.csv").read_bytes())
        assert (folder / "reports/quick/index.html").is_file() or "report" not in joined

    assert len(scores) == 4
    assert len(set(scores)) == 1


def arrays() -> Iterator[tuple[str, list[str], str]]:
    """Yield the name, the script of each part and that which joins them, for each way of a page."""
    for _, language, text in blocks("cluster.md"):
        lines = [line for line in text.splitlines() if not line.startswith("#")]

        if not language and text.startswith("for K in"):
            yield "shell", lines[:1], "\n".join(lines[1:])
        elif language == "bash" and "#SBATCH --array=1-3" in text:
            slurm = "\n".join(lines)
        elif language == "bash":
            (wrapped,) = re.findall(r"--wrap '([^']*)'", text)
            yield "slurm", [slurm] * 3, wrapped
        elif language == "yaml" and "shard:" in text:
            jobs = yaml.safe_load(text)
            hosted = jobs.get("jobs", jobs)
            numbers = hosted["shard"].get("strategy", {}).get("matrix", {}).get("part", [])
            total = len(numbers) or hosted["shard"]["parallel"]
            part = script_of(hosted["shard"]).replace("${{ strategy.job-total }}", str(total))
            places = range(1, total + 1)
            parts = [part.replace("${{ matrix.part }}", str(number)) for number in places]
            yield "github" if numbers else "gitlab", parts, script_of(hosted["merge"])


def test_margins_of_the_page(tmp_path: Path) -> None:
    """The page's file of margins is read, and says what its comments say."""
    (text,) = (text for _, language, text in blocks("ci.md") if language == "toml")
    (tmp_path / "margins.toml").write_text(text)
    margins = read_margins(tmp_path / "margins.toml")
    assert margins.margin("clean", "ece") is None
    assert margins.margin("fgsm", "accuracy") == 0.5
    assert margins.floor("letters", "auroc_entropy") == 0.8


FOLDERS = [REPO, REPO / "benchmarks", REPO / "studies"]
PAGES = sorted([*(folder / "README.md" for folder in FOLDERS), *DOCS.rglob("*.md")])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_links(page: Path) -> None:
    """Every relative link leads to a file, and to a heading in it where it names one."""
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)(?:#([^)]*))?\)", page.read_text()):
        file = page.parent / target if target else page
        assert file.exists(), target
        if anchor:
            heads = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
            plain = [re.sub(r"[^a-z0-9 -]", "", head.lower()) for head in heads]
            assert anchor in [head.replace(" ", "-") for head in plain], anchor


#: A table of one score: a row for each condition, a column for each method.
BY_CONDITION = re.compile(
    r"<!-- (results/[\w-]+): (\w+) by condition -->\n(\|.*\n)\|[ -].*\n((?:\|.*\n)+)"
)


def tables_by_condition() -> Iterator[Any]:
    """Folder, score, header and rows of each such table."""
    for page in sorted(DOCS.glob("*.md")):
        for folder, metric, header, rows in BY_CONDITION.findall(page.read_text()):
            yield pytest.param(folder, metric, header, rows, id=f"{folder} {metric}")


@pytest.mark.parametrize(("folder", "metric", "header", "rows"), list(tables_by_condition()))
def test_tables_by_condition_have_the_numbers_of_their_scores(
    folder: str, metric: str, header: str, rows: str
) -> None:
    """A cell is mean and standard deviation over seeds, also of means over all corruptions."""
    scores = read_scores(REPO / folder)
    scores = scores[scores.metric == metric]
    methods = [cell.strip("` ") for cell in header.strip("|\n").split("|")][1:]
    assert set(methods) == set(scores.method)

    for line in rows.splitlines():
        name, *cells = [cell.strip("` ") for cell in line.strip("|").split("|")]
        condition, _, level = name.replace("`", "").partition(" ")
        own = scores[scores.condition == condition]
        if name == "all corruptions":
            own = scores[scores.condition.str.startswith("corruption")]
        elif level:
            own = own[own.level == float(level)]

        for method, cell in zip(methods, cells, strict=True):
            values = own[own.method == method].groupby("seed")["value"].mean()
            assert cell == f"{values.mean():.3f} ± {values.std():.3f}", (name, method)


def test_the_reading_of_fidelity_has_the_numbers_of_its_scores() -> None:
    """Every cell of the table is mean and standard deviation over seeds in the committed scores."""
    scores = read_scores(REPO / "results" / "fidelity")
    places = [
        ("nll", "clean", None),
        ("total_variation", "clean", None),
        ("total_variation", "letters", None),
        ("total_variation", "rotate", 60.0),
        ("total_variation", "transfer", 0.1),
        ("auroc_entropy", "letters", None),
    ]
    page = (DOCS / "fidelity.md").read_text()
    (table,) = re.findall(r"^\| method \| NLL \| .*\n\|-.*\n((?:^\|.*\n)+)", page, re.M)
    checked = 0
    for line in table.splitlines():
        name, *cells = [cell.strip() for cell in line.split("|")[1:-1]]
        for (metric, condition, level), cell in zip(places, cells, strict=True):
            method = name.strip("`")
            if name == "floor":
                metric, method = f"{metric}_floor", "map"
            rows = scores[(scores.metric == metric) & (scores.condition == condition)]
            rows = rows[rows.method == method]
            if level is not None:
                rows = rows[rows.level == level]
            if rows.empty:
                assert cell in ("–", "")
                continue
            assert cell == f"{rows['value'].mean():.3f} ± {rows['value'].std():.3f}", (name, metric)
            checked += 1
    assert checked > 70


#: A table whose numbers are in committed scores, and the scores of its columns after the name.
CHECKED = re.compile(
    r"<!-- (results/[\w-]+): (?!\w+ by condition)(.+) -->\n\|.*\n\|-.*\n((?:\|.*\n)+)"
)


#: Pages with tables of scores.
READ = [REPO / "README.md", *sorted(DOCS.glob("*.md"))]


@pytest.mark.parametrize("page", READ, ids=lambda page: page.name)
def test_every_table_with_a_source_is_checked(page: Path) -> None:
    """A table whose comment or rule is written otherwise would be passed over."""
    text = page.read_text()
    sources = re.findall(r"^<!-- results/[\w-]+: .*-->$", text, re.MULTILINE)
    assert len(sources) == len(CHECKED.findall(text)) + len(BY_CONDITION.findall(text))


def test_every_shipped_suite_is_named() -> None:
    """The page of all commands names each."""
    (row,) = re.findall(r"^\| suites \|.*$", (DOCS / "commands.md").read_text(), re.MULTILINE)
    assert set(shipped()) <= set(re.findall(r"`([\w-]+)`", row))


def tables_of_scores() -> Iterator[Any]:
    """Folder, columns and rows of each such table."""
    for page in READ:
        for folder, columns, rows in CHECKED.findall(page.read_text()):
            yield pytest.param(folder, columns.split("; "), rows, id=f"{page.stem} {folder}")


def test_the_bands_of_the_toy_regression_are_those_of_its_curves() -> None:
    """A cell is the predictive standard deviation, a mean over both sides, of the seeds."""
    page = (DOCS / "mnf-paper.md").read_text()
    ((header, rows),) = re.findall(
        r"^(\| predictive standard .*)\n\|-.*\n((?:\|.*\n)+)", page, re.M
    )
    places = [float(place) for place in re.findall(r"at ([\d.]+)", header)]
    curves = derived.table(REPO / "results" / "toy" / derived.CURVES)
    curves = curves[curves.curve == "regression_std"]
    assert len(rows.splitlines()) == curves.method.nunique() > 3

    for line in rows.splitlines():
        name, *cells = [cell.strip("` ") for cell in line.strip("|").split("|")]
        own = curves[curves.method == name]
        for place, cell in zip(places, cells, strict=True):
            values = own[own.x.abs().round(6) == place].groupby("seed")["y"].mean()
            assert cell == f"{values.mean():.1f} ± {values.std():.1f}", (name, place)


#: What is less what in a section of docs/fidelity.md: score, methods and decimals, in the order of the
#: page.
OF_MNF = [
    ("W2", "mnf", "mean-field", 2),
    ("NLL", "mnf", "mean-field", 2),
    ("RMSE", "mnf", "mean-field", 2),
]
OF_BOSTON = [("W2", "mean-field", "map", 2), ("NLL", "mean-field", "map", 2), *OF_MNF]
INTERVALS = [
    pytest.param(
        "fidelity-uci",
        "prior_std=0.3",
        "## Real targets",
        [*OF_BOSTON, ("W2", "mnf-conjugate", "mean-field", 2)],
        id="boston",
    ),
    pytest.param(
        "fidelity-energy",
        "prior_std=0.1",
        "### Energy",
        [
            *OF_MNF,
            ("W2", "mean-field", "map", 2),
            ("W2", "mnf-conjugate", "mean-field", 2),
            ("NLL", "mnf-conjugate", "mean-field", 3),
        ],
        id="energy",
    ),
]


@pytest.mark.parametrize(("suite", "prior", "heading", "pairs"), INTERVALS)
def test_intervals_of_real_targets_are_those_of_their_scores(
    suite: str, prior: str, heading: str, pairs: list[tuple[str, str, str, int]]
) -> None:
    """Each interval is Student's of the paired differences of the seeds."""
    scores = read_scores(REPO / "results" / suite)
    page = (DOCS / "fidelity.md").read_text()
    section = re.split(r"\n##+ ", page.partition(f"{heading}\n")[2])[0]
    metrics = {"W2": "wasserstein_2", "NLL": "nll", "RMSE": "rmse"}
    told = re.findall(r"(W2|NLL|RMSE) ([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]", section)
    assert len(told) == len(pairs)

    for (name, *numbers), (shown, one, other, digits) in zip(told, pairs, strict=True):
        own = scores[(scores.metric == metrics[name]) & (scores.condition == "clean")]
        values = own.pivot(index="seed", columns="method", values="value")
        first, second = (
            f"{method}[{prior}]" if method == "map" else f"{method}[{prior},sampling=weights]"
            for method in (one, other)
        )
        assert name == shown
        assert numbers == interval(values[first] - values[second], digits)


def interval(gaps: pd.Series, digits: int) -> list[str]:
    """Mean of paired differences and Student's interval of 95 %, as pages have them."""
    gaps = gaps.dropna()
    reach = stats.t.ppf(0.975, len(gaps) - 1) * gaps.std() / len(gaps) ** 0.5
    numbers = (gaps.mean(), gaps.mean() - reach, gaps.mean() + reach)
    return [f"{number:+.{digits}f}" for number in numbers]


def test_intervals_of_digits_are_those_of_their_scores() -> None:
    """The rows of MNF less mean-field: by default, without a cap, and with the conjugate r."""
    scores = read_scores(REPO / "results" / "fidelity")
    places = {
        "TV clean": "total_variation clean",
        "TV letters": "total_variation letters",
        "TV rotated by 60°": "total_variation rotate 60",
        "TV transfer 0.1": "total_variation transfer 0.1",
        "NLL": "nll clean",
    }
    pairs = [
        ("mnf[sampling=weights]", "mean-field[sampling=weights]"),
        ("mnf[max_std=inf,sampling=weights]", "mean-field[max_std=inf,sampling=weights]"),
        ("mnf-conjugate[sampling=weights]", "mean-field[sampling=weights]"),
    ]
    page = (DOCS / "fidelity.md").read_text()
    (table,) = re.findall(r"^\| \| as by default .*\n\|-.*\n((?:^\|.*\n)+)", page, re.M)
    lines = table.splitlines()
    assert len(lines) == len(places)

    for line in lines:
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        for (first, second), cell in zip(pairs, cells, strict=True):
            one, other = (
                values_of(scores, method, places[name]).reset_index(drop=True)
                for method in (first, second)
            )
            mean, low, high = interval(one - other, 3)
            assert cell == f"{mean} [{low}, {high}]", (name, first)


def test_what_tuning_changes_on_digits_is_that_of_its_scores() -> None:
    """Of matrix-gaussian, tuned less default: on letters and on clean digits."""
    suites = ("fidelity-tuned", "fidelity")
    tuned, default = (read_scores(REPO / "results" / suite) for suite in suites)
    page = (DOCS / "fidelity.md").read_text()
    section = page.partition("### Tuned\n")[2].partition("\n## ")[0]
    told = re.findall(r"([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]", section)
    places = (("total_variation letters", 3), ("total_variation clean", 4))
    assert len(told) == len(places)

    for numbers, (place, digits) in zip(told, places, strict=True):
        after, before = (
            values_of(scores, "matrix-gaussian", place).reset_index(drop=True)
            for scores in (tuned, default)
        )
        assert list(numbers) == interval(after - before, digits)


def test_intervals_of_tables_are_those_of_their_scores() -> None:
    """Each is Student's of the paired differences in NLL of mnf and mean-field."""
    scores = read_scores(REPO / "results" / "uci")
    scores = scores[scores.metric == "nll"]
    text = (DOCS / "uci.md").read_text()
    told = re.findall(r"(\S+) ([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]", text)
    names = {name: f"uci[name={name}]" for name, *_ in told}
    names["naval"] = "uci[name=naval-propulsion-plant]"
    assert set(names.values()) == set(scores.dataset)
    for name, *numbers in told:
        own = scores[scores.dataset == names[name]]
        values = own.pivot(index="seed", columns="method", values="value")
        assert numbers == interval(values["mnf"] - values["mean-field"], 2)


def test_intervals_of_the_paper_are_those_of_their_scores() -> None:
    """Each is Student's of mnf less mean-field, under an attack or on clean images."""
    scores = read_scores(REPO / "results" / "mnf-paper-cpu")
    text = (DOCS / "mnf-paper.md").read_text()
    told = re.findall(r"([+-][\d.]+) \[([+-][\d.]+), ([+-][\d.]+)\]", text)
    columns = [
        ("accuracy fgsm 0.1", 2),
        ("entropy fgsm 0.5", 2),
        ("error clean", 2),
        ("nll clean", 3),
    ]
    for (column, digits), numbers in zip(columns, told, strict=True):
        ours, theirs = (values_of(scores, name, column) for name in ("mnf", "mean-field"))
        gaps = pd.Series(ours.to_numpy() - theirs.to_numpy())
        assert list(numbers) == interval(gaps, digits), column


#: Columns of gains in docs/where-flows-pay.md that are in studies/posteriors.csv.
OF_LAYERS = [
    "flows=2 masks=fresh head=precision r=scalar",
    "flows=2 masks=fixed head=precision r=scalar",
    "flows=2 masks=fixed head=precision r=offset",
    "flows=2 masks=fresh head=precision r=conjugate",
    "flows=2 masks=fixed head=precision r=conjugate",
    "flows=2 masks=fresh head=precision r=network",
    "flows=2 masks=fixed head=precision r=network",
    "flows=2 masks=fixed head=precision r=exact",
]


def test_gains_of_layers_are_those_of_their_file() -> None:
    """Mean and standard error over three seeds of the bound less mean-field's; no bound is beaten."""
    layers = pd.read_csv(REPO / "studies" / "posteriors.csv")
    assert (layers.bound <= layers.log_evidence).all()
    page = (DOCS / "where-flows-pay.md").read_text()
    assert f"None of the {len(layers)} bounds in the CSV file" in page

    (table,) = re.findall(r"^\| posterior \| .*\n\|-.*\n((?:^\|.*\n)+)", page, re.M)
    layers["gain"] = layers.bound - layers.mean_field
    layers = layers[layers.start == "as shipped"]
    for line in table.splitlines():
        name, evidence, _, _, *cells = [cell.strip("* ") for cell in line.strip("|").split("|")]
        own = layers[layers.problem == name]
        assert evidence == f"{own.log_evidence.iloc[0]:.3f}"
        for variant, cell in zip(OF_LAYERS, cells, strict=True):
            gains = own[own.variant == variant].gain
            shown = (
                f"{gains.mean():+.2f} ± {gains.std() / len(gains) ** 0.5:.2f}" if len(gains) else ""
            )
            assert cell == shown, (name, variant)


@pytest.mark.parametrize(("folder", "columns", "rows"), list(tables_of_scores()))
def test_tables_have_the_numbers_of_their_scores(
    folder: str, columns: list[str], rows: str
) -> None:
    """A cell is mean and standard deviation over seeds, if there are several.

    Where there is no score it holds –.
    """
    scores = read_scores(REPO / folder)
    for line in rows.splitlines():
        name, *cells = [cell.strip("*` ") for cell in line.strip("|").split("|")]

        for column, cell in zip(columns, cells, strict=False):
            if column == "published":
                assert cell == published(REPO / folder, name), name
                continue
            values = values_of(scores, name, column)
            if values.empty:
                assert cell == "–", (name, column)
                continue
            # As many decimals as the page shows.
            digits = len(cell.partition(" ")[0].partition(".")[2])
            expected = f"{values.mean():.{digits}f}"
            if len(values) > 1:
                expected += f" ± {values.std():.{digits}f}"
            assert cell == expected, (name, column)


def published(folder: Path, method: str) -> str:
    """The test error of a method that a suite quotes; – without one."""
    quoted = pd.read_csv(folder / "reference.csv")
    quoted = quoted[(quoted.method == method) & (quoted.metric == "test_error")]
    return f"{quoted.value.iloc[0]:g}" if len(quoted) else "–"


def values_of(scores: pd.DataFrame, method: str, column: str) -> pd.Series:
    """Scores of a method by seed; a column is metric, condition and perhaps its level, then perhaps
    ``on`` and the dataset, where there are several. The error of the accuracy is in percent.
    """
    shown, _, dataset = column.partition(" on ")
    metric, condition, *level = shown.split()
    if metric == "error":
        return 100 * (1 - values_of(scores, method, column.replace("error", "accuracy", 1)))
    own = scores[(scores.method == method) & (scores.metric == metric)]
    assert dataset or own.dataset.nunique() < 2, column
    if dataset:
        own = own[own.dataset == dataset]
    own = own[own.condition == condition]
    if level:
        own = own[own.level == float(level[0])]
    return own["value"]
