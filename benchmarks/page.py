"""Sort the leaderboard of a page with 2,000 rows in a headless browser.

For each column it prints the median over clicks and the longest time in milliseconds: from the
click until the table is laid out (the script and the layout that it forces), and from the click
until the next frame is painted.
"""

from __future__ import annotations

import itertools
import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench_uq.report import page as html
from bench_uq.score.analysis import analyse
from bench_uq.score.results import Results
from bench_uq.store.derived import COLUMNS, LATER
from benchmarks.synthetic import METHODS, plan_run

METRICS = (
    *("accuracy", "nll", "brier", "ece", "ece_if_calibrated"),
    *("adaptive_ece", "auroc_entropy", "entropy", "aurc"),
)
DATASETS, CONDITIONS, LEVELS, SEEDS = 8, 5, 5, 3
CLICKS = 15
FLAGS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu")
#: Sorts by a column again and again; milliseconds until the layout and until the painting.
TIMED = """
const [key, clicks, done] = arguments;
const table = document.getElementById("scores");
const times = [];
function painted() {
  return new Promise((resolve) => requestAnimationFrame(() => {
    const channel = new MessageChannel();
    channel.port1.onmessage = resolve;  // comes after the frame
    channel.port2.postMessage(null);
  }));
}
(async () => {
  for (let click = 0; click < clicks; click += 1) {
    await painted();
    const start = performance.now();
    document.querySelector(`#scores th[data-key="${key}"] button`).click();
    table.offsetHeight;
    const laid = performance.now();
    await painted();
    times.push([laid - start, performance.now() - start]);
  }
  done(times);
})();
"""


def results() -> Results:
    """Results of 10 methods on 8 datasets, 25 conditions and levels each, 3 seeds; no curves."""
    random = np.random.default_rng(0)
    names = [f"dataset-{place}" for place in range(DATASETS)]
    runs = [plan_run(*key) for key in itertools.product(names, METHODS[:10], range(SEEDS))]
    conditions = [f"attack-{place}" for place in range(CONDITIONS)]

    rows = []
    for run in runs:
        where = (run["dataset"], run["method"], run["seed"])
        for condition, level, metric in itertools.product(conditions, range(LEVELS), METRICS):
            rows.append((*where, condition, float(level), metric, random.random(), run["run"]))

    scores = pd.DataFrame(rows, columns=COLUMNS["scores.csv"].split())
    curves = pd.DataFrame(columns=COLUMNS["curves.csv.gz"].split(), dtype=float)
    columns = [*COLUMNS["runs.csv"].split(), *LATER["runs.csv"].split()]
    table = pd.DataFrame(runs, columns=columns).assign(reason="", diagnosis="", left_out="")
    return Results("two-thousand", table, scores, curves)


def browser() -> webdriver.Chrome:
    """Chromium without a window."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in (*FLAGS, "--window-size=1300,900"):
        options.add_argument(flag)
    service = Service(executable_path=shutil.which("chromedriver"))
    return webdriver.Chrome(options=options, service=service)


def main() -> None:
    """Print the times of sorting by a name and by two scores, of the main metrics and of all."""
    driver = browser()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.html")
        path.write_text(html.page(analyse(results())), encoding="utf-8")
        driver.get(path.as_uri())

        counts = []
        for selector in ("tr", "tr > *"):
            script = f"return document.querySelectorAll('#scores tbody {selector}').length"
            counts.append(driver.execute_script(script))
        print(f"{counts[0]} rows, {counts[1]} cells, {path.stat().st_size / 1e6:.1f} MB")

        print("column    laid out: median  longest    painted: median  longest   (ms)")
        for key in ("method", "accuracy", "nll"):
            laid, painted = zip(*driver.execute_async_script(TIMED, key, CLICKS), strict=True)
            numbers = (statistics.median(laid), max(laid), statistics.median(painted), max(painted))
            print(f"{key:<18}" + "{:>8.1f} {:>8.1f} {:>18.1f} {:>8.1f}".format(*numbers))
    driver.quit()


if __name__ == "__main__":
    main()
