"""A method that changes what it shares with all else in its process, when it is imported and when
it is trained.
"""

import os
import random
import signal
import sys
import tempfile
import warnings
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch

from bench_uq.api import Method, network


def meddle():
    """Change all there is."""
    torch.set_num_threads(3)
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    np.random.seed(1)
    np.seterr(all="ignore")
    random.seed(1)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.chdir(tempfile.gettempdir())
    print("meddled with")
    sys.stdout.close()
    warnings.simplefilter("error")


meddle()


@dataclass(frozen=True)
class Meddling(Method):
    """A plain network in float32."""

    reference: ClassVar[str] = "nowhere"

    def build(self, task):
        """Return the plain network."""
        return network(task).float()

    def loss(self, net, inputs, targets, size, progress):
        """Return the usual loss."""
        return super().loss(net, inputs, targets, size, progress)

    def finish(self, net, train, held_out):
        """Meddle again."""
        os.chdir("/")
        torch.set_default_dtype(torch.float64)
