"""Margins and floors: the defaults, a file laid over them, and what is wrong with a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from bench_uq.api.errors import UsageError
from bench_uq.check.margins import Margins, check_conditions, gated, own_budget, read_margins
from bench_uq.check.results import SuiteResults

MakeResults = Callable[..., SuiteResults]
OWN = {"network": "lenet", "epochs": 60, "draws": 20}
PLAIN = "bench-uq run --suite quick"


def written(folder: Path, text: str) -> Path:
    """Return a file of margins."""
    path = folder / "margins.toml"
    path.write_text(text)
    return path


def test_defaults() -> None:
    """Every score of the design is gated, and no other; there are no floors."""
    named = {"accuracy", "nll", "brier", "ece", "rmse", "crps", "entropy", "epistemic"}
    named |= {"agreement", "predictive_kl", "total_variation", "wasserstein_2"}
    assert {name for name in gated() if not name.startswith("auroc_")} == named
    assert Margins().margin("clean", "nll") == gated()["nll"]
    assert Margins().margin("clean", "mce") is None
    assert Margins().floor("clean", "accuracy") is None
    assert read_margins(None) == Margins()


def test_a_file_is_laid_over_the_defaults(tmp_path: Path) -> None:
    """By metric, by condition under its own or its plain name; false gates no more; floors are of
    clean data.
    """
    path = written(
        tmp_path,
        "[margins]\nnll = 0.5\nece = false\nmce = 0.3\n[margins.fgsm]\nnll = 1\nece = 0.4\n"
        '[margins."fgsm[draws=1]"]\nnll = 2\n[floors]\naccuracy = 0.9\n[floors.letters]\nauroc_entropy = 0.8\n',
    )

    margins = read_margins(path)
    assert [
        margins.margin(name, "nll") for name in ("clean", "fgsm", "fgsm[draws=1]", "fgsm[draws=2]")
    ] == [
        0.5,
        1,
        2,
        1,
    ]
    assert [margins.margin(name, "ece") for name in ("clean", "fgsm")] == [None, 0.4]
    assert margins.margin("clean", "mce") == 0.3
    assert margins.margin("clean", "brier") == gated()["brier"]
    assert margins.floor("clean", "accuracy") == 0.9
    assert margins.floor("letters", "auroc_entropy") == 0.8
    assert margins.floor("letters", "accuracy") is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("margin = 1", "unknown table in margins.toml 'margin'; did you mean 'margins'?"),
        ("margins = 3", "margins in margins.toml must be a table, not 3"),
        ("[margins]\nnnl = 1", "unknown metric in margins.toml 'nnl'; did you mean 'nll'?"),
        ("[margins]\nnll = -1", "margins.nll in margins.toml must be at least 0, not -1"),
        ("[margins]\nnll = nan", "must be a finite number of at least 0, or false, not nan"),
        ("[margins]\nnll = inf", "not inf"),
        ("[margins]\nnll = '1'", "not '1'"),
        ("[margins]\nnll = true", "not True"),
        ("[floors]\nentropy = 1", "entropy in margins.toml has no floor: neither way is better"),
        ("[floors]\nnll = false", "floors.nll in margins.toml must be a finite number, not False"),
        (
            "[margins.fgms]\nnll = 1",
            "unknown condition in margins.toml 'fgms'; did you mean 'fgsm'?",
        ),
        ("[margins", "margins.toml: Expected ']'"),
        ("[margins]\nnll = " + "[" * 5000, "margins.toml: tables or lists are nested too deep"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, words: str) -> None:
    """Each is told with what is allowed and the nearest known name."""
    path = written(tmp_path, text)
    with pytest.raises(UsageError) as error:
        check_conditions(read_margins(path), ["clean", "fgsm[draws=1]", "letters"], path)
    assert words in str(error.value)


def test_no_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(UsageError, match=r"no file .*nope\.toml"):
        read_margins(tmp_path / "nope.toml")


@pytest.mark.parametrize(
    ("settings", "command", "own"),
    [
        (OWN, PLAIN, True),
        (OWN, f"{PLAIN} --set mnf.flows=4 --device cpu", True),
        ({**OWN, "epochs": 3}, PLAIN, False),
        ({**OWN, "draws": 3}, PLAIN, False),
        (OWN, f"{PLAIN} --set train_images=100", False),
        (OWN, f"{PLAIN} --set 'epochs=60'", False),
        (OWN, f"{PLAIN} --set map.learning_rate=0.1", False),
        (OWN, f"{PLAIN} --set mnf.learning_rate=0.1", True),
        (OWN, f"{PLAIN} --network wide.py", False),
        ({}, "", False),
    ],
)
def test_own_budget(
    make_results: MakeResults, settings: dict[str, object], command: str, own: bool
) -> None:
    """By epochs, draws, and the settings and the network that the command asked for."""
    side = make_results(
        {"nll": [0.1]}, runs={("map", 0): {"settings": settings, "command": command}}
    )
    assert own_budget("quick", side) == (set(side.runs) if own else set())


def test_a_suite_that_is_not_there_promises_nothing(
    make_results: MakeResults, tmp_path: Path
) -> None:
    """A name without a file has no settings; a file has its own."""
    side = make_results({"nll": [0.1]}, runs={("map", 0): {"settings": OWN, "command": PLAIN}})
    assert own_budget("theirs", side) == set()
    (tmp_path / "short.toml").write_text('extends = "quick"\n[settings]\nepochs = 3\n')
    assert own_budget(str(tmp_path / "short.toml"), side) == set()
    (tmp_path / "same.toml").write_text('extends = "quick"\n')
    assert own_budget(str(tmp_path / "same.toml"), side) == set(side.runs)
