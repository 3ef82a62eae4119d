"""When a process counts as gone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.local.ports import is_free
from pipeline.local.processes import process_of
from tests.support.harness import wait_until

#: Listens, and ends its first thread alone, as the kernel may do while it ends a whole process.
_HALF_ENDED = """
import ctypes, platform, socket, threading, time
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
threading.Thread(target=time.sleep, args=(60,)).start()
ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_whose_first_thread_ended_still_holds_its_ports() -> None:
    with subprocess.Popen([sys.executable, "-c", _HALF_ENDED], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        port = int(child.stdout.readline())
        wait_until(lambda: ") Z " in Path(f"/proc/{child.pid}/stat").read_text(), what="the end of its first thread")
        assert not is_free(port)
        process = process_of(child.pid)
        assert process is not None
        child.kill()
        wait_until(lambda: not process.alive, what="its end")
        assert is_free(port)
