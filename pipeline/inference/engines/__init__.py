"""What runs a network: onnxruntime and OpenVINO behind one small protocol (`sessions`), chosen by `placement`."""
