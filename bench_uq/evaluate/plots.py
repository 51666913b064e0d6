"""Figures of the scores of one model, on axes of matplotlib."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from bench_uq.api.errors import BadValue
from bench_uq.api.task import Predictions
from bench_uq.evaluate.shown import CLEAN, Evaluated, Shown
from bench_uq.metrics.selective import accepted_errors_by_entropy
from bench_uq.report.figures._style import Options, styled, text, tidy
from bench_uq.score import curves

#: Okabe and Ito's colours, which colour-blind readers can distinguish.
_COLORS = ("#000000", "#e69f00", "#0072b2", "#009e73", "#d55e00", "#cc79a7", "#56b4e9")
#: Largest share of the examples that is rejected: beyond it few are left to judge by.
_MOST = 0.9
#: Bins with a smaller share of the examples are drawn hollow, because they are mostly chance.
_FEW = 0.01


@dataclass(frozen=True)
class Plots:
    """Each draws on the given axes, or on new ones, and returns them."""

    scores: Evaluated

    def reliability(self, axes: Axes | None = None) -> Axes:
        """Accuracy by confidence on clean data, 15 bins, with the share of examples as bars."""
        predictions = self._clean()
        found = {name: (x, y) for name, x, y in curves.reliability(predictions)}
        confidence = found["reliability_confidence"][1]
        accuracy, (centres, shares) = found["reliability_accuracy"][1], found["reliability_share"]

        with drawn(axes) as panel:
            panel.plot([0, 1], [0, 1], color="#666666", linestyle="--", linewidth=0.7)
            panel.bar(centres, shares, width=0.9 / len(centres), color="#cccccc", label="share")
            panel.plot(confidence, accuracy, marker="o", color=_COLORS[2], label="accuracy")

            few = shares[shares > 0] < _FEW
            hollow: Options = {"linestyle": "none", "marker": "o", "markerfacecolor": "white"}
            panel.plot(confidence[few], accuracy[few], color=_COLORS[2], **hollow)

            panel.set(xlabel="confidence", ylabel="accuracy, share", xlim=(0, 1), ylim=(0, 1.02))
            cards = self.scores.cards
            error = cards["ece"].compute(predictions, None)
            floor = cards["ece_if_calibrated"].compute(predictions, None)
            panel.set_title(f"{text(self.scores.name)}: ECE {error:.3f}, {floor:.3f} if calibrated")
            panel.legend(loc="upper left")
        return panel

    def rejection(self, axes: Axes | None = None) -> Axes:
        """Accuracy of the examples that are left when those of highest entropy are rejected."""
        self._clean()
        with drawn(axes) as panel:
            for shown, color in self._colored():
                # Unseen data have no right answer.
                if "targets" in shown.predictions:
                    rejected, accuracy = accepted(shown.predictions)
                    panel.plot(rejected, accuracy, color=color, label=text(shown.title))

            panel.set(xlabel="share rejected", ylabel="accuracy of accepted", ylim=(None, 1.005))
            panel.set_title(text(self.scores.name))
            panel.legend()
        return panel

    def entropy(self, axes: Axes | None = None) -> Axes:
        """Share of examples with at most so much predictive entropy, a line per condition."""
        self._clean()
        with drawn(axes) as panel:
            for shown, color in self._colored():
                _, x, y = curves.entropy_ecdf(shown.predictions)
                panel.plot(x, y, color=color, label=text(shown.title))

            panel.set(xlabel="entropy x (nats)", ylabel="share ≤ x", ylim=(-0.02, 1.02))
            panel.set_title(text(self.scores.name))
            panel.legend()
        return panel

    def _clean(self) -> Predictions:
        """Predictions of classes on clean data."""
        clean = self.scores.clean
        if clean is None or "probs" not in clean:
            raise BadValue("these figures are of predictions of classes")
        return clean

    def _colored(self) -> Iterator[tuple[Shown, str]]:
        """Each condition with a colour; clean data are black."""
        others = [one for one in self.scores.shown if one.condition != CLEAN]
        for one in self.scores.shown:
            if one.condition == CLEAN:
                yield one, _COLORS[0]
        for place, one in enumerate(others):
            yield one, _COLORS[1 + place % (len(_COLORS) - 1)]


def accepted(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
    """Shares of the examples that are rejected, and the accuracy of the others."""
    errors = accepted_errors_by_entropy(predictions)
    kept = np.arange(1, len(errors) + 1)
    rejected, accuracy = 1 - kept / len(errors), 1 - errors / kept

    inside = rejected <= _MOST
    return rejected[inside], accuracy[inside]


@contextmanager
def drawn(axes: Axes | None) -> Iterator[Axes]:
    """The given axes as they are styled, or new ones in the style of all figures."""
    if axes is not None:
        if not isinstance(axes, Axes):
            raise BadValue(f"axes is one panel of matplotlib, not a {type(axes).__name__}")
        yield axes
        return

    import matplotlib.pyplot as plt

    with styled():
        _, panel = plt.subplots(figsize=(3.4, 2.8), layout="constrained")
        yield panel
        tidy(panel)
