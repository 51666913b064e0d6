"""Quality against cost, with the Pareto front: the chart at the top of a page."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from html import escape
from itertools import pairwise, product

from bench_uq.report.looks import looks
from bench_uq.report.page.names import Box, Placed, place_names
from bench_uq.score.analysis import Analysis
from bench_uq.score.front import front
from bench_uq.score.leading import by_rank
from bench_uq.score.questions import answers
from bench_uq.score.rounding import plain
from bench_uq.score.summaries import Summary, costs
from bench_uq.score.wording import TRAINING

#: Size of the chart of costs in its own units, and the room around its axes.
_WIDTH, _HEIGHT = 520, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 24, 14, 44
#: Methods of which each has its name, colour and range; of more only those on the front and the
#: one that ranks best.
_MOST_NAMED = 12
#: Ticks of an axis at most, and on a logarithmic one their first digits, the finest first.
_MOST_TICKS = 6
_LOG_TICKS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
#: Room beyond the ends of an axis, a share of its length.
_ROOM = 0.06
#: The others of many.
_GREY = "#a9b0b8"

#: Cost and score of each method.
Points = dict[str, tuple[Summary, Summary]]


def cost_chart(analysis: Analysis) -> str:
    """Quality against the cost of training as an image, its front drawn; empty without costs."""
    card, points = _points(analysis)
    if len(points) < 2:
        return ""

    sign = 1 if analysis.cards[card].direction == "lower" else -1
    means = {name: (cost.mean, sign * score.mean) for name, (cost, score) in points.items()}
    alike = {name: own for name, own in means.items() if name in analysis.comparable}
    best = front(alike)

    title = analysis.cards[card].heading.replace("\n", " ")
    better = "lower is better" if sign > 0 else "higher is better"
    named = ", ".join(analysis.label(name) for name in best)
    spoken = f"{title} against seconds of training. On the Pareto front: {named}."
    drawing = _drawing(analysis, points, best, f"{title} ({better})")
    caption = f"{title} on clean data against the cost of training a seed"
    # A line needs two methods.
    if len(best) > 1:
        caption += "; line: the Pareto front"
    elif best:
        caption += f"; the Pareto front is {escape(named)} alone"
    caption += "."
    if len(points) > _MOST_NAMED:
        caption += " Point at a grey mark for its name."
    return (
        f'<figure class="cost"><svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(spoken)}">{drawing}</svg><figcaption>{caption}</figcaption></figure>'
    )


def _points(analysis: Analysis) -> tuple[str, Points]:
    """The first score of the figure of costs that was measured, and both numbers of each method."""
    paid = costs(analysis.results, [TRAINING])
    for metric in analysis.cards.shown("cost_figure"):
        points = {}
        for method in analysis.methods:
            price = paid.get((method, "cost", None, TRAINING))
            score = analysis.drawn(method, "clean", None, metric)
            # A logarithmic axis has no zero.
            if price and score and price.mean > 0 and math.isfinite(price.mean):
                points[method] = (price, score)
        if points:
            return metric, points
    return "", {}


def _drawing(
    analysis: Analysis, points: Mapping[str, tuple[Summary, Summary]], best: Sequence[str], y: str
) -> str:
    """Axes, front, marks and names."""
    prices = [cost.mean for cost, _ in points.values()]
    compared = [one for one in answers(analysis) if one.comparison is not None]
    leading = by_rank(analysis, compared)[:1] if compared else []
    # Of many names most would stand far from their marks, and of many colours none is known again.
    named = [name for name in points if len(points) <= _MOST_NAMED or name in {*best, *leading}]
    scores = list[float]()
    for name, (_, score) in points.items():
        # The ranges that are not drawn need no room.
        drawn = name in named
        scores += (score.low, score.high) if drawn else (score.mean,)
    # Scores of one size are easier read on a linear axis.
    log = min(scores) > 0 and max(scores) > 3 * min(scores)
    across = _scale(min(prices), max(prices), _LEFT, _WIDTH - _RIGHT, log=True)
    up = _scale(min(scores), max(scores), _HEIGHT - _BOTTOM, _TOP, log=log)

    heights = [(up(tick), plain(tick, 3)) for tick in _ticks(min(scores), max(scores), log=log)]
    widths = [(across(tick), plain(tick, 3)) for tick in _ticks(*_ends(prices), log=True)]
    parts = _axes(widths, heights, f"{y}, logarithmic" if log else y)

    centres = dict[str, tuple[float, float]]()
    for name, (cost, score) in points.items():
        centres[name] = across(cost.mean), up(score.mean)
    corners = _corners([centres[name] for name in best])
    parts += _front(corners)

    named.sort(key=lambda name: centres[name][1])
    found = looks(analysis.results)
    lines = [_line(*ends) for ends in pairwise(corners)]
    # The marks with names come last, over the others.
    for name in sorted(points, key=lambda name: name in named):
        color, ends = _GREY, (centres[name][1], centres[name][1])
        if name in named:
            score = points[name][1]
            color, ends = found[name].color, (up(score.low), up(score.high))
            x = centres[name][0]
            lines.append(_line((x, ends[0]), (x, ends[1])))
        # The mark tells its name where the pointer rests on it.
        parts.append(_mark(*centres[name], *ends, color, analysis.label(name)))

    titles = [(analysis.spoken(name), *centres[name]) for name in named]
    chart = Box(_LEFT + 4, 0, _WIDTH, _HEIGHT - _BOTTOM)
    for one in place_names(titles, list(centres.values()), chart, lines):
        parts.append(_named(one))
    return "".join(parts)


def _axes(
    widths: Sequence[tuple[float, str]], heights: Sequence[tuple[float, str]], y: str
) -> list[str]:
    """The axes with their ticks, each a place and a number, and their titles."""
    floor, right = _HEIGHT - _BOTTOM, _WIDTH - _RIGHT
    parts = [f'<path class="axis" d="M{_LEFT} {_TOP}V{floor}H{right}"/>']
    for height, number in heights:
        parts.append(f'<path class="grid" d="M{_LEFT} {height:.1f}H{right}"/>')
        parts.append(_text(_LEFT - 6, height + 4, "end", number))
    for x, number in widths:
        parts.append(_text(x, floor + 16, "middle", number))

    parts.append(
        _text((_LEFT + right) / 2, _HEIGHT - 8, "middle", "training a seed (s), logarithmic")
    )
    middle = (_TOP + floor) / 2
    turned = f'transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle"'
    parts.append(f"<text {turned}>{escape(y)}</text>")
    return parts


def _corners(best: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of the Pareto front, whose steps lead from the cheapest to the best."""
    found = list(best[:1])
    for x, height in best[1:]:
        found += [(x, found[-1][1]), (x, height)]
    return found


def _front(corners: Sequence[tuple[float, float]]) -> list[str]:
    """The Pareto front."""
    if len(corners) < 2:
        return []
    path = "L".join(f"{x:.1f} {y:.1f}" for x, y in corners)
    return [f'<path class="front" d="M{path}"/>']


def _line(one: tuple[float, float], other: tuple[float, float]) -> Box:
    """The room that an upright or level line takes."""
    (left, right), (top, bottom) = sorted((one[0], other[0])), sorted((one[1], other[1]))
    return Box(left - 1, top - 1, right + 1, bottom + 1)


def _named(one: Placed) -> str:
    """A name in its place, with a line to its mark where it stands far from it."""
    x = {"start": one.box.left, "end": one.box.right}.get(one.anchor, one.x)
    text = _text(x, one.box.bottom - 2, one.anchor, one.name)
    if not one.led:
        return text
    end, height = one.line()
    return f'<path class="lead" d="M{one.x:.1f} {one.y:.1f}L{end:.1f} {height:.1f}"/>{text}'


def _mark(x: float, y: float, low: float, high: float, color: str, name: str) -> str:
    """A mark at both means, with the range of the score over seeds; it tells its name."""
    return (
        f'<path d="M{x:.1f} {low:.1f}V{high:.1f}" stroke="{color}" class="mark"/>'
        f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4.5" fill="{color}" class="mark">'
        f"<title>{escape(name)}</title></circle>"
    )


def _text(x: float, y: float, anchor: str, text: str) -> str:
    """A text of the chart."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _scale(
    low: float, high: float, start: float, end: float, *, log: bool
) -> Callable[[float], float]:
    """Where a number stands on an axis, with a little room at both ends."""
    place = math.log10 if log else float
    first, last = place(low), place(high)
    room = _ROOM * (last - first) or 0.5

    def at(value: float) -> float:
        return start + (place(value) - first + room) / (last - first + 2 * room) * (end - start)

    return at


def _ends(values: Collection[float]) -> tuple[float, float]:
    """The ends of a logarithmic axis, which has a little room at both."""
    low, high = min(values), max(values)
    room = (high / low) ** _ROOM
    return low / room, high * room


def _ticks(low: float, high: float, *, log: bool) -> list[float]:
    """A few round numbers between the ends; both ends being one, that one."""
    if not low < high:
        return [low]
    if log:
        powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
        for factors in _LOG_TICKS:
            fine = [factor * 10.0**power for power, factor in product(powers, factors)]
            found = [tick for tick in fine if low <= tick <= high]
            if 2 <= len(found) <= _MOST_TICKS:
                return found

    # From 1, 2 and 5 the smallest step of which four fit at most.
    rough = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= 0.999 * rough)
    # Rounding must not lose a tick at an end.
    places = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    return [step * place for place in places]
