"""Signs of masked gradients, with which attacks mean nothing (Athalye et al. 2018, section 3.1)."""

# A network can look robust because its gradients lead an attack astray. Each check compares attacks
# that must not be weaker than others on the same images; a difference beyond the noise of so few
# images is flagged.

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations, product
from statistics import fmean

from bench_uq.api.condition import GRADIENT_ATTACK, Search
from bench_uq.api.names import plain_name
from bench_uq.score.results import Results
from bench_uq.score.summaries import Place as Scored
from bench_uq.score.summaries import Summary
from bench_uq.store.about import ConditionFacts

#: A difference of two accuracies counts from here on, and only where it is also so many standard
#: errors.
LEAST, ERRORS = 0.02, 3.0
#: From this epsilon on every image can be made grey: an attack must reach chance.
GREY = 0.5
#: The share of images without any gradient from which on a method is flagged.
ZEROS = 0.05


@dataclass(frozen=True)
class Verdict:
    """The status of one check of one method, ``ok``, ``flagged`` or ``not judged``, and why."""

    method: str
    check: str
    status: str
    words: str = ""


@dataclass(frozen=True)
class Form:
    """An attack that raises the loss of the true label, and how it searches."""

    condition: str
    facts: ConditionFacts
    search: Search

    @property
    def follows_gradient(self) -> bool:
        """Whether it follows the gradient of the evaluated networks."""
        return self.facts.family == GRADIENT_ATTACK and not self.facts.surrogate

    def same_loss(self, other: Form) -> bool:
        """Whether both climb the same loss, of as many draws, in one norm."""
        one, two = self.search, other.search
        return (one.objective, one.draws, one.norm) == (two.objective, two.draws, two.norm)


_NEEDS_STEPS = "needs a gradient attack of many steps, at two levels or more"
#: A condition and its level.
Place = tuple[str, float]
#: How a check ends, and why.
Ending = tuple[str, str]


@dataclass(frozen=True)
class Attacked:
    """One method: the attacks on it, and its scores under them."""

    method: str
    forms: Sequence[Form]
    levels: Mapping[str, Sequence[float]]
    summaries: Mapping[Scored, Summary]
    by_seed: Mapping[tuple[str, str, float], Mapping[int, float]]  # accuracies
    highest_entropy: float | None

    def summary(self, place: Place, metric: str) -> Summary | None:
        """One score of the method over its seeds."""
        return self.summaries.get((self.method, *place, metric))

    def pairs(self, one: Place, other: Place) -> list[tuple[float, float]]:
        """The accuracies at two places of each seed that has both."""
        # Means over other seeds would not do: seeds differ by more than attacks do.
        first = self.by_seed.get((self.method, *one), {})
        second = self.by_seed.get((self.method, *other), {})
        return [(first[seed], second[seed]) for seed in first if seed in second]

    def error(self, place: Place, share: float, seeds: int) -> float:
        """The standard error of a share of the images of some seeds."""
        sizes, images = self.summary(place, "examples"), 1000.0 * seeds
        # Results of older versions do not say how many images were shown.
        if sizes:
            images = sizes.mean * seeds

        # An observed 0 is not certain, yet its standard error would be 0.
        edge = 1 / images
        share = min(max(share, edge), 1 - edge)
        return math.sqrt(share * (1 - share) / images)

    def weaker(self, strong: Place, weak: Place) -> bool:
        """Whether ``strong``, which must be the stronger attack, is weaker, beyond noise."""
        pairs = self.pairs(strong, weak)
        if not pairs:
            return False

        left, right = _means(pairs)
        errors = self.error(strong, left, len(pairs)), self.error(weak, right, len(pairs))
        return left - right > max(LEAST, ERRORS * math.hypot(*errors))

    def accuracies(self, one: Place, other: Place) -> str:
        """Both mean accuracies in brackets."""
        left, right = _means(self.pairs(one, other))
        return f" (accuracy {left:.2f} against {right:.2f})"


def _means(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of the first and of the second numbers."""
    first, second = zip(*pairs, strict=True)
    return fmean(first), fmean(second)


def checks(
    results: Results,
    levels: Mapping[str, Sequence[float]],
    summaries: Mapping[Scored, Summary],
    highest_entropy: float | None,
) -> list[Verdict]:
    """Every verdict on one dataset, method by method; empty if nothing was attacked."""
    forms = list[Form]()
    for condition in levels:
        facts = results.about.conditions.get(condition)
        # Others may leave more right the stronger they are: those away from a wrong prediction.
        if facts is not None and facts.search is not None and facts.search.true_label:
            forms.append(Form(condition, facts, facts.search))
    if not forms:
        return []

    verdicts, by_seed = [], _by_seed(results)
    for method in results.methods:
        own = Attacked(method, forms, levels, summaries, by_seed, highest_entropy)
        verdicts += [Verdict(method, name, *check(own)) for name, check in CHECKS.items()]
    return verdicts


def outcome(verdicts: Sequence[Verdict]) -> str:
    """Say how many checks could be made on one dataset, and whether they found a sign."""
    counts = Counter[str]()
    for one in verdicts:
        counts[one.method] += one.status != "not judged"
    # The fewest and the most of a method.
    numbers = " to ".join(map(str, sorted({min(counts.values()), max(counts.values())})))

    found, statuses = "nothing is known of masked gradients", {one.status for one in verdicts}
    if "flagged" in statuses:
        found = "signs of masked gradients"
    elif "ok" in statuses and 2 * max(counts.values()) < len(CHECKS):
        found = "too few to rule out masked gradients"
    elif "ok" in statuses:
        found = "no sign of masked gradients"
    return f"{numbers} of {len(CHECKS)} checks possible, {found}"


def needs(verdicts: Sequence[Verdict]) -> list[str]:
    """Name each check that was not possible for some method, and what it needs."""
    lacking = {one.check: one.words for one in verdicts if one.status == "not judged"}
    return [f"{name}: {lacking[name]}." for name in CHECKS if name in lacking]


def _by_seed(results: Results) -> dict[tuple[str, str, float], dict[int, float]]:
    """The accuracy of each seed by method, condition and level."""
    scores = results.scores[results.scores["metric"] == "accuracy"]
    scores = scores.dropna(subset=["level", "value"])
    columns = scores[["method", "condition", "level", "seed", "value"]]

    found: dict[tuple[str, str, float], dict[int, float]] = {}
    for method, condition, level, seed, value in columns.itertuples(index=False, name=None):
        found.setdefault((method, condition, float(level)), {})[seed] = value
    return found


def _falls(own: Attacked) -> Ending:
    """Accuracy must fall with epsilon, to chance if every image can be made grey."""
    judged, flat = False, 0.0
    for form in own.forms:
        # A single step can go past the worst point, and a bound on the L2 norm is not one of grey.
        if not form.follows_gradient or form.search.steps == 1 or form.search.norm != "linf":
            continue

        places = {}
        for level in own.levels[form.condition]:
            accuracy = own.summary((form.condition, level), "accuracy")
            if accuracy is not None and level <= GREY:
                places[level] = accuracy.mean

        if words := _rises(own, form.condition, places) or _above_chance(own, form.condition):
            return "flagged", words
        if len(places) > 1:
            judged = True
            ends = (form.condition, min(places)), (form.condition, max(places))
            at_chance = GREY in places and own.highest_entropy
            # A method may be robust at small epsilons: that alone is no sign of masking.
            if not at_chance and not own.weaker(*ends):
                flat = max(flat, max(places))

    if flat:
        words = f"accuracy does not fall up to ε = {flat:g}: only ε = {GREY:g} would tell"
        return "not judged", words
    if not judged:
        return "not judged", _NEEDS_STEPS
    return "ok", ""


def _rises(own: Attacked, condition: str, places: Mapping[float, float]) -> str:
    """Say where accuracy rises again with epsilon, empty if nowhere; ``places`` are its means."""
    for high in list(places)[1:]:
        # The lowest accuracy before, not that of the next level: many small rises add up.
        lower = [level for level in places if level < high]
        low = min(lower, key=lambda level: places[level])
        if own.weaker((condition, high), (condition, low)):
            numbers = own.accuracies((condition, low), (condition, high))
            return f"accuracy rises again under {condition}, from ε = {low:g} to {high:g}{numbers}"
    return ""


def _above_chance(own: Attacked, condition: str) -> str:
    """Say how many grey images are still right, empty if no more than chance."""
    place = (condition, GREY)
    accuracy = own.summary(place, "accuracy")
    if accuracy is None or not own.highest_entropy:
        return ""

    # Chance is that of classes equally frequent: a good attack leaves less than it.
    chance = math.exp(-own.highest_entropy)
    noise = max(LEAST, ERRORS * own.error(place, chance, accuracy.seeds))
    if accuracy.mean <= chance + noise:
        return ""
    left = f"{accuracy.mean:.2f} of the images are still right"
    return f"{left} under {condition} at ε = {GREY:g}"


def _against(
    pairs: Callable[[Sequence[Form]], Iterator[tuple[Form, Form]]], needs: str
) -> Callable[[Attacked], Ending]:
    """The check that the first attack of each pair leaves no more right than the second."""

    def check(own: Attacked) -> Ending:
        judged = False
        for strong, weak in pairs(own.forms):
            shared = set(own.levels[strong.condition]) & set(own.levels[weak.condition])
            for level in sorted(shared - {0}):
                # Beyond grey one step only goes on past it: more of the same need not find more.
                if level > GREY and strong.search.norm == "linf":
                    continue
                places = (strong.condition, level), (weak.condition, level)
                judged = judged or bool(own.pairs(*places))
                if own.weaker(*places):
                    names = f"{strong.condition} is weaker than {weak.condition}"
                    return "flagged", f"{names} at ε = {level:g}{own.accuracies(*places)}"

        if not judged:
            return "not judged", f"needs {needs} at the same levels"
        return "ok", ""

    return check


def _gradient_attacks(forms: Sequence[Form]) -> list[Form]:
    """The attacks that follow the gradient of the evaluated networks."""
    return [form for form in forms if form.follows_gradient]


def _many_and_one(forms: Sequence[Form]) -> Iterator[tuple[Form, Form]]:
    """Pairs of gradient attacks of many steps and of one, on the same loss."""
    for many, one in permutations(_gradient_attacks(forms), 2):
        if many.search.steps > 1 and one.search.steps == 1 and many.same_loss(one):
            yield many, one


def _own_and_transferred(forms: Sequence[Form]) -> Iterator[tuple[Form, Form]]:
    """Pairs of a gradient attack and of the same one on another method's networks."""
    for own, other in product(_gradient_attacks(forms), forms):
        if other.facts.surrogate and own.search == other.search:
            yield own, other


def _many_and_more(forms: Sequence[Form]) -> Iterator[tuple[Form, Form]]:
    """Pairs of a gradient attack of many steps and of an attack that takes more, in one norm."""
    for many, more in product(_gradient_attacks(forms), forms):
        further = more.search.steps > many.search.steps > 1
        if further and many.search.norm == more.search.norm and not more.facts.surrogate:
            yield many, more


def _more_and_fewer(forms: Sequence[Form]) -> Iterator[tuple[Form, Form]]:
    """Pairs of the same attack with more and with fewer draws per gradient."""
    for more, fewer in permutations(forms, 2):
        if plain_name(more.condition) != plain_name(fewer.condition):
            continue
        search = replace(more.search, draws=fewer.search.draws)
        alike = replace(more.facts, search=search) == fewer.facts
        # 0 stands for as many as the direction needs.
        if alike and (more.search.draws or math.inf) > (fewer.search.draws or math.inf):
            yield more, fewer


def _gradients(own: Attacked) -> Ending:
    """A single step must move almost every image: if it moves no pixel, the gradient is 0."""
    for form in own.forms:
        if not form.follows_gradient or form.search.steps > 1:
            continue
        for level in own.levels[form.condition]:
            share = own.summary((form.condition, level), "unmoved")
            if level > 0 and share is not None:
                if share.mean <= ZEROS:
                    return "ok", ""
                zero = f"{share.mean:.0%} of the images have a gradient of exactly 0"
                return "flagged", f"{zero} ({form.condition})"
    return "not judged", "needs a gradient attack of one step, and predictions of this version"


#: Each promise of the attacks, and how it is checked.
CHECKS: Mapping[str, Callable[[Attacked], Ending]] = {
    "falls to chance": _falls,
    "PGD as strong as FGSM": _against(_many_and_one, "gradient attacks of many steps and of one"),
    "white box as strong as transfer": _against(
        _own_and_transferred, "an attack on the method itself and the same one transferred"
    ),
    "more draws as strong as fewer": _against(
        _more_and_fewer, "an attack with two numbers of draws"
    ),
    "as strong as a longer search": _against(
        _many_and_more, "a longer search in the same norm, by more steps or restarts,"
    ),
    "gradients are not zero": _gradients,
}

#: The meaning of a flag.
MEANING: Mapping[str, str] = {
    "falls to chance": "more room must not help the method: the attack is lost, "
    "not the method strong",
    "PGD as strong as FGSM": "many small steps find less than one large one: the gradient leads "
    "astray near the image",
    "white box as strong as transfer": "another network is the better guide to this one: "
    "its own gradient hides",
    "more draws as strong as fewer": "a better estimate of the gradient finds less: what it "
    "estimates is not the way",
    "as strong as a longer search": "the attack stopped short: the accuracy under the stronger one "
    "counts",
    "gradients are not zero": "a gradient attack has nothing to follow on these images: their "
    "accuracy says nothing",
}
