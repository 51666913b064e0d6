"""What makes a run the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench_uq import store
from bench_uq.api.errors import MissingData, UsageError
from bench_uq.plan.fingerprints import Contents
from bench_uq.plan.plugins import Plugins
from bench_uq.plan.runs import make_plan
from bench_uq.plan.suite import read_suite
from bench_uq.store import PlannedRun

SUITE = """
methods = ["map", "mnf"]
datasets = ["digits"]
seeds = [0, 1]
[settings]
epochs = 3
[conditions]
fgsm = [0, 0.1]
"""


def plan(tmp_path: Path, text: str = SUITE, **flags: Any) -> list[PlannedRun]:
    """Return the plan of a suite."""
    (tmp_path / "mine.toml").write_text(text)
    return make_plan(
        read_suite(str(tmp_path / "mine.toml"), flags),
        Plugins(),
        Contents(tmp_path, tmp_path / "known"),
    )


def test_names(tmp_path: Path) -> None:
    """A run's folder is named by method, dataset, seed and eight digits of its key, its own."""
    runs = plan(tmp_path)
    assert len({run.key for run in runs}) == len(runs) == 4
    assert runs[1].name == f"mnf-digits-s0-{runs[1].key[:8]}"
    shown = [(shown.condition, shown.level) for shown in runs[1].conditions]
    assert shown == [("clean", None), ("fgsm", 0.0), ("fgsm", 0.1)]


def test_new_conditions_do_not_retrain(tmp_path: Path) -> None:
    """Another epsilon or unseen dataset leaves keys and files; more draws make other files."""
    before = plan(tmp_path)
    text = SUITE.replace("[0, 0.1]", "[0, 0.1, 0.2]\nletters = []")
    after = plan(tmp_path, text, set=("attack_images=7",))
    assert [run.key for run in before] == [run.key for run in after]
    clean = {shown.file for shown in before[0].shown if shown.condition == "clean"}
    assert clean <= {shown.file for shown in after[0].shown}

    (more, *_) = plan(tmp_path, set=("draws=3",))
    assert more.key == before[0].key
    files = {shown.file for shown in before[0].shown}
    assert files.isdisjoint(shown.file for shown in more.shown)


@pytest.mark.parametrize(
    "flag",
    [
        "epochs=4",
        "batch=7",
        "validation=0.2",
        "train_images=99",
        "threads=2",
        "precision=tf32",
        "learning_rate=0.01",
        "schedule=cosine",
        "warmup=0.1",
        "clip=1",
        "map.schedule=linear",
        "map.prior_std=2",
    ],
)
def test_budget_and_options_retrain(tmp_path: Path, flag: str) -> None:
    """Whatever changes the trained network changes its key."""
    assert plan(tmp_path, set=(flag,))[0].key != plan(tmp_path)[0].key


def test_weight_decay_beside_a_prior_is_refused(tmp_path: Path) -> None:
    """A method whose loss has a prior takes no decay; for another method alone it may be set."""
    with pytest.raises(
        UsageError, match=r"weight_decay=0.1 and method 'map': .* NAME.weight_decay"
    ):
        plan(tmp_path, set=("weight_decay=0.1",))
    before = plan(tmp_path, methods=("map", "dropout"))
    after = plan(tmp_path, methods=("map", "dropout"), set=("dropout.weight_decay=0.1",))
    same = [one.key == other.key for one, other in zip(before, after, strict=True)]
    assert same == [True, False, True, False]


def test_a_setting_that_is_an_option_too_is_refused(tmp_path: Path) -> None:
    """Of a method with an option of the setting's name nobody knows which of them is meant."""
    (tmp_path / "own.py").write_text(
        "from dataclasses import dataclass\n"
        "from bench_uq.methods.map import MAP\n\n\n"
        "@dataclass(frozen=True)\n"
        "class Own(MAP):\n"
        '    """Another."""\n\n'
        "    learning_rate: float = 0.1\n"
    )
    (tmp_path / "mine.toml").write_text(SUITE)

    for flag, words in (
        ("own.learning_rate=0.2", r"own\.learning_rate may be .*: write own\[learning_rate=0\.2\]"),
        ("own.schedule=cosine", None),
    ):
        chosen = read_suite(str(tmp_path / "mine.toml"), {"methods": ("own",), "set": (flag,)})
        asked = (chosen, Plugins([tmp_path / "own.py"]), Contents(tmp_path, tmp_path / "known"))
        if words is None:
            assert make_plan(*asked)[0].settings["schedule"] == "cosine"
            continue
        with pytest.raises(UsageError, match=words):
            make_plan(*asked)


def test_attacks_show_no_more_than_clean(tmp_path: Path) -> None:
    """An attack shows the first images of those that clean shows, however many it may have."""
    for sizes, expected in (
        (("test_images=100",), 100),
        (("attack_images=50", "test_images=100"), 50),
    ):
        run = plan(tmp_path, set=("attack_images=0", *sizes))[0]
        assert {shown.count for shown in run.shown if shown.condition == "fgsm"} == {expected}


def test_options_of_what_is_not_run(tmp_path: Path) -> None:
    """Options of a method that is not in the plan are checked all the same."""
    with pytest.raises(UsageError, match="'flows'"):
        plan(tmp_path, methods=("map",), set=("mnf.flow=1",))


def test_repeated_methods(tmp_path: Path) -> None:
    """Two spellings of one method are refused."""
    with pytest.raises(UsageError, match="twice"):
        plan(tmp_path, methods=("mnf", "mnf[flows=2]"))


def test_missing_data_is_told_first(tmp_path: Path) -> None:
    """Files that are not there are named before anything is written."""
    with pytest.raises(MissingData, match="train-images-idx3-ubyte"):
        plan(tmp_path, datasets=("mnist",))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.toml"]


def test_contents_are_remembered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hashed contents are not loaded again while files and packages are unchanged."""
    spec = Plugins().spec("dataset", "digits")
    first = Contents(tmp_path, tmp_path / "known.json")
    expected = first.of(spec, "test", 0)
    first.remember()
    monkeypatch.setattr("bench_uq.plan.fingerprints.load", lambda *_: pytest.fail("loaded again"))
    assert Contents(tmp_path, tmp_path / "known.json").of(spec, "test", 0) == expected
    monkeypatch.setattr(
        "bench_uq.plan.fingerprints.package_versions", lambda: {"scikit-learn": "another"}
    )
    with pytest.raises(pytest.fail.Exception):
        Contents(tmp_path, tmp_path / "known.json").of(spec, "test", 0)


@pytest.mark.parametrize(
    "entry",
    [
        {"hash": "a", "unit": True},
        {"hash": "a", "unit": True, "enough": 1, "more": 2},
        {},
        None,
        7,
        "hash",
        ["hash", "unit", "enough"],
    ],
)
def test_entries_of_other_versions_are_not_trusted(tmp_path: Path, entry: Any) -> None:
    """Hashes in another version's form are computed again."""
    spec, file = Plugins().spec("dataset", "digits"), tmp_path / "known.json"
    first = Contents(tmp_path, file)
    expected = first.of(spec, "test", 0)
    store.write_json(file, dict.fromkeys(first.known, entry))
    second = Contents(tmp_path, file)
    assert second.of(spec, "test", 0) == expected
    second.remember()
    assert store.read_json(file) == first.known


NETWORK = """
from torch import nn


def network(task, layers):
    return nn.Sequential(nn.Flatten(), layers.linear(64, 10))
"""


def test_the_network_is_part_of_a_run(tmp_path: Path) -> None:
    """Another network is another run; a user's network counts by content, not by place."""
    for folder in ("here", "there"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "wide.py").write_text(NETWORK)
    keys = [
        plan(tmp_path, network=str(tmp_path / folder / "wide.py"))[0].key
        for folder in ("here", "there")
    ]
    assert keys[0] == keys[1]

    (tmp_path / "there" / "wide.py").write_text(NETWORK + "width = 64\n")
    others = [
        plan(tmp_path, network=name)[0].key
        for name in (str(tmp_path / "there" / "wide.py"), "mlp", "resnet18")
    ]
    assert len({keys[0], plan(tmp_path)[0].key, *others}) == 5


@pytest.mark.parametrize(
    ("labels", "told"), [(np.arange(40) % 4, 0), (np.sort(np.arange(40) % 4), 1)]
)
def test_limits_that_leave_classes_out_are_told(
    tmp_path: Path, labels: np.ndarray, told: int
) -> None:
    """Of test examples that are sorted by class, a limit that leaves classes out is told once."""
    x = np.random.default_rng(0).random((40, 1, 8, 8), np.float32)
    np.savez(tmp_path / "mine.npz", x_train=x, y_train=labels, x_test=x, y_test=labels)
    (tmp_path / "mine.toml").write_text(
        SUITE.replace('"digits"', f'"npz[path={tmp_path}/mine.npz]"')
    )
    notices: list[str] = []
    suite = read_suite(str(tmp_path / "mine.toml"), {"set": ("attack_images=12",)})
    make_plan(suite, Plugins(), Contents(tmp_path, tmp_path / "known"), notices.append)
    expected = "attack_images=12: the first 12 test examples of npz[path=mine.npz] do not hold all of its classes"
    assert notices == [expected] * told


MINE = """
from dataclasses import dataclass
import numpy as np
from bench_uq.api import Categorical, Dataset, Examples, Task

@dataclass(frozen=True)
class Mine(Dataset):
    reference = "none"

    def task(self, root):
        return Task((2,), Categorical(2), (0.5, 0.5), SCALE)

    def load(self, split, root, fold=0):
        return Examples(np.zeros((40, 2), np.float32), np.arange(40) % 2)
"""


def test_the_task_is_part_of_a_run(tmp_path: Path) -> None:
    """A dataset that scales its inputs in another way is another run."""
    (tmp_path / "mine.toml").write_text(SUITE.replace('"digits"', '"mine"'))
    suite, contents = (
        read_suite(str(tmp_path / "mine.toml")),
        Contents(tmp_path, tmp_path / "known"),
    )
    keys = set()
    for scale in ("(0.3, 0.3)", "(9, 9)"):
        (tmp_path / scale).mkdir()
        (tmp_path / scale / "mine.py").write_text(MINE.replace("SCALE", scale))
        keys.add(make_plan(suite, Plugins((tmp_path / scale / "mine.py",)), contents)[0].key)
    assert len(keys) == 2


def test_a_suite_names_a_network_beside_it(tmp_path: Path) -> None:
    """A network file in a suite is looked for beside the suite's file."""
    (tmp_path / "wide.py").write_text(NETWORK)
    assert plan(tmp_path, f'network = "wide.py"\n{SUITE}')[0].network == str(tmp_path / "wide.py")


def test_unsuited_conditions_are_left_out_and_told(tmp_path: Path) -> None:
    """A condition that does not suit a dataset is left out if it is for the whole suite."""
    table = "5 1 2\n6 2 3\n7 4 4.5\n" * 10
    (tmp_path / "uci").mkdir()
    (tmp_path / "uci" / "mine.txt").write_text(table)
    suite = SUITE.replace('"digits"', '"uci[name=mine]"')
    (tmp_path / "mine.toml").write_text(suite)
    told: list[str] = []
    contents = Contents(tmp_path, tmp_path / "known")
    runs = make_plan(read_suite(str(tmp_path / "mine.toml")), Plugins(), contents, told.append)
    assert [shown.condition for shown in runs[0].conditions] == ["clean"]
    assert told == ["fgsm does not suit the task of uci[name=mine]: not shown"]
    with pytest.raises(UsageError, match="fgsm does not suit"):
        plan(tmp_path, suite.replace("[conditions]", "[conditions.uci]"))
