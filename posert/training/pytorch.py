"""PyTorch, where it is installed and new enough."""

from __future__ import annotations

from typing import Any, Final

from posert.errors import EngineError

# Before, a crafted file could run code although only weights are asked for (CVE-2025-32434,
# CVE-2026-24747).
OLDEST: Final = (2, 10)


def import_torch(what: str) -> Any:
    """The module ``torch``; ``what`` needs it, as a refusal says.

    Raises:
        EngineError: it is not installed, or too old to load files from elsewhere.
    """
    try:
        import torch
    except ImportError as e:
        raise EngineError(f"{what} needs PyTorch", fix="pip install 'posert[train]'") from e
    version = str(torch.__version__)
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        raise EngineError(
            f"{what}: this PyTorch lets a checkpoint run code",
            got=version,
            expected="2.10 or newer",
            fix="pip install 'posert[train]'",
        )
    return torch
