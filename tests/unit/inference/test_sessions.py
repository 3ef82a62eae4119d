"""A session is what was asked for, or an error that says what is wrong."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from pipeline.core.model_spec import NetworkSpec
from pipeline.errors import DeviceLost, DeviceUnavailable, InvalidWeights
from pipeline.inference.contracts import Network
from pipeline.inference.engines import onnx_session
from pipeline.inference.engines.onnx_session import CPU, CUDA, TENSORRT, OnnxSession
from pipeline.inference.engines.placement import SUPPORTED_PRECISIONS, Placement, open_session
from pipeline.inference.engines.sessions import DeviceInfo, Port, Session
from tests.support.onnx_maker import make_model

SPEC = NetworkSpec("rtmo", "0" * 64, 64, 64)


def open_on(path: Path, device: str = "cpu", precision: str = "fp32") -> Session:
    return open_session(path, Placement(device), SPEC, precision)


def open_network(path: Path) -> Network:
    return Network(open_on(path), SPEC, path)


def test_a_sound_file_opens_and_says_where_it_runs(tmp_path):
    network = open_network(make_model(tmp_path / "m.onnx", side_px=64))
    device = network.session.device
    assert (device.provider, device.precision, device.is_gpu) == (CPU, "fp32", False)
    assert device.engine == f"onnxruntime {onnxruntime.__version__}"
    assert device.name
    assert device.reason == "it was asked for"
    dets, keypoints = network.run(np.zeros((3, 3, 64, 64), np.float32))
    assert (dets.shape, keypoints.shape) == ((3, 1, 5), (3, 1, 17, 3))


def test_outputs_come_in_the_contracts_order_whatever_the_files(tmp_path):
    path = make_model(tmp_path / "m.onnx", side_px=64)
    model = onnx.load(path)
    model.graph.output.reverse()
    onnx.save(model, path)
    dets, keypoints = open_network(path).run(np.zeros((1, 3, 64, 64), np.float32))
    assert (dets.shape, keypoints.shape) == ((1, 1, 5), (1, 1, 17, 3))


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA")
def test_a_gpu_that_is_not_there_is_refused_and_auto_says_why_it_took_another(tmp_path):
    path = make_model(tmp_path / "m.onnx", side_px=64)
    for device in ("cuda", "tensorrt"):
        with pytest.raises(DeviceUnavailable, match="onnxruntime-gpu"):
            open_on(path, device)
    with pytest.raises(DeviceUnavailable, match="Mac"):
        open_on(path, "coreml")
    session = open_on(path, "auto")
    assert not session.device.is_gpu
    assert "no CUDA: this onnxruntime is built without it" in session.device.reason


@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="this onnxruntime has no CUDA")
def test_cuda_is_cuda_or_refused(tmp_path, capfd):
    """Without a card or cuDNN onnxruntime would give a CPU and a log line."""
    path = make_model(tmp_path / "m.onnx", side_px=64)
    with contextlib.suppress(DeviceUnavailable):
        assert open_on(path, "cuda").device.provider == CUDA
    with contextlib.suppress(DeviceUnavailable):
        open_on(path, "tensorrt")
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("device", "precision"), [("cpu", "bf16"), ("cpu", "fp16"), ("cuda", "fp16"), ("coreml", "bf16")]
)
def test_a_precision_that_a_device_has_not_is_refused_not_replaced(tmp_path, device, precision):
    assert precision not in SUPPORTED_PRECISIONS[device]
    path = make_model(tmp_path / "m.onnx", side_px=64)
    with pytest.raises(DeviceUnavailable, match=rf"{device} cannot work in {precision}; .*tensorrt can"):
        open_on(path, device, precision=precision)


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"input_name": "image"}, "takes"),
        ({"input_shape": [1, 3, 64, 64]}, "free batch"),
        ({"input_shape": ["batch", 3, 64, 96]}, "takes"),
        ({"input_shape": ["batch", 3, 96, "w"]}, "takes"),
        ({"input_shape": ["batch", 1, 64, 64]}, "takes"),
        ({"input_type": TensorProto.UINT8}, "takes"),
        ({"output_names": ["dets"]}, "gives"),
        ({"output_names": ["boxes", "keypoints"]}, "gives"),
        ({"dets": np.zeros((2, 6), np.float32)}, "gave dets"),
    ],
    ids=str,
)
def test_a_broken_contract_is_refused(tmp_path, broken, says):
    path = make_model(tmp_path / "m.onnx", **{"side_px": 64, **broken})
    with pytest.raises(InvalidWeights, match="RTMO's contract") as caught:
        open_network(path)
    assert says in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>", b"\x08\x09" * 500])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content, capfd):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(InvalidWeights, match="cannot be loaded") as caught:
        open_on(path)
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_no_file_is_refused(tmp_path):
    with pytest.raises(InvalidWeights, match="is not there"):
        open_on(tmp_path / "m.onnx")


def test_a_batch_that_does_not_fit_is_translated(tmp_path):
    session = open_on(make_model(tmp_path / "m.onnx", side_px=64))
    with pytest.raises(InvalidWeights, match="the network failed"):
        session.run(np.zeros((1, 3, 32, 32), np.float32), ("dets", "keypoints"))


@pytest.mark.parametrize(("is_gpu", "kind"), [(True, DeviceLost), (False, InvalidWeights)])
def test_a_call_that_breaks_off_says_whose_fault_it_is(is_gpu, kind):
    class Breaking:
        def get_inputs(self):
            return []

        get_outputs = get_inputs

        def run(self, *_: object) -> None:
            raise RuntimeError("CUDNN_STATUS_EXECUTION_FAILED")

    session = OnnxSession(Breaking(), DeviceInfo("onnxruntime", "p", "n", is_gpu=is_gpu))
    session.inputs = (Port("input", (None,), True),)
    with pytest.raises(kind, match="failed: CUDNN") as caught:
        session.run(np.zeros((1, 3, 8, 8), np.float32), ("dets",))
    assert type(caught.value) is kind


#: As onnxruntime 1.31 said it on an H100 whose memory was taken.
CUDA_CALL = (
    "[ONNXRuntimeError] : 1 : FAIL : /onnxruntime_src/onnxruntime/core/providers/cuda/cuda_call.cc:154 "
    "std::conditional_t<THRW, void, onnxruntime::common::Status> onnxruntime::CudaCall(ERRTYPE, const char*, "
    "const char*, SUCCTYPE, const char*, const char*, int) [with ERRTYPE = cudaError; bool THRW = true] "
    "CUDA failure {} ; GPU=0 ; hostname=vm ; "
    "file=/onnxruntime_src/onnxruntime/core/providers/cuda/cuda_allocator.cc ; line=72 ; expr=cudaMalloc"
)
ARENA = (
    "[ONNXRuntimeError] : 1 : FAIL : Non-zero status code returned while running Conv node. Name:'' Status Message: "
    "/onnxruntime_src/onnxruntime/core/framework/bfc_arena.cc:360 void* onnxruntime::BFCArena::AllocateRawInternal("
    "size_t, bool, onnxruntime::Stream*) Failed to allocate memory for requested buffer of size 75497472"
)


@pytest.mark.parametrize(
    ("vendor", "says"),
    [
        (
            CUDA_CALL.format("2: out of memory"),
            "the GPU's memory is full: CUDA failure 2: out of memory; end what else",
        ),
        (ARENA, "memory is full: Failed to allocate memory for requested buffer of size 75497472; end what else"),
        (
            CUDA_CALL.format("700: illegal access"),
            "the GPU failed: CUDA failure 700: illegal access; start this worker",
        ),
    ],
)
def test_a_gpu_without_memory_says_so_and_not_where_in_the_vendors_source(vendor, says):
    class Full:
        def get_inputs(self):
            return []

        get_outputs = get_inputs

        def run(self, *_: object) -> None:
            raise RuntimeError(vendor)

    session = OnnxSession(Full(), DeviceInfo("onnxruntime", CUDA, "a card", is_gpu=True))
    session.inputs = (Port("input", (None,), True),)
    with pytest.raises(DeviceLost) as caught:
        session.run(np.zeros((1, 3, 8, 8), np.float32), ("dets",))
    assert says in caught.value.message


@pytest.mark.parametrize(
    ("vendor", "kind"),
    [
        (CUDA_CALL.format("2: out of memory"), DeviceUnavailable),
        (ARENA, DeviceUnavailable),
        (
            "[ONNXRuntimeError] : 7 : INVALID_PROTOBUF : Load model from {} failed:Protobuf parsing failed.",
            InvalidWeights,
        ),
    ],
)
def test_weights_are_not_blamed_for_a_gpu_without_memory(tmp_path, monkeypatch, vendor, kind):
    path = make_model(tmp_path / "CUDA.onnx", side_px=64)

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError(vendor.format(path))

    monkeypatch.setattr(onnx_session, "_require", lambda _: None)
    monkeypatch.setattr(onnxruntime, "InferenceSession", refuse)
    with pytest.raises(kind) as caught:
        open_on(path, "cuda")
    assert "onnxruntime_src" not in caught.value.message


def test_tensorrt_is_told_what_it_will_see_and_computes_in_true_fp32(tmp_path, monkeypatch):
    monkeypatch.setattr(onnx_session, "available", lambda: frozenset({TENSORRT, CUDA, CPU}))
    monkeypatch.delenv("NVIDIA_TF32_OVERRIDE", raising=False)
    onnx_session._require(TENSORRT)
    assert os.environ["NVIDIA_TF32_OVERRIDE"] == "0"
    (name, options), (fallback, cuda) = onnx_session._with_options(TENSORRT, SPEC, "fp16", tmp_path / "engines")
    assert (name, fallback, cuda["use_tf32"]) == (TENSORRT, CUDA, "0")
    assert (options["trt_fp16_enable"], options["trt_bf16_enable"]) == ("1", "0")
    assert options["trt_profile_max_shapes"] == "input:64x3x64x64"
    assert options["trt_engine_cache_path"] == str(tmp_path / "engines")
    assert (tmp_path / "engines").is_dir()
    detector = NetworkSpec("yolox", "0" * 64, 64, 64)
    [(_, single), _] = onnx_session._with_options(TENSORRT, detector, "fp32", None)
    assert single["trt_profile_max_shapes"] == "input:1x3x64x64"
