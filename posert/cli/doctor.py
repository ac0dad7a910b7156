"""placeholder"""


def doctor() -> None:
    """placeholder"""
