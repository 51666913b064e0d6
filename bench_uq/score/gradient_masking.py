"""Whether the attacks on a method can be believed: signs of masked gradients (Athalye et al. 2018, section 3.1).

A network can look robust because its gradients lead an attack astray. Each check compares attacks that must not be
weaker than others on the same images; what is beyond the noise of so few images is flagged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import permutations
from statistics import fmean

from bench_uq.api.names import parse_full, plain_name
from bench_uq.score.results import Results
from bench_uq.score.summaries import highest_entropy, levels, summarise

#: A difference of two accuracies counts from here on, and only where it is also so many standard errors.
LEAST, ERRORS = 0.02, 3.0
#: From this epsilon on every image can be made grey: an attack must reach chance.
GREY = 0.5
#: The share of images without any gradient from which on a method is flagged.
ZEROS = 0.05


@dataclass(frozen=True)
class Verdict:
    """How one check of one method ended: ``ok``, ``flagged`` or ``not judged``; why, in words."""

    method: str
    check: str
    status: str
    words: str = ""


@dataclass(frozen=True)
class Form:
    """An attack that raises the loss of the true label: its name, its options as they are written, and its norm."""

    condition: str
    name: str
    options: Mapping[str, str]

    def differs(self, other: Form, *options: str) -> bool:
        """Tell whether it differs from another in more than its name and some options."""
        return any(
            self.options.get(key) != other.options.get(key)
            for key in {*self.options, *other.options} - {*options}
        )

    @property
    def norm(self) -> str:
        """The norm of epsilon."""
        return self.options.get("norm", "linf")

    @property
    def draws(self) -> int:
        """The draws of a gradient."""
        return int(self.options.get("draws", "10"))


#: What only attacks of several steps have.
STEPS = ("steps", "step_size", "restarts", "start")


def checks(results: Results) -> list[Verdict]:
    """Return every verdict on one dataset, method by method; empty where nothing was attacked."""
    forms = [form for condition in levels(results) if (form := _form(condition))]
    if not forms:
        return []
    return [
        Verdict(method, name, *check(results, method, forms))
        for method in results.methods
        for name, check in CHECKS.items()
    ]


def flagged(results: Results) -> list[Verdict]:
    """Return what is flagged on one dataset."""
    return [verdict for verdict in checks(results) if verdict.status == "flagged"]


def _form(condition: str) -> Form | None:
    """Return a condition as an attack on the loss of the true label, None for any other."""
    name, options = plain_name(condition), parse_full(condition)
    if name not in ("fgsm", "pgd", "transfer", "autoattack"):
        return None
    if (
        options.get("label", "true") != "true"
        or options.get("objective", "predictive") == "entropy"
    ):
        return None
    return Form(condition, name, options)


#: How a check ends, and why.
Ending = tuple[str, str]
#: A condition and its level.
Place = tuple[str, float]


def _falls(results: Results, method: str, forms: list[Form]) -> Ending:
    """Accuracy under PGD must fall with epsilon, and reach chance where every image can be made grey.

    Chance is that of classes equally frequent: a good attack leaves less than it.
    """
    judged, flat = False, 0.0
    highest = highest_entropy(results)
    for form in forms:
        if form.name != "pgd" or form.norm != "linf":
            continue
        known = (
            (level, _accuracy(results, method, form.condition, level))
            for level in levels(results)[form.condition]
        )
        places = {
            level: accuracy for level, accuracy in known if accuracy is not None and level <= GREY
        }
        for high in list(places)[1:]:
            judged = True
            low = min((level for level in places if level < high), key=lambda level: places[level])
            if _beyond(results, method, (form.condition, high), (form.condition, low)):
                words = f"accuracy rises again under {form.condition}, from ε = {low:g} to {high:g}"
                return (
                    "flagged",
                    f"{words}{_numbers(results, method, (form.condition, low), (form.condition, high))}",
                )
        if (
            GREY in places
            and highest
            and (left := _accuracy(results, method, form.condition, GREY)) is not None
        ):
            chance = math.exp(-highest)
            seeds = summarise(results)[method, form.condition, GREY, "accuracy"].seeds
            if left > chance + max(
                LEAST, ERRORS * _error(results, (form.condition, GREY), chance, method, seeds)
            ):
                return (
                    "flagged",
                    f"{left:.2f} of the images are still right under {form.condition} at ε = {GREY:g}",
                )
        elif len(places) > 1:
            ends = (form.condition, min(places)), (form.condition, max(places))
            if not _beyond(results, method, *ends):
                flat = max(flat, max(places))
    if flat:
        return (
            "not judged",
            f"accuracy does not fall up to ε = {flat:g}: only ε = {GREY:g} would tell",
        )
    return ("ok", "") if judged else ("not judged", "needs pgd at two levels or more")


def _against(
    pairs: Callable[[list[Form]], Iterator[tuple[Form, Form]]], words: str, needs: str
) -> Callable[[Results, str, list[Form]], Ending]:
    """Return the check that the first of each pair of attacks leaves no more right than the second at any level."""

    def check(results: Results, method: str, forms: list[Form]) -> Ending:
        known, judged = levels(results), False
        for strong, weak in pairs(forms):
            for level in sorted(set(known[strong.condition]) & set(known[weak.condition])):
                # Beyond grey one step only goes on past it: more of the same need not find more.
                if level == 0 or (level > GREY and strong.norm == "linf"):
                    continue
                if not _both(results, method, (strong.condition, level), (weak.condition, level)):
                    continue
                judged = True
                if _beyond(results, method, (strong.condition, level), (weak.condition, level)):
                    names = words.format(strong=strong.condition, weak=weak.condition)
                    numbers = _numbers(
                        results, method, (strong.condition, level), (weak.condition, level)
                    )
                    return "flagged", f"{names} at ε = {level:g}{numbers}"
        return ("ok", "") if judged else ("not judged", f"needs {needs} at the same levels")

    return check


def _many_and_one(forms: list[Form]) -> Iterator[tuple[Form, Form]]:
    """Yield PGD and FGSM that are else the same."""
    for one, other in permutations(forms, 2):
        if (one.name, other.name) == ("pgd", "fgsm") and not one.differs(other, *STEPS):
            yield one, other


def _own_and_transferred(forms: list[Form]) -> Iterator[tuple[Form, Form]]:
    """Yield PGD and the transferred attack that are else the same."""
    for one, other in permutations(forms, 2):
        if (one.name, other.name) == ("pgd", "transfer") and not one.differs(other, "from"):
            yield one, other


def _more_and_fewer(forms: list[Form]) -> Iterator[tuple[Form, Form]]:
    """Yield the same attack with more and with fewer draws a gradient."""
    for one, other in permutations(forms, 2):
        if one.name == other.name and one.draws > other.draws and not one.differs(other, "draws"):
            yield one, other


def _gradients(results: Results, method: str, forms: list[Form]) -> Ending:
    """FGSM must move almost every image: where it moves none of its pixels the gradient is 0."""
    for form in forms:
        for level in levels(results)[form.condition] if form.name == "fgsm" else ():
            share = summarise(results).get((method, form.condition, level, "unmoved"))
            if level > 0 and share is not None:
                if share.mean > ZEROS:
                    return (
                        "flagged",
                        f"{share.mean:.0%} of the images have a gradient of exactly 0 ({form.condition})",
                    )
                return "ok", ""
    return "not judged", "needs fgsm, and predictions of this version"


#: What an attack must not be, by what it would say of a method.
CHECKS: Mapping[str, Callable[[Results, str, list[Form]], Ending]] = {
    "falls to chance": _falls,
    "PGD as strong as FGSM": _against(
        _many_and_one, "{strong} is weaker than {weak}", "pgd and fgsm"
    ),
    "white box as strong as transfer": _against(
        _own_and_transferred, "{strong} is weaker than {weak}", "pgd and transfer"
    ),
    "more draws as strong as fewer": _against(
        _more_and_fewer, "{strong} is weaker than {weak}", "an attack with two numbers of draws"
    ),
    "gradients are not zero": _gradients,
}

#: What a flag means to a reader.
MEANING: Mapping[str, str] = {
    "falls to chance": "more room must not help the method: the attack is lost, not the method strong",
    "PGD as strong as FGSM": "many small steps find less than one large one: the gradient leads astray near the image",
    "white box as strong as transfer": "another network is the better guide to this one: its own gradient hides",
    "more draws as strong as fewer": "a better estimate of the gradient finds less: what it estimates is not the way",
    "gradients are not zero": "a gradient attack has nothing to follow on these images: their accuracy says nothing",
}


def _accuracy(results: Results, method: str, condition: str, level: float) -> float | None:
    """Return the mean accuracy over seeds, None where there is none."""
    found = summarise(results).get((method, condition, level, "accuracy"))
    return None if found is None else found.mean


def _both(results: Results, method: str, one: Place, other: Place) -> list[tuple[float, float]]:
    """Return the accuracies at two places of each seed that has both: seeds differ by more than attacks do."""
    found = _by_seed(results)
    accuracies = [found.get((method, *place), {}) for place in (one, other)]
    return [
        (accuracies[0][seed], accuracies[1][seed])
        for seed in accuracies[0]
        if seed in accuracies[1]
    ]


@lru_cache(maxsize=16)
def _by_seed(results: Results) -> dict[tuple[str, str, float], dict[int, float]]:
    """Return the accuracy of each seed by method, condition and level."""
    scores = results.scores[results.scores["metric"] == "accuracy"].dropna(
        subset=["level", "value"]
    )
    columns = scores[["method", "condition", "level", "seed", "value"]]
    found: dict[tuple[str, str, float], dict[int, float]] = {}
    for method, condition, level, seed, value in columns.itertuples(index=False, name=None):
        found.setdefault((method, condition, float(level)), {})[seed] = value
    return found


def _error(results: Results, place: Place, share: float, method: str, seeds: int) -> float:
    """Return the standard error of a share of all images of some seeds."""
    sizes = summarise(results).get((method, *place, "examples"))
    images = (sizes.mean if sizes else 1000.0) * seeds
    edge = 1 / images  # an observed 0 is not certain
    share = min(max(share, edge), 1 - edge)
    return math.sqrt(share * (1 - share) / images)


def _beyond(results: Results, method: str, strong: Place, weak: Place) -> bool:
    """Tell whether what must be the stronger attack leaves more right than the weaker one, beyond noise."""
    pairs = _both(results, method, strong, weak)
    if not pairs:
        return False
    left = [fmean(shares) for shares in zip(*pairs, strict=True)]
    error = math.hypot(
        *(
            _error(results, place, share, method, len(pairs))
            for place, share in zip((strong, weak), left, strict=True)
        )
    )
    return left[0] - left[1] > max(LEAST, ERRORS * error)


def _numbers(results: Results, method: str, strong: Place, weak: Place) -> str:
    """Return both accuracies in brackets."""
    one, other = (
        fmean(shares) for shares in zip(*_both(results, method, strong, weak), strict=True)
    )
    return f" (accuracy {one:.2f} against {other:.2f})"
