"""All video cases, each with frame numbers painted into its frames: one case for each property of real videos."""

from __future__ import annotations

from tests.support.case_maker import Case
from tests.support.codec_cases import CODECS, CONTAINERS
from tests.support.picture_cases import PICTURES
from tests.support.timing_cases import CUT_OFF, TIMES

CASES: dict[str, Case] = CODECS | CONTAINERS | TIMES | PICTURES | CUT_OFF
