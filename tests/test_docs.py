"""The pages in docs/ work as they are written: their files are made, their commands run."""

from __future__ import annotations

import math
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml

from bench_uq import read_scores
from bench_uq.check.margins import read_margins

REPO = Path(__file__).resolve().parents[1]
DOCS = REPO / "docs"
#: What makes a documented run small; the commands are else run as they stand.
SMALL = [
    "--seeds",
    "0",
    "--set",
    "epochs=2",
    "--set",
    "draws=3",
    "--set",
    "attack_images=20",
    "--device",
    "cpu",
]


def blocks(page: str) -> list[tuple[str, str, str]]:
    """Return the fenced blocks of a page: the last line of text before each, its language, its content."""
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


def follow(page: str, folder: Path) -> list[str]:
    """Do what a page says, from its top to its end, and return the commands that were run.

    A Python block after a line that names a file is that file, one without is run; blocks without a language are
    commands.
    """
    done = []
    for before, language, text in blocks(page):
        named = re.search(r"`(\w+\.py)`", before)
        if language == "python" and named:
            (folder / named[1]).write_text(text)
        elif language == "python":
            run([sys.executable, "-c", text], folder)
        elif not language:
            for line in text.splitlines():
                words = shlex.split(line, comments=True)
                assert words[0] == "bench-uq", line
                run(
                    [
                        sys.executable,
                        "-m",
                        "bench_uq",
                        *words[1:],
                        *(SMALL if words[1] == "run" else ()),
                    ],
                    folder,
                )
                done.append(line)
    return done


def run(command: list[str], folder: Path) -> None:
    """Run a command that must go well."""
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"


def shell(script: str, folder: Path, variables: Mapping[str, str]) -> None:
    """Run lines of a shell that must go well."""
    environment = {**os.environ, **variables}
    done = subprocess.run(
        ["bash", "-e", "-c", script], cwd=folder, env=environment, capture_output=True
    )
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()


def test_add_a_method(tmp_path: Path) -> None:
    """The method of the tutorial, under 60 lines, passes its checks, and stands beside map in the scores and report."""
    assert len(follow("add-a-method.md", tmp_path)) == 3
    assert len((tmp_path / "evidential.py").read_text().splitlines()) < 60
    scores = read_scores(tmp_path / "results" / "quick")
    assert set(scores.method) == {"map", "evidential"}
    assert "evidential" in (tmp_path / "reports" / "quick" / "summary.md").read_text()


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
    clean = scores[
        (scores.condition == "clean") & (scores.metric == "accuracy") & (scores.method == "map")
    ]
    assert set(clean.dataset) == {"npz[path=cats.npz]", "cats"}
    assert clean.value.min() > 0.5


def test_add_a_network(tmp_path: Path) -> None:
    """The network of the page passes its checks and is trained by every method of the quick suite."""
    assert len(follow("add-a-network.md", tmp_path)) == 2
    assert len(set(read_scores(tmp_path / "results" / "quick").method)) == 5


def test_reports(tmp_path: Path) -> None:
    """The commands and the notebook of the page run, and the narrowed report is the last one written."""
    assert len(follow("reports.md", tmp_path)) == 3
    report = tmp_path / "reports" / "quick"
    assert (report / "summary.md").read_text().startswith("# Only map\n")
    assert "dropout" in (report / "index.html").read_text()


def test_stress(tmp_path: Path) -> None:
    """The suite of the page is run and reported, and its shift keeps the contract."""
    (text,) = (text for _, language, text in blocks("stress.md") if language == "toml")
    (tmp_path / "mine.toml").write_text(text)
    (shift,) = (text for _, language, text in blocks("stress.md") if language == "python")
    (tmp_path / "dim.py").write_text(shift)
    for line in (
        line
        for _, language, text in blocks("stress.md")
        if not language
        for line in text.splitlines()
    ):
        words = shlex.split(line)
        small = [*SMALL, "--methods", "map,dropout"] if words[1] == "run" else []
        run([sys.executable, "-m", "bench_uq", *words[1:], *small], tmp_path)
    assert {"pgd[draws=1]", "transfer", "rotate", "corruption[kind=fog]"} <= set(
        read_scores(tmp_path / "results" / "mine").condition
    )
    assert (tmp_path / "reports" / "mine" / "index.html").is_file()


def scripts(page: str) -> list[list[str]]:
    """Return the shell lines of each YAML block of a page, as the build server runs them."""
    found = []
    for _, language, text in blocks(page):
        if language == "yaml":
            job = yaml.safe_load(text)
            steps = (
                job["jobs"]["check"]["steps"]
                if "jobs" in job
                else [{"run": line} for line in job["uncertainty"]["script"]]
            )
            found.append([step["run"] for step in steps if "run" in step])
    return found


def test_ci(tmp_path: Path) -> None:
    """The commands of the page run, and both build jobs, with fewer epochs, pass and leave their reports."""
    command = tmp_path / "bin" / "bench-uq"
    command.parent.mkdir()
    few = " ".join(
        ["--methods", "map", "--set", "epochs=2", "--set", "draws=3", "--set", "attack_images=20"]
    )
    command.write_text(
        f'#!/bin/sh\n[ "$1" = run ] && set -- "$@" {few}\nexec {shlex.quote(sys.executable)} -m bench_uq "$@"\n'
    )
    command.chmod(0o755)
    paths = {
        "PATH": f"{command.parent}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }

    shell("\n".join(text for _, language, text in blocks("ci.md") if not language), tmp_path, paths)
    jobs = scripts("ci.md")
    assert len(jobs) == 2
    for lines in jobs:
        for name in ("check.md", "check.xml"):
            (tmp_path / name).unlink(missing_ok=True)
        shell(
            "\n".join(line for line in lines if not line.startswith(("pip install", "gh "))),
            tmp_path,
            paths,
        )
        assert "quick: pass" in (tmp_path / "check.md").read_text()
        assert ElementTree.parse(tmp_path / "check.xml").getroot().get("failures") == "0"
    assert "quick: pass" in (tmp_path / "summary.md").read_text()


def test_arrays_of_jobs(tmp_path: Path) -> None:
    """The page's loop, its array of SLURM and both matrices, with few epochs, make the same scores and a report."""
    command = tmp_path / "bin" / "bench-uq"
    command.parent.mkdir()
    few = " ".join(
        ["--methods", "map", "--set", "epochs=2", "--set", "draws=3", "--set", "attack_images=20"]
    )
    device = '[ "$1" = run ] && set -- "$@" --device cpu'
    start = (
        f'[ "$1" = run ] && set -- "$@" {few}\nexec {shlex.quote(sys.executable)} -m bench_uq "$@"'
    )
    command.write_text(f"#!/bin/sh\n{device}\n{start}\n")
    command.chmod(0o755)
    scores = []
    for name, parts, joined in arrays():
        folder = tmp_path / name
        folder.mkdir()
        for number, part in enumerate(parts, start=1):
            array = {"SLURM_ARRAY_TASK_ID": str(number), "SLURM_ARRAY_TASK_COUNT": str(len(parts))}
            nodes = {"CI_NODE_INDEX": str(number), "CI_NODE_TOTAL": str(len(parts))}
            paths = {"PATH": f"{command.parent}:{os.environ['PATH']}"}
            shell(part, folder, {**array, **nodes, **paths})
        shell(joined, folder, paths)
        assert len(list((folder / "results/quick/runs").glob("map-*"))) == 3, name
        scores.append((folder / "results/quick/scores.csv").read_bytes())
        assert (folder / "reports/quick/index.html").is_file() or "report" not in joined
    assert len(scores) == 4
    assert len(set(scores)) == 1


def arrays() -> Iterator[tuple[str, list[str], str]]:
    """Yield a name, the script of each part and that which joins them, for each way of docs/cluster.md."""
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
            script, joined = (
                "\n".join(
                    line
                    for step in hosted[name].get("steps")
                    or [{"run": line} for line in hosted[name]["script"]]
                    for line in [step.get("run", "")]
                    if not line.startswith("pip install")
                )
                for name in ("shard", "merge")
            )
            numbers = hosted["shard"].get("strategy", {}).get("matrix", {}).get("part", [])
            total = len(numbers) or hosted["shard"]["parallel"]
            part = script.replace("${{ strategy.job-total }}", str(total))
            parts = [
                part.replace("${{ matrix.part }}", str(number)) for number in range(1, total + 1)
            ]
            yield "github" if numbers else "gitlab", parts, joined


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
            assert anchor in {
                re.sub(r"[^a-z0-9 -]", "", head.lower()).replace(" ", "-") for head in heads
            }, anchor


def test_the_reading_of_mnist_stress_has_the_numbers_of_its_scores() -> None:
    """Every number of both tables is the mean over seeds in the scores that are committed."""
    scores = read_scores(REPO / "results" / "mnist-stress")
    means = scores.groupby(["metric", "condition", "level", "method"], dropna=False)["value"].mean()
    known: dict[tuple[str, ...], float] = {}
    for (metric, condition, level, method), value in means.items():
        known[metric, condition, "" if math.isnan(level) else f"{level:g}", method] = value
    page, checked = (DOCS / "mnist-stress.md").read_text(), 0
    for metric, table in zip(
        ("accuracy", "auroc_entropy"), re.findall(r"(?:^\|.*\n)+", page, re.M), strict=True
    ):
        header, _, *rows = (
            [cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()
        )
        for name, *cells in rows:
            condition, _, level = name.replace("`", "").partition(" ")
            for method, cell in zip(header[-5:], cells, strict=True):
                assert cell == f"{known[metric, condition, level, method]:.3f}", (
                    metric,
                    name,
                    method,
                )
                checked += 1
    assert checked == 70
