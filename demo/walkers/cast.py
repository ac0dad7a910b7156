"""Who walks where: body shapes, clothes and ways of the demo clip's people."""

from __future__ import annotations

from dataclasses import dataclass

from walkers.clothes import Outfit
from walkers.gait import Walk


@dataclass(frozen=True)
class Member:
    """One person: anny phenotype (0..1), clothes and walk (metres; the camera looks along +y)."""

    phenotype: dict[str, float]
    outfit: Outfit
    walk: Walk


def make_body(
    gender: float, age: float, height: float, weight: float, muscle: float, **race: float
) -> dict[str, float]:
    """anny's phenotype (each 0..1) of a body."""
    mix = {"african": 0.0, "asian": 0.0, "caucasian": 0.0, **race}
    return {
        "gender": gender,
        "age": age,
        "height": height,
        "weight": weight,
        "muscle": muscle,
        "proportions": 0.6,
        **mix,
    }


FAIR, OLIVE, TAN = (0.88, 0.69, 0.58), (0.78, 0.58, 0.44), (0.84, 0.66, 0.50)
BROWN, DARK = (0.52, 0.35, 0.25), (0.37, 0.25, 0.19)

CAST = [
    Member(  # woman in a red top who walks up to the camera
        make_body(1.0, 0.62, 0.48, 0.42, 0.5, caucasian=1.0),
        Outfit(
            FAIR,
            (0.34, 0.20, 0.11),
            (0.74, 0.15, 0.17),
            (0.20, 0.27, 0.44),
            (0.90, 0.89, 0.87),
            hair_style="long",
            sleeve=0.55,
        ),
        Walk((-0.40, 16.4), (-0.75, 5.75), phase=0.10, arm=24),
    ),
    Member(  # tall dark man in a mustard jumper, across and a little away
        make_body(0.0, 0.64, 0.42, 0.45, 0.72, african=1.0),
        Outfit(
            DARK,
            (0.07, 0.06, 0.06),
            (0.85, 0.62, 0.16),
            (0.20, 0.21, 0.24),
            (0.36, 0.24, 0.16),
            hair_style="crop",
            sleeve=1.93,
            beard=0.55,
        ),
        Walk((3.55, 7.7), (-4.35, 6.7), phase=0.45, arm=21, sway=1.1),
    ),
    Member(  # mother with her boy, diagonally towards the camera
        make_body(1.0, 0.68, 0.42, 0.62, 0.4, asian=1.0),
        Outfit(
            TAN,
            (0.10, 0.08, 0.08),
            (0.16, 0.48, 0.47),
            (0.87, 0.83, 0.74),
            (0.45, 0.16, 0.16),
            hair_style="bun",
            skirt=True,
            legs=0.96,
            sleeve=0.95,
        ),
        Walk((4.60, 13.6), (1.40, 6.15), phase=0.75, arm=18, step=0.95),
    ),
    Member(  # the boy
        make_body(0.0, 0.36, 0.5, 0.45, 0.5, caucasian=0.6, asian=0.4),
        Outfit(
            FAIR,
            (0.50, 0.32, 0.16),
            (0.20, 0.37, 0.72),
            (0.62, 0.53, 0.38),
            (0.80, 0.25, 0.15),
            hair_style="short",
            sleeve=0.55,
            legs=0.80,
            pattern="stripes",
            ankle=0.016,
        ),
        Walk((3.94, 13.75), (0.72, 6.25), phase=0.2, arm=28, elbow=20),
    ),
    Member(  # heavy man in a jacket, from the back left
        make_body(0.0, 0.72, 0.46, 0.86, 0.45, caucasian=1.0),
        Outfit(
            (0.90, 0.70, 0.60),
            (0.45, 0.40, 0.36),
            (0.25, 0.36, 0.30),
            (0.44, 0.38, 0.31),
            (0.22, 0.15, 0.11),
            sleeve=1.9,
            pattern="jacket",
            second=(0.87, 0.86, 0.82),
            beard=0.35,
        ),
        Walk((-5.2, 14.4), (-2.25, 7.3), phase=0.6, arm=19, abduct=15, sway=1.3, lean=1.5),
    ),
    Member(  # slim man who walks away, in a white shirt
        make_body(0.0, 0.6, 0.50, 0.38, 0.5, asian=0.5, caucasian=0.5),
        Outfit(
            OLIVE,
            (0.13, 0.10, 0.09),
            (0.76, 0.79, 0.84),
            (0.55, 0.47, 0.36),
            (0.15, 0.15, 0.17),
            sleeve=1.15,
        ),
        Walk((0.30, 6.0), (1.60, 14.9), phase=0.3, arm=23),
    ),
    Member(  # woman in a violet dress, left to right in the middle distance
        make_body(1.0, 0.58, 0.55, 0.5, 0.55, african=0.8, caucasian=0.2),
        Outfit(
            BROWN,
            (0.10, 0.07, 0.06),
            (0.53, 0.30, 0.62),
            (0.53, 0.30, 0.62),
            (0.88, 0.82, 0.70),
            hair_style="tail",
            skirt=True,
            legs=0.88,
            pattern="dress",
            sleeve=0.4,
        ),
        Walk((-5.0, 12.4), (4.9, 12.7), phase=0.9, arm=23),
    ),
    Member(  # old man in a pale blue cardigan, slowly across at the back
        make_body(0.0, 0.95, 0.44, 0.5, 0.35, caucasian=1.0),
        Outfit(
            (0.86, 0.66, 0.56),
            (0.80, 0.80, 0.79),
            (0.45, 0.58, 0.72),
            (0.36, 0.33, 0.32),
            (0.20, 0.18, 0.17),
            hair_style="crop",
            sleeve=1.9,
            pattern="jacket",
            second=(0.80, 0.76, 0.66),
        ),
        Walk((5.4, 14.3), (-2.6, 13.1), phase=0.0, arm=15, lean=8, step=0.92),
    ),
]
