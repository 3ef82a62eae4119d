"""Where things lie that tests look at."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[2]
#: Recorded with earlier versions of Poseline.
DATA = ROOT / "tests" / "data"
DEMO_CLIP = ROOT / "pipeline" / "cli" / "clips" / "demo.mp4"
#: Real footage that lies beside some checkouts.
SHARED_CLIPS = sorted((ROOT.parent / "shared" / "clips").glob("*.mp4"))
