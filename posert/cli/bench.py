"""placeholder"""


def bench() -> None:
    """placeholder"""
