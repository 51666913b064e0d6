"""bench-uq: which uncertainty method can I trust, on which data, under which stress, at what cost?"""

from typing import TYPE_CHECKING, Any

from bench_uq._version import __version__

if TYPE_CHECKING:
    from bench_uq.score.score import read_scores
    from bench_uq.score.summarise import summary as summarise

__all__ = ["__version__", "read_scores", "summarise"]


def __getattr__(name: str) -> Any:
    """Load the public functions on first use, so that importing bench_uq costs nothing."""
    if name == "read_scores":
        from bench_uq.score.score import read_scores

        return read_scores
    if name == "summarise":
        from bench_uq.score.summarise import summary

        return summary
    raise AttributeError(f"module 'bench_uq' has no attribute {name!r}")
