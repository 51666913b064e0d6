"""The page of a report is one offline file that says what is there, what lacks, and how it is made."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from bench_uq.plan.plugins import PACKAGES, Plugins
from bench_uq.plan.sources import reference_of_installed
from bench_uq.report import page as html
from bench_uq.report.page import downloads
from bench_uq.report.page.cards import linked
from bench_uq.report.page.charts import chart_data
from bench_uq.report.page.leaderboard import leaderboard_data
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, read, select

ByHand = Callable[..., Results]
HOSTILE = "</script><img src=x onerror=alert(1)>"
FORMULA = '=HYPERLINK("http://evil.example";"x")'


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the texts of its scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note the text of an element by the name of that which was opened last."""
        self.texts.setdefault(self.found[-1][0] if self.found else "", []).append(data)

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        """Return the attributes of all elements of a kind."""
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def told_page(told: Results) -> str:
    return html.page(analyse(told))


@pytest.fixture(scope="module")
def hostile_page(
    make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """Return a page whose methods, datasets, conditions, reasons and title mean harm."""
    shown = {"datasets": (HOSTILE,), "unseen": (FORMULA,), "attacks": ("javascript:alert(1)",)}
    failed = {("map", 0): {"status": "failed", "reason": HOSTILE, "environment": HOSTILE}}
    folder = tmp_path_factory.mktemp("hostile") / "h"
    made = make_results(folder, ("map", HOSTILE, FORMULA), (0, 1), runs=failed, **shown)
    return html.page(analyse(replace(read(made), title=HOSTILE)))


def section_of(page: str, name: str) -> str:
    """Return a section of a page."""
    (text,) = re.findall(rf'<section id="{name}".*?</section>', page, re.DOTALL)
    return text


def embedded(page: str) -> dict[str, Any]:
    """Return the data that the script of a page reads, in which no browser finds an error."""
    pattern = r'<script type="application/json" id="data">(.*?)</script>'
    (text,) = re.findall(pattern, page, re.DOTALL)
    return json.loads(text, parse_constant=pytest.fail)


def held(page: str, name: str) -> bytes:
    """Return the file that a page holds."""
    pattern = rf'<a download="{re.escape(name)}" href="data:[^,]*;base64,([^"]*)">'
    (link,) = re.findall(pattern, page)
    content = base64.b64decode(link)
    return gzip.decompress(content) if name.endswith(".gz") else content


@pytest.mark.parametrize("name", ["told_page", "hostile_page"])
def test_policy_lets_in_its_own_script_and_style_alone(
    name: str, request: pytest.FixtureRequest
) -> None:
    """The policy names the hashes of exactly the one style and the one script."""
    page = request.getfixturevalue(name)
    (policy,) = (one["content"] for one in Elements(page).attributes("meta") if "http-equiv" in one)
    for kind in ("style", "script"):
        (text,) = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert policy.startswith("default-src 'none';")
    assert "unsafe" not in policy


@cache
def of_papers() -> frozenset[str]:
    """The addresses in the references of the shipped methods and metrics."""
    plugins, texts = Plugins(), list[str]()
    for name in plugins.names("method"):
        texts.append(reference_of_installed(name, PACKAGES["method"]))
    texts += [metric.reference for metric in plugins.metrics().values()]

    found = set[str]()
    for text in texts:
        found |= {f"https://arxiv.org/abs/{id}" for id in re.findall(r"arXiv:([\d.]*\d)", text)}
        found |= {f"https://doi.org/{id}" for id in re.findall(r"doi:([^\s,;]+)", text)}
        found |= {one.rstrip(".,;)") for one in re.findall(r"https://[^\s,;]+", text)}
    return frozenset(found)


@pytest.mark.parametrize("name", ["told_page", "hostile_page"])
def test_page_loads_nothing_and_names_open_no_element(
    name: str, request: pytest.FixtureRequest
) -> None:
    """No element has a source, a style or a handler, and none is but what the page itself writes."""
    page = request.getfixturevalue(name)
    elements = Elements(page).found
    # The only drawings without a script are those of quality against cost.
    drawings = [tag for tag, _ in elements if tag == "svg"]
    assert len(drawings) == page.count('<figure class="cost"><svg viewBox="0 0 520 270" role="img"')
    strange = {"img", "iframe", "object", "embed", "form", "base"}
    own = ("summary.md", "tables/main.tex", "figures/")
    for tag, attributes in elements:
        assert tag not in strange
        assert not {"src", "srcset", "style", "action", "background"} & set(attributes), tag
        assert not [key for key in attributes if key.startswith("on")], tag
        address = attributes.get("href") or ""
        if tag == "link":
            assert address == "data:,"
        elif tag == "a" and "download" not in attributes and address not in own:
            assert address.startswith("#") or address in of_papers()


def test_pictures_are_in_the_page(told: Results) -> None:
    """A figure is a PNG within the page, smaller than its file; its name is text, and beyond the
    room for pictures it is a link.
    """
    shape = (1200, 600)
    with io.BytesIO() as written:
        Image.effect_noise(shape, 50).save(written, "PNG")
        image = written.getvalue()
    names = ["a.png", '"><img src=x onerror=alert(1)>.png', "b.svg"]
    few = select(told, methods=["map"], metrics=["nll"])
    page = html.page(analyse(few), {("digits", name): image for name in names})
    pictures = Elements(page).attributes("img")
    assert [one["alt"] for one in pictures] == [name.removesuffix(".png") for name in names[:2]]
    for one in pictures:
        assert one.keys() == {"src", "alt"}
        kind, _, data = str(one["src"]).partition(",")
        assert kind == "data:image/png;base64"
        with Image.open(io.BytesIO(base64.b64decode(data, validate=True))) as shown:
            assert (shown.format, shown.size) == ("PNG", (1000, 500))

    many = {("digits", f"{place}.png"): image for place in range(12)}
    page = html.page(analyse(few), many)
    shown = Elements(page).attributes("img")
    linked_to = [one["href"] for one in Elements(page).attributes("a") if "href" in one]
    assert 0 < len(shown) < 12
    assert sum(len(str(one["src"])) for one in shown) < 1.3e6
    assert f"figures/{len(shown)}.png" in linked_to


def test_a_title_replaces_the_name_of_the_suite(told_page: str, told: Results) -> None:
    """Both stand in the title and the heading, as text."""
    assert "<title>story</title>" in told_page
    few = select(told, methods=["map"], metrics=["nll"])
    page = html.page(analyse(replace(few, title="Ours & theirs")))
    assert "<title>Ours &amp; theirs</title>" in page
    assert "<h1>Ours &amp; theirs</h1>" in page


def test_downloads_are_the_stored_files(story: Path, told_page: str) -> None:
    """Each file is byte for byte the one that was read, formula-like names included."""
    assert held(told_page, "runs.csv") == (story / "runs.csv").read_bytes()
    assert held(told_page, "scores.csv.gz") == (story / "scores.csv").read_bytes()
    curves = gzip.decompress((story / "curves.csv.gz").read_bytes())
    assert held(told_page, "curves.csv.gz") == curves
    environments = json.loads((story / "environment.json").read_text())
    assert json.loads(held(told_page, "environment.json")) == environments


def test_downloads_hold_the_chosen_alone(told: Results) -> None:
    """A page of one method and metric has no rows of others in its files."""
    page = html.page(analyse(select(told, methods=["map"], metrics=["nll"])))
    header, *rows = held(page, "scores.csv").decode().splitlines()
    assert header == "dataset,method,seed,condition,level,metric,value,run"
    assert rows
    assert all(",map," in row and ",nll," in row for row in rows)


def test_a_file_too_large_for_a_page_is_told(
    told: Results, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its place is said in words, and nothing is linked."""
    monkeypatch.setattr(downloads, "MOST_ROWS", 10_000)
    page = html.page(analyse(told))
    words = "curves.csv.gz is too large for this page; it lies in <code>results/story/curves.csv.gz"
    assert words in page
    assert 'download="curves' not in page


def test_failures_stand_first_among_the_runs(told_page: str) -> None:
    """Runs that did not finish come first, with their reason, then those not converged."""
    table = section_of(told_page, "runs")
    kinds = re.findall(r'<tr class="(\w+)">', table)
    assert kinds == [*["failed"] * 10, *["unconverged"] * 2, *["finished"] * 30]
    assert table.count("✗ diverged") == 6
    assert "RuntimeError: out of | &lt;memory&gt;" in table
    assert "10 runs did not finish and 2 runs had not converged (mean-field): " in told_page


def test_every_metric_of_the_results_has_its_card(told: Results, told_page: str) -> None:
    """Definition, direction and reference of each are there, others are not."""
    section, there = section_of(told_page, "metrics"), set(told.scores["metric"])
    assert set(re.findall(r"<h3><code>(\w+)</code>", section)) == there
    assert section.count("<dt>formula</dt>") == section.count("<dt>reference</dt>") == len(there)
    link = '<a href="https://arxiv.org/abs/1706.04599" rel="noopener noreferrer">arXiv:1706.04599<'
    assert link in section


def test_references_link_what_they_name_alone() -> None:
    """Addresses, DOIs and arXiv numbers become links, all else stays text."""
    assert linked("Brier 1950 <b>") == "Brier 1950 &lt;b&gt;"
    assert '<a href="https://example.org/a?b&amp;c"' in linked("see https://example.org/a?b&c.")
    assert "<a" not in linked("javascript:alert(1)")


def test_the_report_can_be_made_again(told_page: str, report: tuple[Path, list[Path]]) -> None:
    """The commands are one for a shell, and beneath them other files are linked that are there."""
    (text,) = re.findall(r'<pre id="commands"[^>]*>(.*?)</pre>', told_page, re.DOTALL)
    first, last = unescape(text).split(" &&\n")
    assert first.startswith("bench-uq run --suite quick --methods ")
    assert last == "bench-uq report --suite story"
    for name in ("reproduce", "downloads"):
        links = re.findall(r'<a href="([^"]*)">', section_of(told_page, name))
        assert links == ["summary.md", "tables/main.tex", "figures/"]
        assert all((report[0] / link).exists() for link in links)


def test_notes_explain_what_looks_wrong(told_page: str) -> None:
    """A bold mean behind others, and differences below the detectable one, are no mistakes."""
    notes = "".join(re.findall(r'<ul class="notes">(.*?)</ul>', told_page, re.DOTALL))
    assert "A mean in bold may be worse than one that is not" in notes
    assert "the more methods are compared, the larger a difference must be to be claimed" in notes
    (told,) = re.findall(r"<li>(Detectable difference: .*?)</li>", notes)
    assert "80 % power" in told
    assert "smaller gaps of less noisy methods are found too" in told


def test_without_a_script_the_main_tables_are_there(told_page: str) -> None:
    """Clean and unseen data of each dataset stand in tables, which count the seeds."""
    text = "".join(re.findall(r"<noscript>(.*?)</noscript>", told_page, re.DOTALL))
    assert text.count("<table>") == 2
    assert "k of p planned seeds finished" in text
    assert "<td>0/3</td>" in text


def test_a_method_without_a_finished_run_keeps_its_rows(told: Results) -> None:
    """It has a row in every place, without a value and with what became of its seeds."""
    board = leaderboard_data(analyse(told))
    sgld = told.methods.index("sgld")
    rows = [cells for _, method, cells in board["rows"] if method == sgld]
    assert rows == [[]] * len(board["groups"])
    assert [seeds[str(sgld)]["text"] for seeds in board["seeds"]] == ["0/3", "0/3"]
    assert {seeds[str(sgld)]["note"] for seeds in board["seeds"]} == {"3 diverged"}


def test_values_keep_their_digits_and_holes_are_counted(by_hand: ByHand) -> None:
    """A value sorts by all its digits; where a finished seed lacks one there is no mean to sort by."""
    scores = {("map", "nll"): [0.25, 0.125000001], ("mnf", "nll"): [1.5, ""]}
    board = leaderboard_data(analyse(by_hand(scores)))
    (_, _, [[_, mean, _, _, values, _]]), (_, _, [[_, alone, _, spread, one, _]]) = board["rows"]
    assert (mean, values) == ((0.25 + 0.125000001) / 2, "")
    assert (alone, spread, one) == (None, "", "1 of 2")


def test_infinite_scores_are_no_holes(by_hand: ByHand) -> None:
    """An infinite NLL is the largest of numbers, and the data stay valid JSON."""
    page = html.page(analyse(by_hand({("map", "nll"): "inf", ("mnf", "nll"): 1.0})))
    assert embedded(page)["rows"][0][2][0][1:3] == [sys.float_info.max, "∞"]


def test_the_verdict_stands_first(told_page: str) -> None:
    """Before the leaderboard, a few sentences; behind the overview, a list for each dataset."""
    folded = section_of(told_page, "unsure")
    assert told_page.index('id="verdict"') < told_page.index('id="leaderboard"')
    assert re.findall("<h3>(.*?)</h3>", folded) == ["boston", "digits"]
    assert "<li>Accuracy: " in folded
    assert "<li>Accuracy: " not in section_of(told_page, "verdict")


def test_ece_never_stands_alone(told: Results) -> None:
    """What a calibrated model would show is a column wherever the ECE is, and follows it."""
    alone, named = (
        leaderboard_data(analyse(results))["metrics"]
        for results in (select(told, metrics=["ece"]), told)
    )
    assert [metric["id"] for metric in alone] == ["ece", "ece_if_calibrated"]
    place = [metric["id"] for metric in named].index("ece")
    assert named[place + 1]["after"] == place


def test_charts_tell_how_many_seeds_they_rest_on(told: Results) -> None:
    """Lines of methods with missing runs count the seeds; those without a run have no line."""
    found = chart_data(analyse(told))
    digits = found["charts"][told.datasets.index("digits")]
    sections = {chart["section"] for chart in digits}
    assert {"Scores under fgsm", "Entropy of the predictions", "Training"} < sections
    for chart in digits:
        seeds = {told.methods[line["method"]]: line["seeds"] for line in chart["lines"]}
        assert "sgld" not in seeds
        assert {seeds.get("map", 3), seeds.get("mnf", 2), seeds.get("dropout", 2)} == {2, 3}
        for line in chart["lines"]:
            assert len(line["y"]) == len(found["grids"][line["x"]])

    # Accuracy by level has a line at 1/C, the AUROC one at a half, the NLL none.
    under = [chart for chart in digits if chart["section"] == "Scores under fgsm"]
    marks = {chart["title"]: chart["marks"] for chart in under}
    assert [(mark["axis"], mark["at"]) for mark in marks["AUROC ↑"]] == [("y", 0.5)]
    assert [mark["name"] for mark in marks["Accuracy ↑"]] == ["1/C"]
    assert marks["NLL ↓"] == []


def test_datasets_without_any_finished_run_are_there(by_hand: ByHand) -> None:
    """Their rows, their runs and their commands are shown; there is nothing to draw."""
    runs = [{"method": "map", "seed": 0, "status": "failed", "reason": "boom"}]
    page = html.page(analyse(by_hand(runs=runs)))
    data = embedded(page)
    assert (data["rows"], data["charts"]) == ([[0, 0, []]], [[]])
    assert "boom" in page


def test_scores_of_detection_are_told_apart(told: Results) -> None:
    """No two columns of the leaderboard have one name."""
    labels = {one["id"]: one["label"] for one in leaderboard_data(analyse(told))["metrics"]}
    assert len(set(labels.values())) == len(labels)
    assert (labels["auroc_entropy"], labels["fpr95_epistemic"]) == ("AUROC", "FPR95 by MI")
    assert labels["entropy"] == "Mean entropy"


def test_methods_keep_their_look_among_fewer(told: Results) -> None:
    """A page of one method draws it as the page of all does."""
    everyone = {one["name"]: one for one in leaderboard_data(analyse(told))["methods"]}
    (alone,) = leaderboard_data(analyse(select(told, methods=["sgld"])))["methods"]
    assert alone == everyone["sgld"]


def test_each_kind_of_table_has_a_section(told: Results, told_page: str) -> None:
    """Detection, costs and ranks, reached by links; doubts follow the overview."""
    for name, words in {
        "ood": "separated from clean test data",
        "cost": "Training",
        "ranks": "Mean ranks across datasets",
    }.items():
        assert words in section_of(told_page, name)
        assert f'<a href="#{name}">' in told_page
    assert section_of(told_page, "cost").count("<table>") == len(told.datasets)

    places = [
        told_page.index(f'<section id="{name}"') for name in ("verdict", "overview", "unsure")
    ]
    assert places == sorted(places)
    one = html.page(analyse(told.on(told.datasets[0])))
    assert 'id="ranks"' not in one


def test_the_diagram_of_ranks_stands_beside_them(told: Results) -> None:
    """The section of ranks shows the figure, where there is one."""
    picture = io.BytesIO()
    Image.new("RGB", (8, 8)).save(picture, "png")
    images = {("", "ranks.png"): picture.getvalue(), ("digits", "digits-cost.png"): b""}
    images["digits", "digits-cost.png"] = picture.getvalue()
    page = html.page(analyse(told), images)
    assert 'data-name="ranks"' in section_of(page, "ranks")
    assert 'data-name="digits-cost"' not in section_of(page, "ranks")
    assert 'data-name="digits-cost"' in section_of(page, "figures")


def test_means_under_stress_have_a_section(told: Results, told_page: str) -> None:
    """A table for each attack and shift, if any; the best are bold, and names are text."""
    section = section_of(told_page, "stress")
    assert '<a href="#stress">' in told_page
    tables = re.findall(r"<table>.*?</table>", section, re.DOTALL)
    assert len(tables) == 3
    assert "digits: under rotate, mean over angle (degrees)" in section
    assert all(table.count("<tr>") == 1 + len(told.methods) for table in tables)
    assert "<strong>" in section
    assert "a_b%$&amp;{}" in section
    assert "<script" not in section

    page = html.page(analyse(select(told, datasets=["boston"])))
    assert 'id="stress"' not in page
    assert "#stress" not in page


def test_a_chart_says_what_is_dotted_and_why_lines_have_gaps(
    by_hand: Callable[..., Results],
) -> None:
    """Where a level has no mean of all seeds the note says so, and only there."""
    values = [0.1, 0.2]
    scores = {}
    for level in (0.1, 0.2):
        scores["map", "ece", "fgsm", level] = values
        scores["map", "accuracy", "fgsm", level] = values
        scores["map", "ece_if_calibrated", "fgsm", level] = values

    def notes() -> dict[str, str]:
        (found,) = chart_data(analyse(by_hand(scores)))["charts"]
        levels = [chart for chart in found if chart["section"] == "Scores under fgsm"]
        return {chart["title"].split()[0]: chart["note"] for chart in levels}

    assert notes() == {"Accuracy": "", "ECE": "dotted: ECE floor"}
    scores["map", "accuracy", "fgsm", 0.2] = [0.1, math.inf]
    scores["map", "ece", "fgsm", 0.2] = [0.1, math.inf]
    gaps = "gaps: not every seed has a value"
    assert notes() == {"Accuracy": gaps, "ECE": f"dotted: ECE floor; {gaps}"}


def test_charts_of_kinds_are_those_of_their_mean(
    make_results: Callable[..., Path], tmp_path: Path
) -> None:
    """Fifteen corruptions do not fill the page: it has their mean, and what refusing is worth."""
    kinds = [f"corruption[kind=k{place}]" for place in range(15)]
    results = read(make_results(tmp_path / "s", attacks=(*kinds, "fgsm")))
    (found,) = chart_data(analyse(results))["charts"]
    by_level = {chart["section"] for chart in found if chart["section"].startswith("Scores under")}
    assert by_level == {"Scores under corruption (mean of 15 kinds)", "Scores under fgsm"}
    rejected = [chart["title"] for chart in found if chart["section"].startswith("Rejection")]
    assert rejected == ["corruption (mean of 15 kinds), severity = 3", "fgsm, ε = 0.2"]


def test_calibration_under_an_attack_is_a_chart(by_hand: ByHand) -> None:
    """Reliability at the middle level, beside that of clean data, whose bins are others."""
    scores = {("map", "accuracy"): [0.9, 0.9]}
    curves = {}
    for level, accuracy in ((0.1, 0.7), (0.2, 0.4), (0.3, 0.1)):
        scores["map", "accuracy", "fgsm", level] = [accuracy, accuracy]
        for seed in (0, 1):
            for part, value in (("share", 1.0), ("accuracy", accuracy), ("confidence", 0.8)):
                curves["map", seed, f"reliability_{part}", "fgsm", level] = {0.8: value}

    (charts,) = chart_data(analyse(by_hand(scores, curves)))["charts"]
    (shown,) = [chart for chart in charts if chart["section"].startswith("Calibration")]
    assert shown["title"] == "fgsm, ε = 0.2"
    assert shown["lines"][0]["y"] == [0.4]
    assert shown["lines"][0]["seeds"] == 2
