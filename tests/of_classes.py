"""Names of the methods that a test of classes can try, none of them named."""

from __future__ import annotations

from bench_uq.api import Categorical, Task
from bench_uq.plan.plugins import Plugins

CLASSES = Task((1, 8, 8), Categorical(10))


def of_classes(*, based: bool = False) -> list[str]:
    """Methods that are defined for classes: those that train networks, or those with a base."""
    found = []
    for name in Plugins().names("method"):
        method = Plugins().spec("method", name).value
        if bool(method.base) == based and method.suits(CLASSES):
            found.append(name)
    return found
