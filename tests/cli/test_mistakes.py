"""A mistake of the user is named in one line, with exit code 2, and nothing is written."""

from __future__ import annotations

import gzip
import io
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from bench_uq.cli import main
from tests.warm import Warm

REPO = Path(__file__).resolve().parents[2]
LONG = "a" * 65
BASELINE = REPO / "results" / "quick" / "baseline.csv"
NOWHERE = "--data-dir nowhere"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BENCH_UQ_DATA", raising=False)
    return tmp_path


def tree(folder: Path) -> dict[str, bytes]:
    """Content of everything in a folder."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if "__pycache__" not in path.parts:
            found[str(path)] = path.read_bytes() if path.is_file() else b""
    return found


def told(*arguments: str) -> str:
    """Line with which a command is refused; it must write nothing."""
    before = tree(Path())
    result = CliRunner().invoke(main, list(arguments))
    assert result.exit_code == 2, result.output
    assert "Traceback" not in result.output
    assert [line[:7] for line in result.output.splitlines()] == ["Error: "], result.output
    assert tree(Path()) == before
    return result.output


# Each case is a command, and the words that its line holds: the wrong value and the allowed ones.
COMMANDS = [
    # unknown names
    ("run --methods mnff", "'mnff'", "'mnf'"),
    ("run --datasets digit", "'digit'", "'digits'"),
    ("run --suite quik", "'quik'", "'quick'"),
    ("run --suite nope.toml", "nope.toml"),
    ("run --network lennet", "'lennet'", "'lenet'"),
    ("run --network nope.py", "nope.py"),
    ("run --plugin nope.py", "nope.py"),
    ("run --plugin pyproject.toml", "pyproject.toml"),
    ("run --method mnf", "--method"),
    ("run 'a\nb'", "argument"),
    ("list method", "'method'", "'methods'"),
    ("list metrics eec", "'eec'", "'ece'"),
    ("list methods mnff", "'mnff'", "'mnf'"),
    ("lst", "lst"),
    ("report --formats pdff", "'pdff'", "'pdf'"),
    # names that leave a folder, or that a line cannot hold
    ("run --methods ../map", "'../map'"),
    ("run --methods a/b", "'a/b'"),
    ("run --methods 'map\0'", r"'map\x00'"),
    ("run --methods 'map\nmnf'", r"'map\nmnf'"),
    (f"run --methods {LONG}", LONG),
    ("run --datasets ../digits", "'../digits'"),
    ("run --datasets uci[name=../../secret]", "../../secret"),
    ("run --suite ../x", "'../x'"),
    ("run --suite 'a\0.toml'", r"a\x00.toml"),
    ("report --suite ../x", "'../x'"),
    ("report --suite a/b", "'a/b'"),
    (f"report --suite {LONG}", LONG),
    ("report --suite 'a\nb'", r"'a\nb'"),
    ("score --suite 'a\0b'", r"'a\x00b'"),
    # brackets
    ("run --methods mnf[flows=2", "mnf[flows=2", "brackets"),
    ("run --methods mnf]flows=2[", "mnf]flows=2[", "brackets"),
    ("run --methods mnf[[flows=2]]", "'[flows'"),
    ("run --methods mnf[flows=2]x", "'mnf[flows=2]x'"),
    ("run --methods mnf[]", "empty"),
    ("run --methods mnf[flows]", "'flows'", "option=value"),
    ("run --methods mnf[flows=]", "'flows='", "option=value"),
    ("run --methods mnf[=2]", "'=2'", "option=value"),
    ("run --methods mnf[flows=2,flows=3]", "'flows'", "twice"),
    ("run --methods mnf,,map", "empty"),
    ("run --methods ''", "empty"),
    ("report --formats latex,,html", "empty"),
    # types and ranges
    ("run --methods mnf[flow=2]", "'flow'", "'flows'"),
    ("run --methods mnf[flows=x]", "mnf.flows", "int", "'x'"),
    ("run --methods mnf[flows=1.5]", "mnf.flows", "int", "'1.5'"),
    ("run --methods mnf[flows=-1]", "flows", "at least 0"),
    ("run --methods dropout[rate=1.5]", "rate", "[0, 1)", "1.5"),
    ("run --methods dropout[rate=nan]", "dropout.rate", "float", "'nan'"),
    ("run --methods dropout[where=everywhere]", "dropout.where", "'everywhere'"),
    ("run --methods map[members=0]", "members", "at least 1", "0"),
    ("run --methods mnf,mnf", "mnf", "twice"),
    ("run --methods mnf,mnf[flows=2]", "mnf", "twice"),
    ("run --seeds 0,0", "0", "twice"),
    ("run --seeds -1", "at least 0", "-1"),
    ("run --seeds a", "int", "'a'"),
    ("run --seeds 1e3", "int", "'1e3'"),
    ("run --set epochs=0", "epochs", "at least 1", "0"),
    ("run --set epochs=nan", "epochs", "int", "'nan'"),
    ("run --set validation=1.5", "validation", "(0, 1)", "1.5"),
    ("run --set evaluate_on=train", "evaluate_on", "'train'"),
    ("run --set epoch=1", "'epoch'", "'epochs'"),
    ("run --set mnf.flow=1", "'flow'", "'flows'"),
    ("run --set nmf.flows=1", "'nmf'", "'mnf'"),
    ("run --set epochs", "'epochs'", "KEY=VALUE"),
    ("run --jobs 0", "--jobs", "0", ">=1"),
    ("run --device tpu", "--device", "'tpu'", "'cuda'"),
    # data and folders
    (f"run --datasets mnist {NOWHERE}", "nowhere/MNIST/raw/train-images-idx3-ubyte"),
    (f"run --datasets cifar10 {NOWHERE}", "nowhere/cifar-10-batches-py"),
    (f"run --datasets cifar10[source=jpeg] {NOWHERE}", "nowhere/cifar10-jpeg"),
    (f"run --datasets svhn {NOWHERE}", "train_32x32.mat"),
    (f"run --datasets uci[name=boston] {NOWHERE}", "nowhere/uci"),
    ("run --datasets folder", "folder", "path"),
    ("run --datasets folder[path=nowhere]", "nowhere"),
    ("run --datasets npz[path=nowhere.npz]", "nowhere.npz"),
    ("run --datasets letters", "letters", "train"),
    ("run --results /proc/version", "'/proc/version'"),
    ("score", "results/quick"),
    ("report", "bench-uq run"),
    # the gate
    ("check", "--baseline"),
    ("check --baseline nope.csv", "nope.csv"),
    (f"check --baseline {BASELINE} --methods nmf", "'nmf'", "'mnf'"),
    (f"check --baseline {BASELINE} --datasets digit", "'digit'", "'digits'"),
    (f"check --baseline {BASELINE} --margins nope.toml", "nope.toml"),
    (f"check --baseline {BASELINE} --format xml", "'xml'", "'markdown'"),
    (f"check --baseline {BASELINE}", "results/quick/runs.csv"),
    (f"check --baseline {BASELINE} --suite ../x", "'../x'"),
    ("baseline", "--out"),
    ("baseline --out b.csv", "results/quick/runs.csv"),
    ("baseline --out b.txt", ".csv", "'b.txt'"),
    ("baseline --out /proc/version/b.csv", "/proc/version"),
    ("compare a", "'B'"),
    ("compare a b", "a is neither"),
    (f"compare {BASELINE} {BASELINE} --metrics eec", "'eec'", "'ece'"),
]


@pytest.mark.parametrize("case", COMMANDS, ids=itemgetter(0))
def test_commands(case: tuple[str, ...]) -> None:
    """A mistake in a command names the wrong value and what is allowed."""
    line = told(*shlex.split(case[0]))
    for word in case[1:]:
        assert word in line


SUITES = [
    ("[conditions]\nfgsm = [nan]", "levels of fgsm", "float", "nan"),
    ("[conditions]\nfgsm = [inf]", "levels of fgsm", "finite", "inf"),
    ("[conditions]\nfgsm = [-0.1]", "levels of fgsm", "at least 0", "-0.1"),
    ("[conditions]\nfgsm = [0.1, 0.2, 0.1]", "levels of fgsm", "0.1", "twice"),
    ("[conditions]\nfgsm = ['a']", "levels of fgsm", "float", "'a'"),
    ("[conditions]\nfgsm = 0.1", "levels of fgsm", "list", "0.1"),
    ("[conditions]\nfgsm = []", "'fgsm'", "levels"),
    ("[conditions]\npgd = [nan]", "levels of pgd", "float", "nan"),
    ("[conditions]\n'pgd[norm=l3]' = [0.1]", "pgd.norm", "'l3'"),
    ("[conditions]\n'pgd[steps=0]' = [0.1]", "steps", "at least 1", "0"),
    ("[conditions]\n'pgd[restarts=0]' = [0.1]", "restarts", "at least 1", "0"),
    ("[conditions]\n'pgd[step_size=-1]' = [0.1]", "step_size"),
    ("[conditions]\n'pgd[objective=loss]' = [0.1]", "pgd.objective", "'loss'"),
    (
        "[conditions]\n'fgsm[objective=entropy,label=predicted]' = [0.1]",
        *("objective=entropy", "label"),
    ),
    ("[conditions]\n'fgsm[entropy=lower]' = [0.1]", "entropy", "objective=entropy"),
    ("[conditions]\n'transfer[from=mpa]' = [0.1]", "'mpa'", "'map'"),
    ("[conditions]\n'transfer[from_=map]' = [0.1]", "transfer", "'from_'", "'from'"),
    ("[conditions]\nrotate = [200]", "rotate", "degrees, 0 to 180", "200"),
    ("[conditions]\ntranslate = [1.5]", "translate", "share of the image's side", "1.5"),
    ("[conditions]\ncorruption = [2.5]", "severity, 0, 1, 2, 3, 4 or 5", "2.5"),
    ("[conditions]\n'corruption[kind=mist]' = [1]", "corruption.kind", "'mist'"),
    ("[conditions.digits]\n'corruption[kind=snow]' = [1]", "snow", "digits"),
    ("[conditions]\nfgsn = [0.1]", "'fgsn'", "'fgsm'"),
    ("[conditions]\n'fgsm[draw=1]' = [0.1]", "'draw'", "'draws'"),
    ("[conditions.digits]\nletters = [0.1]", "'letters'", "levels"),
    ("[conditions.digit]\nfgsm = [0.1]", "'digit'", "'digits'"),
    ("[settings]\nepoch = 3", "'epoch'", "'epochs'"),
    ("[settings]\nepochs = 1.5", "epochs", "int", "1.5"),
    ("[settings]\nepochs = true", "epochs", "int", "True"),
    ("[settings.mnff]\nepochs = 3", "'mnff'", "'mnf'"),
    ("[options.mnf]\nflow = 3", "'flow'", "'flows'"),
    ("[setting]\nepochs = 3", "mine.toml", "'setting'", "'settings'"),
    ("[settings\nepochs = 3", "mine.toml"),
    ("\xff", "mine.toml"),
]


@pytest.mark.parametrize("case", SUITES, ids=itemgetter(0))
def test_suites(case: tuple[str, ...], here: Path) -> None:
    """A mistake in a suite's file names the wrong value and what is allowed."""
    (here / "mine.toml").write_bytes(f"extends = 'quick'\n{case[0]}".encode("latin1"))
    line = told("run", "--suite", "mine.toml")
    for word in case[1:]:
        assert word in line


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


FROZEN = "@dataclass(frozen=True)"
PLUGINS = [
    ("mine.py", METHOD + FUSSY, "'mine'", "rate must be below 0.5"),
    ("mine.py", "import nothing_of_that_name", "mine.py", "ModuleNotFoundError"),
    ("mine.py", "def broken(:", "mine.py", "SyntaxError"),
    ("mine.py", "x = 1", "mine.py", "Method, Dataset, Condition or Metric"),
    ("mine.py", METHOD.replace("def build", "def built"), "'mine'", "build"),
    ("mine.py", METHOD.replace(FROZEN, ""), "mine", "fields"),
    ("mine.py", METHOD.replace(FROZEN, "@dataclass"), "mine.py", "TypeError"),
    ("mine.py", METHOD.replace('reference = "none"', ""), "'mine'", "'reference'"),
    ("mine.py", METHOD.replace("float = 0.5", "dict = None"), "mine.rate", "dict"),
    ("mine.py", METHOD + METHOD.replace("Mine", "Yours"), "'mine'", "one method", "2"),
    ("map.py", METHOD, "two plugins", "'map'"),
    ("My Method.py", METHOD, "'My Method'"),
    (f"{LONG}.py", METHOD, LONG),
    ("mine.txt", METHOD, ".py", "'mine.txt'"),
]


@pytest.mark.parametrize("case", PLUGINS, ids=itemgetter(-1))
def test_plugins(case: tuple[str, ...], here: Path) -> None:
    """A plugin that cannot be used is named, with the reason."""
    name, text, *words = case
    (here / name).write_text(text)
    line = told("run", "--plugin", name, "--methods", "map,mine")
    for word in words:
        assert word in line


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


LOADED = DATA.replace("np.zeros((40, 2), np.float32)", "np.load(root / 'a.npy')")
FILES = f"{DATA}\n    def files(self, root):\n        return ['a.txt']\n"
THREE = DATA.replace("np.arange(40) % 2", "np.arange(40) % 3")
DATASETS = [
    (LOADED, "missing data/a.npy"),
    (FILES, "files()", "list"),
    (DATA.replace("np.float32", "np.float64"), "inputs", "uint8 or float32"),
    (THREE, "0 to 2", "0 to 1"),
    (DATA.replace("np.arange(40)", "np.arange(39)"), "40 inputs", "39 targets"),
    (DATA.replace("(40, 2)", "(40, 3)"), "(3,)", "(2,)"),
]


@pytest.mark.parametrize("case", DATASETS, ids=itemgetter(1))
def test_datasets_of_the_user(case: tuple[str, ...], here: Path) -> None:
    """A dataset with other examples than it promised is named as the user named it."""
    (here / "mine.py").write_text(case[0])
    line = told("run", "--plugin", "mine.py", "--datasets", "mine", "--methods", "map")
    for word in ("mine: ", *case[1:]):
        assert word in line


def test_two_files_of_one_name(here: Path) -> None:
    """Two plugins of the user that share a name are refused."""
    for folder in ("a", "b"):
        (here / folder).mkdir()
        (here / folder / "mine.py").write_text(METHOD)
    output = told("run", "--plugin", "a/mine.py", "--plugin", "b/mine.py", "--methods", "mine")
    assert "two plugins are called 'mine'" in output


def test_folders_that_are_none(here: Path) -> None:
    """A file, or a link to nothing, in the place of a folder is refused."""
    (here / "reports").write_text("")
    assert "not a folder" in told("report", "--reports", "reports/sub")
    (here / "results").symlink_to("elsewhere")
    assert "results is a link to nothing" in told("run", "--methods", "map")
    (here / "results").unlink()
    (here / "results").mkdir()
    (here / "results" / "quick").write_text("")
    assert "not a folder" in told("run", "--methods", "map")


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


def test_a_reader_that_has_gone_is_no_mistake(here: Path) -> None:
    """As in ``bench-uq list | head``: the command ends without a word."""
    command = [sys.executable, "-m", "bench_uq", "list", "metrics"]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with Warm(command, cwd=here, **options) as listing:
        assert listing.stdout is not None
        assert listing.stderr is not None
        listing.stdout.close()
        assert listing.stderr.read() == ""
    assert listing.returncode == 1


def test_another_broken_pipe_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the output is read, as when a process of a run has died, it is an error in one line."""

    def broken(**options: object) -> None:
        raise BrokenPipeError(32, "Broken pipe")

    monkeypatch.setattr(main.commands["doctor"], "callback", broken)
    result = CliRunner().invoke(main, ["doctor"])
    assert result.exit_code == 1
    assert result.output.startswith("Error: BrokenPipeError: [Errno 32] Broken pipe")


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
