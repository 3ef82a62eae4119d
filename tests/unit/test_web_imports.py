"""What the web process is spared: libraries for decoding, analysing and drawing, which would stay in its memory."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("av", "cv2", "onnxruntime", "pyarrow")


def test_the_application_imports_no_library_of_workers() -> None:
    code = f"import sys, pipeline.api.app; print([name for name in {HEAVY} if name in sys.modules])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == "[]"
