"""Commands that start with the libraries of others imported: the tests start hundreds of them.

A command spends ten seconds of processor time on imports of torch, scikit-learn and the like, which
are no concern of most tests. Here one process imports them once, and commands are forked from it.
All of bench-uq is imported anew, from where the command finds it. What the command itself starts,
such as the processes of its runs, is forked from it in turn. It is a child of the tests like any
other: with its own process id, exit code and signals.
"""

from __future__ import annotations

import ctypes
import importlib
import inspect
import json
import os
import runpy
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from multiprocessing import util
from pathlib import Path
from typing import Any

#: How multiprocessing starts a process.
spawned = util.spawnv_passfds

#: What commands import of others.
LIBRARIES = (
    *("numpy", "pandas", "scipy.stats", "torch", "torch._dynamo", "torch.func"),
    *("sklearn.datasets", "sklearn.model_selection", "matplotlib.textpath", "matplotlib.figure"),
    *("click", "filelock", "tqdm", "safetensors.torch", "PIL.Image"),
)
#: Makes a process the parent of its orphaned descendants (prctl.h of Linux).
PR_SET_CHILD_SUBREAPER = 36
#: Arguments of Popen that only a process that is started anew can have.
UNUSUAL = ("executable", "preexec_fn", "pass_fds", "shell", "process_group")
#: Bytes of a request: arguments and environment.
MOST = 1 << 20


class Warm(subprocess.Popen[str]):
    """A process that is forked from the one with the libraries if it is a command of bench-uq."""

    def _execute_child(self, *arguments: Any) -> None:
        """Start the process; the ends of pipes that are the child's are closed."""
        start = super()._execute_child  # type: ignore[misc]
        given = inspect.signature(start).bind(*arguments).arguments
        command = list(map(os.fspath, given["args"]))
        unusual = any(given.get(name) not in (None, (), False, -1) for name in UNUSUAL)
        # Other systems have no such parents of orphans.
        unusual |= not sys.platform.startswith("linux")
        if command[:3] != [sys.executable, "-m", "bench_uq"] or unusual:
            start(*arguments)
            return

        asked = {
            "arguments": command[3:],
            "folder": os.path.abspath(given["cwd"] or "."),
            "environment": dict(given["env"] or os.environ),
            "session": bool(given["start_new_session"]),
        }
        ours = {"p2cread": 0, "c2pwrite": 1, "errwrite": 2}
        files = [number if given[name] == -1 else given[name] for name, number in ours.items()]
        server, _ = libraries()
        socket.send_fds(server, [json.dumps(asked).encode()], files)
        self.pid = int(server.recv(MOST))
        self._child_created = True
        pipes = ("p2cread", "p2cwrite", "c2pread", "c2pwrite", "errread", "errwrite")
        self._close_pipe_fds(*map(given.__getitem__, pipes))  # type: ignore[attr-defined]


def run(
    arguments: Sequence[str | Path], folder: Path, *, timeout: float = 900, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run bench-uq in a folder to its end, and return what it printed."""
    command = [sys.executable, "-m", "bench_uq", *map(str, arguments)]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True, **options}
    with Warm(command, cwd=folder, **piped) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    return subprocess.CompletedProcess(command, process.returncode, out, err)


@cache
def libraries() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Start the process with the libraries: the way to ask it, and itself."""
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    number = str(theirs.fileno())
    # It ends when this process does, which closes its end.
    server = subprocess.Popen([sys.executable, __file__, number], pass_fds=[theirs.fileno()])
    theirs.close()
    return ours, server


def serve(asked: socket.socket) -> list[str]:
    """Fork a process for each request; return in such a process, with the command's arguments."""
    for name in LIBRARIES:
        importlib.import_module(name)

    while True:
        request, files, _, _ = socket.recv_fds(asked, MOST, 3)
        if not request:
            sys.exit()

        told, tell = os.pipe()
        between = os.fork()
        if between == 0:
            number = os.fork()
            if number == 0:
                return become(json.loads(request), files)
            os.write(tell, str(number).encode())
            os._exit(0)

        # An orphan is a child of the tests, but only once its parent is gone.
        os.waitpid(between, 0)
        asked.send(os.read(told, 64))
        for file in (told, tell, *files):
            os.close(file)


def become(asked: dict[str, Any], files: Sequence[int]) -> list[str]:
    """Make this process what Python is when it has started; the command's arguments."""
    if asked["session"]:
        os.setsid()
    os.chdir(asked["folder"])
    for number, file in enumerate(files):
        os.dup2(file, number)
    os.closerange(3, 4096)

    os.environ.clear()
    os.environ.update(asked["environment"])
    paths = list(filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep)))
    sys.path[:] = [asked["folder"], *paths, *sys.path[1:]]
    importlib.invalidate_caches()
    for path in paths:
        if (Path(path) / "sitecustomize.py").is_file():
            runpy.run_path(str(Path(path) / "sitecustomize.py"))

    util.spawnv_passfds = forked
    return list(asked["arguments"])


def forked(path: str, arguments: Sequence[Any], files: Sequence[int]) -> int:
    """Start the server that runs are forked from as a fork of this process; others as usual."""
    if not str(arguments[-1]).startswith("from multiprocessing.forkserver"):
        return int(spawned(path, arguments, files))

    number = os.fork()
    if number:
        return number

    try:
        # As a new process has them, unless they are ignored.
        for one in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(one) is not signal.SIG_IGN:
                signal.signal(
                    one, signal.default_int_handler if one == signal.SIGINT else signal.SIG_DFL
                )
        kept = sorted(map(int, files))
        for low, high in zip([2, *kept], [*kept, 4096], strict=True):
            os.closerange(low + 1, high)
        exec(arguments[-1], {"__name__": "__main__"})
    finally:
        os._exit(0)


if __name__ == "__main__":
    # Read when matplotlib is imported.
    os.environ["MPLBACKEND"] = "agg"
    sys.argv[1:] = serve(socket.socket(fileno=int(sys.argv[1])))
    runpy.run_module("bench_uq", run_name="__main__", alter_sys=True)
