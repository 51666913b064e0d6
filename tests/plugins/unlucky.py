"""Methods that go wrong, each in its way."""

import math
import os
import signal
from dataclasses import dataclass
from typing import ClassVar, Literal

from bench_uq.api import Method, network


@dataclass(frozen=True)
class Unlucky(Method):
    """A network that diverges, raises, prints, is killed or gives draws that are none."""

    reference: ClassVar[str] = "nowhere"

    how: Literal["diverge", "raise", "kill", "nan", "exit", "print", "grow"] = "raise"

    def build(self, task):
        """Return the plain network."""
        return network(task)

    def loss(self, net, inputs, targets, size, progress):
        """Go wrong half-way."""
        loss = super().loss(net, inputs, targets, size, progress)
        if progress < 0.5:
            return loss
        if self.how == "raise":
            raise KeyError("out of luck")

        if self.how == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "exit":
            os._exit(7)
        if self.how == "grow" and "late" not in dict(net.named_buffers()):
            net.register_buffer("late", loss.detach())
        if self.how == "print":
            print("chatter on stdout")
        return loss * math.inf if self.how == "diverge" else loss

    def draws(self, net, inputs, count):
        """Return draws, or NaN."""
        return super().draws(net, inputs, count) * (math.nan if self.how == "nan" else 1)
