"""Methods that misbehave, each in a way of its own."""

import math
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from bench_uq.api import Method, network

#: The process of the run, and what it has forked while predicting.
HERE, FORKED = os.getpid(), []


def say_where():
    """Say on stderr where a copy of the run's process goes on with the run."""
    if os.getpid() != HERE:
        os.write(2, b"a copy goes on\n")


class OfItsOwn(BaseException):
    """What is no Exception."""


def fork_and_go_on():
    """Leave a copy of this process that does what this one does."""
    os.fork()


def fork_and_stay():
    """Leave a copy of this process that lives on."""
    if os.fork() == 0:
        time.sleep(3600)


def fork_and_exit():
    """Leave a copy of this process that means to end."""
    if os.fork() == 0:
        sys.exit()


def shout():
    """Write to stdout in all ways there are."""
    print("chatter by print")
    os.write(1, b"chatter by write\n")
    os.system("echo chatter by a program")
    print("chatter on stderr", file=sys.stderr)


def sleep_deaf():
    """Ignore SIGTERM and sleep."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    time.sleep(3600)


def sleep_on():
    """Take what SIGTERM raises for an error like others, and sleep on."""
    while True:
        try:
            time.sleep(3600)
        except BaseException:
            continue


def grasp():
    """Ask for more memory than there is."""
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 1 EiB.")


def throw(error):
    """Raise an error."""
    raise error


#: What is done in the loss, in its second step.
DONE = {
    "error": lambda: throw(KeyError("out of luck")),
    "memory": grasp,
    "print": shout,
    "fork": fork_and_go_on,
    "fork-stay": fork_and_stay,
    "fork-exit": fork_and_exit,
    "sys-exit": lambda: sys.exit(3),
    "sys-exit-well": sys.exit,
    "os-exit": lambda: os._exit(0),
    "abort": os.abort,
    "kill": lambda: os.kill(os.getpid(), signal.SIGKILL),
    "terminate": lambda: os.kill(os.getpid(), signal.SIGTERM),
    "keyboard": lambda: throw(KeyboardInterrupt()),
    "base": lambda: throw(OfItsOwn("not an Exception")),
    "sleep": lambda: time.sleep(3600),
    "sleep-deaf": sleep_deaf,
    "sleep-on": sleep_on,
}


@dataclass(frozen=True)
class Misbehaving(Method):
    """A plain network; ``how`` it goes wrong."""

    reference: ClassVar[str] = "nowhere"

    how: Literal[
        "not",
        "error",
        "memory",
        "print",
        "fork",
        "fork-stay",
        "fork-exit",
        "sys-exit",
        "sys-exit-well",
        "os-exit",
        "abort",
        "kill",
        "terminate",
        "keyboard",
        "base",
        "sleep",
        "sleep-deaf",
        "sleep-on",
        "nan",
        "inf",
        "vector",
        "build",
        "optimiser",
        "observe",
        "finish",
        "draws",
        "draws-fork",
        "draws-shape",
        "draws-nan",
        "draws-unnormalised",
    ] = "not"

    def at(self, place):
        """Raise an error where this is the place for it."""
        if self.how == place:
            raise ValueError(f"in {place}")

    def build(self, task):
        """Return the plain network."""
        self.at("build")
        return network(task)

    def optimiser(self, net):
        """Return the usual one."""
        self.at("optimiser")
        return super().optimiser(net)

    def loss(self, net, inputs, targets, size, progress):
        """Return the usual one, once it has misbehaved."""
        loss = super().loss(net, inputs, targets, size, progress)
        if self.how in DONE and 0 < progress <= 32 / size:
            DONE[self.how]()
        if self.how == "vector":
            return loss.expand(2)
        if (
            self.how == "inf" and progress + 32 / size >= 1
        ):  # in the last step: after it the weights are nan
            return loss * math.inf
        return loss * (math.nan if self.how == "nan" else 1)

    def observe(self, net, progress):
        """Look on."""
        self.at("observe")

    def finish(self, net, train, held_out):
        """Do nothing."""
        say_where()
        self.at("finish")

    def draws(self, net, inputs, count):
        """Return the one draw; training asks for one too, and gets it."""
        draws = super().draws(net, inputs, count)
        if count == 1:
            return draws
        say_where()
        self.at("draws")
        if self.how == "draws-fork" and not FORKED:
            FORKED.append(os.fork())
        if self.how == "draws-shape":
            return draws[:, :-1]
        if self.how == "draws-unnormalised":
            return draws + 1
        return draws * (math.nan if self.how == "draws-nan" else 1)
