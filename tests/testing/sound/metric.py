"""A metric that keeps every requirement: mean confidence."""

from bench_uq.api import Axis, Metric, Places


def mine(predictions, clean):
    """Compute the mean confidence."""
    return float(predictions["probs"].max(axis=1).mean())


METRIC = Metric(
    id="mine",
    title="mean confidence",
    compute=mine,
    direction="none",
    formula="mean_n max_k p(k|x_n)",
    reference="Mine 2020",
    needs=("probs",),
    shown=Places(levels=1),
    axis=Axis("confidence"),
)
