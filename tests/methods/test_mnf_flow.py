"""The masked flow against autograd and its formula."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import Tensor, nn

from bench_uq.methods.mnf import MaskedFlow
from bench_uq.methods.mnf.flow import MaskedStep


def flow(
    dim: int, steps: int, hidden: int = 7, scale: float = 1.0, seed: int = 0, fixed: bool = False
) -> MaskedFlow:
    """Return a flow in float64 that is far from the identity."""
    torch.manual_seed(seed)
    made = MaskedFlow(dim, steps, hidden, fixed_masks=fixed).double()
    with torch.no_grad():
        for values in made.parameters():
            values += scale * torch.randn_like(values)
    return made


def masked(dim: int) -> Tensor:
    """Return masks that keep nothing, everything, and some, (B, dim)."""
    generator = torch.Generator().manual_seed(1)
    some = torch.rand(4, dim, generator=generator, dtype=torch.float64) < 0.5
    return torch.cat([torch.zeros(1, dim), torch.ones(1, dim), some]).double()


def step_by_formula(
    step: nn.Module, z: list[float], mask: list[float]
) -> tuple[list[float], float]:
    """Return a step of one z, number by number, as Louizos & Welling 2017 state it (section 3.2)."""
    dims, units = range(len(z)), range(step.inner.out_features)
    h = []
    for k in units:
        seen = sum(step.inner.weight[k, i].item() * mask[i] * z[i] for i in dims)
        h.append(math.tanh(step.inner.bias[k].item() + seen))

    moved, log_det = [], 0.0
    for i in dims:
        shift, gate = step.shift.bias[i].item(), step.gate.bias[i].item()
        shift += sum(step.shift.weight[i, k].item() * h[k] for k in units)
        gate += sum(step.gate.weight[i, k].item() * h[k] for k in units)
        s = 1 / (1 + math.exp(-gate))
        moved.append(mask[i] * z[i] + (1 - mask[i]) * (z[i] * s + (1 - s) * shift))
        log_det += (1 - mask[i]) * math.log(s)
    return moved, log_det


@pytest.mark.parametrize("dim", [1, 2, 5, 9])
def test_step_log_determinant(dim):
    """The log-determinant of a step is that of autograd's Jacobian, whatever the mask."""
    step = flow(dim, steps=1).steps[0]
    for mask in masked(dim):
        z = torch.randn(dim, dtype=torch.float64)
        jacobian = torch.autograd.functional.jacobian(
            lambda z, mask=mask: step(z[None], mask[None])[0][0], z
        )
        _, log_det = step(z[None], mask[None])
        torch.testing.assert_close(
            log_det[0], torch.linalg.slogdet(jacobian).logabsdet, rtol=1e-10, atol=1e-10
        )


@pytest.mark.parametrize("dim", [1, 2, 4, 6])
@pytest.mark.parametrize("steps", [0, 1, 2, 4])
@pytest.mark.parametrize("fixed", [False, True], ids=["fresh", "fixed"])
def test_flow_log_determinant(dim, steps, fixed):
    """The log-determinant of a whole flow is that of autograd's Jacobian under the same masks, for
    each example.
    """
    made = flow(dim, steps, fixed=fixed)
    z = torch.randn(5, dim, dtype=torch.float64)

    def moved(z: Tensor) -> tuple[Tensor, Tensor]:
        torch.manual_seed(3)
        return made(z)

    jacobian = torch.autograd.functional.jacobian(lambda z: moved(z)[0], z)  # (5, dim, 5, dim)
    blocks = torch.stack([jacobian[index, :, index] for index in range(5)])
    torch.testing.assert_close(
        moved(z)[1], torch.linalg.slogdet(blocks).logabsdet, rtol=1e-9, atol=1e-9
    )
    for index in range(5):
        jacobian[index, :, index] = 0
    assert not jacobian.any(), "an example moves another"


@pytest.mark.parametrize("dim", [1, 3, 6])
def test_step_by_formula(dim):
    """A step is z' = m z + (1 - m) (s z + (1 - s) shift), computed number by number."""
    step = flow(dim, steps=1).steps[0]
    masks = masked(dim)
    z = torch.randn(len(masks), dim, dtype=torch.float64)
    moved, log_det = step(z, masks)
    for index, mask in enumerate(masks):
        expected, change = step_by_formula(step, z[index].tolist(), mask.tolist())
        assert moved[index].tolist() == pytest.approx(expected, rel=1e-10)
        assert log_det[index].item() == pytest.approx(change, rel=1e-10, abs=1e-12)


def test_kept_dimensions_stay():
    """Where the mask is 1, z stays bit for bit, and neither does its move depend on what is moved."""
    step = flow(6, steps=1).steps[0]
    masks = masked(6)
    z = torch.randn(len(masks), 6, dtype=torch.float64)
    moved, log_det = step(z, masks)
    other, other_log_det = step(torch.where(masks == 1, z, z + 1), masks)
    assert moved[masks == 1].equal(z[masks == 1])
    assert (moved != z)[masks == 0].all()
    assert other_log_det.equal(log_det)
    assert other[masks == 1].equal(z[masks == 1])


def test_move_is_forward_without_the_determinant():
    """A step or flow that is asked for no determinant moves z alike, under the same masks."""
    made, masks = flow(6, steps=3), masked(6)
    z = torch.randn(len(masks), 6, dtype=torch.float64)
    for step in made.steps:
        assert step.move(z, masks).equal(step(z, masks)[0])
    torch.manual_seed(5)
    moved, _ = made(z)
    torch.manual_seed(5)
    assert made.move(z).equal(moved)


def test_inverse():
    """The inverse undoes a step under the same mask."""
    step = flow(6, steps=1).steps[0]
    masks = masked(6)
    z = torch.randn(len(masks), 6, dtype=torch.float64)
    torch.testing.assert_close(step.inverse(step(z, masks)[0], masks), z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("gate", [-200.0, 200.0])
def test_saturated_gates(gate):
    """Gates at sigmoid(-200) in float32 have a finite log-determinant, -200 a moved dimension, and
    finite gradients.
    """
    step = MaskedFlow(4, 1, 3).steps[0]
    nn.init.zeros_(step.gate.weight)
    nn.init.constant_(step.gate.bias, gate)
    z = torch.randn(2, 4)
    moved, log_det = step(z, torch.tensor([[0.0, 0, 0, 0], [1, 1, 0, 1]]))
    assert log_det.tolist() == pytest.approx([4 * min(gate, 0), min(gate, 0)])
    (moved.sum() + log_det.sum()).backward()
    assert all(values.grad.isfinite().all() for values in step.parameters())


def test_starts_near_the_identity():
    """An untrained step moves by the share 1 - sigmoid(2) = 0.12 of the way to its shift, give or
    take its weights.
    """
    torch.manual_seed(0)
    step = MaskedFlow(50, 1, 50).requires_grad_(False).steps[0]
    z, none = torch.randn(200, 50), torch.zeros(200, 50)
    moved, log_det = step(z, none)
    assert step.gate.bias.eq(2).all()
    assert (moved - z).square().mean() < 0.03 * z.square().mean()
    assert log_det.mean().item() / 50 == pytest.approx(math.log(1 / (1 + math.exp(-2))), abs=0.02)


def test_without_steps():
    """A flow of no steps is the identity, with log-determinant 0 and no parameters."""
    z = torch.randn(3, 4)
    moved, log_det = MaskedFlow(4, 0)(z)
    assert moved.equal(z)
    assert log_det.equal(torch.zeros(3))
    assert not list(MaskedFlow(4, 0).parameters())


@pytest.mark.parametrize(("dim", "hidden"), [(1, 50), (20, 50), (7, 3)])
def test_parameter_count(dim, hidden):
    """A step has 3 D H + H + 2 D parameters."""
    count = sum(values.numel() for values in MaskedFlow(dim, 2, hidden).parameters())
    assert count == 2 * (3 * dim * hidden + hidden + 2 * dim)


def test_hidden_layer_bends():
    """The flow is no affine map of the dimensions it keeps: moved dimensions bend with them."""
    step = flow(2, steps=1).steps[0]
    z = torch.tensor([[-1.0, 0.5], [0, 0.5], [1, 0.5]]).double()
    moved, _ = step(z, torch.tensor([[1.0, 0]]).double().expand(3, 2))
    assert (moved[0] - 2 * moved[1] + moved[2])[1].abs() > 0.01


def test_masks_are_fresh_and_fair():
    """Each example, dimension and call has its own mask, which keeps half of the dimensions."""
    made = flow(8, steps=1)
    z = torch.randn(1, 8, dtype=torch.float64).repeat(4000, 1)
    kept = (made(z)[0] == z).double()
    assert kept.mean(0).sub(0.5).abs().max() < 5 * 0.5 / 4000**0.5
    correlation = torch.corrcoef(kept.T).fill_diagonal_(0)
    assert correlation.abs().max() < 5 / 4000**0.5
    assert not (made(z)[0] == z).double().equal(kept)


@pytest.mark.parametrize("dim", [1, 2, 5, 8])
def test_fixed_masks_alternate(dim):
    """Fixed masks are zeros and ones that keep half of the dimensions; each moves in one of two
    consecutive steps.
    """
    made = flow(dim, steps=5, fixed=True)
    assert made.masks.shape == (5, dim)
    assert made.masks[0].sum() == dim // 2
    assert (made.masks[1:] + made.masks[:-1]).eq(1).all()
    z, moved = torch.randn(3, dim, dtype=torch.float64), []
    for index, step in enumerate(made.steps):
        moved.append(step.move(z, made.mask(index, z)) != z)
        assert moved[-1].equal(made.masks[index].eq(0).expand(3, dim))
    assert all((before ^ after).all() for before, after in itertools.pairwise(moved))


def test_fixed_masks_are_drawn_once():
    """Which half a flow moves first is drawn when it is made, so that two flows differ."""
    masks = {tuple(flow(12, 2, seed=seed, fixed=True).masks[0].tolist()) for seed in range(5)}
    assert len(masks) == 5


def test_fixed_masks_are_saved():
    """Fixed masks are no parameters but part of the state: a strict load gives the same flow; fresh
    ones are not.
    """
    made, other = flow(6, 2, seed=1, fixed=True), flow(6, 2, seed=2, fixed=True)
    assert "masks" not in dict(made.named_parameters())
    assert not made.masks.equal(other.masks)
    other.load_state_dict(made.state_dict(), strict=True)
    z = torch.randn(4, 6, dtype=torch.float64)
    for ours, theirs in zip(made(z), other(z), strict=True):
        assert ours.equal(theirs)
    assert "masks" not in flow(6, 2).state_dict()


def test_fixed_masks_leave_nothing_to_chance():
    """Under fixed masks equal inputs move alike, in every call and batch, and no random number is
    drawn.
    """
    made = flow(6, 3, fixed=True)
    z = torch.randn(1, 6, dtype=torch.float64).expand(4, 6)
    state = torch.get_rng_state()
    (moved, log_det), again = made(z), made(z[:1])
    assert torch.get_rng_state().equal(state)
    assert made.move(z).equal(moved)
    torch.testing.assert_close(moved, again[0].expand(4, 6), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(log_det, again[1].expand(4), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dim", [1, 2, 5])
def test_inverse_through_fixed_masks(dim):
    """Undoing the steps last to first under their masks gives the z that a flow was given."""
    made = flow(dim, 3, fixed=True)
    z = torch.randn(5, dim, dtype=torch.float64)
    back, _ = made(z)
    for index in reversed(range(3)):
        back = made.steps[index].inverse(back, made.masks[index])
    torch.testing.assert_close(back, z, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("first", [0, 2, 3])
@pytest.mark.parametrize("shared", [False, True], ids=["masks", "one mask"])
def test_a_step_is_differentiated_right(first: int, shared: bool) -> None:
    """Its gradients are those of central differences, of z and of every weight and bias."""
    step = flow(5, steps=1).steps[0]
    assert isinstance(step, MaskedStep)
    z = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    mask = torch.randint(0, 2, (5,) if shared else (3, 5)).double()

    def outputs(z: Tensor, *_: Tensor) -> tuple[Tensor, ...]:
        moved, log_det = step(z, mask, first)
        # No rows have no determinant.
        return (moved, log_det) if len(log_det) else (moved,)

    assert torch.autograd.gradcheck(outputs, (z, *step.parameters()))
