"""TensorRT's builder: the only package that talks to it, for 8.6, 10, 11 and TensorRT-RTX.

What a line can do is asked of its module, never of its version number. TensorRT builds for the GPU
it runs on; TensorRT-RTX builds ahead of time, without a GPU, for the architectures it is told.
"""

from posert.engine_builder.tensorrt.build import build_serialized
from posert.engine_builder.tensorrt.line import TensorRT, load_tensorrt
from posert.engine_builder.tensorrt.options import BuildOptions, known_targets

__all__ = ["BuildOptions", "TensorRT", "build_serialized", "known_targets", "load_tensorrt"]
