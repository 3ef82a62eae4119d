"""The worker's side of the zygote: one per process, started when first needed, replaced when it died.

It is module state, since a second zygote in a process would only cost memory. A fork of the worker does not share it.
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

from pipeline.errors import DecoderUnavailable

# Keeps libraries from starting threads, and glibc from returning each frame's memory to the kernel and faulting it in
# again (a fifth to a third of the child's time).
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
        self._last_stderr_line = ""
        self._not_started: OSError | None = None
        self._ended = threading.Event()
        self._stopped = False
        started = threading.Event()
        # PR_SET_PDEATHSIG ends the zygote with the thread that started it, so that thread must last as long as the
        # zygote; a thread of a worker's pool may end at any time. It also reaps the zygote.
        threading.Thread(target=self._run, args=(theirs, started), name="video-zygote", daemon=True).start()
        started.wait()

    @property
    def alive(self) -> bool:
        return not (self._stopped or self._ended.is_set()) and self.owner_pid == os.getpid()

    def submit(self, fds: list[int]) -> None:
        """Fork a child that owns copies of `fds`, in the order given in `zygote`.

        Raises:
            OSError: the zygote has ended.
        """
        with self._send_lock:
            socket.send_fds(self._control, [b"J"], fds)

    def check_started(self) -> None:
        """Raises: OSError: this machine had no room for it: no disk, no memory, no process."""
        if self._not_started is not None:
            raise self._not_started

    def last_stderr_line(self) -> str:
        """The last line that it wrote to stderr, empty before its end."""
        self._ended.wait(1)
        return self._last_stderr_line

    def stop(self, timeout_s: float = 2.0) -> None:
        """End it and all its children. The next `zygote()` starts another one."""
        self._stopped = True
        with contextlib.suppress(OSError):
            self._control.shutdown(socket.SHUT_RDWR)
        self._ended.wait(timeout_s)

    def wait_ended(self, timeout_s: float) -> bool:
        """Wait for its end. Returns whether it ended in time."""
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
                    start_new_session=True,  # Ctrl-C goes to the worker only, which then ends the zygote
                ) as process,
            ):
                theirs.close()
                self.pid = process.pid
                started.set()
                process.wait()
                self._last_stderr_line = last_line(os.pread(stderr.fileno(), 1 << 16, 0))
        except OSError as error:
            self._not_started = error
        finally:
            with self._send_lock:
                self._control.close()
            self._ended.set()
            started.set()


_lock = threading.Lock()
_current: Zygote | None = None


def zygote() -> Zygote:
    """This process's zygote; it is started if there is none."""
    global _current  # noqa: PLW0603 - see the module's docstring
    with _lock:
        if _current is None or not _current.alive:
            _current = Zygote()
        return _current


def submit(fds: list[int]) -> Zygote:
    """Fork a child. A zygote that has died is replaced.

    Raises:
        DecoderUnavailable: no zygote can be started.
        OSError: this machine is out of disk, memory or processes; the video is not at fault.
    """
    for _ in range(2):
        current = zygote()
        try:
            current.submit(fds)
        except OSError:
            current.stop()
            current.check_started()
        else:
            return current
    raise DecoderUnavailable(
        f"The video decoder could not be started: {current.last_stderr_line() or 'no reason given'}"
    )


def child_environment() -> dict[str, str]:
    """The environment of the zygote and its children: nothing of this process's except what the loader needs."""
    return _ENVIRONMENT | {name: os.environ[name] for name in _PASSED_ON if name in os.environ}


def last_line(text: bytes) -> str:
    """The last line that is not empty, cut to 200 characters."""
    lines = [line.strip() for line in text.decode("utf-8", "replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
