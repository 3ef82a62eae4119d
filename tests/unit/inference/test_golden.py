"""A model is shown the golden pictures: what finds something else, or runs elsewhere than asked, is named."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import orjson
import pytest

from pipeline.core.keypoints import HAND_21
from pipeline.core.letterbox import letterbox
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceUnavailable, InvalidOutput, InvalidWeights, is_outage
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.contracts import Network
from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Float32s, Session
from pipeline.inference.golden import check as golden_check
from pipeline.inference.golden.check import GoldenReport, check_model
from pipeline.inference.golden.reference import FOLDER, POSES_FILE, detect_golden, golden_images, known_poses
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.preprocessing import Image
from pipeline.inference.rtmo import OneStage
from pipeline.inference.zoo import FoundModel, find_model, load_model
from pipeline.services.golden import check, expected_poses
from tests.support.onnx_maker import make_model

CPU_FACTS = DeviceInfo("onnxruntime 1", CPU, "a chip")
GPU_FACTS = DeviceInfo("onnxruntime 1", CUDA, "a card", "580.1", is_gpu=True)

Change = Callable[[Float32s, Float32s], tuple[Float32s, Float32s]]


class Stub:
    """A session that says of itself what it is told, and changes what the network gives."""

    def __init__(self, session: Session, facts: DeviceInfo, change: Change | None = None, times: int = 1) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self.facts = facts
        self.batches: list[int] = []
        self._session, self._change, self._times = session, change, times

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        self.batches.append(len(batch))
        for _ in range(self._times):
            dets, keypoints = self._session.run(batch, outputs)
        return self._change(dets, keypoints) if self._change else (dets, keypoints)


def moved(px: float) -> Change:
    def change(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
        keypoints[..., 0] += np.float32(px)
        return dets, keypoints

    return change


def scored(factor: float) -> Change:
    def change(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
        dets[..., 4] *= np.float32(factor)
        return dets, keypoints

    return change


def spoilt(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
    return dets, np.full_like(keypoints, np.nan)


def crowded(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
    dets[:, -1] = np.float32([330, 150, 380, 210, 0.25])
    return dets, keypoints


@pytest.fixture(scope="module")
def bundled() -> FoundModel:
    return find_model(BUNDLED_MODEL, Path())


@pytest.fixture(scope="module")
def session(bundled: FoundModel) -> Session:
    return open_session(bundled.path, Placement("cpu"), bundled.spec.pose)


@pytest.fixture(scope="module")
def reference(bundled: FoundModel) -> Callable[[], PoseModel]:
    model = load_model(bundled, Placement("cpu"))
    return lambda: model


def one_stage(found: FoundModel, session: Session, batch: int = 1) -> OneStage:
    return OneStage(Network(session, found.spec.pose, found.path), found.spec, batch)


def report_of(
    found: FoundModel,
    session: Session,
    facts: DeviceInfo,
    change: Change | None,
    reference: Callable[[], PoseModel] | None = None,
    device: str = "auto",
) -> GoldenReport:
    return check_model(one_stage(found, Stub(session, facts, change)), letterbox, device, reference)


def lines_of(report: GoldenReport) -> str:
    assert report.problem is not None
    assert is_outage(report.problem)
    with pytest.raises(type(report.problem)):
        report.require()
    return report.problem.message


def test_the_set_is_small_and_whole():
    assert [picture.shape for picture in golden_images()] == [(360, 640, 3)] * 3
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_the_known_poses_are_what_the_command_makes(bundled):
    """Another processor may move the last digits."""
    wanted = known_poses(bundled.spec)
    assert wanted is not None
    assert [len(poses) for poses in wanted] == [1, 2, 2]
    made, kept = orjson.loads(expected_poses()), orjson.loads(POSES_FILE.read_bytes())
    assert {**made, "frames": None, "made_with": None} == {**kept, "frames": None, "made_with": None}
    for frame, poses in zip(made["frames"], wanted, strict=True):
        assert np.abs(np.float32(frame["scores"]) - poses.scores).max() < 1e-3
        for name in ("boxes_xyxy", "keypoints"):
            assert np.abs(np.float32(frame[name]) - getattr(poses, name)).max() < 0.05


def test_the_bundled_model_finds_what_it_should(bundled):
    report = check(bundled, load_model(bundled, Placement("cpu")), Placement("cpu")).require()
    assert (report.people, report.against, report.reference_ms, report.warnings) == (5, "known poses", None, ())
    assert report.figures is not None
    assert report.figures.px_max < 0.05
    assert report.frame_ms > 0


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino", "coreml"])
def test_what_was_asked_for_and_is_a_cpu_is_refused(bundled, session, reference, device):
    report = report_of(bundled, session, CPU_FACTS, None, reference, device)
    assert isinstance(report.problem, DeviceUnavailable)
    assert lines_of(report).startswith(f"asked for {device} and got a chip (CPUExecutionProvider, onnxruntime 1); ")


def test_another_precision_than_was_asked_for_is_refused(session, reference):
    bf16 = find_model(f"{BUNDLED_MODEL}@bf16", Path())
    assert f"asked for {BUNDLED_MODEL}@bf16 and got fp32" in lines_of(
        report_of(bf16, session, CPU_FACTS, None, reference)
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (moved(0.6), r" 0 lost, 0 too many, 1 px off"),  # 0.6 px of the square of 384
        (moved(-80), r" ([56]) lost, \1 too many"),
        (scored(0.97), r"0 lost, .*, 0\.02 of score"),
        (scored(0), r" [56] lost, 0 too many"),
        (crowded, r" 0 lost, [34] too many"),
    ],
    ids=["moved", "elsewhere", "scored", "blind", "crowded"],
)
def test_wrong_poses_are_refused_with_the_mend(bundled, session, change, says):
    on_gpu = report_of(bundled, session, GPU_FACTS, change)
    on_cpu = report_of(bundled, session, CPU_FACTS, change)
    assert re.search(says, lines_of(on_gpu))
    assert "a card (CUDAExecutionProvider" in lines_of(on_gpu)
    assert "use the cpu device" in lines_of(on_gpu)
    assert re.search(says, lines_of(on_cpu))
    assert isinstance(on_cpu.problem, InvalidWeights)
    assert isinstance(on_gpu.problem, DeviceUnavailable)
    assert on_cpu.problem.message.endswith("; install Poseline again")


def test_no_numbers_on_a_device_are_the_devices_fault_where_the_cpu_gives_some(bundled, session, reference):
    for ask in (reference, None):
        on_gpu = report_of(bundled, session, GPU_FACTS, spoilt, ask)
        assert isinstance(on_gpu.problem, DeviceUnavailable)
        assert re.search(r"not numbers, on a card .*; use the cpu device$", lines_of(on_gpu))


def test_no_numbers_on_the_cpu_are_the_models_fault_and_not_tried_for_ever(bundled, session):
    on_cpu = report_of(bundled, session, CPU_FACTS, spoilt)
    assert isinstance(on_cpu.problem, InvalidOutput)
    assert not is_outage(on_cpu.problem)
    with pytest.raises(InvalidOutput, match=r"not numbers, on a chip .*; use another model"):
        report_of(bundled, session, GPU_FACTS, spoilt, lambda: one_stage(bundled, Stub(session, CPU_FACTS, spoilt)))


def test_a_last_digit_is_not_refused(bundled, session):
    report = report_of(bundled, session, GPU_FACTS, moved(0.1))
    assert report.require().figures is not None
    assert 0 < report.figures.px_max < 0.5


def test_reduced_precision_may_be_off_by_more_but_lose_nobody(session):
    bf16 = find_model(f"{BUNDLED_MODEL}@bf16", Path())
    facts = replace(GPU_FACTS, precision="bf16")
    report_of(bf16, session, facts, moved(1)).require()
    for change, says in ((moved(6), "OKS of 0.9"), (scored(0.1), "0 too many"), (spoilt, "not numbers")):
        problem = report_of(bf16, session, facts, change).problem
        assert isinstance(problem, InvalidOutput), "no other device is better at it"
        assert says in problem.message
        assert problem.message.endswith("; ask for the model without @bf16")


def test_batches_are_as_full_as_at_work(bundled, session, reference):
    stub = Stub(session, GPU_FACTS)
    model = one_stage(bundled, stub, batch=4)
    stub.batches.clear()
    report = check_model(model, letterbox, "cuda", reference).require()
    assert set(stub.batches) == {4}
    assert report.people == 5
    assert report.figures is not None
    assert report.figures.frames == sum(stub.batches)


def test_a_reference_that_is_slow_is_asked_about_one_picture(tmp_path, monkeypatch):
    found = unknown(tmp_path / "m.onnx", "mine", "me", np.array([[10, 2, 50, 30, 1.5]], np.float32))
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    on_cpu = one_stage(found, plain)
    assert [len(detect_golden(on_cpu, letterbox, patience_s).poses()) for patience_s in (0, math.inf)] == [1, 3]
    monkeypatch.setattr(
        golden_check, "detect_golden", lambda model, box: detect_golden(model, box, 0 if model is on_cpu else math.inf)
    )
    same = check_model(one_stage(found, Stub(plain, GPU_FACTS)), letterbox, "cuda", lambda: on_cpu).require()
    assert same.figures is not None
    assert same.people == 3
    assert same.figures.frames == 2  # of four, in which it was shown twice
    wrong = check_model(one_stage(found, Stub(plain, GPU_FACTS, moved(0.2))), letterbox, "cuda", lambda: on_cpu)
    assert "px off" in lines_of(wrong)


def test_a_gpu_that_breaks_off_is_named(bundled, session, reference):
    model = one_stage(bundled, Stub(session, GPU_FACTS))

    def break_off(*_: object) -> list[FramePoses]:
        raise DeviceUnavailable("the GPU broke off: it fell off its bus; start this worker again")

    model.detect = break_off  # type: ignore[method-assign]
    assert "fell off its bus" in lines_of(check_model(model, letterbox, "cuda", reference))


def unknown(path: Path, name: str, source: str, dets: np.ndarray | None = None) -> FoundModel:
    """A model of which nothing is known, with one person who is always there."""
    make_model(path, side_px=64, **({} if dets is None else {"dets": dets}))
    spec = ModelSpec(name, NetworkSpec("rtmo", "0" * 64, 64, 64), 0.3, 0.5, "none", source)
    return FoundModel(spec, {"0" * 64: path})


NEVER = np.array([[10, 2, 50, 30, 0.1]], np.float32)


def test_an_unknown_model_is_held_against_the_cpu(tmp_path):
    found = unknown(tmp_path / "m.onnx", "mine", "me", np.array([[10, 2, 50, 30, 1.5]], np.float32))
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    on_cpu = one_stage(found, plain)
    same = check_model(one_stage(found, Stub(plain, GPU_FACTS)), letterbox, "cuda", lambda: on_cpu).require()
    assert same.people > 0
    assert same.against == "the CPU, computed here"
    assert same.reference_ms is not None
    wrong = check_model(one_stage(found, Stub(plain, GPU_FACTS, moved(9))), letterbox, "cuda", lambda: on_cpu)
    assert isinstance(wrong.problem, DeviceUnavailable)
    alone = check_model(on_cpu, letterbox, "cpu", lambda: pytest.fail("the CPU was asked about itself"))
    assert (alone.require().against, alone.figures) == ("", None)


def test_a_device_that_is_slower_than_the_processor_is_warned_of(tmp_path):
    found = unknown(tmp_path / "m.onnx", "mine", "me")
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    slow = one_stage(found, Stub(plain, GPU_FACTS, times=2000))
    report = check_model(slow, letterbox, "cuda", lambda: one_stage(found, plain)).require()
    assert report.reference_ms is not None
    assert report.frame_ms > 20 * report.reference_ms
    assert any("on one core of the processor" in words for words in report.warnings)
    quick = check_model(one_stage(found, Stub(plain, GPU_FACTS)), letterbox, "cuda", lambda: slow).require()
    assert not any("processor" in words for words in quick.warnings)


def test_a_model_that_finds_nobody_is_warned_of(tmp_path):
    mine = unknown(tmp_path / "m.onnx", "mine", "me", NEVER)
    report = check(mine, one_stage(mine, open_session(mine.path, Placement("cpu"), mine.spec.pose)), Placement("cpu"))
    assert report.require().warnings[0].startswith("mine found nobody in 3 pictures of people")
    hands = replace(mine, spec=replace(mine.spec, keypoint_names=HAND_21.names, skeleton=HAND_21.skeleton))
    make_model(mine.path, side_px=64, dets=NEVER, keypoints=21)
    report = check(hands, one_stage(hands, open_session(mine.path, Placement("cpu"), mine.spec.pose)), Placement("cpu"))
    assert report.require().warnings == ()


def test_a_person_at_the_threshold_may_come_or_go(tmp_path):
    blues = [int(letterbox(picture, 64)[0][0, 0, 0]) for picture in golden_images()]
    # The network takes blue / 255 from each score: the second person is just above the threshold in one picture.
    dets = np.array([[10, 2, 50, 30, 1.5], [10, 40, 50, 60, 0.304 + max(blues) / 255]], np.float32)
    found = unknown(tmp_path / "m.onnx", "mine", "me", dets)
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)

    def lowered(by: float) -> Change:
        def change(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
            dets[..., 4] -= np.float32(by)
            return dets, keypoints

        return change

    def checked(by: float) -> GoldenReport:
        gpu = one_stage(found, Stub(plain, GPU_FACTS, lowered(by)))
        return check_model(gpu, letterbox, "cuda", lambda: one_stage(found, plain))

    kept, gone = checked(0.0), checked(0.008)
    assert gone.people < kept.people
    assert gone.require().score_off == pytest.approx(0.008, abs=1e-4)
    assert checked(0.02).problem is not None


class WholePictures:
    """A model of two stages that finds the same person in every picture, some pixels off."""

    spec = ModelSpec(
        "pair",
        NetworkSpec("simcc", "0" * 64, 192, 256),
        *(0.3, 0.45, "none", "nobody"),
        detector=NetworkSpec("yolox", "1" * 64, 416, 416),
    )
    batch = 1

    def __init__(self, facts: DeviceInfo, off_px: float) -> None:
        self.facts = facts
        steps = np.linspace(0, 1, 17)[:, None]
        points = np.hstack([np.array([100, 60]) + steps * (80, 240) + (off_px, 0), np.full((17, 1), 0.9)])
        self._poses = FramePoses([0.9], [[100, 60, 180, 300]], points[None])

    def detect(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        assert [image.shape for image in images] == [(360, 640, 3)]
        assert list(scales) == [1.0]
        return [self._poses]


def test_two_stages_see_whole_pictures_and_may_be_a_bin_off():
    """A bin of a person of 240 px is 240 * 1.25 / 256 / 2 = 0.59 px, and 0.83 px across the corner."""

    def off_by(off_px: float) -> GoldenReport:
        gpu = WholePictures(GPU_FACTS, off_px)
        return check_model(gpu, letterbox, "cuda", lambda: WholePictures(CPU_FACTS, 0))

    assert off_by(1.3).require().figures is not None
    assert "within 1.3 px" in lines_of(off_by(1.4))


def test_the_kept_poses_are_readable_and_in_order():
    kept = json.loads(POSES_FILE.read_text())
    assert all(frame["scores"] == sorted(frame["scores"], reverse=True) for frame in kept["frames"])
