"""The condition ``worst``: for each image the worst of all attacks of a run within one distance."""

# Accuracy under any attack is an upper bound of the accuracy under the strongest one. The worst
# case over several attacks is at most as high as under each of them, and so a closer bound.

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench_uq.api.condition import Search
from bench_uq.api.names import level_key
from bench_uq.api.task import Predictions
from bench_uq.store import Evaluation
from bench_uq.store.about import About, ConditionFacts

WORST = {"linf": "worst", "l2": "worst[norm=l2]"}
TITLES = {WORST["linf"]: "Worst attack"}
FAMILY = "worst case over attacks"
#: Arrays of a classifier that are chosen image by image.
ARRAYS = ("probs", "draw_entropy", "mutual_information", "targets", "log_density")


def over_attacks(
    asked: Sequence[Evaluation], stored: Mapping[str, Predictions], about: About
) -> list[tuple[Evaluation, Predictions]]:
    """The worst case at each norm and level that two attacks share, by rising level."""
    groups: dict[tuple[float, str], list[Predictions]] = {}
    levels = dict[float, float]()
    for shown in asked:
        facts, found = about.conditions.get(shown.condition), stored[shown.file]
        if facts is None or facts.search is None or not shown.level or "probs" not in found:
            continue
        # 0.15 and 0.15000000000000002 print alike, and are one level: that of the first attack.
        level = levels.setdefault(level_key(shown.level), shown.level)
        groups.setdefault((level, WORST[facts.search.norm]), []).append(found)

    names, made = {shown.condition for shown in asked}, []
    for (level, name), attacks in sorted(groups.items(), key=lambda group: group[0]):
        # A condition of the user's own may have the name.
        if len(attacks) > 1 and name not in names:
            place = Evaluation(name, "condition", level, f"{name} {level!r}")
            made.append((place, worst(attacks)))
    return made


def worst(attacks: Sequence[Predictions]) -> Predictions:
    """For each image the prediction of an attack that fools it, and of these the least likely."""
    count = min(map(len, attacks))
    ranks = []
    for found in attacks:
        right = found["probs"][:count].argmax(1) == found["targets"][:count]
        # A wrong prediction may leave its label more probable than a right one does.
        ranks.append(np.where(right, 0.0, -1e9) + found["log_density"][:count])

    chosen, images = np.argmin(ranks, 0), np.arange(count)
    arrays = {}
    for name in ARRAYS:
        # Older versions stored no mutual information.
        if any(name not in found for found in attacks):
            continue
        arrays[name] = np.stack([found[name][:count] for found in attacks])[chosen, images]
    return Predictions(arrays)


def facts(conditions: Mapping[str, ConditionFacts]) -> dict[str, ConditionFacts]:
    """Facts of the worst case over these attacks, by its name."""
    found, seen = dict[str, ConditionFacts](), set[str]()
    for attack in conditions.values():
        if attack.search is None:
            continue

        norm = attack.search.norm
        search = Search(norm, objective=FAMILY)
        if norm in seen:
            made = ConditionFacts(attack.level_name, attack.unit, FAMILY, search=search)
            found[WORST[norm]] = made
        seen.add(norm)
    return found
