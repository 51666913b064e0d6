"""Tables of the UCI repository: their splits are the published ones, and what is wrong is told by
file and line.
"""

from __future__ import annotations

import gzip
import hashlib
import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bench_uq.api import Examples, Gaussian, UsageError
from bench_uq.datasets._files import read_content
from bench_uq.datasets.uci import TABLES, Uci
from bench_uq.plan.plugins import Plugins

Load = Callable[..., Examples]

MINE = Uci(name="mine")
TABLE = np.column_stack([np.arange(25), np.arange(25) ** 2, np.arange(25) / 8])


def save(root: Path, text: str, name: str = "mine.txt") -> Path:
    """Write a table."""
    file = root / "uci" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(text)
    return file


def spelled(separator: str = " ", header: str = "", table: np.ndarray = TABLE) -> str:
    """Return the table as text."""
    lines = [header]
    for row in table:
        lines.append(separator.join(f"{cell:.12g}" for cell in row) + "\n")
    return "".join(lines)


def rows(examples: Examples) -> np.ndarray:
    """Return the rows of a table again."""
    return np.column_stack([examples.inputs, examples.targets])


def refused(root: Path) -> str:
    """Return the one line for which the table is refused."""
    with pytest.raises(UsageError) as caught:
        MINE.load("train", root)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("name", "count", "features", "first"),
    [
        ("boston", 506, 13, 24.0),
        ("concrete", 1030, 8, 79.99),
        ("energy", 768, 8, 15.55),
        ("kin8nm", 8192, 8, 0.53652416),
        ("naval-propulsion-plant", 11934, 16, 0.95),
        ("protein-tertiary-structure", 45730, 9, 17.284),
        ("wine-red", 1599, 11, 5),
    ],
)
def test_the_tables(
    name: str, count: int, features: int, first: float, load: Load, data_folder: Path
) -> None:
    """The real tables have the published numbers of rows and features, and a nine-to-one split of
    all rows.
    """
    dataset = Uci(name=name)
    train, test = load(dataset, "train"), load(dataset, "test")

    assert (len(train), len(test)) == (round(0.9 * count), count - round(0.9 * count))
    assert dataset.task(data_folder).input_shape == train.inputs.shape[1:] == (features,)
    assert dataset.task(data_folder).likelihood.fitted(train.targets) == Gaussian().fitted(
        train.targets
    )
    table = np.loadtxt(next(iter(dataset.files(data_folder))), dtype=np.float32)
    # Of two targets only the first is in the data.
    table = table[:, : features + 1]
    assert table[0, -1] == np.float32(first)
    together = np.concatenate([rows(train), rows(test)])
    assert np.array_equal(table[np.lexsort(table.T)], together[np.lexsort(together.T)])


def test_the_tables_are_those_to_fetch(load: Load, data_folder: Path) -> None:
    """What is fetched is what the facts are of."""
    for name, known in TABLES.items():
        dataset = Uci(name=name)
        load(dataset, "test")
        (file,) = dataset.files(data_folder)
        content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
        assert hashlib.sha256(content).hexdigest() == known.sha256
        assert [one.path for one in dataset.downloads()] == [f"uci/{name}.txt"]
    assert len(Uci().downloads()) == 7


def test_standard_folds(tmp_path: Path) -> None:
    """Folds 0 to 19 are the published ones: of one stream, seeded with 1, a choice of all rows
    after the other.
    """
    save(tmp_path, spelled())
    state = np.random.RandomState(1)
    for fold in range(20):
        order = state.choice(range(25), 25, replace=False)
        for split, places in (("train", order[:22]), ("test", order[22:])):
            found = rows(MINE.load(split, tmp_path, fold))
            assert np.array_equal(TABLE[places].astype(np.float32), found)


def test_folds_of_protein(load: Load) -> None:
    """Of protein five splits are published; the next fold is one of bench-uq's own."""
    protein = Uci(name="protein-tertiary-structure")
    state = np.random.RandomState(1)
    orders = [state.choice(45730, 45730, replace=False) for _ in range(6)]
    targets = np.empty(45730, np.float32)
    targets[orders[0]] = np.concatenate(
        [load(protein, "train").targets, load(protein, "test").targets]
    )
    for fold, published in ((4, True), (5, False)):
        same = np.array_equal(load(protein, "test", fold).targets, targets[orders[fold][41157:]])
        assert same == published


def test_another_table_under_a_published_name(tmp_path: Path, data_folder: Path) -> None:
    """Line ends may differ from the published file, numbers may not; a copy under any name is
    known.
    """
    (published,) = Uci(name="energy").files(data_folder)
    if not published.is_file():
        pytest.skip("no tables of UCI")
    text = read_content(published).decode()
    save(tmp_path, text.replace("\n", "\r\n"), "energy.txt")
    assert Uci(name="energy").task(tmp_path).input_shape == (8,)
    file = save(tmp_path, text.replace("15.55", "15.56"), "energy.txt")
    with pytest.raises(UsageError, match="not the published energy, its sha256 differs") as caught:
        Uci(name="energy").load("train", tmp_path)
    assert str(caught.value).startswith(f"{file}: ")

    (naval,) = Uci(name="naval-propulsion-plant").files(data_folder)
    save(tmp_path, read_content(naval).decode())
    assert MINE.task(tmp_path).input_shape == (16,)
    assert Uci(name="mine", target="17").task(tmp_path).input_shape == (17,)


def test_target(tmp_path: Path) -> None:
    """The target is the last column, or one by its name or number; the others are features."""
    save(tmp_path, spelled(",", "a,b,c\n"))
    for target, column in (("last", 2), ("c", 2), ("b", 1), ("0", 0)):
        test = Uci(name="mine", target=target).load("test", tmp_path)
        order = np.random.RandomState(1).choice(25, 25, replace=False)[22:]
        assert np.array_equal(test.targets, TABLE[order, column].astype(np.float32))
        rest = np.delete(TABLE[order], column, 1)
        assert np.array_equal(test.inputs, rest.astype(np.float32))

    with pytest.raises(UsageError, match=r"unknown column of mine 'd' \(known: a, b, c\)"):
        Uci(name="mine", target="d").load("test", tmp_path)
    with pytest.raises(
        UsageError, match="target is for tables of your own: that of boston is column 13"
    ):
        Plugins().spec("dataset", "uci[name=bostonHousing,target=3]")


NOISE = np.random.default_rng(0).normal(size=(25, 3))
NAMED = pd.DataFrame(NOISE, columns=["a", "b", "y"])
INDEX = "the first column has no name and numbers the rows: left out"


@pytest.mark.parametrize(
    ("text", "features", "remarks"),
    [
        (NAMED.to_csv(index=False), NOISE[:, :2], []),
        (NAMED.to_csv(), NOISE[:, :2], [INDEX]),
        (NAMED.sample(frac=1, random_state=1).sort_index(ascending=False).to_csv(), NOISE[::-1, :2], [INDEX]),
        (pd.read_csv(io.StringIO(NAMED.to_csv())).to_csv(index=False), NOISE[:, :2], [INDEX]),
        (pd.DataFrame(NOISE).to_csv(index=False), NOISE[:, :2], ["line 1 (0,1,2) is read as names of columns"]),
        (pd.DataFrame(NOISE).to_csv(), NOISE[:, :2], ["line 1 (,0,1,2) is read as names of columns", INDEX]),
        (NAMED.set_axis([2019, 2021, 2024], axis=1).to_csv(index=False), NOISE[:, :2], ["line 1 (2019,2021,2024) is read as names of columns"]),
        # R's write.table: no name above the names of rows
        (NAMED.set_axis(range(1, 26)).to_csv(sep=" ")[1:], NOISE[:, :2], [INDEX]),
        (NAMED.assign(row=range(7, 32))[["row", "a", "y"]].to_csv(index=False), np.column_stack([range(7, 32), NOISE[:, 0]]), ["column 0 (row) counts the rows of the file"]),
        (NAMED.to_csv(header=False), np.column_stack([range(25), NOISE[:, :2]]), ["column 0 counts the rows of the file"]),
        # an unnamed column that is no index, and a grid
        (NAMED.rename(columns={"a": ""}).to_csv(index=False), NOISE[:, :2], []),
        (pd.DataFrame(np.arange(75).reshape(25, 3)).to_csv(index=False, header=False), np.arange(75).reshape(25, 3)[:, :2], []),
    ],
)  # fmt: skip
def test_what_writers_add(
    text: str, features: np.ndarray, remarks: list[str], tmp_path: Path
) -> None:
    """Names of columns and the index that pandas and R write are no data, and are told."""
    save(tmp_path, text)
    train, test = (MINE.load(split, tmp_path) for split in ("train", "test"))
    order = np.random.RandomState(1).choice(25, 25, replace=False)

    found = np.concatenate([train.inputs, test.inputs])
    assert np.allclose(found, features[order], atol=1e-5)
    assert list(train.remarks) == remarks


def test_first_fold_by_hand(tmp_path: Path) -> None:
    """The first fold of ten rows is NumPy's well-known first permutation of seed 1."""
    save(tmp_path, "".join(f"{row} {row}\n" for row in range(10)))

    assert MINE.load("train", tmp_path).targets.tolist() == [2, 9, 6, 4, 0, 3, 1, 7, 8]
    assert MINE.load("test", tmp_path).targets.tolist() == [5]


def test_every_seed_has_a_fold(tmp_path: Path) -> None:
    """Folds part the rows, each in its own way, also beyond the published ones, and are the same
    every time.
    """
    save(tmp_path, spelled())
    seen = set()
    folds = [*range(30), 2**31, 2**32 - 1, 2**32, 2**32 + 20, 2**63 - 1, 2**64 - 1]
    for fold in folds:
        train, test = (rows(MINE.load(split, tmp_path, fold)) for split in ("train", "test"))
        assert (len(train), len(test)) == (22, 3)
        assert sorted([*train[:, 0], *test[:, 0]]) == list(range(25))
        assert np.array_equal(test, rows(MINE.load("test", tmp_path, fold)))
        seen.add(tuple(train[:, 0]))
    assert len(seen) == len(folds)


@pytest.mark.parametrize("separator", [" ", "\t", "   ", ",", ", ", ";"])
@pytest.mark.parametrize("header", ["", "a{0}b{0}c\n", '"a, b"{0}"c"{0}"d e"\n', "\n\n"])
def test_separators_and_headers(tmp_path: Path, separator: str, header: str) -> None:
    """White space, commas or semicolons part the cells; a line of names and empty lines are passed
    over.
    """
    save(tmp_path, spelled(separator, header.format(separator)))

    assert len(MINE.load("train", tmp_path)) == 22
    assert MINE.task(tmp_path).input_shape == (2,)


@pytest.mark.parametrize(
    "name", ["mine.txt", "mine.csv", "mine.data", "mine.txt.gz", "mine.csv.gz", "mine.data.gz"]
)
def test_file_names(tmp_path: Path, name: str) -> None:
    """A table is the file of its name with one of these endings."""
    file = save(tmp_path, spelled(), name)
    if name.endswith(".gz"):
        file.write_bytes(gzip.compress(file.read_bytes()))

    assert [file] == MINE.files(tmp_path)
    assert len(MINE.load("test", tmp_path)) == 3


def test_two_files_of_a_name(tmp_path: Path) -> None:
    """Which of two files is meant is not guessed."""
    files = [save(tmp_path, spelled(), name) for name in ("mine.txt", "mine.csv")]

    assert refused(tmp_path) == f"uci[name=mine] is several files: {files[0]}, {files[1]}"


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("1 2 x", "'x' is not a number"),
        ("1 2 3,5", "'3,5' is not a number"),
        ("1 2", "2 cells, line 1 has 3"),
        ("1 2 3 4", "4 cells, line 1 has 3"),
        ("1 nan 3", "nan is not a finite number"),
        ("1 2 inf", "inf is not a finite number"),
        ("1 2 1e300", "1e300 is not a finite number"),
        ("1 ? 3", "'?' is not a number"),
        ("a b c", "'a' is not a number"),
    ],
)
def test_bad_lines(tmp_path: Path, line: str, reason: str) -> None:
    """A cell that is no finite number, and a row of another length, are told by file and line."""
    lines = spelled().splitlines()
    file = save(tmp_path, "\n".join([*lines[:12], "", line, *lines[12:]]))

    assert refused(tmp_path) == f"{file}, line 14: {reason}"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0 rows of numbers, expected 10 at least"),
        (b"a b\n" + b"1 2\n" * 9, "9 rows of numbers, expected 10 at least"),
        (b"1\n" * 20, "one column, expected 2 at least: features and a target"),
        (b"1 2\n\xff\xfe\n", "not text, byte 4 is not UTF-8"),
    ],
)
def test_no_table(tmp_path: Path, content: bytes, reason: str) -> None:
    """Too few rows or columns, and a file that is no text, are told with what is needed."""
    file = save(tmp_path, "")
    file.write_bytes(content)

    assert refused(tmp_path) == f"{file}: {reason}"


def test_corrupt_gzip(tmp_path: Path) -> None:
    """A corrupt gzip is named."""
    file = save(tmp_path, "", "mine.txt.gz")
    file.write_bytes(gzip.compress(spelled().encode())[:-9])
    assert refused(tmp_path).startswith(f"{file}: corrupt gzip, ")


def test_unknown_tables(tmp_path: Path) -> None:
    """A missing table lists those that are there."""
    save(tmp_path, spelled(), "mines.csv")
    save(tmp_path, spelled(), "others.txt.gz")
    place, known = tmp_path / "uci", "did you mean 'mines'? (known: mines, others)"
    assert refused(tmp_path) == f"uci[name=mine]: no such table in {place}; {known}"


def test_names() -> None:
    """A table has one name in results; a name that is a path is none; without a name, loading asks
    for one.
    """
    shown = {"boston": "boston", "bostonHousing": "boston", "wine-quality-red": "wine-red"}
    for given, name in shown.items():
        assert Plugins().spec("dataset", f"uci[name={given}]").name == f"uci[name={name}]"
    for name in ("../mine", "a/b", "a b", "/etc/passwd", "a\\b"):
        with pytest.raises(UsageError, match="name must be that of a table"):
            Plugins().spec("dataset", f"uci[name={name}]")
    with pytest.raises(UsageError, match=r"say which, uci\[name=boston\|concrete\|"):
        Plugins().spec("dataset", "uci").value.load("test", Path())


@pytest.mark.parametrize("column", [1, 3])
def test_a_spread_below_single_precision(tmp_path: Path, column: int) -> None:
    """A feature or target with an offset that float32 cannot hold is refused by its column; a
    constant is not.
    """
    table = TABLE.copy()
    table[:, column - 1] = 1.7e9 + 3 * np.arange(25)
    save(tmp_path, spelled(table=table))
    line = refused(tmp_path)
    assert f"column {column}: a standard deviation of 21.6" in line
    assert "steps of 128: subtract an offset" in line

    table[:, column - 1] = 1.7e9
    save(tmp_path, spelled(table=table))
    assert len(MINE.load("train", tmp_path)) == 22


def test_targets_below_single_precision() -> None:
    """Float32 targets of any dataset that step by the last digit are refused."""
    targets = (1.7e9 + 100 * np.arange(50)).astype(np.float32)
    with pytest.raises(ValueError, match="steps of 128: subtract an offset"):
        Gaussian().check(targets)
    Gaussian().check(targets - targets[0])
