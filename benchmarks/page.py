"""Sort the leaderboard of a page with 2,000 rows in a browser without a window.

``python -m benchmarks.page`` prints for each column the median over clicks, and their longest: of the click until the
table is laid out anew (the script and the layout that it forces), and of the click until the next frame is painted.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from selenium import webdriver
from selenium.webdriver.chrome.service import Service

from bench_uq.report import page as html
from bench_uq.score.results import Results
from bench_uq.store.derived import COLUMNS, LATER
from benchmarks.synthetic import METHODS, plan_run

METRICS = (
    "accuracy",
    "nll",
    "brier",
    "ece",
    "ece_if_calibrated",
    "adaptive_ece",
    "auroc_entropy",
    "entropy",
    "aurc",
)
DATASETS, CONDITIONS, LEVELS, SEEDS = 8, 5, 5, 3
CLICKS = 15
FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--window-size=1300,900",
)
#: Sort by a column again and again; times in milliseconds of layout and of painting.
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
    """Return results of 10 methods on 8 datasets in 25 places each, three seeds; no curves."""
    random = np.random.default_rng(0)
    datasets = [f"dataset-{place}" for place in range(DATASETS)]
    runs = [
        plan_run(name, method, seed)
        for name in datasets
        for method in METHODS[:10]
        for seed in range(SEEDS)
    ]
    places = [
        (f"attack-{one}", float(level)) for one in range(CONDITIONS) for level in range(LEVELS)
    ]
    scores = pd.DataFrame(
        [
            (
                run["dataset"],
                run["method"],
                run["seed"],
                condition,
                level,
                metric,
                random.random(),
                run["run"],
            )
            for run in runs
            for condition, level in places
            for metric in METRICS
        ],
        columns=COLUMNS["scores.csv"].split(),
    )
    columns = [*COLUMNS["runs.csv"].split(), *LATER["runs.csv"].split()]
    table = pd.DataFrame(runs, columns=columns).assign(reason="", converged="True")
    return Results(
        "two-thousand",
        table,
        scores,
        pd.DataFrame(columns=COLUMNS["curves.csv"].split(), dtype=float),
    )


def main() -> None:
    """Print the times of sorting by a name and by two scores, of the main metrics and of all."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for flag in FLAGS:
        options.add_argument(flag)
    driver = webdriver.Chrome(
        options=options, service=Service(executable_path=shutil.which("chromedriver"))
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "index.html")
        path.write_text(html.page(results()), encoding="utf-8")
        driver.get(path.as_uri())
        rows = driver.execute_script("return document.querySelectorAll('#scores tbody tr').length")
        cells = driver.execute_script(
            "return document.querySelectorAll('#scores tbody tr > *').length"
        )
        print(f"{rows} rows, {cells} cells, {path.stat().st_size / 1e6:.1f} MB")
        print("column    laid out: median  longest    painted: median  longest   (ms)")
        for key in ("method", "accuracy", "nll"):
            laid, painted = zip(*driver.execute_async_script(TIMED, key, CLICKS), strict=True)
            numbers = (statistics.median(laid), max(laid), statistics.median(painted), max(painted))
            print(f"{key:<18}" + "{:>8.1f} {:>8.1f} {:>18.1f} {:>8.1f}".format(*numbers))
    driver.quit()


if __name__ == "__main__":
    main()
