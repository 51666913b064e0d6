"""Every mistake a user can make is told in one line that names it, with exit code 2, and nothing is written."""

from __future__ import annotations

import gzip
import io
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq.api.errors import UsageError
from bench_uq.cli import main
from bench_uq.store.folders import writable

REPO = Path(__file__).resolve().parents[2]
LONG = "a" * 65
BASELINE = REPO / "results" / "quick" / "baseline.csv"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    """Return all that lies in a folder."""
    return {
        str(path.relative_to(folder)): path.read_bytes() if path.is_file() else b""
        for path in sorted(folder.rglob("*"))
        if "__pycache__" not in path.parts
    }


def told(*arguments: str) -> str:
    """Return the one line that a mistake is told in."""
    before = tree(Path())
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert [line[:7] for line in result.output.splitlines()] == ["Error: "], result.output
    assert tree(Path()) == before
    return result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        # names
        (["run", "--methods", "mnff"], "unknown method 'mnff'; did you mean 'mnf'?"),
        (["run", "--datasets", "digit"], "unknown dataset 'digit'; did you mean 'digits'?"),
        (["run", "--suite", "quik"], "unknown suite 'quik'; did you mean 'quick'?"),
        (["run", "--suite", "nope.toml"], "nope.toml"),
        (["run", "--network", "lennet"], "unknown network 'lennet'; did you mean 'lenet'?"),
        (["run", "--network", "nope.py"], "nope.py"),
        (["run", "--plugin", "nope.py"], "nope.py"),
        (["run", "--plugin", "pyproject.toml"], "pyproject.toml"),
        (["list", "method"], "methods"),
        (["list", "metrics", "eec"], "unknown metric 'eec'; did you mean 'ece'?"),
        (["list", "methods", "mnff"], "did you mean 'mnf'?"),
        (["lst"], "lst"),
        (["run", "--method", "mnf"], "--method"),
        (["run", "a\nb"], "unexpected extra argument"),
        # names that are no names
        (["run", "--methods", "../map"], "'../map'"),
        (["run", "--methods", "a/b"], "'a/b'"),
        (["run", "--methods", "map\0"], r"'map\x00'"),
        (["run", "--methods", "map\nmnf"], r"'map\nmnf'"),
        (["run", "--methods", LONG], LONG),
        (["run", "--datasets", "../digits"], "'../digits'"),
        (["run", "--datasets", "uci[name=../../secret]"], "../../secret"),
        (["run", "--suite", "../x"], "unknown suite '../x'"),
        (["run", "--suite", "a\0.toml"], "a"),
        (["report", "--suite", "../x"], "'../x' is no name for a suite"),
        (["report", "--suite", "a/b"], "'a/b' is no name for a suite"),
        (["report", "--suite", LONG], f"'{LONG}' is no name for a suite"),
        (["report", "--suite", "a\nb"], r"'a\nb' is no name for a suite"),
        (["report", "--formats", "pdff"], "unknown format 'pdff'; did you mean 'pdf'?"),
        (["report", "--formats", "latex,,html"], "empty element"),
        (["score", "--suite", "a\0b"], r"'a\x00b' is no name for a suite"),
        # brackets
        (["run", "--methods", "mnf[flows=2"], "brackets"),
        (["run", "--methods", "mnf]flows=2["], "brackets"),
        (["run", "--methods", "mnf[[flows=2]]"], "unknown option of mnf '[flows'"),
        (["run", "--methods", "mnf[flows=2]x"], "'mnf[flows=2]x'"),
        (["run", "--methods", "mnf[]"], "empty element"),
        (
            ["run", "--methods", "mnf[flows]"],
            "'flows' in 'mnf[flows]' is not of the form option=value",
        ),
        (["run", "--methods", "mnf[flows=]"], "not of the form option=value"),
        (["run", "--methods", "mnf[=2]"], "not of the form option=value"),
        (["run", "--methods", "mnf[flows=2,flows=3]"], "option 'flows' is given twice"),
        (["run", "--methods", "mnf,,map"], "empty element"),
        (["run", "--methods", ""], "empty element"),
        # options, types, ranges
        (
            ["run", "--methods", "mnf[flow=2]"],
            "unknown option of mnf 'flow'; did you mean 'flows'?",
        ),
        (["run", "--methods", "mnf[flows=x]"], "mnf.flows must be of type int, not 'x'"),
        (["run", "--methods", "mnf[flows=1.5]"], "mnf.flows must be of type int, not '1.5'"),
        (["run", "--methods", "mnf[flows=-1]"], "flows must be at least 0"),
        (["run", "--methods", "dropout[rate=1.5]"], "rate must be in [0, 1), not 1.5"),
        (
            ["run", "--methods", "dropout[rate=nan]"],
            "dropout.rate must be of type float, not 'nan'",
        ),
        (
            ["run", "--methods", "dropout[where=everywhere]"],
            "unknown value of dropout.where 'everywhere'",
        ),
        (["run", "--methods", "map[members=0]"], "members must be at least 1, not 0"),
        (["run", "--methods", "mnf,mnf"], "mnf is given twice"),
        (["run", "--methods", "mnf,mnf[flows=2]"], "mnf is given twice"),
        (["run", "--seeds", "0,0"], "0 is given twice"),
        (["run", "--seeds", "-1"], "at least 0"),
        (["run", "--seeds", "a"], "'a'"),
        (["run", "--seeds", "1e3"], "'1e3'"),
        (["run", "--set", "epochs=0"], "epochs must be at least 1, not 0"),
        (["run", "--set", "epochs=nan"], "'nan'"),
        (["run", "--set", "validation=1.5"], "validation must be in (0, 1), not 1.5"),
        (["run", "--set", "evaluate_on=train"], "'train'"),
        (["run", "--set", "epoch=1"], "did you mean 'epochs'?"),
        (["run", "--set", "mnf.flow=1"], "did you mean 'flows'?"),
        (["run", "--set", "nmf.flows=1"], "did you mean 'mnf'?"),
        (["run", "--set", "epochs"], "KEY=VALUE"),
        (["run", "--jobs", "0"], "--jobs"),
        (["run", "--device", "tpu"], "--device"),
        # data and folders
        (
            ["run", "--datasets", "mnist", "--data-dir", "nowhere"],
            "nowhere/MNIST/raw/train-images-idx3-ubyte",
        ),
        (["run", "--datasets", "cifar10", "--data-dir", "nowhere"], "nowhere/cifar-10-batches-py"),
        (
            ["run", "--datasets", "cifar10[source=jpeg]", "--data-dir", "nowhere"],
            "nowhere/cifar10-jpeg",
        ),
        (["run", "--datasets", "svhn", "--data-dir", "nowhere"], "train_32x32.mat"),
        (["run", "--datasets", "uci[name=boston]", "--data-dir", "nowhere"], "nowhere/uci"),
        (["run", "--datasets", "folder"], "folder has no data of its own"),
        (["run", "--datasets", "folder[path=nowhere]"], "nowhere"),
        (["run", "--datasets", "npz[path=nowhere.npz]"], "nowhere.npz"),
        (["run", "--datasets", "letters"], "no train split"),
        (["run", "--results", "/proc/version"], "'/proc/version' is a file"),
        (["score"], "nothing to score"),
        # the gate
        (["check"], "--baseline"),
        (
            ["check", "--baseline", "nope.csv"],
            "nope.csv is neither a suite's folder of results nor a baseline's CSV file",
        ),
        (["check", "--baseline", str(BASELINE), "--methods", "nmf"], "did you mean 'mnf'?"),
        (["check", "--baseline", str(BASELINE), "--datasets", "digit"], "did you mean 'digits'?"),
        (["check", "--baseline", str(BASELINE), "--margins", "nope.toml"], "no file nope.toml"),
        (["check", "--baseline", str(BASELINE), "--format", "xml"], "'xml' is not one of"),
        (["check", "--baseline", str(BASELINE)], "missing results/quick/runs.csv"),
        (
            ["check", "--baseline", str(BASELINE), "--suite", "../x"],
            "'../x' is no name for a suite",
        ),
        (["baseline"], "--out"),
        (["baseline", "--out", "b.csv"], "missing results/quick/runs.csv"),
        (["baseline", "--out", "b.txt"], "must end in .csv, not 'b.txt'"),
        (["baseline", "--out", "/proc/version/b.csv"], "cannot write to /proc/version"),
        (["compare", "a"], "Missing argument 'B'"),
        (["compare", "a", "b"], "a is neither"),
        (["compare", str(BASELINE), str(BASELINE), "--metrics", "eec"], "did you mean 'ece'?"),
        (["report"], "bench-uq run"),
    ],
)
def test_commands(arguments: list[str], words: str) -> None:
    """A mistake in a command names what is wrong, what is allowed, and the nearest known name."""
    assert words in told(*arguments)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[conditions]\nfgsm = [nan]", "levels of fgsm must be of type float, not nan"),
        ("[conditions]\nfgsm = [inf]", "levels of fgsm must be finite and at least 0, not inf"),
        ("[conditions]\nfgsm = [-0.1]", "levels of fgsm must be finite and at least 0, not -0.1"),
        ("[conditions]\nfgsm = [0.1, 0.2, 0.1]", "levels of fgsm: 0.1 is given twice"),
        ("[conditions]\nfgsm = ['a']", "levels of fgsm must be of type float, not 'a'"),
        ("[conditions]\nfgsm = 0.1", "the levels of fgsm must be a list, not 0.1"),
        ("[conditions]\nfgsm = []", "condition 'fgsm' needs levels"),
        ("[conditions]\npgd = [nan]", "levels of pgd must be of type float, not nan"),
        ("[conditions]\n'pgd[norm=l3]' = [0.1]", "unknown value of pgd.norm 'l3'"),
        ("[conditions]\n'pgd[steps=0]' = [0.1]", "steps must be at least 1, not 0"),
        ("[conditions]\n'pgd[restarts=0]' = [0.1]", "restarts must be at least 1, not 0"),
        ("[conditions]\n'pgd[step_size=-1]' = [0.1]", "step_size must be a share of epsilon"),
        ("[conditions]\n'pgd[objective=loss]' = [0.1]", "unknown value of pgd.objective 'loss'"),
        (
            "[conditions]\n'fgsm[objective=entropy,label=predicted]' = [0.1]",
            "objective=entropy has no label",
        ),
        ("[conditions]\n'fgsm[entropy=lower]' = [0.1]", "goes with objective=entropy"),
        ("[conditions]\n'transfer[from=mpa]' = [0.1]", "unknown method 'mpa'; did you mean 'map'?"),
        (
            "[conditions]\n'transfer[from_=map]' = [0.1]",
            "unknown option of transfer 'from_'; did you mean 'from'?",
        ),
        (
            "[conditions]\nrotate = [200]",
            "levels of rotate: a level is in degrees, 0 to 180, not 200",
        ),
        (
            "[conditions]\ntranslate = [1.5]",
            "levels of translate: a level is a share of the image's side",
        ),
        ("[conditions]\ncorruption = [2.5]", "a level is a severity, 0, 1, 2, 3, 4 or 5, not 2.5"),
        ("[conditions]\n'corruption[kind=mist]' = [1]", "unknown value of corruption.kind 'mist'"),
        ("[conditions.digits]\n'corruption[kind=snow]' = [1]", "does not suit the task of digits"),
        ("[conditions]\nfgsn = [0.1]", "unknown condition 'fgsn'; did you mean 'fgsm'?"),
        ("[conditions]\n'fgsm[draw=1]' = [0.1]", "did you mean 'draws'?"),
        ("[conditions.digits]\nletters = [0.1]", "unseen data 'letters' have no levels"),
        ("[conditions.digit]\nfgsm = [0.1]", "did you mean 'digits'?"),
        ("[settings]\nepoch = 3", "did you mean 'epochs'?"),
        ("[settings]\nepochs = 1.5", "epochs must be of type int, not 1.5"),
        ("[settings]\nepochs = true", "epochs must be of type int, not True"),
        ("[settings.mnff]\nepochs = 3", "did you mean 'mnf'?"),
        ("[options.mnf]\nflow = 3", "did you mean 'flows'?"),
        ("[setting]\nepochs = 3", "unknown key in mine.toml 'setting'; did you mean 'settings'?"),
        ("[settings\nepochs = 3", "mine.toml"),
        ("\xff", "mine.toml"),
    ],
)
def test_suites(text: str, words: str, here: Path) -> None:
    """A mistake in a suite's file is told as one in a command is."""
    (here / "mine.toml").write_bytes(f"extends = 'quick'\n{text}".encode("latin1"))
    assert words in told("run", "--suite", "mine.toml")


METHOD = """
from dataclasses import dataclass
from bench_uq.api import Method, network

@dataclass(frozen=True)
class Mine(Method):
    reference = "none"
    rate: float = 0.5

    def build(self, task):
        return network(task)
"""


FUSSY = """
    def __post_init__(self):
        raise ValueError("rate must be\\n\\n    below 0.5\\n")
"""


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("mine.py", METHOD + FUSSY, "method 'mine': rate must be below 0.5"),
        ("mine.py", "import nothing_of_that_name", "fails at import: ModuleNotFoundError"),
        ("mine.py", "def broken(:", "fails at import: SyntaxError"),
        ("mine.py", "x = 1", "holds no Method, Dataset or Condition of its own"),
        ("mine.py", METHOD.replace("def build", "def built"), "method 'mine' lacks build"),
        ("mine.py", METHOD.replace("@dataclass(frozen=True)\n", ""), "its options are no fields"),
        (
            "mine.py",
            METHOD.replace("@dataclass(frozen=True)", "@dataclass"),
            "fails at import: TypeError",
        ),
        (
            "mine.py",
            METHOD.replace('    reference = "none"\n', ""),
            "lacks a class attribute 'reference'",
        ),
        ("mine.py", METHOD.replace("float = 0.5", "dict = None"), "mine.rate is of type dict"),
        (
            "mine.py",
            METHOD + METHOD.replace("Mine", "Yours"),
            "must define one method, it defines 2",
        ),
        ("map.py", METHOD, "two plugins are called 'map'"),
        ("My Method.py", METHOD, "'My Method' is no name for a method"),
        (f"{LONG}.py", METHOD, "is no name for a method"),
        ("mine.txt", METHOD, "a plugin file ends in .py"),
    ],
)
def test_plugins(name: str, text: str, words: str, here: Path) -> None:
    """A plugin that cannot be used says why."""
    (here / name).write_text(text)
    assert words in told("run", "--plugin", name, "--methods", "map,mine")


DATA = """
from dataclasses import dataclass
import numpy as np
from bench_uq.api import Categorical, Dataset, Examples, Task

@dataclass(frozen=True)
class Mine(Dataset):
    reference = "none"

    def task(self, root):
        return Task((2,), Categorical(2))

    def load(self, split, root, fold=0):
        return Examples(np.zeros((40, 2), np.float32), np.arange(40) % 2)
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            DATA.replace("np.zeros((40, 2), np.float32)", "np.load(root / 'a.npy')"),
            "mine: missing data/a.npy",
        ),
        (
            f"{DATA}\n    def files(self, root):\n        return ['a.txt']\n",
            "mine: files() must return a list of",
        ),
        (DATA.replace("np.float32", "np.float64"), "mine: inputs are uint8 or float32"),
        (
            DATA.replace("np.arange(40) % 2", "np.arange(40) % 3"),
            "mine: labels are 0 to 2, not 0 to 1",
        ),
        (DATA.replace("np.arange(40)", "np.arange(39)"), "mine: 40 inputs and 39 targets"),
        (DATA.replace("(40, 2)", "(40, 3)"), "mine: inputs are (3,), its task says (2,)"),
    ],
)
def test_datasets_of_the_user(text: str, words: str, here: Path) -> None:
    """A dataset that gives other examples than it promised is named as the user named it."""
    (here / "mine.py").write_text(text)
    assert words in told("run", "--plugin", "mine.py", "--datasets", "mine", "--methods", "map")


def test_two_files_of_one_name(here: Path) -> None:
    """Two plugins of the user that share a name are refused."""
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "mine.py").write_text(METHOD)
    output = told("run", "--plugin", "a/mine.py", "--plugin", "b/mine.py", "--methods", "mine")
    assert "two plugins are called 'mine'" in output


def test_a_folder_that_is_a_file(here: Path) -> None:
    """A suite's folder, or the reports' root, that is a file is told of before anything is written."""
    (here / "results").mkdir()
    (here / "results" / "quick").write_text("")
    assert "not a folder" in told("run", "--methods", "map")
    (here / "reports").write_text("")
    assert "not a folder" in told("report", "--reports", "reports/sub")


def test_a_link_of_someone_else(here: Path) -> None:
    """A results folder behind a link that another user made is not written to; nor is one behind a dangling link."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a link to another user")
    (here / "elsewhere").mkdir()
    (here / "results").symlink_to("elsewhere")
    os.lchown(here / "results", 12345, 12345)
    assert "results is a link made by someone else" in told("run", "--methods", "map")
    os.lchown(here / "results", os.geteuid(), -1)
    (here / "elsewhere").rmdir()
    assert "results is a link to nothing" in told("run", "--methods", "map")


def test_a_folder_that_is_read_only(here: Path) -> None:
    """Folders that may not be written to are refused, here as a user without rights."""
    for folder in here.parents:
        if folder.stat().st_uid == os.geteuid() and folder != Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    here.chmod(0o555)
    if os.geteuid() != 0:
        assert "cannot write to results" in told("run", "--methods", "map")
        return
    child = os.fork()
    if child == 0:  # root may write anywhere
        os.setuid(65534)
        try:
            writable(Path("results"))
        except UsageError as error:
            os._exit(0 if "cannot write to" in str(error) else 1)
        except BaseException:
            traceback.print_exc()
        os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def saved(**arrays: object) -> bytes:
    """Return an npz file."""
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    return buffer.getvalue()


X, Y = np.zeros((20, 1, 8, 8), np.uint8), np.arange(20) % 4
GOOD = {"x_train": X, "y_train": Y, "x_test": X, "y_test": Y}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "not an npz file, or a damaged one"),
        (b"not an archive", "not an npz file, or a damaged one"),
        (saved(**GOOD)[:-100], "not an npz file, or a damaged one"),
        (saved(x=X, y=Y), "x_train"),
        (saved(**{**GOOD, "zebra": X}), "zebra"),
        (saved(**{**GOOD, "x_test": X.astype(np.float32)}), "x_train is uint8, x_test is float32"),
        (saved(x_train=X, y_train=Y, x_test=X), "y_test"),
        (saved(**{**GOOD, "x_train": X.astype(object)}), "x_train"),
        (saved(**{**GOOD, "x_train": X.astype(np.int64)}), "x_train"),
        (saved(**{**GOOD, "x_train": X.astype("U1")}), "x_train"),
        (saved(**{**GOOD, "x_train": X[:, 0, 0, 0]}), "x_train"),
        (saved(**{**GOOD, "x_train": X[:-1]}), "19"),
        (saved(**{**GOOD, "x_train": X[:0], "y_train": Y[:0]}), "x_train"),
        (saved(**{**GOOD, "x_test": X[..., :7]}), "x_test"),
        (saved(**{**GOOD, "x_train": np.full_like(X, np.nan, np.float32)}), "x_train"),
        (saved(**{**GOOD, "x_train": np.full_like(X, 1.5, np.float32)}), "x_train"),
        (saved(**{**GOOD, "x_train": np.full_like(X, -0.5, np.float32)}), "x_train"),
        (saved(**{**GOOD, "y_train": Y.astype(float)}), "y_train"),
        (saved(**{**GOOD, "y_train": Y - 1}), "y_train"),
        (saved(**{**GOOD, "y_train": Y * 0}), "y_train"),
        (
            saved(**{**GOOD, "y_train": Y + 1}),
            "y_train has the labels 1 to 4: classes count from 0",
        ),
        (saved(**{**GOOD, "y_test": Y + 1}), "y_test"),
        (saved(**{**GOOD, "y_test": Y.reshape(4, 5)}), "y_test"),
    ],
)
def test_arrays(content: bytes, words: str, here: Path) -> None:
    """An npz file that cannot be learned from says which file and which array is wrong."""
    (here / "mine.npz").write_bytes(content)
    output = told("run", "--datasets", "npz[path=mine.npz]", "--methods", "map")
    assert "mine.npz" in output
    assert words in output


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "mine.csv"),
        ("1,2,3\n" * 3, "mine.csv"),
        ("1,2,3\n" * 20 + "1,2\n", "line 21"),
        ("1,2,3\n" * 20 + "1,x,3\n", "line 21"),
        ("1,2,3\n" * 20 + "1,nan,3\n", "line 21"),
        ("1\n2\n" * 20, "mine.csv"),
        ("1,2,3\n" * 20, "all targets of the training split are 3.0"),
    ],
)
def test_tables(content: str, words: str, here: Path) -> None:
    """A table that cannot be learned from says which file, and which line where there is one."""
    (here / "data" / "uci").mkdir(parents=True)
    (here / "data" / "uci" / "mine.csv").write_text(content)
    assert words in told("run", "--datasets", "uci[name=mine]", "--methods", "map")


def truncate(path: Path) -> None:
    """Cut a file in half."""
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def swap(path: Path) -> None:
    """Put labels where images belong."""
    shutil.copy(path.with_name(path.name.replace("images-idx3", "labels-idx1")), path)


def zipped(path: Path) -> None:
    """Put half of a gzip file in its place."""
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:1000])
    path.unlink()


@pytest.mark.parametrize("damage", [truncate, swap, zipped])
def test_idx_files(damage: Callable[[Path], None], here: Path, data_root: Path) -> None:
    """A damaged idx file is named."""
    shutil.copytree(data_root / "MNIST", here / "data" / "MNIST")
    damage(here / "data" / "MNIST" / "raw" / "train-images-idx3-ubyte")
    assert "train-images-idx3-ubyte" in told("run", "--datasets", "mnist", "--methods", "map")


@pytest.fixture
def pictures(here: Path, data_root: Path) -> Path:
    """Return a folder with some images of three classes."""
    for split in ("train", "test"):
        for source in sorted((data_root / "cifar10-jpeg" / split).iterdir())[:3]:
            target = here / "pictures" / split / source.name
            target.mkdir(parents=True)
            for path in sorted(source.iterdir())[:4]:
                shutil.copy(path, target)
    return here / "pictures"


@pytest.mark.parametrize("damage", [truncate, lambda path: path.write_bytes(b"no image")])
def test_damaged_images(damage: Callable[[Path], None], pictures: Path) -> None:
    """A damaged image is named."""
    path = sorted(pictures.glob("train/*/*"))[5]
    damage(path)
    assert str(path.relative_to(pictures.parent)) in told(
        "run", "--datasets", "folder[path=pictures]", "--methods", "map"
    )


@pytest.mark.parametrize("pattern", ["train/*/*", "train/*", "train"])
def test_folders_without_images(pattern: str, pictures: Path) -> None:
    """A folder without images, without classes or without a training split is named."""
    for path in sorted(pictures.glob(pattern)):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert "pictures/train" in told(
        "run", "--datasets", "folder[path=pictures]", "--methods", "map"
    )


def test_unseen_data_of_another_shape(here: Path, pictures: Path) -> None:
    """Unseen data that do not fit the network are refused with both shapes."""
    (here / "mine.toml").write_text(
        "extends = 'quick'\n[conditions.digits]\n'folder[path=pictures]' = []\n"
    )
    output = told("run", "--suite", "mine.toml")
    assert "(3, 32, 32)" in output
    assert "(1, 8, 8)" in output


def test_debug_shows_where() -> None:
    """With --debug the traceback comes before the line."""
    result = CliRunner().invoke(main, ["--debug", "run", "--methods", "mnff"])
    assert result.exit_code == 2
    assert "Traceback (most recent call last)" in result.output
    assert result.output.splitlines()[-1].startswith("Error: unknown method 'mnff'")


def test_no_module_of_ours_is_left(here: Path) -> None:
    """A plugin that fails leaves no half-made module behind."""
    (here / "mine.py").write_text("1/0")
    told("run", "--plugin", "mine.py", "--methods", "mine")
    files = [getattr(module, "__file__", None) for module in sys.modules.values()]
    assert str(here / "mine.py") not in files
    assert "mine.py" not in files
