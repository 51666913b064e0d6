"""Dirichlet calibration: its penalty by hand, its optimum against SciPy, and its strengths."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.optimize import minimize
from scipy.special import log_softmax
from torch import Tensor

from bench_uq.methods.dirichlet import GRID, Dirichlet

MATRIX = torch.tensor([[1.0, 2.0, 0.0], [0.5, 3.0, -1.0], [0.0, 0.0, 0.0]])
OFFSETS = torch.tensor([1.0, -2.0, 0.0])


def test_penalty_by_hand() -> None:
    """Off the diagonal stand 2, 0, 1/2, -1, 0, 0; the offsets are 1, -2, 0; and the diagonal is 0,
    2 and -1 from 1.
    """
    values = [MATRIX, OFFSETS]
    none = float("inf")
    odir = Dirichlet(off_diagonal=0.6, offset=0.3, spread=none).penalty(values)
    same = Dirichlet(off_diagonal=0.6, spread=none).penalty(values)
    prior = Dirichlet(off_diagonal=0.6, spread=2.0).minus_log_prior(values)

    assert float(odir) == pytest.approx(0.6 * 5.25 / 6 + 0.3 * 5 / 3)
    assert float(same) == pytest.approx(0.6 * 5.25 / 6 + 0.6 * 5 / 3)
    assert float(prior) == pytest.approx(5 / 8)


def examples(size: int, mixing: float) -> tuple[Tensor, Tensor]:
    """Log-probabilities (N, 3), and labels of which some are moved from the first class to the
    second, more often where the third is unlikely.
    """
    torch.manual_seed(0)
    log_probs = (2 * torch.randn(size, 3)).double().log_softmax(-1)
    matrix = torch.eye(3).double()
    matrix[1, 0] = mixing
    matrix[1, 2] = -mixing
    return log_probs, (log_probs @ matrix.T).softmax(-1).multinomial(1).squeeze(1)


def test_optimum_is_that_of_scipy() -> None:
    """The sum of NLL, ODIR and the prior of the diagonal is lowest at the fitted map."""
    log_probs, targets = examples(300, mixing=0.5)
    method = Dirichlet(off_diagonal=0.1, offset=0.02, spread=0.5)
    matrix, offsets = method.fitted(log_probs, targets, list(method.start(3).values()))

    def loss(values: np.ndarray) -> float:
        own, shift = values[:9].reshape(3, 3), values[9:]
        scaled = log_softmax(log_probs.numpy() @ own.T + shift, axis=1)
        off = own[~np.eye(3, dtype=bool)]
        prior = ((np.diag(own) - 1) ** 2).sum() / (2 * 0.5**2 * 300)
        odir = 0.1 * (off**2).mean() + 0.02 * (shift**2).mean()
        return -scaled[np.arange(300), targets].mean() + odir + prior

    best = minimize(loss, np.append(np.eye(3).ravel(), np.zeros(3)), tol=1e-10)
    found = torch.cat([matrix.flatten(), offsets])
    np.testing.assert_allclose(found, best.x, atol=1e-3)


def test_cross_validation_takes_the_strength_that_the_examples_need() -> None:
    """Classes that mix get a weak penalty and the mixing is found; others get a strong one."""
    start = list(Dirichlet().start(3).values())
    torch.manual_seed(1)
    mixed, plain = examples(1500, mixing=0.8), examples(60, mixing=0.0)
    weak = Dirichlet().validated(*mixed, start)
    strong = Dirichlet().validated(*plain, start)
    assert weak.off_diagonal <= 0.1
    assert strong.off_diagonal >= 1

    matrix, _ = Dirichlet().fitted(*mixed, start)
    # Only differences between rows count.
    differences = matrix[1] - matrix[0]
    torch.testing.assert_close(
        differences, torch.tensor([-0.2, 1.0, -0.8]).double(), atol=0.15, rtol=0
    )
    assert {weak.off_diagonal, strong.off_diagonal} <= set(GRID)


def test_examples_that_are_all_right_leave_the_map_finite() -> None:
    """Held-out examples without a mistake do not make the map certain of everything."""
    log_probs, _ = examples(100, mixing=0.0)
    method = Dirichlet()
    start = list(method.start(3).values())
    torch.manual_seed(1)
    matrix, _ = method.fitted(log_probs, log_probs.argmax(-1), start)
    assert matrix.diag().max() < 6


@pytest.mark.parametrize("option", ["off_diagonal", "offset", "spread"])
def test_nonsense_is_refused(option: str) -> None:
    """Strengths below 0, and nan, are no options."""
    for value in (-1.0, float("nan")):
        with pytest.raises(ValueError, match=option):
            Dirichlet(**{option: value})
