"""`make bench`: every figure of docs/benchmarks.md, measured on this machine. Takes half an hour.

`python -m tests.benchmarks render` only renders the pages again from docs/bench.json.
"""

from __future__ import annotations

import sys

from pipeline.bench.figures import Size
from pipeline.bench.report import check_writable
from pipeline.bench.runner import PARTS, run_benchmark
from pipeline.errors import PoselineError
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.local.discovery import find_home
from tests.benchmarks.people import measure_people
from tests.benchmarks.plot import draw_people
from tests.benchmarks.render import PICTURE, REPORT, read_report, write_pages
from tests.support.paths import DEMO_CLIP


def main(*args: str) -> int:
    """Measure, unless `render` is asked for, and write the pages."""
    if args != ("render",):
        check_writable(REPORT)
        home = find_home().path
        report = run_benchmark(
            home,
            home / "models",
            clip=DEMO_CLIP,
            model=BUNDLED_MODEL,
            parts={**PARTS, "people": measure_people},
            size=Size(),
            on_step=lambda text: sys.stderr.write(text + "\n"),
        )
        report.write(REPORT)
    report = read_report()
    draw_people(report.figures, PICTURE)
    write_pages(report)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(*sys.argv[1:]))
    except PoselineError as error:
        sys.exit(f"bench: {error.message}")
    except KeyboardInterrupt:
        sys.exit(130)
