"""The page of a report in a browser: it opens quietly, sorts, filters, draws, and nothing in a name
runs.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from bench_uq.report import page as html
from bench_uq.report.looks import looks
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results, named, read, select
from bench_uq.score.trials import Trial

HOSTILE = "</script><img src=x onerror=alert(1)>"
IMAGE = "<img src=x onerror=alert(2)>"
FORMULA = '=HYPERLINK("http://evil.example";"x")'
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")

#: The shown texts of one column of the leaderboard, by its key.
COLUMN = """
const place = [...document.querySelectorAll("#scores thead th")].findIndex((cell) => cell.dataset.key === arguments[0]);
return [...document.querySelectorAll("#scores tbody tr")].map((row) => row.children[place].textContent);
"""
#: The least contrast of text and ground among elements, and the element that has it (WCAG 2.1, 1.4.3).
CONTRAST = """
const rgb = (text) => text.match(/[\\d.]+/g).map(Number);
const light = (text) => rgb(text).slice(0, 3)
  .map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
  .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
function ground(element) {
  for (let one = element; one; one = one.parentElement) {
    const color = getComputedStyle(one).backgroundColor;
    if (rgb(color)[3] !== 0) return color;
  }
  return "rgb(255, 255, 255)";
}
const found = [...document.querySelectorAll(arguments[0])].filter((one) => one.checkVisibility()).map((one) => {
  const style = getComputedStyle(one);
  const own = light(one.closest("svg") && one.tagName === "text" ? style.fill : style.color);
  const [low, high] = [own, light(ground(one))].sort((one, other) => one - other);
  return [(high + 0.05) / (low + 0.05), one.outerHTML.slice(0, 80)];
});
return found.sort((one, other) => one[0] - other[0])[0];
"""

#: The colour of the open method's lines, and its contrast to the ground as their filter shows it.
LINE = """
const light = (parts) => parts.slice(0, 3)
  .map((one) => one / 255).map((one) => (one <= 0.04045 ? one / 12.92 : ((one + 0.055) / 1.055) ** 2.4))
  .reduce((sum, one, place) => sum + one * [0.2126, 0.7152, 0.0722][place], 0);
const line = getComputedStyle(document.querySelector("#curves path.own"));
const ground = getComputedStyle(document.querySelector("#curves figure")).backgroundColor;
const canvas = document.createElement("canvas").getContext("2d");
canvas.filter = line.filter;
canvas.fillStyle = line.stroke;
canvas.fillRect(0, 0, 9, 9);
const shown = light([...canvas.getImageData(4, 4, 1, 1).data]);
const [low, high] = [shown, light(ground.match(/[\\d.]+/g).map(Number))].sort((one, other) => one - other);
return [line.stroke, (high + 0.05) / (low + 0.05)];
"""


class Page:
    """One page in the browser."""

    def __init__(self, browser: webdriver.Chrome, path: Path) -> None:
        self.browser = browser
        self.address = path.as_uri()
        for kind in ("browser", "performance"):
            browser.get_log(kind)  # what earlier pages left there
        self.emulate(scheme="light")
        browser.get("about:blank")  # from there no page is kept as it was left
        browser.get(self.address)

    def script(self, text: str, *arguments: Any) -> Any:
        """Run a script and return its value."""
        return self.browser.execute_script(text, *arguments)

    def emulate(self, *, scheme: str = "light", media: str = "", width: int = 1300) -> None:
        """Look at the page in light or dark, on a screen of some width or on paper."""
        feature = {"name": "prefers-color-scheme", "value": scheme}
        self.browser.execute_cdp_cmd(
            "Emulation.setEmulatedMedia", {"media": media, "features": [feature]}
        )
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)

    def find(self, selector: str) -> Any:
        """Return one element."""
        return self.browser.find_element("css selector", selector)

    def column(self, key: str) -> list[str]:
        """Return the texts of a column from top to bottom."""
        return self.script(COLUMN, key)

    def sort(self, key: str) -> list[str]:
        """Click a column and return its texts."""
        self.find(f'#scores th[data-key="{key}"] button').click()
        return self.column(key)

    def choose(self, name: str, value: str) -> None:
        """Choose an option of a filter as a user does."""
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', {bubbles: true}));"
        self.script(script, self.find(f"#filter-{name}"), value)
        assert self.script("return arguments[0].value", self.find(f"#filter-{name}")) == value

    def filters(self) -> dict[str, str]:
        """Return what the filters are set to."""
        names = ("dataset", "condition", "level", "metric", "method")
        return {
            name: self.script("return arguments[0].value", self.find(f"#filter-{name}"))
            for name in names
        }

    def count(self, selector: str) -> int:
        """Return how many elements there are."""
        return self.script("return document.querySelectorAll(arguments[0]).length", selector)

    def open(self, method: int) -> None:
        """Open the curves of a method, by its place."""
        self.find(f'button.method[data-method="{method}"]').click()

    def assert_quiet(self) -> None:
        """The browser complained of nothing, and asked for nothing but the page and its data links."""
        assert self.browser.get_log("browser") == []
        events = [
            json.loads(one["message"])["message"] for one in self.browser.get_log("performance")
        ]
        asked = [one["params"] for one in events if one["method"] == "Network.requestWillBeSent"]
        own = [one["request"]["url"] for one in asked if one["documentURL"] == self.address]
        assert self.address in own  # the log works
        assert not [one for one in own if one != self.address and not one.startswith("data:")]


@pytest.fixture(scope="module")
def browser(
    absent: Callable[[str], NoReturn], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[webdriver.Chrome]:
    """Return a browser without a window; selenium looks for no driver of its own."""
    paths = {name: shutil.which(name) for name in ("chromium", "chromedriver")}
    for name, path in paths.items():
        if path is None:
            absent(f"{name} is not installed")

    options = webdriver.ChromeOptions()
    options.binary_location = str(paths["chromium"])
    for flag in (
        *FLAGS,
        "--window-size=1300,900",
        f"--user-data-dir={tmp_path_factory.mktemp('profile')}",
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(
        options=options, service=Service(executable_path=str(paths["chromedriver"]))
    )

    yield driver
    driver.quit()


@pytest.fixture(scope="module")
def opened(
    browser: webdriver.Chrome, tmp_path_factory: pytest.TempPathFactory
) -> Callable[[Results], Page]:
    """Return the function that opens the page of some results."""
    folder = tmp_path_factory.mktemp("pages")
    written: list[Results] = []

    def opened_page(results: Results) -> Page:
        if not any(one is results for one in written):
            written.append(results)
            text = html.page(analyse(results))
            (folder / f"{len(written)}.html").write_text(text, encoding="utf-8")
        place = [one is results for one in written].index(True) + 1
        return Page(browser, folder / f"{place}.html")

    return opened_page


@pytest.fixture
def page(opened: Callable[[Results], Page], told: Results) -> Page:
    """Return the page of the results in which much went wrong."""
    return opened(told)


@pytest.fixture(scope="module")
def hostile(make_results: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Results:
    """Return results whose methods, datasets, conditions, reasons and title mean harm."""
    names = {
        "datasets": (HOSTILE, "all"),
        "unseen": (FORMULA,),
        "attacks": (IMAGE, "javascript:alert(1)"),
    }
    failed = {("map", 0): {"status": "failed", "reason": HOSTILE, "environment": HOSTILE}}
    folder = tmp_path_factory.mktemp("hostile") / "hostile"
    made = make_results(
        folder, ("map", HOSTILE, FORMULA, "<b>b</b>", "__proto__"), (0, 1), runs=failed, **names
    )
    return replace(read(made), title=HOSTILE)


def number(text: str) -> float | None:
    """Return the mean that a cell shows, None for a dash."""
    return None if text == "–" else float(text.split()[0])


@pytest.mark.parametrize("count", [2, 12])
def test_opens_without_a_word_and_asks_for_nothing(
    count: int, make_results: Callable[..., Path], opened: Callable[[Results], Page], tmp_path: Path
) -> None:
    """Two methods or twelve: no message in the console, no request, a row for each method."""
    methods = [f"m{place}[option={place}]" for place in range(count)]
    page = opened(read(make_results(tmp_path / "some", methods)))
    page.sort("nll")
    page.find("button.method").click()
    assert len(page.column("method")) == count
    page.assert_quiet()


def test_a_tuned_suite_shows_its_trials(
    told: Results, tried: Callable[..., tuple[Trial, ...]], opened: Callable[[Results], Page]
) -> None:
    """A row for each method, a curve that rests on studies instead of seeds, and no message."""
    digits = told.on("digits")
    page = opened(replace(digits, trials=tried(digits.methods, studies=2)))
    assert page.count("#tuning tbody tr") == len(digits.methods)
    page.find('nav a[href="#tuning"]').click()
    page.open(0)
    script = (
        "return [...document.querySelectorAll('#curves figcaption')].map((one) => one.textContent)"
    )
    assert "mean and range over 2 studies" in page.script(script)
    assert "3 seeds" in page.script(script)
    page.assert_quiet()


def test_sorts_best_first_and_missing_values_last(page: Page) -> None:
    """The first click shows the best first, the next the worst; what has no value stands last both
    times.
    """
    for key, best_is_highest in (("accuracy", True), ("nll", False)):
        for down in (best_is_highest, not best_is_highest):
            values = [number(text) for text in page.sort(key)]
            known = [value for value in values if value is not None]
            assert values == [*sorted(known, reverse=down), *[None] * (len(values) - len(known))]
            assert None in values
            shown = page.find(f'th[data-key="{key}"]').get_attribute("aria-sort")
            assert shown == ("descending" if down else "ascending")
    assert page.script("return document.querySelectorAll('#scores [aria-sort]').length") == 1


def test_sorts_by_all_digits(
    by_hand: Callable[..., Results], opened: Callable[[Results], Page]
) -> None:
    """Values that look the same when rounded, huge ones and tiny ones are sorted as numbers."""
    values = (0.12345678, 0.12345677, 0.12345679, 100.0, 9.0)
    names = ("map", "mnf", "dropout", "ensemble", "sgld")
    scores = {(name, "nll"): value for name, value in zip(names, values, strict=True)}
    page = opened(by_hand(scores))
    page.sort("nll")
    assert page.column("method") == ["mnf", "map", "dropout", "sgld", "ensemble"]
    page.find('th[data-key="nll"] button').send_keys(Keys.ENTER)  # a key is as good as a click
    assert page.column("method") == ["ensemble", "sgld", "dropout", "map", "mnf"]


def test_filters_narrow_the_rows_and_the_columns(page: Page, told: Results) -> None:
    """Dataset, condition, level, metric and a part of the name leave what they say, and the line
    above counts it.
    """
    assert len(page.column("method")) == 2 * len(told.methods)
    page.choose("dataset", "=digits")
    assert len(page.column("method")) == len(told.methods)
    page.choose("condition", "=fgsm")
    assert sorted(set(page.column("level"))) == ["0", "0.05", "0.1", "0.2", "0.3", "0.5"]
    page.choose("level", "=0.3")
    assert set(page.column("level")) == {"0.3"}
    page.choose("metric", "=ece")
    keys = page.script(
        "return [...document.querySelectorAll('#scores thead th')].map((cell) => cell.dataset.key)"
    )
    assert keys == ["method", "level", "seeds", "ece", "ece_if_calibrated"]
    page.find("#filter-method").send_keys("MEAN")
    assert page.column("method") == ["mean-field †"]
    assert page.find("#status").text.startswith(
        "1 of 154 rows: dataset digits, condition fgsm, level 0.3."
    )
    page.find("#reset").click()
    assert len(page.column("method")) == 2 * len(told.methods)

    # Some browsers and tools tell of a choice by ``change``, not by ``input``.
    script = "arguments[0].value = '=digits'; arguments[0].dispatchEvent(new Event('change', {bubbles: true}));"
    page.script(script, page.find("#filter-dataset"))
    assert len(page.column("method")) == len(told.methods)


def test_one_dataset_is_no_choice(told: Results, opened: Callable[[Results], Page]) -> None:
    """Of one dataset none is offered for charts; at 400 pixels a tick stands beside its words."""
    shown = "return document.querySelector('#charts-dataset').checkVisibility()"
    assert opened(told).script(shown)
    page = opened(told.on("digits"))
    assert not page.script(shown)
    page.emulate(width=400)
    gap = """const tick = document.querySelector('#charts-apart').getBoundingClientRect();
    const words = document.createRange();
    words.selectNodeContents(document.querySelector('.tick').lastChild);
    const lines = words.getClientRects();
    return [lines.length, lines[0].left - tick.right]"""
    lines, between = page.script(gap)
    assert lines == 1
    assert 0 < between < 20


def test_datasets_have_their_display_names(opened: Callable[[Results], Page]) -> None:
    """In the rows, the choices and the sentences; the address and the data keep the names."""
    results = select(
        named(read(Path(__file__).parents[2] / "results" / "uci")), methods=["map", "mnf"]
    )
    page = opened(results)
    small = ("boston", "concrete", "energy", "kin8nm", "wine-red")
    titles = {f"UCI ({name})" for name in (*small, "naval-propulsion-plant")}
    assert set(page.column("dataset")) == titles
    page.choose("dataset", "=uci[name=boston]")
    assert page.find("#status").text.startswith(
        "2 of 12 rows: dataset UCI (boston), condition clean."
    )
    offered = page.script(
        "return [...document.querySelector('#filter-dataset').options].map((one) => one.text)"
    )
    assert set(offered) == titles | {"all datasets"}


def test_the_address_keeps_the_filters(page: Page) -> None:
    """Read anew, from a copy or after an edit, it shows the same rows and columns; all is as at
    first after a reset.
    """
    chosen = {"dataset": "=digits", "condition": "=fgsm", "level": "=0.3", "metric": "=nll"}
    for name, value in chosen.items():
        page.choose(name, value)
    page.find("#filter-method").send_keys("m&n=f #")
    address = page.browser.current_url
    page.browser.refresh()
    assert page.filters() == {**chosen, "method": "m&n=f #"}

    page.find("#filter-method").clear()
    assert "method" not in page.browser.current_url.partition("#")[2]
    assert set(page.column("level")) == {"0.3"}

    page.find("#reset").click()
    assert page.browser.current_url == page.address
    assert page.filters()["condition"] == "=clean"
    page.script("location.href = arguments[0]", address)
    WebDriverWait(page.browser, 10).until(lambda _: page.filters()["method"])
    assert page.filters() == {**chosen, "method": "m&n=f #"}
    page.assert_quiet()


def test_a_chart_for_each_method(crowded: Results, opened: Callable[[Results], Page]) -> None:
    """Small multiples: one method in colour in each, which the address keeps."""
    page, section = opened(crowded), "Calibration and selection, clean data"
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'));"
    page.script(script, page.find("#charts-section"), section)
    titles = (
        "return [...document.querySelectorAll('#charts-shown h4')].map((one) => one.textContent)"
    )
    together = page.script(titles)
    assert "Reliability" in together

    page.find("#charts-apart").click()
    address = page.browser.current_url
    for _ in range(2):
        apart = page.script(titles)
        of_reliability = [title for title in apart if title.endswith(": Reliability")]
        assert len(set(of_reliability)) == page.count("#charts-methods label")
        assert page.script("return arguments[0].value", page.find("#charts-section")) == section
        assert page.count("#charts-shown .own") == len(apart)
        # The link of the section is no address of filters.
        page.find('nav a[href="#charts"]').click()
        assert page.count("#charts-shown .own") == len(apart)
        page.browser.get("about:blank")
        page.browser.get(address)

    page.find("#charts-apart").click()
    assert page.script(titles) == together
    page.assert_quiet()


def test_the_address_keeps_the_dataset_of_the_charts(page: Page) -> None:
    """And the link to the charts, which is no address of filters, leaves the filters."""
    script = "arguments[0].selectedIndex = 1; arguments[0].dispatchEvent(new Event('change'));"
    page.script(script, page.find("#charts-dataset"))
    address = page.browser.current_url
    page.browser.get("about:blank")
    page.browser.get(address)
    assert page.script("return arguments[0].selectedIndex", page.find("#charts-dataset")) == 1

    page.choose("condition", "=fgsm")
    page.find('nav a[href="#charts"]').click()
    assert page.filters()["condition"] == "=fgsm"
    page.assert_quiet()


def test_an_unknown_address_is_ignored(page: Page) -> None:
    """What names no filter, or nothing that one offers, leaves the page as it is at first."""
    before = page.filters(), page.column("method")
    strange = ("#runs", "#__proto__=x", "#%E0%A4%A", "#condition=clean")
    for text in (*strange, "#dataset=%3Dmoon&level=9&metric=%E0%A4%A"):
        page.browser.get("about:blank")
        page.browser.get(page.address + text)
        assert (page.filters(), page.column("method")) == before
    page.assert_quiet()


def test_hostile_names_are_kept_by_the_address(
    opened: Callable[[Results], Page], hostile: Results
) -> None:
    """Names that mean harm are restored as text, and open no element on their way."""
    page = opened(hostile)
    chosen = {"dataset": f"={HOSTILE}", "condition": f"={IMAGE}"}
    chosen |= {"level": "all", "metric": "all", "method": HOSTILE}
    for name in ("dataset", "condition", "metric"):
        page.choose(name, chosen[name])
    page.find("#filter-method").send_keys(HOSTILE)
    assert not set("<>\"'") & set(page.browser.current_url.partition("#")[2])
    page.browser.refresh()
    assert page.filters() == chosen
    assert set(page.column("method")) == {HOSTILE}
    assert page.count("img, iframe, b") == 0
    page.assert_quiet()


def test_failed_and_partial_runs_are_in_the_leaderboard(page: Page) -> None:
    """A method keeps its row when its runs failed; seeds are counted with what became of the
    others.
    """
    page.choose("dataset", "=digits")
    seeds = dict(zip(page.column("method"), page.column("seeds"), strict=True))
    assert seeds["sgld"] == "0/3 · 3 diverged"
    assert seeds["mnf"] == "2/3 · 1 failed"
    assert seeds["mean-field †"] == "3 · 1 not converged"
    assert dict(zip(page.column("method"), page.column("nll"), strict=True))["sgld"] == "–"


def test_bold_is_never_given_without_a_verdict(
    make_results: Callable[..., Path], opened: Callable[[Results], Page], tmp_path: Path, page: Page
) -> None:
    """One seed cannot order methods: nothing is bold, and the page says so; three can."""
    assert page.count("#scores strong") > 0
    page = opened(read(make_results(tmp_path / "one", ("map", "mnf"), (0,))))
    assert page.count("#scores strong") == 0
    words = (
        "Nothing is bold: a comparison needs two methods that are alike, with at least two seeds"
    )
    assert words in page.find("#status").text


@pytest.mark.parametrize("key", [Keys.ENTER, Keys.SPACE, None])
def test_a_method_opens_its_curves(key: str | None, page: Page, told: Results) -> None:
    """A click or a key shows lines in the colour of the method, and how many seeds they rest on;
    Escape goes back.
    """
    page.choose("dataset", "=digits")
    button = page.find(f'button.method[data-method="{told.methods.index("mnf")}"]')
    if key is None:
        button.click()
    else:
        button.send_keys(key)

    assert page.find("#curves-title").text == "mnf"
    text = page.find("#curves").text
    assert "2 of 3 seeds finished (1 failed)." in text
    titles = ("Scores under fgsm", "Accuracy ↑", "Entropy on clean data", "Reliability")
    for title in (*titles, "Risk by coverage", "KL / N"):
        assert title in text
    strokes = "[...document.querySelectorAll('#curves path.own')].map((one) => one.getAttribute('stroke'))"
    colors = page.script(f"return {strokes}")
    assert set(colors) == {looks(told)["mnf"].color}
    assert len(colors) == page.count("#curves figure")
    texts = "[...document.querySelectorAll('#curves text')].map((one) => one.textContent)"
    assert "ln C" in page.script(f"return {texts}")

    page.browser.switch_to.active_element.send_keys(Keys.ESCAPE)
    assert not page.script("return document.getElementById('curves').open")
    assert page.browser.switch_to.active_element == button
    page.assert_quiet()


def test_curves_of_a_method_that_never_finished(page: Page, told: Results) -> None:
    """The panel says what became of its seeds, and draws but what it is to be compared with."""
    page.choose("dataset", "=digits")
    page.open(told.methods.index("sgld"))
    assert "On digits, no seed finished: 3 diverged." in page.find("#curves").text
    assert page.count("#curves figure, #curves .legend") == 0
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'));"
    page.script(script, page.find("#curves-against"), str(told.methods.index("map")))
    assert "no values of sgld" in page.find("#curves").text
    assert page.count("#curves figure") == page.count("#curves path.own") > 0
    page.assert_quiet()


def test_nothing_in_a_name_runs(opened: Callable[[Results], Page], hostile: Results) -> None:
    """Names and the title are text wherever they stand; no element comes of them."""
    page = opened(hostile)
    page.choose("condition", "all")
    assert {HOSTILE, FORMULA, "<b>b</b>", "__proto__"} < set(page.column("method"))
    assert set(page.column("dataset")) == {HOSTILE, "all"}
    assert {FORMULA, IMAGE, "javascript:alert(1)"} < set(page.column("condition"))
    assert page.browser.title == HOSTILE

    for place, method in enumerate(hostile.methods):
        page.open(place)
        assert page.find("#curves-title").text == method
        assert HOSTILE in page.find("#curves").get_attribute("textContent")
        page.find("#curves .title button").click()

    before = len(page.column("method"))
    page.choose("dataset", "=all")
    assert len(page.column("method")) == before / 2
    assert page.count("img, iframe, b, a[href^=javascript]") == 0
    page.assert_quiet()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_are_readable_in_light_and_dark(scheme: str, page: Page, told: Results) -> None:
    """All text has a contrast of at least 4.5 to 1, in the charts too; in the dark the lightness of
    lines is turned over, so that the black one of ``map`` is seen.
    """
    page.emulate(scheme=scheme)
    page.open(told.methods.index("map"))
    hidden = "svg *, svg, option, script, style, noscript, noscript *"
    ratio, element = page.script(CONTRAST, f"body *:not({hidden}), svg text")
    assert ratio >= 4.5, element
    figure = "document.querySelector('#curves figure')"
    ground = page.script(f"return getComputedStyle({figure}).backgroundColor")
    line = "document.querySelector('#curves path.own')"
    turned = page.script(f"return getComputedStyle({line}).filter")
    if scheme == "light":
        assert (ground, turned) == ("rgb(255, 255, 255)", "none")
    else:
        assert ground == "rgb(27, 31, 36)"
        assert "invert(0.9)" in turned


@pytest.mark.parametrize(("scheme", "least"), [("light", 2.2), ("dark", 3)])
def test_lines_are_seen_in_light_and_dark(
    scheme: str, least: float, page: Page, told: Results
) -> None:
    """The lines of no method are hard to see in the dark, those of ``map`` nowhere.

    Two colours, chosen for the colour-blind, are light on white.
    """
    page.emulate(scheme=scheme)
    found = dict[str, float]()
    for place, method in enumerate(told.methods):
        if told.seeds(method).finished:
            page.open(place)
            color, contrast = page.script(LINE)
            found[color] = contrast
            page.find("#curves .title button").click()
    assert len(found) >= 6
    assert found["rgb(0, 0, 0)"] > 10
    assert min(found.values()) > least, found


#: How much of an element is out of sight to the right.
BEYOND = (
    "const one = document.querySelector(arguments[0]); return one.scrollWidth - one.clientWidth"
)


def test_fits_a_telephone(page: Page) -> None:
    """At 400 pixels only the tables scroll sideways, in frames of their own."""
    page.emulate(width=400)
    assert page.script("return document.documentElement.scrollWidth") <= 400
    assert page.script(BEYOND, "#board .scroll") > 0
    page.find("button.method").click()
    assert page.script(BEYOND, "#curves") == 0


def test_says_where_columns_are_out_of_sight(page: Page) -> None:
    """A shadow and a line of text tell that a table goes on; the shadow goes at its end, both where
    there is room.
    """
    shadow = "return getComputedStyle(document.querySelector('#board .edge'), '::after').content !== 'none'"
    waited = WebDriverWait(page.browser, 10)
    page.emulate(width=400)
    waited.until(lambda _: page.script(shadow))
    assert page.find("#sideways").is_displayed()
    page.script("document.querySelector('#board .scroll').scrollTo(9999, 0)")
    waited.until(lambda _: not page.script(shadow))
    assert page.find("#sideways").is_displayed()
    page.emulate(width=2400)
    waited.until(lambda _: not page.find("#sideways").is_displayed())
    assert not page.script(shadow)


def test_uses_the_room_of_a_wide_screen(opened: Callable[[Results], Page]) -> None:
    """At 1600 pixels seven scores with four digits are in sight, and no run's name is broken."""
    page = opened(read(Path(__file__).parents[2] / "results" / "mnf-paper-cpu"))
    page.emulate(width=1600)
    script = """
    const end = document.querySelector("#board .scroll").getBoundingClientRect().right;
    const heads = [...document.querySelectorAll("#scores thead tr:last-child th")];
    const shown = heads.filter((one) => one.offsetWidth > 0);
    return shown.filter((one) => one.getBoundingClientRect().right <= end).length;
    """
    # After the method and its seeds.
    assert page.script(script) - 2 >= 7
    rows = "[...document.querySelectorAll('#runs tbody th')]"
    assert max(page.script(f"return {rows}.map((one) => one.offsetHeight)")) < 40


def test_a_score_is_seen_on_a_telephone(page: Page, told: Results) -> None:
    """At 400 pixels the seeds leave room for a whole score; what became of them is still there to
    be read aloud.
    """
    page.choose("dataset", "=digits")
    page.emulate(width=400)
    script = """
    const frame = document.querySelector("#board .scroll").getBoundingClientRect();
    const first = document.querySelectorAll("#scores tbody tr:first-child td");
    const cells = [...first].map((one) => one.getBoundingClientRect());
    return [frame.right - cells[1].right, cells[0].width];
    """
    room, seeds = page.script(script)
    assert room > 0
    assert seeds < 90

    row = page.find(f'tr:has(button.method[data-method="{told.methods.index("mean-field")}"]) td')
    assert row.get_attribute("title") == "1 not converged"
    assert row.get_attribute("textContent") == "3 · 1 not converged"
    sign = "return getComputedStyle(arguments[0].querySelector('.loose'), '::after').content"
    assert page.script(sign, row) == '"†"'
    assert page.script("return arguments[0].querySelector('.note').offsetWidth", row) == 1
    page.emulate(width=1300)
    assert page.script(sign, row) == "none"


def test_methods_and_titles_stay_in_sight(page: Page) -> None:
    """However far the leaderboard is scrolled, the names of the methods and the titles of the
    columns are seen.
    """
    page.choose("condition", "all")
    page.script("document.querySelector('#board .scroll').scrollTo(400, 1500)")
    script = """
    const frame = document.querySelector("#board .scroll").getBoundingClientRect();
    const seen = document.elementFromPoint(frame.left + 20, frame.top + 200).closest("th");
    const title = document.elementFromPoint(frame.left + 500, frame.top + 12).closest("th");
    return [seen?.getAttribute("scope"), title?.getAttribute("scope")];
    """

    page.script("document.querySelector('#board').scrollIntoView()")
    # Rows that were far from the window are laid out with its next frame.
    until = time.monotonic() + 5
    while page.script(script) != ["row", "col"] and time.monotonic() < until:
        time.sleep(0.05)
    assert page.script(script) == ["row", "col"]


def test_prints_all_rows_without_controls(page: Page) -> None:
    """On paper there are no filters, no frame cuts a table off, and every run is there."""
    page.emulate(media="print")
    assert not page.find(".controls").is_displayed()
    assert not page.find("nav").is_displayed()
    frames = "[...document.querySelectorAll('.scroll')]"
    cut = page.script(f"return {frames}.map((one) => getComputedStyle(one).overflowY)")
    assert set(cut) == {"visible"}
    assert page.count("#runs tbody tr") == 42


@pytest.fixture(scope="module")
def crowded() -> Results:
    """Return the published results of many methods, under an attack of one level."""
    return read(Path(__file__).parents[2] / "results" / "methods")


def test_many_methods_fit_the_paper(crowded: Results, opened: Callable[[Results], Page]) -> None:
    """On A4 in landscape no table is wider than the page, and verdict and chart share one."""
    page = opened(crowded)
    page.emulate(media="print", width=1032)  # 273 mm
    assert page.script("return document.documentElement.scrollWidth") <= 1032
    tall = page.script("return document.querySelector('figure.cost').offsetHeight")
    assert tall < 400


def test_scores_at_one_level_are_rows(crowded: Results, opened: Callable[[Results], Page]) -> None:
    """A curve of one point says nothing: each method has a row, the best first, and its number."""
    analysis = analyse(crowded)
    scores = {}
    for method in analysis.methods:
        own = analysis.drawn(method, "fgsm", 0.1, "accuracy")
        assert own is not None
        scores[analysis.label(method)] = own.mean

    page = opened(crowded)
    first = "document.querySelector('#charts-shown figure')"
    assert page.script(f"return {first}.querySelector('h4').textContent") == "Accuracy ↑"
    texts = f"[...{first}.querySelectorAll('text')].map((one) => one.textContent)"
    said = page.script(f"return {texts}")
    best = max(scores, key=lambda name: scores[name])
    named = [place for place, text in enumerate(said) if best.startswith(text.rstrip("…"))]
    numbers = [float(text) for text in said[named[0] + 1 :: 2]]
    assert numbers == pytest.approx(sorted(scores.values(), reverse=True), rel=5e-3)
    assert page.count("#charts-shown figure:first-child circle") == len(scores)
    page.assert_quiet()


@pytest.fixture(scope="module")
def stressed() -> Results:
    """Return the published results under many attacks and shifts."""
    return read(Path(__file__).parents[2] / "results" / "mnist-stress")


def test_no_button_stands_alone_and_no_band_is_blank(
    stressed: Results, opened: Callable[[Results], Page]
) -> None:
    """Reset stands beside the search; links follow their picture, and values need no room."""
    page = opened(stressed)
    place = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    for width in (1280, 1000, 700):
        page.emulate(width=width)
        assert page.script(place, "#reset") == page.script(place, "#filter-method")

    page.emulate(width=1280)
    bands = """return [...document.querySelectorAll("#charts-shown figure")].map((one) =>
    one.querySelector(".saves").getBoundingClientRect().top
    - one.querySelector("svg").getBoundingClientRect().bottom)"""
    assert max(page.script(bands)) < 12

    height = "return document.querySelector('#charts-shown').offsetHeight"
    before = page.script(height)
    readout = page.find("#charts-shown .readout")
    assert not readout.is_displayed()
    page.find("#charts-shown svg").send_keys(Keys.ARROW_RIGHT)
    assert readout.text.startswith("1: map 0.9")
    assert page.script(height) == before
    page.script("document.activeElement.blur()")
    assert not readout.is_displayed()
    page.assert_quiet()


def test_no_number_of_a_chart_is_cut(opened: Callable[[Results], Page]) -> None:
    """Training of 1,000 epochs ends with a number of four digits at the edge."""
    page = opened(read(Path(__file__).parents[2] / "results" / "fidelity-uci"))
    page.emulate(width=1280)
    beyond = """const found = [];
    for (const image of document.querySelectorAll("#charts-shown svg")) {
        const frame = image.getBoundingClientRect();
        for (const text of image.querySelectorAll("text")) {
            const box = text.getBoundingClientRect();
            if (box.left < frame.left - 1 || box.right > frame.right + 1) found.push(text.textContent);
        }
    }
    return found"""
    charts = page.script("return [...document.querySelector('#charts-section').options].length")
    for chart in range(charts):
        page.script(
            """const kind = document.querySelector('#charts-section');
            kind.selectedIndex = arguments[0];
            kind.dispatchEvent(new Event('change'))""",
            chart,
        )
        assert page.script(beyond) == []


def test_no_caption_is_cut(stressed: Results, opened: Callable[[Results], Page]) -> None:
    """At 400 pixels tables are wider than the page, and what they are stays in sight as a whole."""
    page = opened(stressed)
    page.emulate(width=400)
    ends = """const wide = document.querySelector('#stress .scroll');
    wide.scrollLeft = arguments[0];
    const box = wide.querySelector('caption').getBoundingClientRect();
    return [wide.scrollWidth - wide.clientWidth, box.left, box.right]"""
    hidden, left, right = page.script(ends, 0)
    assert hidden > 100
    assert left >= 0
    assert right <= 400
    assert page.script(ends, 100)[1:] == [left, right]
    # Nor does a table touch the one before it.
    gaps = """return [...document.querySelectorAll('#stress .edge + .edge')].map((one) =>
        one.getBoundingClientRect().top - one.previousElementSibling.getBoundingClientRect().bottom)"""
    assert min(page.script(gaps)) > 8


def test_what_marks_mean_is_folded_beneath_and_printed(
    stressed: Results, opened: Callable[[Results], Page]
) -> None:
    """Captions are a line each; what they explained opens by a click, and stands on paper."""
    page = opened(stressed)
    page.emulate(width=1280)
    heights = (
        "return [...document.querySelectorAll('#stress caption')].map((one) => one.offsetHeight)"
    )
    assert max(page.script(heights)) < 60

    notes = page.find("#stress .fine .notes")
    assert not notes.is_displayed()
    told = notes.get_attribute("textContent")
    assert told.count("A mean in bold may be worse than one that is not") == 1
    assert (
        "under corruption (512 examples), mean over 15 kinds and severity 1, 3, 5: Kinds: " in told
    )
    page.emulate(media="print", width=1032)
    shown = "return document.querySelector('#stress .fine .notes').checkVisibility({contentVisibilityAuto: true})"
    assert page.script(shown)
    assert page.script("return document.querySelector('#stress .fine .notes').offsetHeight") > 50


def test_verdict_chart_and_overview_are_above_the_fold(
    crowded: Results, stressed: Results, opened: Callable[[Results], Page]
) -> None:
    """On a screen of 1280 by 800 the chart is whole and the first rows of the overview are seen."""
    bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
    for results in (crowded, stressed):
        page = opened(results)
        page.emulate(width=1280)
        assert page.script(bottom, "figure.cost") < 600
        assert page.script(bottom, "#overview tbody tr:nth-child(2)") < 800


def test_the_best_of_many_is_seen_at_once(
    crowded: Results, opened: Callable[[Results], Page]
) -> None:
    """One cell a column is in bold and in its colour; the worse are in italics, in both tables."""
    page = opened(crowded)
    heads = page.count("#overview thead th")
    scores = heads - 3  # names and two costs
    assert page.count("#overview td strong") == page.count("#overview td.best") == scores
    worse = page.count("#overview td.worse") + page.count("#overview td.far")
    assert page.count("#overview td em") == worse > 5
    assert page.count("#scores td em") > 5
    bold = page.script(
        "return [...document.querySelectorAll('#scores tbody tr')].flatMap((row) => "
        "[...row.children].flatMap((cell, place) => cell.querySelector('strong') ? [place] : []))"
    )
    assert len(bold) == len(set(bold)) > 3
    assert "italic: significantly worse than the best" in page.find("#board .notes").text


def test_settings_that_all_runs_share_are_a_sentence(
    crowded: Results, opened: Callable[[Results], Page]
) -> None:
    """The table has no column for them; a rate is not rounded to a whole number."""
    page = opened(crowded)
    same = page.find("#runs .notes").text
    assert same.startswith("All runs: network lenet, draws 20, batch 128")
    assert "learning rate 0.02, schedule cosine" in same
    heads = page.script(
        "return [...document.querySelectorAll('#runs thead th')].map((one) => one.textContent)"
    )
    assert "Learning rate" not in heads
    assert {"Method", "Seed", "Epochs"} <= set(heads)


def test_downloads_are_saved_whole(page: Page, story: Path, tmp_path: Path) -> None:
    """A click on a link saves the stored file, though nothing may be loaded."""
    behaviour = {"behavior": "allow", "downloadPath": str(tmp_path), "eventsEnabled": True}
    page.browser.execute_cdp_cmd("Browser.setDownloadBehavior", behaviour)
    page.find('a[download="runs.csv"]').click()
    waited = WebDriverWait(page.browser, 10)
    waited.until(lambda _: (tmp_path / "runs.csv").is_file())
    assert (tmp_path / "runs.csv").read_bytes() == (story / "runs.csv").read_bytes()
    page.assert_quiet()


def test_controls_have_names_and_copy(page: Page) -> None:
    """What takes the focus says what it is; commands are selected where copying is forbidden."""
    page.find("#copy").click()
    WebDriverWait(page.browser, 10).until(lambda _: page.find("#copied").text)
    selected = page.script("return getSelection().toString()")
    assert selected == page.find("#commands").text
    assert selected.endswith("bench-uq report --suite story")

    page.find("button.method").click()
    script = """
    return [...document.querySelectorAll("select, input, button, a, [tabindex='0']")].filter((one) =>
      !(one.labels?.length || one.textContent.trim() || one.getAttribute("aria-label"))).map((one) => one.outerHTML);
    """
    assert page.script(script) == []


def test_says_something_without_a_script(page: Page) -> None:
    """Where scripts are switched off, tables of clean data, runs and cards are there, and no empty
    frame.
    """
    page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        page.browser.refresh()
        assert "sgld" in page.find("#leaderboard noscript").text
        assert not page.find("#board").is_displayed()
        assert "✗ diverged" in page.find("#runs").text
    finally:
        page.browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_the_overview_of_many_methods_opens(
    crowded: Results, opened: Callable[[Results], Page]
) -> None:
    """Twelve rows are seen until the button is pressed, and again after it; on paper all are."""
    rows = (
        "return [...document.querySelectorAll('#overview tbody tr')]"
        ".filter((row) => row.offsetHeight).length"
    )
    page = opened(crowded)
    button = page.find("#overview button.all")
    assert page.script(rows) == 12
    assert button.text == "Show all 31 methods"

    button.click()
    assert page.script(rows) == 31
    assert button.get_attribute("aria-expanded") == "true"
    button.click()
    assert page.script(rows) == 12

    page.emulate(media="print", width=1032)
    assert page.script(rows) == 31
    assert not button.is_displayed()
