"""How much more confident the predictions are than right."""

from bench_uq.api import Metric


def overconfidence(predictions, clean):
    """Mean confidence minus accuracy."""
    hits = predictions["probs"].argmax(axis=1) == predictions["targets"]
    return float(predictions["probs"].max(axis=1).mean() - hits.mean())


METRIC = Metric(
    id="overconfidence",
    title="overconfidence",
    compute=overconfidence,
    direction="none",
    formula="mean_n max_k p(k|x_n) - accuracy",
    reference="Guo et al. 2017, arXiv:1706.04599",
    needs=("probs", "targets"),
    bounds=(-1, 1),
)
