"""The worker's side of the zygote: started when first needed, started anew when it died, one per process.

The one piece of module state in Poseline, because it is a fact about the process: a second zygote would only cost
memory. A fork of the worker does not share it.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import threading

from pipeline.errors import DecodeFailed

# What a child may know of the worker's environment. The libraries would start threads of their own; and glibc
# would hand each picture's memory back to the kernel and fault it in again (a fifth to a third of the child's time).
_ENVIRONMENT = {
    "LANG": "C.UTF-8",
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": str(32 << 20),
    "MALLOC_TRIM_THRESHOLD_": str(256 << 20),
}
_PASSED_ON = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")
_BOOT = """
import json, sys
sys.path[:0] = [p for p in json.loads(sys.argv[1]) if p not in sys.path]
from pipeline.video.zygote import main
main(int(sys.argv[2]), int(sys.argv[3]))
"""


class Zygote:
    """A running zygote. Safe to use from several threads."""

    def __init__(self) -> None:
        self.owner_pid = os.getpid()
        self.pid = 0
        self._control, theirs = socket.socketpair()
        self._send_lock = threading.Lock()
        self._last_words = ""
        self._ended = threading.Event()
        self._stopped = False
        started = threading.Event()
        # The thread lasts as long as the zygote: Linux would end the zygote with the thread that started it, and
        # the thread of a worker's pool may go at any time. It also reaps.
        threading.Thread(target=self._run, args=(theirs, started), name="video-zygote", daemon=True).start()
        started.wait()

    @property
    def alive(self) -> bool:
        return not (self._stopped or self._ended.is_set()) and self.owner_pid == os.getpid()

    def submit(self, fds: list[int]) -> None:
        """Have a child forked that owns copies of `fds`; see `zygote` for their order.

        Raises:
            OSError: the zygote is gone.
        """
        with self._send_lock:
            socket.send_fds(self._control, [b"J"], fds)

    def last_words(self) -> str:
        """The last line it wrote to stderr; known once it has ended."""
        self._ended.wait(1)
        return self._last_words

    def stop(self, timeout_s: float = 2.0) -> None:
        """End it, and all its children; from now on there may be another one."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._ended.wait(timeout_s)

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait for its end; whether it came."""
        return self._ended.wait(timeout_s)

    def _run(self, theirs: socket.socket, started: threading.Event) -> None:
        try:
            paths = json.dumps([os.path.abspath(path) for path in sys.path])
            with (
                theirs,
                tempfile.TemporaryFile() as stderr,
                subprocess.Popen(
                    [sys.executable, "-I", "-c", _BOOT, paths, str(theirs.fileno()), str(os.getpid())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=stderr,
                    pass_fds=[theirs.fileno()],
                    env=child_environment(),
                    cwd="/",
                    start_new_session=True,  # Ctrl-C is for the worker, which then ends this in order
                ) as process,
            ):
                theirs.close()
                self.pid = process.pid
                started.set()
                process.wait()
                self._last_words = last_line(os.pread(stderr.fileno(), 1 << 16, 0))
        finally:
            with self._send_lock:
                self._control.close()
            self._ended.set()
            started.set()


_lock = threading.Lock()
_current: Zygote | None = None


def zygote() -> Zygote:
    """This process's zygote, started if there is none."""
    global _current  # noqa: PLW0603 - see the module's docstring
    with _lock:
        if _current is None or not _current.alive:
            _current = Zygote()
        return _current


def submit(fds: list[int]) -> Zygote:
    """Have a child forked; a zygote that has died is replaced.

    Raises:
        DecodeFailed: there is no starting one.
    """
    for _ in range(2):
        keeper = zygote()
        try:
            keeper.submit(fds)
        except OSError:
            keeper.stop()
        else:
            return keeper
    raise DecodeFailed(f"The video decoder could not be started: {keeper.last_words() or 'no reason given'}")


def child_environment() -> dict[str, str]:
    """All that a child may know of this process's environment, and what makes the libraries fast in it."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def last_line(text: bytes) -> str:
    """The last line that is not empty, shortened."""
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
