"""Network definitions, checkpoints and the way from a checkpoint to ONNX; needs PyTorch."""
