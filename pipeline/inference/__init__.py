"""Pixels in, poses out: models by name (`zoo`), on an engine (`engines`), one stage (`rtmo`) or two (`topdown`).

Home of onnxruntime, OpenVINO and rtmlib.
"""
