"""Videos to ingest and chunks to analyse both wait in numbers: each has its part of the slots, all the time."""

from __future__ import annotations

import statistics
import struct
import time

from tests.acceptance.faults.rig import Rig
from tests.support.analysis import MODEL
from tests.support.harness import ask, sql, wait_until
from tests.support.video_maker import make_video

SLOTS = 4
VIDEOS = 100
#: Enough that reading a video takes a while.
FRAMES = 9000
#: Of four slots ingest has one while chunks wait, `settings.ingest_share`.
MOST_INGESTED = 1

_NOW = """
SELECT (SELECT count(*) FROM video WHERE lease_token IS NOT NULL),
       (SELECT count(*) FROM chunk WHERE state = 'running'),
       (SELECT count(*) FROM video WHERE state = 'stored' AND lease_token IS NULL),
       (SELECT count(*) FROM chunk WHERE state = 'queued'),
       (SELECT count(*) FROM video WHERE state = 'ready'),
       (SELECT count(*) FROM chunk WHERE state = 'done')
"""


def test_neither_starves_the_other(rig: Rig) -> None:
    data = make_video(rig.folder / "long.mp4", FRAMES, gop=30).read_bytes()
    for number in range(VIDEOS):
        path = rig.folder / f"{number}.mp4"
        path.write_bytes(data + struct.pack(">I4sQ", 16, b"free", number))
        ask(rig.system, path, f"team {number % 3}", MODEL)
    rig.beat()
    rig.worker(slots=SLOTS, slow=0.02)
    wait_until(lambda: sql(rig.system, _NOW)[0][3], 90, "chunks that wait")
    looks: list[tuple[float, tuple[int, ...]]] = []
    begun_s = time.monotonic()

    def both_wait() -> bool:
        now = tuple(int(str(value)) for value in sql(rig.system, _NOW)[0])
        looks.append((time.monotonic() - begun_s, now))
        return now[2] == 0 or now[3] == 0

    wait_until(both_wait, 300, "the end of one flood")
    ingested = [now[0] for _, now in looks]
    analysed = [now[1] for _, now in looks]
    ended_s = looks[-1][0]
    print(  # noqa: T201  the figures of the docs
        f"{ended_s:.0f} s: {statistics.mean(ingested) / SLOTS:.0%} of the slots ingested, "
        f"{statistics.mean(analysed) / SLOTS:.0%} analysed; {looks[-1][1][4] - looks[0][1][4]} videos and "
        f"{looks[-1][1][5] - looks[0][1][5]} chunks ended"
    )
    # What was sent before chunks waited is still ingested.
    assert ended_s > 10, "too short to tell"
    settled = [now for at_s, now in looks if at_s > 5]
    assert max(now[0] for now in settled) <= MOST_INGESTED
    for first_s in range(5, int(ended_s) - 5, 5):
        window = [now for at_s, now in looks if first_s <= at_s < first_s + 5]
        assert window[-1][4] > window[0][4], f"no video was ingested from second {first_s}"
        assert window[-1][5] > window[0][5], f"no chunk ended from second {first_s}"
