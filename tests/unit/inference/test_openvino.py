"""OpenVINO finds what onnxruntime finds, in the precision that was asked for, from any thread, and sends nothing."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper

import pipeline.inference
from pipeline.errors import DeviceUnavailable, InvalidWeights
from pipeline.inference.engines import openvino_session
from pipeline.inference.engines.openvino_argmax import speed_up_argmaxes
from pipeline.inference.engines.openvino_session import PROVIDER, open_openvino
from pipeline.inference.engines.sessions import INSTALL_OPENVINO
from tests.support.onnx_maker import make_model

openvino = pytest.importorskip("openvino")

OUTPUTS = ("dets", "keypoints")
BUNDLED = Path(pipeline.inference.__file__).parent / "bundled" / "movenet-multipose-384.onnx"
HAS_BF16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def picture(seed: int, side_px: int = 384) -> np.ndarray:
    """Coloured clouds, float32 `[1, 3, S, S]`, 0 to 255: every cell of every heat map says something."""
    coarse = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), np.uint8)
    clouds = cv2.resize(coarse, (side_px, side_px), interpolation=cv2.INTER_CUBIC)
    return np.ascontiguousarray(clouds.transpose(2, 0, 1)[None], np.float32)


def onnxruntime_finds(path: Path, batch: np.ndarray) -> list[np.ndarray]:
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(list(OUTPUTS), {"input": batch})


@pytest.fixture(scope="module")
def bundled():
    return open_openvino(BUNDLED, precision="fp32", slots=2)


def test_it_says_what_runs_and_what_the_file_declares(bundled):
    device = bundled.device
    assert device.engine == "openvino " + openvino.get_version().split("-")[0]
    assert (device.provider, device.precision, device.is_gpu) == (PROVIDER, "fp32", False)
    assert device.name
    assert [(p.name, p.shape, p.is_float32) for p in bundled.inputs] == [("input", (None, 3, 384, 384), True)]
    assert [(p.name, p.shape) for p in bundled.outputs] == [("dets", (None, 30, 5)), ("keypoints", (None, 30, 17, 3))]


def test_the_bundled_model_finds_what_onnxruntime_finds(bundled):
    """Largest difference measured over 177 frames with 379 people: 6.3e-5 px of input, 2.7e-6 of score."""
    for seed in (0, 1, 4):
        batch = picture(seed)
        wanted_dets, wanted_points = onnxruntime_finds(BUNDLED, batch)
        dets, points = bundled.run(batch, OUTPUTS)
        # The rows that are no filling: those have a score of 0 and come in any order.
        rows = wanted_dets[0, :, 4] > 0.01
        assert rows.sum() >= 4
        np.testing.assert_allclose(dets[0, :, 4], wanted_dets[0, :, 4], atol=1e-4)
        np.testing.assert_allclose(dets[0, rows], wanted_dets[0, rows], atol=0.01)
        np.testing.assert_allclose(points[0, rows], wanted_points[0, rows], atol=0.01)


def test_outputs_come_in_the_order_asked_for(tmp_path):
    session = open_openvino(make_model(tmp_path / "m.onnx", side_px=64), precision="fp32", slots=1)
    points, dets = session.run(np.zeros((1, 3, 64, 64), np.float32), ("keypoints", "dets"))
    assert (dets.shape, points.shape) == ((1, 1, 5), (1, 1, 17, 3))


def test_the_batch_is_free_and_each_picture_alone(tmp_path, bundled):
    path = make_model(tmp_path / "m.onnx", side_px=64)
    session = open_openvino(path, precision="fp32", slots=1)
    batch = np.zeros((3, 3, 64, 64), np.float32)
    batch[:, 0] = np.array([0, 51, 102], np.float32)[:, None, None]
    for given, wanted in zip(session.run(batch, OUTPUTS), onnxruntime_finds(path, batch), strict=True):
        np.testing.assert_allclose(given, wanted, atol=1e-5)
    pair = np.concatenate([picture(1), picture(2)])
    for alone, together in zip(bundled.run(picture(2), OUTPUTS), bundled.run(pair, OUTPUTS), strict=True):
        np.testing.assert_array_equal(alone[0], together[1])


def test_results_are_the_callers_and_the_batch_is_left_alone(bundled):
    first, second = picture(1), picture(2)
    first.flags.writeable = False
    kept = bundled.run(first, OUTPUTS)
    before = [each.copy() for each in kept]
    others = bundled.run(second, OUTPUTS)
    for each, was, other in zip(kept, before, others, strict=True):
        np.testing.assert_array_equal(each, was)
        assert not np.array_equal(each, other)
    np.testing.assert_array_equal(second, picture(2))


@pytest.mark.parametrize(
    "precision", ["fp32", pytest.param("bf16", marks=pytest.mark.skipif(not HAS_BF16, reason="this CPU has no bf16"))]
)
def test_threads_find_what_one_thread_finds(precision):
    """More callers than streams, all at once; another load of the file gives the same bits too."""
    batches = [picture(seed) for seed in range(4)]
    alone = open_openvino(BUNDLED, precision=precision, slots=1)
    wanted = [alone.run(batch, OUTPUTS) for batch in batches]
    shared, together = open_openvino(BUNDLED, precision=precision, slots=2), Barrier(4)

    def calls(start: int) -> list[tuple[int, tuple[np.ndarray, ...]]]:
        together.wait()
        return [(which % 4, shared.run(batches[which % 4], OUTPUTS)) for which in range(start, start + 4)]

    with ThreadPoolExecutor(4) as threads:
        found = [result for results in threads.map(calls, range(4)) for result in results]
    assert len(found) == 16
    for which, outputs in found:
        for each, want in zip(outputs, wanted[which], strict=True):
            np.testing.assert_array_equal(each, want)


@pytest.mark.parametrize("slots", [1, 2])
def test_a_slot_is_one_thread_and_bound_to_no_core(tmp_path, slots):
    compiled = open_openvino(make_model(tmp_path / "m.onnx", side_px=64), precision="fp32", slots=slots)._compiled
    at_most = min(slots, os.cpu_count() or 1)
    assert compiled.get_property("NUM_STREAMS") == compiled.get_property("INFERENCE_NUM_THREADS") == at_most
    assert compiled.get_property("ENABLE_CPU_PINNING") is False


@pytest.mark.parametrize(("precision", "other"), [("fp32", "bf16"), ("bf16", "f32")])
def test_the_compiled_network_computes_in_what_was_asked_for(precision, other):
    """Read off the convolutions that it really runs: the hint is only a hint."""
    if precision == "bf16" and not HAS_BF16:
        with pytest.raises(DeviceUnavailable, match="bf16"):
            open_openvino(BUNDLED, precision=precision, slots=1)
        return
    session = open_openvino(BUNDLED, precision=precision, slots=1)
    assert session.device.precision == precision
    runs = {
        str(node.get_rt_info()["runtimePrecision"].astype(str))
        for node in session._compiled.get_runtime_model().get_ops()
        if "Convolution" in node.get_rt_info()["layerType"].astype(str)
    }
    assert runs == {"f32" if precision == "fp32" else "bf16"}
    assert other not in runs


def test_a_precision_that_the_chip_cannot_or_the_engine_did_not_keep_is_refused():
    with pytest.raises(DeviceUnavailable, match=r"cannot compute in bf16.*use fp32"):
        openvino_session._require_able("bf16", ["FP32", "INT8"])
    with pytest.raises(DeviceUnavailable, match="fp16"):
        open_openvino(BUNDLED, precision="fp16", slots=1)
    with pytest.raises(DeviceUnavailable, match="asked for bf16 and took f32"):
        openvino_session._require_kept("bf16", "f32")
    openvino_session._require_able("bf16", ["FP32", "BF16"])
    openvino_session._require_kept("bf16", "bf16")


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>", b"\x08\x09" * 500, None])
def test_a_file_that_is_no_onnx_is_refused_quietly(tmp_path, content, capfd):
    path = tmp_path / "m.onnx"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidWeights, match="cannot be loaded") as caught:
        open_openvino(path, precision="fp32", slots=1)
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_a_network_that_declares_something_else_opens_and_says_so(tmp_path):
    path = make_model(
        tmp_path / "m.onnx", input_name="image", input_shape=["b", 3, "h", 96], input_type=TensorProto.UINT8
    )
    session = open_openvino(path, precision="fp32", slots=1)
    assert [(p.name, p.shape, p.is_float32) for p in session.inputs] == [("image", (None, 3, None, 96), False)]


def test_a_picture_that_does_not_fit_is_the_networks_failure(tmp_path):
    session = open_openvino(make_model(tmp_path / "m.onnx", side_px=64), precision="fp32", slots=1)
    with pytest.raises(InvalidWeights, match="the network failed") as caught:
        session.run(np.zeros((1, 3, 32, 64), np.float32), OUTPUTS)
    assert "\n" not in caught.value.message


def argmax_network(path: Path, shape: list[int | str]) -> Path:
    nodes = [helper.make_node("ArgMax", ["x"], ["place"], axis=-1, keepdims=0)]
    ports = [
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("place", TensorProto.INT64, shape[:-1])],
    ]
    model = helper.make_model(helper.make_graph(nodes, "argmax", *ports), opset_imports=[helper.make_opsetid("", 17)])
    model.ir_version = 9
    onnx.save(model, path)
    return path


@pytest.mark.parametrize(("shape", "count"), [(["n", 5, 9216], 1), (["n", 5, 1023], 0), (["n", 5, 1031], 0)])
def test_an_argmax_is_rewritten_where_it_is_slow_and_finds_the_first_of_the_best(tmp_path, shape, count):
    path = argmax_network(tmp_path / "m.onnx", shape)
    network = openvino.Core().read_model(path)
    assert speed_up_argmaxes(network) == count
    kinds = [node.get_type_name() for node in network.get_ops()]
    assert kinds.count("TopK") == 1 + count
    compiled = openvino.Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    rng = np.random.default_rng(7)
    # Few different values: every row has its best more than once.
    size = (3, *shape[1:])
    for values in (
        rng.integers(-9, 0, size).astype(np.float32),
        rng.random(size, np.float32),
        np.ones(size, np.float32),
    ):
        np.testing.assert_array_equal(compiled(values)[0], values.argmax(-1))


def test_where_it_is_not_installed_the_mend_is_said():
    """And importing the product does not import it."""
    code = (
        "import sys; sys.modules['openvino'] = None\n"
        "from pathlib import Path\n"
        "from pipeline.inference.engines.openvino_session import open_openvino\n"
        "from pipeline.errors import DeviceUnavailable\n"
        "try: open_openvino(Path('m.onnx'), precision='fp32', slots=1)\n"
        "except DeviceUnavailable as error: print(error.message)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (
        [f"OpenVINO is not installed; `{INSTALL_OPENVINO}`, or use the cpu device"],
        "",
    )


@pytest.mark.parametrize("guarded", [True, False])
def test_its_telemetry_is_never_imported(tmp_path, guarded):
    """The package that sends, stood for by one that leaves a mark; without our way of importing it does."""
    telemetry, mark, home = tmp_path / "site" / "openvino_telemetry", tmp_path / "imported", tmp_path / "home"
    (telemetry / "backend").mkdir(parents=True)
    home.mkdir()
    (telemetry / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()\n")
    (telemetry / "backend" / "__init__.py").touch()
    code = (
        "from pathlib import Path\n"
        "from pipeline.inference.engines.openvino_session import open_openvino\n"
        f"open_openvino(Path({str(BUNDLED)!r}), precision='fp32', slots=1)\n"
        if guarded
        else "import openvino\n"
    )
    root = Path(pipeline.inference.__file__).parents[2]
    wanted = os.environ | {"PYTHONPATH": f"{telemetry.parent}{os.pathsep}{root}", "HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=guarded, cwd=home, env=wanted
    )
    assert mark.exists() is not guarded
    if guarded:
        assert (done.stdout, done.stderr, list(home.iterdir())) == ("", "", [])


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="needs POSIX signals")
def test_a_signal_after_a_network_was_dropped_elsewhere_does_not_end_the_process(tmp_path: Path):
    """OpenVINO changes the signal stack of the thread that loads."""
    code = (
        "import faulthandler, gc, signal, sys, threading\n"
        "from pathlib import Path\n"
        "from pipeline.inference.engines.openvino_session import open_openvino\n"
        "faulthandler.enable()\n"
        "signal.signal(signal.SIGUSR1, lambda *_: print('heard'))\n"
        "kept = [open_openvino(Path(sys.argv[1]), precision='fp32', slots=1)]\n"
        "thread = threading.Thread(target=lambda: (kept.clear(), gc.collect()))\n"
        "thread.start()\n"
        "thread.join()\n"
        "signal.raise_signal(signal.SIGUSR1)\n"
    )
    path = make_model(tmp_path / "m.onnx", side_px=64)
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "heard\n")
