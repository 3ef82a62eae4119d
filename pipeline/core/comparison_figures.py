"""What a comparison of two runs of one video comes to: figures for people, rules and reports, kept as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

#: Of the JSON; figures of another version are computed anew.
VERSION = 1

MatchedBy = Literal["keypoints", "boxes"]


@dataclass(frozen=True)
class Drift:
    """How far keypoints moved, of people who are in both runs and keypoints that the earlier run was sure of.

    Args:
        keypoints: how many were measured.
        body_median, body_p95: as a share of the person's size, the root of its box's area in the earlier run.
    """

    keypoints: int
    px_median: float
    px_p95: float
    body_median: float
    body_p95: float


@dataclass(frozen=True)
class ChangedFrame:
    """One of the frames that changed most.

    Args:
        change: 1 for each person lost and each found, and one minus the OKS of each who is in both.
        oks_min: the lowest OKS of the people in both; None where nobody is, or people were matched by boxes.
        box_xyxy: where the change is, in pixels of the frame as displayed: the people lost and found, else the one
            who moved most.
    """

    frame: int
    pts: int
    time_s: float
    change: float
    lost: int
    found: int
    oks_min: float | None
    box_xyxy: tuple[float, float, float, float]

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ChangedFrame:
        """The same from its JSON fields."""
        return cls(**{**kept, "box_xyxy": tuple(kept["box_xyxy"])})


@dataclass(frozen=True)
class ComparisonFigures:
    """How a run differs from an earlier one of the same video.

    People are counted in the frames that both analysed. What is None is unknown: nobody is in both, or the models share
    no keypoint and people were matched by their boxes.

    Args:
        matched_by: `keypoints`, by OKS over the keypoints that both models have; `boxes`, by IoU, where they have none.
        keypoint_names: those that both models have.
        frames: of the video.
        frames_compared: that both analysed.
        people_lost, people_found: in the earlier run alone, in the later run alone.
        oks_histogram: people in both by OKS: ten counts from 0.5 to 1.
        agreement: how much of what was found before is found now: the sum of the OKS (or IoU) of people in both, by
            the people before. None where there was nobody.
        confidence_before, confidence_after: the mean of the shared keypoints of the people in both.
        joints: by name.
    """

    matched_by: MatchedBy
    keypoint_names: tuple[str, ...]
    frames: int
    frames_compared: int
    frames_missing_before: int
    frames_missing_after: int
    people_before: int
    people_after: int
    people_in_both: int
    people_lost: int
    people_found: int
    agreement: float | None
    oks_mean: float | None
    oks_min: float | None
    oks_p05: float | None
    oks_median: float | None
    oks_histogram: tuple[int, ...]
    confidence_before: float | None
    confidence_after: float | None
    drift: Drift | None
    joints: Mapping[str, Drift]
    changed_most: tuple[ChangedFrame, ...]

    @property
    def confidence_change(self) -> float | None:
        """By how much the mean confidence rose; None where it is unknown."""
        if self.confidence_before is None or self.confidence_after is None:
            return None
        return self.confidence_after - self.confidence_before

    def to_dict(self) -> dict[str, Any]:
        """The figures as JSON fields."""
        return {"version": VERSION, **asdict(self), "confidence_change": self.confidence_change}

    def in_short(self) -> dict[str, Any]:
        """The figures as JSON fields, without those of single keypoints and frames."""
        left_out = {"keypoint_names", "joints", "changed_most", "oks_histogram"}
        return {name: value for name, value in self.to_dict().items() if name not in left_out}

    @classmethod
    def from_dict(cls, kept: Mapping[str, Any]) -> ComparisonFigures | None:
        """The same from their JSON fields; None where another version of Poseline made them."""
        if kept.get("version") != VERSION:
            return None
        values = {each.name: kept[each.name] for each in fields(cls)}
        drift = values["drift"]
        return cls(
            **{
                **values,
                "keypoint_names": tuple(values["keypoint_names"]),
                "oks_histogram": tuple(values["oks_histogram"]),
                "drift": None if drift is None else Drift(**drift),
                "joints": {name: Drift(**each) for name, each in values["joints"].items()},
                "changed_most": tuple(map(ChangedFrame.from_dict, values["changed_most"])),
            }
        )
