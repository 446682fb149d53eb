"""The model package, its ONNX sessions and explicit state. Knows nothing of audio or faces."""
