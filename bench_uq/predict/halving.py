"""Out of memory while predicting: the batch is halved until it fits, with the noise of the whole batch.

Noise belongs to blocks of examples (docs/decisions/002-noise-by-block.md), so a part of a block draws what the whole
block would have drawn and takes its own rows of it. Which random operations draw for each example, and in which of
their dimensions, is seen by doing the work on two small numbers of examples; that parts then give what the whole gives
is tried on these examples before it is relied on. Where it does not hold, memory has run out.
"""

from __future__ import annotations

import gc
import sys
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from bench_uq.api.errors import one_line
from bench_uq.api.layers import part_of

#: What the messages of errors say that are of no class of their own.
NO_MEMORY = (
    "can't allocate memory",
    "CUDA error: out of memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
    "CUDNN_STATUS_ALLOC_FAILED",
)

#: Numbers of examples, the fewer and the more, on which parts are held against the whole. One alone comes last: torch
#: lays out a single image in memory as it likes, and layers may draw their noise laid out alike.
TRIALS = ((2, 4), (2, 3), (1, 2))

#: Relative to 1 or to a number's size: more than rounding makes of float32 when a batch has another size.
ROUNDING = 1e-4

#: Operations whose noise for one example is the same whatever the values of the others: each takes as many random
#: numbers an element. Not so poisson and gamma, which reject, and permutations.
BY_ELEMENT = {
    *(
        "rand",
        "rand_like",
        "randn",
        "randn_like",
        "randint",
        "randint_like",
        "normal",
        "normal_",
        "uniform_",
    ),
    *("random_", "bernoulli", "bernoulli_", "exponential_", "cauchy_", "log_normal_", "geometric_"),
    *("native_dropout", "multinomial"),
}


class NotHalved(MemoryError):
    """Memory ran out, and the batch cannot be halved without changing the result."""


class Inseparable(Exception):
    """Noise that cannot be told apart by example."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether memory ran out, on the device or the host."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return any(words in str(error) for words in NO_MEMORY)


@dataclass(frozen=True)
class Work:
    """Something done to a block of examples, or to some of them: from, to -> tensors of so many rows.

    It seeds all that it draws at its start. ``evidence`` is what parts are held against the whole by, ``slack`` the
    share of its numbers that may differ by more than rounding.
    """

    name: str
    compute: Callable[[int, int], list[Tensor]]
    evidence: Callable[[int, int], list[Tensor]]
    slack: float = 0.0


@dataclass(frozen=True)
class Drawn:
    """A random operation, with the shape of what it draws; ``copies`` of each example stand along ``dim``, if any."""

    func: Any
    shape: tuple[int, ...]
    dim: int = -1
    copies: int = 0

    def of(self, examples: int) -> tuple[int, ...]:
        """Return the shape for so many examples."""
        return resized(self.shape, self.dim, self.copies * examples) if self.copies else self.shape


@dataclass
class Room:
    """What a run has learnt of the memory there is: how many examples of each work fit, and what noise it draws."""

    fitting: dict[str, int] = field(default_factory=dict)
    noise: dict[tuple[str, int], list[Drawn]] = field(default_factory=dict)
    told: bool = False

    def done(self, work: Work, block: int) -> list[Tensor]:
        """Return what the work gives for a block of examples, in parts where it does not fit at once."""
        failure: Exception | None = None
        if self.fitting.get(work.name, block) >= block:
            try:
                return work.compute(0, block)
            except Exception as error:
                if not is_out_of_memory(error) or block == 1:
                    raise
                failure = error
            free(failure)  # only here, where nothing is held by the error that was caught
            self.fitting[work.name] = halved(block)
        try:
            found = self.in_parts(work, block, self.noise_of(work, block, failure))
        except Inseparable as error:
            after = f": {one_line(failure)}" if failure else ""
            raise NotHalved(f"the batch cannot be halved ({error}){after}") from failure
        if not self.told:
            print(
                "memory ran out: the batch is halved while predicting, with the same results",
                file=sys.stderr,
            )
            self.told = True
        return found

    def noise_of(self, work: Work, block: int, failure: Exception | None) -> list[Drawn]:
        """Return the noise of a work, once parts of it were seen to give what the whole gives."""
        if (work.name, block) not in self.noise:
            try:
                self.noise[work.name, block] = separated(work, block)
            except Exception as error:
                if failure is None or not is_out_of_memory(error):
                    raise
                raise failure from None
        return self.noise[work.name, block]

    def in_parts(self, work: Work, block: int, noise: Sequence[Drawn]) -> list[Tensor]:
        """Return what the work gives for a block, halved until it fits."""
        ahead, done = [(0, block)], list[list[Tensor]]()
        while ahead:
            start, stop = ahead.pop()
            if stop - start <= self.fitting[work.name]:
                try:
                    beside = stop - start == 1 < self.fitting[work.name]  # not alone, see TRIALS
                    found = part(work.compute, start - beside, stop, block, block, noise)
                    done.append([rows[beside:] for rows in found])
                    continue
                except Exception as error:
                    if not is_out_of_memory(error) or stop - start == 1:
                        raise
                    failure = error
                free(failure)
                self.fitting[work.name] = halved(stop - start)
            middle = start + halved(stop - start)
            ahead += [(middle, stop), (start, middle)]
        return [torch.cat(pieces) for pieces in zip(*done, strict=True)]


def halved(count: int) -> int:
    """Return the larger half of a number of examples."""
    return (count + 1) // 2


def free(error: BaseException) -> None:
    """Let go of the memory that a failed attempt holds: the variables of all that an error passed."""
    link: BaseException | None = error
    while link is not None:
        traceback.clear_frames(link.__traceback__)
        link = link.__cause__ or link.__context__
    gc.collect()
    if torch.cuda.is_initialized():
        torch.cuda.empty_cache()


def part(
    compute: Callable[[int, int], list[Tensor]],
    start: int,
    stop: int,
    whole: int,
    block: int,
    noise: Sequence[Drawn],
) -> list[Tensor]:
    """Return what some of ``whole`` examples give under their rows of the noise of all; memory is that of a block."""
    with part_of(block, stop - start), PartOf(start, stop, whole, noise) as drawing:
        found = compute(start, stop)
    drawing.check_all_drawn()
    return found


def separated(work: Work, block: int) -> list[Drawn]:
    """Return the noise of a work by what it draws for few examples; raise Inseparable where parts differ."""
    sizes = [sizes for sizes in TRIALS if sizes[1] <= block]
    for few, more in sizes:
        try:
            return tried(work, block, few, more)
        except Exception as error:
            if not is_out_of_memory(error) or (few, more) == sizes[-1]:
                raise
            failure = error
        free(failure)
    raise Inseparable("there is one example")


def tried(work: Work, block: int, few: int, more: int) -> list[Drawn]:
    """Return the noise of a work after a trial of its parts on two numbers of examples."""
    calls = list[list[Drawn]]()
    whole = list[Tensor]()
    for count in (few, more):
        with part_of(block, count), Recorded() as recorded:
            whole = work.evidence(0, count)
        calls.append(recorded.calls)
    noise = compared(calls[0], calls[1], few, more)
    first, last = (
        part(work.evidence, start, start + few, more, block, noise) for start in (0, more - few)
    )
    joined = [torch.cat((one, other[few - more :])) for one, other in zip(first, last, strict=True)]
    if (share := differing(whole, joined)) > work.slack:
        raise Inseparable(f"examples alone give other numbers than together, {share:.1%} of them")
    return noise


def differing(whole: Sequence[Tensor], joined: Sequence[Tensor]) -> float:
    """Return the share of numbers that differ by more than rounding, 1 for other shapes."""
    if [values.shape for values in whole] != [values.shape for values in joined]:
        return 1.0
    far = [
        ~torch.isclose(one, two, rtol=ROUNDING, atol=ROUNDING, equal_nan=True)
        for one, two in zip(whole, joined, strict=True)
    ]
    return float(torch.cat([values.flatten() for values in far]).double().mean())


def compared(fewer: Sequence[Drawn], more: Sequence[Drawn], few: int, many: int) -> list[Drawn]:
    """Return what is drawn for each example, from the shapes for few and for many examples."""
    if [(drawn.func, len(drawn.shape)) for drawn in fewer] != [
        (drawn.func, len(drawn.shape)) for drawn in more
    ]:
        raise Inseparable("what is drawn depends on the number of examples")
    noise = []
    for one, other in zip(fewer, more, strict=True):
        grown = [
            dim
            for dim, (size, larger) in enumerate(zip(one.shape, other.shape, strict=True))
            if size != larger
        ]
        if not grown:
            noise.append(one)
            continue
        dim, copies = grown[0], one.shape[grown[0]] // few
        if len(grown) > 1 or (one.shape[dim], other.shape[dim]) != (copies * few, copies * many):
            raise Inseparable(
                f"noise of shape {one.shape} for {few} examples is {other.shape} for {many}"
            )
        if (
            one.func._schema.name.removeprefix("aten::") not in BY_ELEMENT
            or "out" in one.func._overloadname
        ):
            raise Inseparable(f"the numbers of {one.func} for one example depend on the others")
        noise.append(Drawn(one.func, one.shape, dim, copies))
    return noise


def resized(shape: Sequence[int], dim: int, size: int) -> tuple[int, ...]:
    """Return a shape with another size in one dimension."""
    return (*shape[:dim], size, *shape[dim + 1 :])


class RandomCalls(TorchDispatchMode):
    """Sees each random operation, attention and recurrent layers without dropout aside, before it is done."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Do an operation, or what ``drawn`` makes of a random one."""
        kwargs = kwargs or {}
        if torch.Tag.nondeterministic_seeded not in func.tags:
            return func(*args, **kwargs)
        names = [argument.name for argument in func._schema.arguments]
        named = dict(zip(names, args, strict=False)) | kwargs
        quiet = named.get("dropout_p", named.get("dropout")) == 0 or named.get("training") is False
        return func(*args, **kwargs) if quiet else self.drawn(func, named, len(args))

    def drawn(self, func: Any, named: dict[str, Any], positional: int) -> Any:
        """Do a random operation with its arguments by name."""
        raise NotImplementedError


class Recorded(RandomCalls):
    """Notes the random operations."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = list[Drawn]()

    def drawn(self, func: Any, named: dict[str, Any], positional: int) -> Any:
        """Do a random operation as it is."""
        self.calls.append(Drawn(func, shape_of(named)))
        return called(func, named, positional)


class PartOf(RandomCalls):
    """Gives some of ``whole`` examples their rows of the noise that all of them draw together."""

    def __init__(self, start: int, stop: int, whole: int, noise: Sequence[Drawn]) -> None:
        super().__init__()
        self.start, self.count, self.whole = start, stop - start, whole
        self.noise, self.at = noise, 0

    def check_all_drawn(self) -> None:
        """Refuse to have drawn less often than it was seen before."""
        if self.at != len(self.noise):
            raise Inseparable("what is drawn depends on the examples")

    def drawn(self, func: Any, named: dict[str, Any], positional: int) -> Any:
        """Do a random operation for all examples and return the rows of these."""
        expected = self.noise[self.at] if self.at < len(self.noise) else None
        if (
            expected is None
            or expected.func is not func
            or expected.of(self.count) != shape_of(named)
        ):
            raise Inseparable("what is drawn depends on the examples")
        self.at += 1
        if not expected.copies:
            return called(func, named, positional)
        shape = expected.of(self.count)
        dim, wide = expected.dim, dict(named)
        for name, value in named.items():
            if name == "size":
                wide[name] = expected.of(self.whole)
            elif isinstance(value, Tensor) and tuple(value.shape) == shape:
                wide[name] = self.widened(value, dim)
            elif isinstance(value, Tensor) and value.numel() != 1:
                raise Inseparable(
                    f"{func} draws {shape} from a tensor of shape {tuple(value.shape)}"
                )
        found = called(func, wide, positional)
        if func._schema.is_mutable:
            changed = next(
                argument.name for argument in func._schema.arguments if argument.is_write
            )
            named[changed].unflatten(dim, (-1, self.count)).copy_(self.rows(wide[changed], dim))
            return named[changed]
        if isinstance(found, tuple):
            return tuple(self.narrowed(values, dim) for values in found)
        return self.narrowed(found, dim)

    def rows(self, values: Tensor, dim: int) -> Tensor:
        """Return a view of the rows of these examples, (..., copies, examples, ...)."""
        if values.shape[dim] % self.whole:
            raise Inseparable(f"noise of shape {tuple(values.shape)} for {self.whole} examples")
        return values.unflatten(dim, (-1, self.whole)).narrow(dim + 1, self.start, self.count)

    def widened(self, values: Tensor, dim: int) -> Tensor:
        """Return a tensor for all examples, laid out in memory alike: ones, and the rows of these examples."""
        size = values.shape[dim] // self.count * self.whole
        wide = values.new_empty(0).new_empty_strided(
            resized(values.shape, dim, size), restrided(values, dim, self.whole, self.count)
        )
        self.rows(wide.fill_(1), dim).copy_(values.unflatten(dim, (-1, self.count)))
        return wide

    def narrowed(self, values: Tensor, dim: int) -> Tensor:
        """Return a copy of the rows of these examples, laid out in memory alike; a view would keep all of them."""
        rows = self.rows(values, dim)
        narrow = values.new_empty_strided(
            resized(values.shape, dim, rows.shape[dim] * self.count),
            restrided(values, dim, self.count, self.whole),
        )
        narrow.unflatten(dim, (-1, self.count)).copy_(rows)
        return narrow


def shape_of(named: dict[str, Any]) -> tuple[int, ...]:
    """Return the shape of what a random operation draws, from its arguments."""
    if "size" in named:
        return tuple(named["size"])
    tensor = next((value for value in named.values() if isinstance(value, Tensor)), None)
    if tensor is not None:
        return tuple(tensor.shape)
    return (named["n"],) if "n" in named else ()


def called(func: Any, named: dict[str, Any], positional: int) -> Any:
    """Call an operation with arguments by name, so many of them by position."""
    values = list(named.items())
    return func(*(value for _, value in values[:positional]), **dict(values[positional:]))


def restrided(values: Tensor, dim: int, size: int, before: int) -> tuple[int, ...]:
    """Return the strides of a tensor in which one dimension has another size, of which ``before`` is the present."""
    strides = values.stride()
    if any(stride == 0 and count > 1 for stride, count in zip(strides, values.shape, strict=True)):
        raise Inseparable("noise whose numbers share memory")
    if any(stride * size % before for stride in strides if stride > strides[dim]):
        raise Inseparable("noise that is not dense in memory")
    return tuple(
        stride if stride <= strides[dim] else stride * size // before for stride in strides
    )
