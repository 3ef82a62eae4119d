"""What a machine lacks is said with its fix."""

from __future__ import annotations

import importlib.util

import pytest

from pipeline.errors import DeviceUnavailable
from pipeline.inference.engines.diagnostics import describe_nvidia, describe_onnxruntime, describe_openvino
from pipeline.inference.engines.nvidia import LIBRARIES
from pipeline.inference.engines.sessions import INSTALL_OPENVINO


def test_one_onnxruntime_is_well_and_two_are_not():
    assert describe_onnxruntime({"onnxruntime": "1.31.1"}) == "onnxruntime 1.31.1"
    assert describe_onnxruntime().startswith("onnxruntime")
    with pytest.raises(
        DeviceUnavailable, match="overwrite each other's files; `pip uninstall onnxruntime onnx"
    ) as caught:
        describe_onnxruntime({"onnxruntime": "1.31.1", "onnxruntime-gpu": "1.31.1"})
    assert caught.value.message.endswith("`pip install onnxruntime-gpu`")
    with pytest.raises(DeviceUnavailable, match="make install"):
        describe_onnxruntime({})


def test_a_card_that_is_not_used_is_named_and_no_fault():
    assert describe_nvidia(has_cuda_build=False, driver="") == "no driver, and onnxruntime is built without CUDA"
    words = describe_nvidia(has_cuda_build=False, driver="580.1")
    assert "driver 580.1, not used" in words
    assert "pip install onnxruntime-gpu" in words


def test_of_a_build_for_cuda_every_missing_library_is_named_with_its_source():
    missing = [f"{name} ({source})" for name, source in LIBRARIES.items()]
    with pytest.raises(DeviceUnavailable, match=r"driver 580\.1, but not found") as caught:
        describe_nvidia(has_cuda_build=True, driver="580.1", missing=missing)
    assert all(each in caught.value.message for each in missing)
    with pytest.raises(DeviceUnavailable, match="no NVIDIA driver is loaded; install"):
        describe_nvidia(has_cuda_build=True, driver="", missing=[])
    assert "CUDA and cuDNN are found" in describe_nvidia(has_cuda_build=True, driver="580.1", missing=[])


def test_openvino_and_bf16_are_told_apart(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: "found")
    monkeypatch.setattr("pipeline.inference.engines.diagnostics.version", lambda _: "2026.4")
    words = "2026.4; this CPU has no bf16"
    assert describe_openvino({"avx2"}) == words
    assert "this CPU has no bf16" in describe_openvino({"avx2"})
    assert "this CPU has bf16 (amx_bf16)" in describe_openvino({"avx512_bf16", "amx_bf16"})
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert describe_openvino({"avx2"}) == f"not installed; this CPU has no bf16; `{INSTALL_OPENVINO}` brings it"
