"""Pixels in, poses out: models by name (`zoo`), on a device (`sessions`), decoded (`rtmo`).

Home of onnxruntime and rtmlib.
"""
