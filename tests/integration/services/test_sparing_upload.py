"""What an upload holds in memory."""

from __future__ import annotations

import tempfile
import tracemalloc

from pipeline.services.system import System
from pipeline.storage.s3_client import PART_BYTES

PARTS = 12


def test_a_sparing_upload_holds_few_parts_in_memory(system: System) -> None:
    with tempfile.TemporaryFile() as file:
        file.truncate(PARTS * PART_BYTES)
        tracemalloc.start()
        try:
            stored = system.store.put_stream(file, PARTS * PART_BYTES, "sparing", sparing=True)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert stored.size_bytes == PARTS * PART_BYTES
    assert peak_bytes < 5 * PART_BYTES
