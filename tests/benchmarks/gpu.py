"""What a GPU gives: its poses against the CPU's, frames per second by batch and by slots, and where the time goes.

    python -m tests.benchmarks.gpu [OUT.json]

Frames are the demo clip's, decoded and scaled before the clock starts. Beside the bundled model there are stand-ins
with RTMO's contract and the arithmetic of YOLOX-s and YOLOX-m (`stand_in`): RTMO is built on YOLOX, and its weights are
not bundled. YOLOX's README gives 26.8 and 73.8 GFLOPs at 640, twice the multiply-adds. Their keypoints mean nothing.
Each has a copy in fp16, made by onnxruntime's own converter, as a file of one's own would be.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import av
import numpy as np
import onnx
import onnxruntime as ort
from onnxruntime.transformers.float16 import convert_float_to_float16

from pipeline.core.letterbox import letterbox
from pipeline.core.oks import compare_poses, merge_agreements, sigmas_for
from pipeline.core.poses import FramePoses
from pipeline.errors import PoselineError
from pipeline.inference import rtmo
from pipeline.inference.calibration import BATCHES
from pipeline.inference.catalogue import BUNDLED_MODEL
from pipeline.inference.engines.placement import Placement
from pipeline.inference.engines.sessions import Device
from pipeline.inference.rtmo import OneStage
from pipeline.inference.zoo import find_model, load_model
from tests.benchmarks.stand_in import _Network

CLIP = Path(__file__).parents[2] / "pipeline" / "cli" / "clips" / "demo.mp4"
SIDE_PX = 640
STAND_INS = {"yolox-s": ((32, 64, 128, 256, 512), 26.8e9 / 2), "yolox-m": ((48, 96, 192, 384, 768), 73.8e9 / 2)}
ROWS, KEYPOINTS = 50, 17
SLOTS, SLOT_BATCH = (1, 2, 4, 8), 8
BUDGET_S = 0.2


def write_stand_in(path: Path, widths: tuple[int, ...], macs: float) -> Path:
    """A network with RTMO's contract that does `macs` multiply-adds an image and finds one person."""
    net = _Network()
    features = net.tower(SIDE_PX**2, widths, macs)
    mean = net.node("ReduceMean", features, axes=[2, 3], keepdims=0)
    mean = net.node("ReduceMean", mean, axes=[1], keepdims=1)
    small = net.node("Mul", net.node("Sigmoid", mean), net.constant(np.array([1e-3], np.float32)))
    rows = np.zeros((1, ROWS, 5), np.float32)
    rows[0, 0] = (100, 50, 250, 400, 0.9)
    points = np.zeros((1, ROWS, KEYPOINTS, 3), np.float32)
    points[0, 0] = np.linspace((110, 60, 0.5), (240, 390, 0.9), KEYPOINTS)
    third = net.node("Unsqueeze", small, net.constant(np.array([1], np.int64)))
    net.node("Add", net.constant(rows), third, output="dets")
    fourth = net.node("Unsqueeze", third, net.constant(np.array([1], np.int64)))
    net.node("Add", net.constant(points), fourth, output="keypoints")
    kind = onnx.TensorProto.FLOAT
    net.save(
        path,
        ["batch", 3, SIDE_PX, SIDE_PX],
        {"dets": (kind, ["batch", ROWS, 5]), "keypoints": (kind, ["batch", ROWS, KEYPOINTS, 3])},
    )
    return path


def write_fp16(path: Path) -> Path:
    """A copy that computes in fp16 and takes and gives float32."""
    model = convert_float_to_float16(onnx.load(path), keep_io_types=True, disable_shape_infer=False)
    copy = path.with_name(f"{path.stem}-fp16.onnx")
    onnx.save(model, copy)
    described = path.with_suffix(".json")
    if described.exists():
        copy.with_suffix(".json").write_text(described.read_text())
    return copy


def read_clip(count: int = 230) -> list[np.ndarray]:
    """Frames of the demo clip, uint8 BGR."""
    with av.open(str(CLIP)) as container:
        return [f.to_ndarray(format="bgr24") for f, _ in zip(container.decode(video=0), range(count), strict=False)]


def median_ms(call: Callable[[], object]) -> float:
    """Of the calls that fit into the budget, at least five, after two that choose kernels and take memory."""
    took_s: list[float] = []
    call()
    call()
    while len(took_s) < 5 or (sum(took_s) < BUDGET_S and len(took_s) < 500):
        begun_s = time.perf_counter()
        call()
        took_s.append(time.perf_counter() - begun_s)
    return statistics.median(took_s) * 1000


def load(name: str, device: Device, slots: int = 1) -> OneStage:
    model = load_model(find_model(name, Path()), Placement(device, slots=slots))
    assert isinstance(model, OneStage)
    return model


def measure_parts(model: OneStage, images: Sequence[Any], batch: int) -> dict[str, Any]:
    """Milliseconds of one call with `batch` frames, whole and in parts."""
    some = [images[i % len(images)] for i in range(batch)]
    squares, scales = [image for image, _ in some], [scale for _, scale in some]
    network, spec = model._network, model.spec
    inputs = model._input.fill(squares).copy()
    dets, keypoints = network.run(inputs)
    found = {
        "batch": batch,
        "call_ms": median_ms(lambda: model.detect(squares, scales)),
        "fill_ms": median_ms(lambda: model._input.fill(squares)),
        "run_ms": median_ms(lambda: network.run(inputs)),
        "decode_ms": median_ms(
            lambda: [
                rtmo._decode(dets[i], keypoints[i], scales[i], spec.score_threshold, spec.nms_threshold)
                for i in range(batch)
            ]
        ),
    }
    if model.device.is_gpu:
        session = network.session._session  # type: ignore[attr-defined]
        on_card = ort.OrtValue.ortvalue_from_numpy(inputs, "cuda", 0)
        found["to_card_ms"] = median_ms(lambda: on_card.update_inplace(inputs))
        binding = session.io_binding()
        binding.bind_ortvalue_input("input", on_card)
        for name in ("dets", "keypoints"):
            binding.bind_output(name, "cuda", 0)

        def compute() -> None:
            session.run_with_iobinding(binding)
            binding.synchronize_outputs()

        found["compute_ms"] = median_ms(compute)
    found["frames_per_s"] = 1000 * batch / found["call_ms"]
    return found


def measure_slots(model: OneStage, images: Sequence[Any], batch: int, slots: int) -> float:
    """Frames per second of so many threads that each bring full batches."""
    some = [images[i % len(images)] for i in range(batch)]
    squares, scales = [image for image, _ in some], [scale for _, scale in some]

    def work(until_s: float) -> int:
        done = 0
        while time.perf_counter() < until_s:
            model.detect(squares, scales)
            done += batch
        return done

    with ThreadPoolExecutor(slots) as pool:
        list(pool.map(lambda _: model.detect(squares, scales), range(slots * 2)))
        begun_s = time.perf_counter()
        done = sum(pool.map(work, [begun_s + 0.7] * slots))
        return done / (time.perf_counter() - begun_s)


def find_all(model: OneStage, images: Sequence[Any], batch: int) -> list[FramePoses]:
    found: list[FramePoses] = []
    for at in range(0, len(images), batch):
        some = images[at : at + batch]
        found += model.detect([image for image, _ in some], [scale for _, scale in some])
    return found


def agreement(found: list[FramePoses], wanted: list[FramePoses], names: Sequence[str]) -> dict[str, Any]:
    sigmas = sigmas_for(names)
    merged = merge_agreements([compare_poses(a, b, sigmas) for a, b in zip(found, wanted, strict=True)])
    pairs = [(a, b) for a, b in zip(found, wanted, strict=True) if len(a) == len(b)]
    off = max((float(np.abs(a.scores - b.scores).max()) for a, b in pairs if len(a)), default=None)
    same = sum(np.array_equal(a.keypoints, b.keypoints) and np.array_equal(a.scores, b.scores) for a, b in pairs)
    return {
        "frames": len(found),
        "frames_bit_for_bit": same,
        "people_wanted": merged.people_wanted,
        "lost": merged.people_lost,
        "gained": merged.people_gained,
        "score_off": off,
        "px_95": merged.percentile_px(95),
        **vars(merged.figures()),
    }


def measure(name: str, device: Device, frames: Sequence[np.ndarray], *, plain: str = "") -> dict[str, Any]:
    begun_s = time.perf_counter()
    model = load(name, device)
    found: dict[str, Any] = {
        "model": Path(name).stem,
        "device": model.device.summary,
        "load_s": time.perf_counter() - begun_s,
        "best_batch": model.batch,
    }
    images = [letterbox(frame, model.spec.side_px or 0) for frame in frames]
    if plain:
        wanted = find_all(load(plain, "cpu"), images, 1)
        names = model.spec.keypoint_names
        theirs = find_all(model, images, model.batch)
        found["against fp32 on the CPU"] = agreement(theirs, wanted, names)
        found["twice"] = agreement(find_all(model, images, model.batch), theirs, names)
        found["padded"] = agreement(find_all(model, images, max(1, model.batch - 1)), theirs, names)
    model._network.fixed_batch = None
    found["batches"] = [measure_parts(model, images, batch) for batch in BATCHES]
    found["slots"] = [
        {"slots": n, "batch": SLOT_BATCH, "frames_per_s": measure_slots(model, images, SLOT_BATCH, n)} for n in SLOTS
    ]
    return found


def main() -> None:
    device: Device = "cuda" if "CUDAExecutionProvider" in ort.get_available_providers() else "cpu"
    frames = read_clip()
    results = []
    with tempfile.TemporaryDirectory() as folder:
        names = [BUNDLED_MODEL]
        bundled = Path(folder) / f"{BUNDLED_MODEL}.onnx"
        found = find_model(BUNDLED_MODEL, Path())
        bundled.write_bytes(found.path.read_bytes())
        thresholds = {"score_threshold": found.spec.score_threshold, "nms_threshold": found.spec.nms_threshold}
        bundled.with_suffix(".json").write_text(json.dumps(thresholds))
        names.append(str(write_fp16(bundled)))
        for title, arithmetic in STAND_INS.items():
            stand_in = write_stand_in(Path(folder) / f"{title}.onnx", *arithmetic)
            names += [str(stand_in), str(write_fp16(stand_in))]
        for name in names:
            try:
                results.append(measure(name, device, frames, plain=BUNDLED_MODEL if BUNDLED_MODEL in name else ""))
            except (PoselineError, RuntimeError) as error:
                results.append({"model": name, "error": str(error)[:500]})
            sys.stdout.write(json.dumps(results[-1]) + "\n")
            sys.stdout.flush()
    if len(sys.argv) > 1:
        Path(sys.argv[1]).write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
