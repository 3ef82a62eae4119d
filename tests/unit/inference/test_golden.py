"""The golden check refuses a model that finds other poses, or runs on another device than requested."""

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
from pipeline.core.letterbox import Image, letterbox
from pipeline.core.model_spec import ModelSpec, NetworkSpec
from pipeline.core.poses import FramePoses
from pipeline.errors import DeviceUnavailable, InvalidOutput, InvalidWeights, is_outage
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.contracts import Network
from pipeline.inference.engines.onnx_session import CPU, CUDA
from pipeline.inference.engines.placement import Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Float32s, Session
from pipeline.inference.golden import check as golden_check
from pipeline.inference.golden.check import GoldenReport, check_golden, check_model
from pipeline.inference.golden.reference import (
    FOLDER,
    POSES_FILE,
    compute_reference,
    detect_golden,
    golden_images,
    reference_poses,
)
from pipeline.inference.pose_model import PoseModel
from pipeline.inference.rtmo import OneStage
from pipeline.inference.zoo import FoundModel, find_model, load_model
from tests.support.onnx_maker import make_model

CPU_DEVICE = DeviceInfo("onnxruntime 1", CPU, "a chip")
GPU_DEVICE = DeviceInfo("onnxruntime 1", CUDA, "a card", "580.1", is_gpu=True)

Change = Callable[[Float32s, Float32s], tuple[Float32s, Float32s]]


class Stub:
    """A session that reports the given device and changes the outputs of the network."""

    def __init__(self, session: Session, device: DeviceInfo, change: Change | None = None, times: int = 1) -> None:
        self.inputs, self.outputs = session.inputs, session.outputs
        self.device = device
        self.batches: list[int] = []
        self._session, self._change, self._times = session, change, times

    def run(self, batch: Float32s, outputs: Sequence[str]) -> tuple[Float32s, ...]:
        self.batches.append(len(batch))
        for _ in range(self._times):
            dets, keypoints = self._session.run(batch, outputs)
        return self._change(dets, keypoints) if self._change else (dets, keypoints)


def shifted(px: float) -> Change:
    def change(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
        keypoints[..., 0] += np.float32(px)
        return dets, keypoints

    return change


def scored(factor: float) -> Change:
    def change(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
        dets[..., 4] *= np.float32(factor)
        return dets, keypoints

    return change


def not_finite(dets: Float32s, keypoints: Float32s) -> tuple[Float32s, Float32s]:
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
    device: DeviceInfo,
    change: Change | None,
    reference: Callable[[], PoseModel] | None = None,
    requested: str = "auto",
) -> GoldenReport:
    return check_model(one_stage(found, Stub(session, device, change)), requested, reference)


def problem_of(report: GoldenReport) -> str:
    assert report.problem is not None
    assert is_outage(report.problem)
    with pytest.raises(type(report.problem)):
        report.require()
    return report.problem.message


def test_the_golden_set_is_complete_and_small():
    assert [image.shape for image in golden_images()] == [(360, 640, 3)] * 3
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 400_000


def test_the_recorded_poses_are_what_the_command_computes(bundled):
    """On another CPU the last digits may differ."""
    wanted = reference_poses(bundled.spec)
    assert wanted is not None
    assert [len(poses) for poses in wanted] == [1, 2, 2]
    made, kept = orjson.loads(compute_reference()), orjson.loads(POSES_FILE.read_bytes())
    assert {**made, "frames": None, "made_with": None} == {**kept, "frames": None, "made_with": None}
    for frame, poses in zip(made["frames"], wanted, strict=True):
        assert np.abs(np.float32(frame["scores"]) - poses.scores).max() < 1e-3
        for name in ("boxes_xyxy", "keypoints"):
            assert np.abs(np.float32(frame[name]) - getattr(poses, name)).max() < 0.05


def test_the_bundled_model_finds_the_recorded_poses(bundled):
    report = check_golden(bundled, load_model(bundled, Placement("cpu")), Placement("cpu")).require()
    assert (report.people, report.against, report.reference_ms, report.warnings) == (5, "recorded poses", None, ())
    assert report.figures is not None
    assert report.figures.px_max < 0.05
    assert report.frame_ms > 0


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino", "coreml"])
def test_a_cpu_in_place_of_the_requested_device_is_refused(bundled, session, reference, device):
    report = report_of(bundled, session, CPU_DEVICE, None, reference, device)
    assert isinstance(report.problem, DeviceUnavailable)
    assert problem_of(report).startswith(f"requested {device} and got a chip (CPUExecutionProvider, onnxruntime 1); ")


def test_another_precision_than_requested_is_refused(session, reference):
    bf16 = find_model(f"{BUNDLED_MODEL}@bf16", Path())
    assert f"requested {BUNDLED_MODEL}@bf16 and got fp32" in problem_of(
        report_of(bf16, session, CPU_DEVICE, None, reference)
    )


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (shifted(0.6), r" 0 are missing, 0 too many, 1 px off"),  # 0.6 px of the square of 384
        (shifted(-80), r" ([56]) are missing, \1 too many"),
        (scored(0.97), r"0 are missing, .*, 0\.02 of score"),
        (scored(0), r" [56] are missing, 0 too many"),
        (crowded, r" 0 are missing, [34] too many"),
    ],
    ids=["shifted", "elsewhere", "scored", "blind", "crowded"],
)
def test_wrong_poses_are_refused_with_the_fix(bundled, session, change, says):
    on_gpu = report_of(bundled, session, GPU_DEVICE, change)
    on_cpu = report_of(bundled, session, CPU_DEVICE, change)
    assert re.search(says, problem_of(on_gpu))
    assert "a card (CUDAExecutionProvider" in problem_of(on_gpu)
    assert "use the cpu device" in problem_of(on_gpu)
    assert re.search(says, problem_of(on_cpu))
    assert isinstance(on_cpu.problem, InvalidWeights)
    assert isinstance(on_gpu.problem, DeviceUnavailable)
    assert on_cpu.problem.message.endswith("; install Poseline again")


def test_output_that_is_finite_only_on_the_cpu_is_a_problem_of_the_device(bundled, session, reference):
    for ask in (reference, None):
        on_gpu = report_of(bundled, session, GPU_DEVICE, not_finite, ask)
        assert isinstance(on_gpu.problem, DeviceUnavailable)
        assert re.search(r"not numbers, on a card .*; use the cpu device$", problem_of(on_gpu))


def test_output_that_is_not_finite_on_the_cpu_is_a_problem_of_the_model_and_not_retried(bundled, session):
    on_cpu = report_of(bundled, session, CPU_DEVICE, not_finite)
    assert isinstance(on_cpu.problem, InvalidOutput)
    assert not is_outage(on_cpu.problem)
    with pytest.raises(InvalidOutput, match=r"not numbers, on a chip .*; use another model"):
        report_of(
            bundled, session, GPU_DEVICE, not_finite, lambda: one_stage(bundled, Stub(session, CPU_DEVICE, not_finite))
        )


def test_a_difference_within_the_tolerance_is_accepted(bundled, session):
    report = report_of(bundled, session, GPU_DEVICE, shifted(0.1))
    assert report.require().figures is not None
    assert 0 < report.figures.px_max < 0.5


def test_reduced_precision_has_a_wider_tolerance_but_must_find_everybody(session):
    bf16 = find_model(f"{BUNDLED_MODEL}@bf16", Path())
    bf16_device = replace(GPU_DEVICE, precision="bf16")
    report_of(bf16, session, bf16_device, shifted(1)).require()
    for change, says in ((shifted(6), "OKS of at least 0.9"), (scored(0.1), "0 too many"), (not_finite, "not numbers")):
        problem = report_of(bf16, session, bf16_device, change).problem
        assert isinstance(problem, InvalidOutput), "another device would not help"
        assert says in problem.message
        assert problem.message.endswith("; use the model without @bf16")


def test_batches_are_as_full_as_at_work(bundled, session, reference):
    stub = Stub(session, GPU_DEVICE)
    model = one_stage(bundled, stub, batch=4)
    stub.batches.clear()
    report = check_model(model, "cuda", reference).require()
    assert set(stub.batches) == {4}
    assert report.people == 5
    assert report.figures is not None
    assert report.figures.frames == sum(stub.batches)


def test_a_slow_reference_is_run_on_one_image(tmp_path, monkeypatch):
    found = unknown(tmp_path / "m.onnx", "mine", "me", np.array([[10, 2, 50, 30, 1.5]], np.float32))
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    on_cpu = one_stage(found, plain)
    assert [len(detect_golden(on_cpu, patience_s).poses()) for patience_s in (0, math.inf)] == [1, 3]
    monkeypatch.setattr(
        golden_check, "detect_golden", lambda model: detect_golden(model, 0 if model is on_cpu else math.inf)
    )
    same = check_model(one_stage(found, Stub(plain, GPU_DEVICE)), "cuda", lambda: on_cpu).require()
    assert same.figures is not None
    assert same.people == 3
    assert same.figures.frames == 2  # of four: the reference ran on one image, the model twice on that
    wrong = check_model(one_stage(found, Stub(plain, GPU_DEVICE, shifted(0.2))), "cuda", lambda: on_cpu)
    assert "px off" in problem_of(wrong)


def test_the_error_of_a_gpu_that_fails_is_reported(bundled, session, reference):
    model = one_stage(bundled, Stub(session, GPU_DEVICE))

    def break_off(*_: object) -> list[FramePoses]:
        raise DeviceUnavailable("the GPU failed: device lost; start this worker again")

    model.detect = break_off  # type: ignore[method-assign]
    assert "device lost" in problem_of(check_model(model, "cuda", reference))


def unknown(path: Path, name: str, source: str, dets: np.ndarray | None = None) -> FoundModel:
    """A model without recorded poses that always finds one person."""
    make_model(path, side_px=64, **({} if dets is None else {"dets": dets}))
    spec = ModelSpec(name, NetworkSpec("rtmo", "0" * 64, 64, 64), 0.3, 0.5, "none", source)
    return FoundModel(spec, {"0" * 64: path})


NEVER = np.array([[10, 2, 50, 30, 0.1]], np.float32)


def test_a_model_without_recorded_poses_is_compared_with_the_cpu(tmp_path):
    found = unknown(tmp_path / "m.onnx", "mine", "me", np.array([[10, 2, 50, 30, 1.5]], np.float32))
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    on_cpu = one_stage(found, plain)
    same = check_model(one_stage(found, Stub(plain, GPU_DEVICE)), "cuda", lambda: on_cpu).require()
    assert same.people > 0
    assert same.against == "the CPU"
    assert same.reference_ms is not None
    wrong = check_model(one_stage(found, Stub(plain, GPU_DEVICE, shifted(9))), "cuda", lambda: on_cpu)
    assert isinstance(wrong.problem, DeviceUnavailable)
    on_reference = check_model(on_cpu, "cpu", lambda: pytest.fail("the CPU was compared with itself"))
    assert (on_reference.require().against, on_reference.figures) == ("", None)


def test_a_device_that_is_slower_than_one_cpu_core_is_reported(tmp_path):
    found = unknown(tmp_path / "m.onnx", "mine", "me")
    plain = open_session(found.path, Placement("cpu"), found.spec.pose)
    slow = one_stage(found, Stub(plain, GPU_DEVICE, times=2000))
    report = check_model(slow, "cuda", lambda: one_stage(found, plain)).require()
    assert report.reference_ms is not None
    assert report.frame_ms > 20 * report.reference_ms
    assert any("on one CPU core" in line for line in report.warnings)
    quick = check_model(one_stage(found, Stub(plain, GPU_DEVICE)), "cuda", lambda: slow).require()
    assert not any("CPU core" in line for line in quick.warnings)


def test_a_model_that_finds_no_people_is_reported(tmp_path):
    mine = unknown(tmp_path / "m.onnx", "mine", "me", NEVER)
    report = check_golden(
        mine, one_stage(mine, open_session(mine.path, Placement("cpu"), mine.spec.pose)), Placement("cpu")
    )
    assert report.require().warnings[0].startswith("mine found no people in 3 images of people")
    hands = replace(mine, spec=replace(mine.spec, keypoint_names=HAND_21.names, skeleton=HAND_21.skeleton))
    make_model(mine.path, side_px=64, dets=NEVER, keypoints=21)
    report = check_golden(
        hands, one_stage(hands, open_session(mine.path, Placement("cpu"), mine.spec.pose)), Placement("cpu")
    )
    assert report.require().warnings == ()


def test_a_person_near_the_threshold_may_be_found_or_not(tmp_path):
    blues = [int(letterbox(image, 64)[0][0, 0, 0]) for image in golden_images()]
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
        gpu = one_stage(found, Stub(plain, GPU_DEVICE, lowered(by)))
        return check_model(gpu, "cuda", lambda: one_stage(found, plain))

    kept, gone = checked(0.0), checked(0.008)
    assert gone.people < kept.people
    assert gone.require().score_off == pytest.approx(0.008, abs=1e-4)
    assert checked(0.02).problem is not None


class TwoStageStub:
    """A two-stage model that finds the same person in every image, some pixels off."""

    spec = ModelSpec(
        "pair",
        NetworkSpec("simcc", "0" * 64, 192, 256),
        *(0.3, 0.45, "none", "test"),
        detector=NetworkSpec("yolox", "1" * 64, 416, 416),
    )
    batch = 1

    def __init__(self, device: DeviceInfo, off_px: float) -> None:
        self.device = device
        steps = np.linspace(0, 1, 17)[:, None]
        points = np.hstack([np.array([100, 60]) + steps * (80, 240) + (off_px, 0), np.full((17, 1), 0.9)])
        self._poses = FramePoses([0.9], [[100, 60, 180, 300]], points[None])

    def detect(self, images: Sequence[Image], scales: Sequence[float]) -> list[FramePoses]:
        assert [image.shape for image in images] == [(360, 640, 3)]
        assert list(scales) == [1.0]
        return [self._poses]


def test_two_stages_get_whole_images_and_may_be_one_bin_off():
    """A bin of a person of 240 px is 240 * 1.25 / 256 / 2 = 0.59 px, and 0.83 px across the corner."""

    def off_by(off_px: float) -> GoldenReport:
        gpu = TwoStageStub(GPU_DEVICE, off_px)
        return check_model(gpu, "cuda", lambda: TwoStageStub(CPU_DEVICE, 0))

    assert off_by(1.3).require().figures is not None
    assert "within 1.3 px" in problem_of(off_by(1.4))


def test_the_recorded_poses_are_sorted_by_score():
    kept = json.loads(POSES_FILE.read_text())
    assert all(frame["scores"] == sorted(frame["scores"], reverse=True) for frame in kept["frames"])
