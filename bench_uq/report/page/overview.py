"""The overview of a page: methods by questions, and quality against cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from html import escape
from itertools import product

from bench_uq.report.looks import looks
from bench_uq.report.page.elements import COLUMN, ROW, each, section
from bench_uq.report.page.leaderboard import measured
from bench_uq.report.page.names import Box, Placed, place_names
from bench_uq.report.tables.captions import heading, notes
from bench_uq.report.tables.overview import by_questions
from bench_uq.report.tables.table import Table
from bench_uq.score.analysis import Analysis
from bench_uq.score.front import front
from bench_uq.score.questions import answers
from bench_uq.score.rounding import plain
from bench_uq.score.summaries import Summary, costs
from bench_uq.score.verdict import TRAINING, by_rank

#: Size of the chart of costs in its own units, and the room around its axes.
_WIDTH, _HEIGHT = 520, 270
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 118, 14, 44
#: Methods of which each has its name, colour and range; of more only those on the front and the
#: one that ranks best.
_MOST_NAMED = 12
#: Ticks of an axis at most, and on a logarithmic one their first digits, the finest first.
_MOST_TICKS = 6
_LOG_TICKS = ((1, 1.5, 2, 3, 5, 7), (1, 2, 5), (1, 3), (1,))
#: Share of the widest gap to the best beyond which a method that is worse is far behind.
_FAR = 0.5
#: The groups of a score, which are classes of the style sheet, in the words of the key.
_GROUPS = {
    "best": "best",
    "tied": "not significantly worse",
    "worse": "significantly worse",
    "far": "by more than half of the widest gap to the best",
}
#: Rows of the overview that are seen at first, where more than so many would be behind them.
_MOST_ROWS, _LEAST_REST = 12, 4
#: The others of many.
_GREY = "#a9b0b8"

#: Cost and score of each method.
Points = dict[str, tuple[Summary, Summary]]


def overview_section(analysis: Analysis) -> str:
    """A matrix and a chart for each dataset; empty if nothing was measured."""
    body = ""
    for dataset in analysis.datasets:
        own = analysis.on(dataset)
        shown = by_questions(own)
        if shown is None:
            continue
        if len(analysis.datasets) > 1:
            body += f"<h3>{escape(analysis.label(dataset))}</h3>"
        chart = cost_chart(own) if len(analysis.datasets) > 1 else ""
        matrix = _matrix(own, shown, measured(analysis))
        body += f'<div class="overview">{matrix}{chart}</div>' if chart else matrix
    return section("overview", "Overview", body) if body else ""


def _matrix(analysis: Analysis, shown: Table, cards: Sequence[str]) -> str:
    """The table, each cell in the colour of its group: best, tied, worse, or far behind.

    ``cards`` are the metrics in the order of their cards.
    """
    heads = ""
    for one in shown.columns:
        lines = list[str]()
        for line in heading(one):
            # An arrow stays with its word.
            lines.append(escape(line).replace(" ↑", "&nbsp;↑").replace(" ↓", "&nbsp;↓"))
        first, *others = lines
        # Each score leads to its card.
        if one.metric in cards:
            first = f'<a href="#metric-{cards.index(one.metric)}">{first}</a>'
        heads += each(COLUMN, ["<br>".join([first, *others])])
    groups = _groups(analysis, shown)
    rows = list[str]()
    for row in shown.rows:
        cells = each(ROW, [escape(row.name) + (" †" if row.seeds.marked else "")])
        for place, cell in enumerate(row.cells):
            group = groups[place].get(row.method, "")
            text = escape(cell.mean or "–")
            if cell.best or cell.worse:
                text = each("strong" if cell.best else "em", [text])
            told = escape(cell.mean + cell.beside)
            cells += f'<td class="{group}"><span title="{told}">{text}</span></td>'
        rows.append(f"<tr>{cells}</tr>")

    entries = list[str]()
    bold, italic = ({"best"}, {"worse", "far"}) if shown.alone else ({"best", "tied"}, set[str]())
    for group, words in _GROUPS.items():
        text = each("strong", [words]) if group in bold else words
        text = each("em", [words]) if group in italic else text
        entries.append(f'<span class="{group}">{text}</span>')
    order = "Order: mean rank over these scores, methods that lack one last."
    key = f'<p class="key">{" ".join(entries)} {order}</p>'
    head = f"<thead><tr><{COLUMN}>Method</th>{heads}</tr></thead>"
    body, button = f"<tbody>{''.join(rows)}</tbody>", ""
    if len(rows) > _MOST_ROWS + _LEAST_REST:
        # The page folds the rest where there is a script; in print and without one all are seen.
        first_rows, rest = "".join(rows[:_MOST_ROWS]), "".join(rows[_MOST_ROWS:])
        body = f'<tbody>{first_rows}</tbody><tbody class="rest">{rest}</tbody>'
        button = f'<button type="button" class="all" hidden>Show all {len(rows)} methods</button>'
    said = each("li", map(escape, [*notes(shown), *shown.remarks[:1]]))
    folded = (
        f'<details class="fine"><summary>Notes</summary><ul class="notes">{said}</ul></details>'
    )
    return (
        '<div class="matrix"><div class="edge">'
        '<div class="scroll" role="region" aria-label="Overview" tabindex="0">'
        f"<table>{head}{body}</table></div></div>{button}{key}"
        f"{folded}</div>"
    )


def _groups(analysis: Analysis, shown: Table) -> list[dict[str, str]]:
    """The group of each method in each column; none where methods are not compared."""
    found = {one.question.scored: one for one in answers(analysis)}
    groups = []
    for column in shown.columns:
        own, answer = dict[str, str](), found.get(column.scored)

        if answer is not None and answer.comparison is not None:
            one = answer.comparison
            own = {**dict.fromkeys(one.tied, "tied"), one.best: "best"}
            # By the gap itself: of two that are nearly equal none looks far behind the other.
            widest = max(one.behind.values(), default=0.0)
            for name in one.worse:
                own[name] = "far" if one.behind[name] > _FAR * widest else "worse"
        groups.append(own)
    return groups


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
    caption = f"{title} on clean data against the cost of training a seed; line: the Pareto front."
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
    widths = [(across(tick), plain(tick, 3)) for tick in _ticks(min(prices), max(prices), log=True)]
    parts = _axes(widths, heights, y)

    centres = dict[str, tuple[float, float]]()
    for name, (cost, score) in points.items():
        centres[name] = across(cost.mean), up(score.mean)
    parts += _front([centres[name] for name in best])

    named.sort(key=lambda name: centres[name][1])
    found = looks(analysis.results)
    # The marks with names come last, over the others.
    for name in sorted(points, key=lambda name: name in named):
        color, ends = _GREY, (centres[name][1], centres[name][1])
        if name in named:
            score = points[name][1]
            color, ends = found[name].color, (up(score.low), up(score.high))
        # The mark tells its name where the pointer rests on it.
        parts.append(_mark(*centres[name], *ends, color, analysis.label(name)))

    titles = [(analysis.spoken(name), *centres[name]) for name in named]
    chart = Box(_LEFT, 0, _WIDTH, _HEIGHT - _BOTTOM)
    for one in place_names(titles, list(centres.values()), chart):
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

    parts.append(_text((_LEFT + right) / 2, _HEIGHT - 8, "middle", "training a seed (s)"))
    middle = (_TOP + floor) / 2
    turned = f'transform="translate(12 {middle:.0f}) rotate(-90)" text-anchor="middle"'
    parts.append(f"<text {turned}>{escape(y)}</text>")
    return parts


def _front(corners: Sequence[tuple[float, float]]) -> list[str]:
    """The Pareto front as steps, from the cheapest to the best."""
    if len(corners) < 2:
        return []
    path = f"M{corners[0][0]:.1f} {corners[0][1]:.1f}"
    for x, height in corners[1:]:
        path += f"H{x:.1f}V{height:.1f}"
    return [f'<path class="front" d="{path}"/>']


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
    room = 0.06 * (last - first) or 0.5

    def at(value: float) -> float:
        return start + (place(value) - first + room) / (last - first + 2 * room) * (end - start)

    return at


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
