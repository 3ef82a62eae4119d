"""The videos that must come out right, each with its frame numbers painted in it: one case, one trait of the world."""

from __future__ import annotations

from tests.unit.case_maker import Case
from tests.unit.codec_cases import CODECS, CONTAINERS
from tests.unit.picture_cases import PICTURES
from tests.unit.timing_cases import CUT_OFF, TIMES

CASES: dict[str, Case] = CODECS | CONTAINERS | TIMES | PICTURES | CUT_OFF
