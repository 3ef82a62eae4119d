"""Rules of promotion: read and written back, applied to a comparison, and every refusal says why in one line."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pipeline.core.comparison_figures import ComparisonFigures, Drift
from pipeline.core.promotion import MEASURES, parse_rule

FIGURES = ComparisonFigures(
    matched_by="keypoints",
    keypoint_names=("nose", "left_ankle"),
    frames=100,
    frames_compared=100,
    frames_missing_before=3,
    frames_missing_after=1,
    people_before=200,
    people_after=204,
    people_in_both=196,
    people_lost=4,
    people_found=8,
    agreement=0.93,
    oks_mean=0.95,
    oks_min=0.61,
    oks_p05=0.8,
    oks_median=0.97,
    oks_histogram=(0,) * 9 + (196,),
    confidence_before=0.70,
    confidence_after=0.75,
    drift=Drift(392, 2.0, 9.0, 0.01, 0.06),
    joints={"nose": Drift(196, 1.0, 2.0, 0.005, 0.01), "left_ankle": Drift(196, 4.0, 12.0, 0.03, 0.09)},
    changed_most=(),
)
NOBODY = replace(
    FIGURES,
    people_before=0,
    people_after=0,
    people_in_both=0,
    people_lost=0,
    people_found=0,
    **dict.fromkeys(
        ("agreement", "oks_mean", "oks_min", "oks_p05", "oks_median", "confidence_before", "confidence_after", "drift")
    ),
    joints={},
)
WORSE = replace(FIGURES, people_after=190, people_in_both=188, people_lost=12, people_found=2, confidence_after=0.65)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("automatic", "automatic"),
        (" Manual ", "manual"),
        ("better", "better"),
        ("oks >= 0.90, lost<= 2 %, missing<=0, confidence>=-0.02", "oks>=0.9, lost<=2%, missing<=0, confidence>=-0.02"),
        ("lost≤2%, better", "better, lost<=2%"),
        ("drift.left_ankle<=4%, drift_p95<8px, people>-3", "drift.left_ankle<=4%, drift_p95<8px, people>-3"),
        ("found>=1%, found<=20%, agreement>.9, oks_min>=0.5", "found>=1%, found<=20%, agreement>0.9, oks_min>=0.5"),
    ],
)
def test_a_rule_is_written_as_it_is_read(text: str, written: str) -> None:
    rule = parse_rule(text)
    assert str(rule) == written
    assert parse_rule(written) == rule


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "a rule is `automatic`, `manual`, `better`, or bounds such as"),
        ("oks>=0.9, manual", "`manual` stands alone"),
        (
            "oks",
            "'oks' is no condition: write a measure, a comparison and a number, such as `lost<=2%`; measures are oks",
        ),
        ("oks>=0.9,", "'' is no condition"),
        ("blur>=1", "there is no measure 'blur'; there are oks, oks_min"),
        ("oks<=0.9", "oks is bounded by >= or >, such as `oks>=0.9`"),
        ("lost>=2", "lost is bounded by <= or <"),
        ("oks=0.9", "oks is bounded by >= or >"),
        ("oks>=90", "oks is 0 to 1, not 90"),
        ("oks>=90%", "oks takes no unit"),
        ("drift<=5", "drift takes % or px"),
        ("lost<=3px", "lost takes no unit or %"),
        ("lost<=-1", "lost is 0 or more, not -1"),
        ("lost.left_ankle<=1", "lost is not of one keypoint; drift and drift_p95 are"),
        ("oks>=nan", "is no condition"),
        ("x" * 501, "a rule has at most 500 characters, this one has 501"),
    ],
)
def test_what_is_no_rule_says_how_to_write_one(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as caught:
        parse_rule(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("oks>=0.95", None),
        ("oks>=0.96", "oks: 0.950, wanted at least 0.96"),
        ("oks_min>0.61", "oks_min: 0.610, wanted more than 0.61"),
        ("agreement>=0.94", "agreement: 0.930, wanted at least 0.94"),
        ("lost<=2%", None),
        ("lost<=1.9%", "lost: 2.0% (4 of 200 people), wanted at most 1.9%"),
        ("lost<4", "lost: 4 people, wanted less than 4"),
        ("found>=5%", "found: 4.0% (8 new beside 200 people), wanted at least 5%"),
        ("found<=7", "found: 8 people, wanted at most 7"),
        ("people>=2%", None),
        ("people>=5", "people: +4, wanted at least 5"),
        ("people>=3%", "people: 2.0% (200 before, 204 now), wanted at least 3%"),
        ("missing<=-2", None),
        ("missing<=-3", "missing: -2 frames, wanted at most -3"),
        ("missing<=-3%", "missing: -2.0% (-2 of 100 frames), wanted at most -3%"),
        ("confidence>=0.05", None),
        ("confidence>=0.06", "confidence: +0.050, wanted at least 0.06"),
        ("drift<=1%", None),
        ("drift_p95<=5%", "drift_p95: 6.0% (of a person's size), wanted at most 5%"),
        ("drift_p95<=8px", "drift_p95: 9.00 px, wanted at most 8px"),
        ("drift.nose<=1px", None),
        ("drift_p95.left_ankle<=8%", "drift_p95.left_ankle: 9.0% (of a person's size), wanted at most 8%"),
        (
            "drift.left_heel<=8%",
            "drift.left_heel: unknown, the models do not share a keypoint 'left_heel', wanted at most 8%",
        ),
    ],
)
def test_each_bound_holds_or_says_in_one_line_why_not(text: str, failure: str | None) -> None:
    decision = parse_rule(text).decide(FIGURES)
    assert decision.promoted is (failure is None)
    if failure is not None:
        assert decision.reason == failure


def test_every_failure_is_named_and_so_is_what_held() -> None:
    refused = parse_rule("oks>=0.99, lost<=1%, missing<=0").decide(FIGURES)
    assert refused.reason.split("; ") == [
        "oks: 0.950, wanted at least 0.99",
        "lost: 2.0% (4 of 200 people), wanted at most 1%",
    ]
    assert parse_rule("oks>=0.9, missing<=0").decide(FIGURES).reason == "oks: 0.950; missing: -2 frames"


def test_better_asks_for_nothing_worse_and_something_better() -> None:
    rule = parse_rule("better")
    assert rule.decide(FIGURES).promoted
    worse = rule.decide(WORSE)
    assert not worse.promoted
    assert [line.partition(":")[0] for line in worse.reason.split("; ")] == ["lost", "people", "confidence"]
    same = replace(FIGURES, people_after=200, frames_missing_after=3, confidence_after=0.70)
    assert rule.decide(same).reason.startswith("better: nothing is better by enough (missing: +0 frames, people: 0.0%")
    for better in ({"people_after": 202}, {"frames_missing_after": 2}, {"confidence_after": 0.71}):
        assert rule.decide(replace(same, **better)).promoted, better
    assert not parse_rule("better, oks>=0.99").decide(FIGURES).promoted


def test_what_is_unknown_does_not_hold_unless_there_was_nobody() -> None:
    by_boxes = replace(NOBODY, matched_by="boxes", people_before=200, people_in_both=190, keypoint_names=())
    for text in ("oks>=0.1", "confidence>=-1", "drift<=100%", "better"):
        refused = parse_rule(text).decide(by_boxes)
        assert not refused.promoted
        assert "unknown, the models have no keypoint of the same name" in refused.reason
        assert not parse_rule(text).decide(None).promoted
    assert parse_rule("oks>=0.9, lost<=0%, people>=0%, agreement>=1, drift<=1px").decide(NOBODY).promoted
    appeared = replace(NOBODY, people_after=5, people_found=5)
    assert not parse_rule("found<=100%").decide(appeared).promoted
    assert parse_rule("better").decide(appeared).promoted
    none_left = replace(NOBODY, people_before=5, people_lost=5, agreement=0.0)
    assert parse_rule("oks>=0.1").decide(none_left).reason == (
        "oks: unknown, nobody is in both runs, wanted at least 0.1"
    )


def test_automatic_and_manual_ask_nothing() -> None:
    for figures in (FIGURES, WORSE, None):
        assert parse_rule("automatic").decide(figures).promoted
        assert not parse_rule("manual").decide(figures).promoted


def test_every_measure_is_tried_here() -> None:
    tried = {"oks", "oks_min", "agreement", "lost", "found", "people", "missing", "confidence", "drift", "drift_p95"}
    assert tried == set(MEASURES)
