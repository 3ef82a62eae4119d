"""A session is what was asked for, or an error that says what is wrong."""

from __future__ import annotations

import contextlib

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto

from pipeline.errors import DeviceUnavailable, ModelUnusable
from pipeline.inference.sessions import CPU, CUDA, build_session
from tests.unit.onnx_maker import make_model


def test_a_sound_file_opens_and_says_where_it_runs(tmp_path):
    session = build_session(make_model(tmp_path / "m.onnx", side_px=64), "cpu")
    assert (session.provider, session.input_side_px) == (CPU, 64)
    assert session.device_name
    dets, keypoints = session.run(np.zeros((3, 3, 64, 64), np.float32))
    assert (dets.shape, keypoints.shape) == ((3, 1, 5), (3, 1, 17, 3))


def test_outputs_come_in_the_contracts_order_whatever_the_files(tmp_path):
    path = make_model(tmp_path / "m.onnx", side_px=64)
    model = onnx.load(path)
    model.graph.output.reverse()
    onnx.save(model, path)
    dets, keypoints = build_session(path, "cpu").run(np.zeros((1, 3, 64, 64), np.float32))
    assert (dets.shape, keypoints.shape) == ((1, 1, 5), (1, 1, 17, 3))


@pytest.mark.skipif(CUDA in onnxruntime.get_available_providers(), reason="this onnxruntime has CUDA")
def test_cuda_that_is_not_there_is_refused_and_auto_takes_the_cpu(tmp_path):
    path = make_model(tmp_path / "m.onnx", side_px=64)
    with pytest.raises(DeviceUnavailable, match="onnxruntime-gpu"):
        build_session(path, "cuda")
    assert build_session(path, "auto").provider == CPU


@pytest.mark.skipif(CUDA not in onnxruntime.get_available_providers(), reason="this onnxruntime has no CUDA")
def test_cuda_is_cuda_or_refused(tmp_path):
    """Without a card or cuDNN onnxruntime would give a CPU and a log line."""
    path = make_model(tmp_path / "m.onnx", side_px=64)
    with contextlib.suppress(DeviceUnavailable):
        assert build_session(path, "cuda").provider == CUDA


@pytest.mark.parametrize(
    ("broken", "says"),
    [
        ({"input_name": "image"}, "takes"),
        ({"input_shape": [1, 3, 64, 64]}, "free batch"),
        ({"input_shape": ["batch", 3, 64, 96]}, "takes"),
        ({"input_shape": ["batch", 3, "h", "w"]}, "takes"),
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
    with pytest.raises(ModelUnusable, match="RTMO's contract") as caught:
        build_session(path, "cpu")
    assert says in caught.value.message
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("content", [b"", b"<html>not here</html>", b"\x08\x09" * 500])
def test_a_file_that_is_no_onnx_is_refused(tmp_path, content, capfd):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelUnusable, match="cannot be loaded") as caught:
        build_session(path, "cpu")
    assert "\n" not in caught.value.message
    assert capfd.readouterr() == ("", "")


def test_no_file_is_refused(tmp_path):
    with pytest.raises(ModelUnusable, match="is not there"):
        build_session(tmp_path / "m.onnx", "cpu")


def test_a_batch_that_does_not_fit_is_translated(tmp_path):
    session = build_session(make_model(tmp_path / "m.onnx", side_px=64), "cpu")
    with pytest.raises(ModelUnusable, match="broke off"):
        session.run(np.zeros((1, 3, 32, 32), np.float32))
