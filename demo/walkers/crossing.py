"""Who walks where in the second clip, for tracking: ten people whose ways cross.

Eight of them are those of the first clip on other ways. Three cross in front of or behind those
who come and go; the boy walks behind the heavy man and is wholly hidden by him for two seconds.
"""

from __future__ import annotations

from dataclasses import replace

from walkers.cast import BROWN, CAST, FAIR, Member, make_body
from walkers.clothes import Outfit
from walkers.gait import Walk

WOMAN, TALL, MOTHER, BOY, HEAVY, SLIM, VIOLET, OLD = CAST

CROSSING = [
    replace(WOMAN, walk=Walk((-1.6, 13.0), (-0.85, 6.2), phase=0.10, arm=24)),
    replace(TALL, walk=Walk((5.5, 8.0), (-6.5, 8.0), phase=0.45, arm=21, sway=1.1)),
    replace(MOTHER, walk=Walk((-4.2, 13.5), (-2.3, 6.5), phase=0.75, arm=18, step=0.95)),
    replace(BOY, walk=Walk((0.24, 15.0), (4.46, 11.0), phase=0.2, arm=22, elbow=20)),
    replace(HEAVY, walk=Walk((0.9, 10.5), (2.0, 5.8), phase=0.6, arm=19, abduct=15, lean=1.5)),
    replace(SLIM, walk=Walk((-0.1, 6.5), (-0.3, 15.0), phase=0.3, arm=23)),
    replace(VIOLET, walk=Walk((-10.0, 12.0), (0.0, 12.0), phase=0.9, arm=23)),
    replace(OLD, walk=Walk((2.2, 7.2), (5.2, 13.5), phase=0.0, arm=15, lean=8, step=0.92)),
    Member(  # young man in black and grey, fast across in front of everyone
        make_body(0.0, 0.58, 0.46, 0.45, 0.6, asian=1.0),
        Outfit(
            FAIR,
            (0.08, 0.07, 0.07),
            (0.13, 0.13, 0.15),
            (0.46, 0.48, 0.50),
            (0.92, 0.92, 0.90),
            hair_style="short",
            sleeve=1.9,
        ),
        Walk((10.75, 5.6), (-2.25, 5.6), phase=0.55, arm=25),
    ),
    Member(  # woman in an orange top, towards the camera
        make_body(1.0, 0.6, 0.5, 0.45, 0.5, african=0.6, asian=0.4),
        Outfit(
            BROWN,
            (0.12, 0.08, 0.06),
            (0.90, 0.45, 0.12),
            (0.15, 0.19, 0.32),
            (0.75, 0.72, 0.66),
            hair_style="bun",
            sleeve=0.6,
        ),
        Walk((-3.3, 13.5), (-1.55, 6.3), phase=0.35, arm=22),
    ),
]
