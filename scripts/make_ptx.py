"""Compiles a CUDA source of posert/runtime/kernels to PTX that old drivers and GPUs take too.

nvcc writes the PTX version of its own CUDA, which drivers older than that refuse, and takes no GPU
below its oldest as target. These kernels need neither: both lines are lowered, a hint of newer
versions is left out, and ptxas, given the oldest GPU it knows, checks the result.
Usage: python scripts/make_ptx.py posert/runtime/kernels/NAME.cu
"""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

PTX_VERSION = "6.5"  # of CUDA 10.2, the oldest that any driver of ours speaks
NVCC_OLDEST = "75"  # Turing is the oldest target of CUDA 13's nvcc
OLDEST = "70"  # Volta


def main(source: Path) -> None:
    """Writes the PTX of ``source`` beside it."""
    with TemporaryDirectory() as folder:
        made = Path(folder) / "made.ptx"
        options = ["-ptx", f"-arch=compute_{NVCC_OLDEST}", "-O3", "-fmad=false"]  # as NumPy rounds
        subprocess.run(["nvcc", *options, "-o", made, source], check=True)
        ptx = made.read_text()
        ptx = re.sub(r"^\.version .*$", f".version {PTX_VERSION}", ptx, flags=re.M)
        ptx = re.sub(r"^\.target .*$", f".target sm_{OLDEST}", ptx, flags=re.M)
        ptx = re.sub(r"^(//|\s*\.pragma \"used_bytes_mask).*\n", "", ptx, flags=re.M).strip()
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        made.write_text(f"// of {source.name}, sha256 {digest}\n{ptx}\n")
        check = ["ptxas", f"-arch=sm_{NVCC_OLDEST}", "-o", "/dev/null", made]
        subprocess.run(check, check=True)
        source.with_suffix(".ptx").write_text(made.read_text())


if __name__ == "__main__":
    main(Path(sys.argv[1]))
