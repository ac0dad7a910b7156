"""Models: their cards, and what is built from their ONNX."""
