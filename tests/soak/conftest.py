"""The fault tests' rig, for those that take longer."""

from tests.acceptance.faults.conftest import expected, numbered_clip, rig, times

__all__ = ["expected", "numbered_clip", "rig", "times"]
