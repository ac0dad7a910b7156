"""Walking: footprints that do not slide, leg inverse kinematics, and the upper body's swing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from walkers.body import Skeleton
from walkers.mesh import Array

STANCE = 0.62  # share of the gait cycle that a foot is on the ground
UP = np.array([0.0, 0.0, 1.0])


@dataclass(frozen=True)
class Walk:
    """How one person walks: a straight way over the ground in metres, and their manner."""

    start: tuple[float, float]
    end: tuple[float, float]
    phase: float = 0.0
    step: float = 1.0  # step length relative to what suits the person's height and speed
    arm: float = 24.0  # arm swing in degrees
    elbow: float = 14.0  # least elbow flexion in degrees
    lean: float = 3.0  # forward lean of the trunk in degrees
    sway: float = 1.0
    abduct: float = 9.0  # how far the arms hang from the trunk, in degrees
    look: float = 0.0  # head turn to the person's left in degrees


def rot(axis: str, degrees: float) -> Array:
    """Rotation matrix about a coordinate axis."""
    a = np.radians(degrees)
    c, s = np.cos(a), np.sin(a)
    if axis == "x":
        return np.array([[1, 0, 0], [0, c, -s], [0, s, c]])
    if axis == "y":
        return np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])


def _unit(v: Array) -> Array:
    return np.asarray(v / max(float(np.linalg.norm(v)), 1e-9))


def _frame(along: Array, side: Array) -> Array:
    """Orthonormal frame: first axis `along`, second as near to `side` as can be."""
    x = _unit(along)
    y = _unit(side - (side @ x) * x)
    return np.stack([x, y, np.cross(x, y)], axis=1)


def _align(a0: Array, s0: Array, a1: Array, s1: Array) -> Array:
    """Rotation that takes direction a0 (and roughly side s0) to a1 (and s1)."""
    return np.asarray(_frame(a1, s1) @ _frame(a0, s0).T)


def _ease(x: float) -> float:
    return x * x * (3 - 2 * x)


def _knots(x: float, xs: list[float], ys: list[float]) -> float:
    """Smooth interpolation through knots (flat at each knot)."""
    i = int(np.clip(np.searchsorted(xs, x) - 1, 0, len(xs) - 2))
    t = (x - xs[i]) / (xs[i + 1] - xs[i])
    return ys[i] + (ys[i + 1] - ys[i]) * _ease(float(np.clip(t, 0, 1)))


class Walker:
    """Poses one skeleton along its `Walk`, frame by frame."""

    def __init__(self, skeleton: Skeleton, sole: float, walk: Walk, seconds: float) -> None:
        self.sk, self.walk, self.sole = skeleton, walk, sole
        start, end = np.array(walk.start), np.array(walk.end)
        self.start, self.way = start, _unit(end - start)
        self.speed = float(np.linalg.norm(end - start)) / seconds
        self.heading = float(np.degrees(np.arctan2(self.way[0], -self.way[1])))
        self.hip = {s: skeleton.head(f"upperleg01.{s}") for s in "LR"}
        self.knee = {s: skeleton.head(f"lowerleg01.{s}") for s in "LR"}
        self.ankle = {s: skeleton.head(f"foot.{s}") for s in "LR"}
        self.thigh = float(np.linalg.norm(self.knee["L"] - self.hip["L"]))
        self.shank = float(np.linalg.norm(self.ankle["L"] - self.knee["L"]))
        self.height = (self.hip["L"][2] - sole) / 0.51
        natural = 0.405 * self.height * (self.speed / (1.33 * np.sqrt(self.height / 1.7))) ** 0.5
        self.stride = 2 * natural * walk.step
        self.cadence = self.speed / self.stride  # gait cycles a second
        self.drop = 0.0
        self.drop = self._needed_drop()

    def phase(self, t: float) -> float:
        """Gait cycles done at time t (s); whole numbers are heel strikes of the left foot."""
        return float(self.walk.phase + t * self.cadence)

    def ground(self, t: float) -> Array:
        """Point of the way at time t (s), on the ground."""
        return np.asarray(self.start + self.way * self.speed * t)

    def _needed_drop(self) -> float:
        """How far to lower the pelvis so that the standing leg is never out of reach."""
        worst = 0.0
        for k in range(40):
            t = k / 40 / self.cadence
            root, turn = self._pelvis(t)
            for s in "LR":
                hip = root + turn @ (self.hip[s] - self.sk.head("root"))
                ankle, _, _ = self._foot(t, s)
                reach = 0.997 * (self.thigh + self.shank)
                flat = min(float(np.linalg.norm((hip - ankle)[:2])), reach)
                worst = max(worst, hip[2] - ankle[2] - float(np.sqrt(reach**2 - flat**2)))
        return worst

    def _pelvis(self, t: float) -> tuple[Array, Array]:
        """Posed root position and rotation."""
        cycle = 2 * np.pi * self.phase(t)
        size = self.height / 1.7
        left = rot("z", self.heading) @ np.array([1.0, 0, 0])
        sway = 0.022 * size * self.walk.sway * np.cos(cycle - 2 * np.pi * 0.31)
        bob = -0.019 * size * np.cos(2 * cycle - 0.5)
        rest = self.sk.head("root")
        root = np.array([*self.ground(t), rest[2] - self.sole - self.drop + bob]) + sway * left
        yaw = -5.0 * np.cos(cycle)
        roll = 3.2 * self.walk.sway * np.cos(cycle - 2 * np.pi * 0.22)
        return root, rot("z", self.heading + yaw) @ rot("y", -roll) @ rot("x", 3.0)

    def _foot(self, t: float, s: str) -> tuple[Array, Array, float]:
        """Ankle position, foot rotation and toe bend (degrees) of side s."""
        phase = self.phase(t) + (0.0 if s == "L" else 0.5)
        k = np.floor(phase)
        x = float(phase - k)
        if x < STANCE:
            return self._stance(k, x, s)
        a, _, _ = self._stance(k, STANCE, s)
        b, _, _ = self._stance(k + 1, 0.0, s)
        u = (x - STANCE) / (1 - STANCE)
        pitch = _knots(u, [0, 0.12, 0.75, 1], [-58, -60, 14, 20])
        along = _ease(u) * 0.75 + 0.25 * u
        place = a + (b - a) * along
        place[2] = a[2] + (b[2] - a[2]) * _ease(min(u * 1.3, 1)) + 0.035 * np.sin(np.pi * u) ** 2
        bend = 0.85 * 58 * _ease(max(0.0, 1 - u * 2.2))
        turn = self._foot_turn(pitch, s)
        return self._clear(place, turn, bend, s), turn, bend

    def _clear(self, place: Array, turn: Array, bend: float, s: str) -> Array:
        """The ankle, raised as far as needed to keep heel and toes out of the ground."""
        heel, ball = self._soles(s)
        tip = turn @ rot("x", -bend) @ np.array([0, -0.085 * self.height / 1.7, 0])
        low = min(0.0, float((turn @ (heel - ball))[2]), float(tip[2]))
        low += place[2] + float((turn @ (ball - self.ankle[s]))[2])
        return np.asarray(place + max(0.0, -low) * UP)

    def _soles(self, s: str) -> tuple[Array, Array]:
        """Rest positions of the heel's and the ball's contact with the ground."""
        ankle = self.ankle[s]
        toes = np.mean([self.sk.head(f"toe{i}-1.{s}") for i in (1, 3, 5)], axis=0)
        heel = np.array([ankle[0], ankle[1] + 0.045 * self.height / 1.7, self.sole])
        return heel, np.array([toes[0], toes[1], self.sole])

    def _foot_turn(self, pitch: float, s: str) -> Array:
        out = 7.0 if s == "L" else -7.0
        return np.asarray(rot("z", self.heading + out) @ rot("x", -pitch))

    def _stance(self, k: float, x: float, s: str) -> tuple[Array, Array, float]:
        """The planted foot: heel strike, flat, then rolling over the ball of the foot."""
        offset = 0.0 if s == "L" else 0.5
        middle = (k + 0.255 - offset - self.walk.phase) / self.cadence
        left = rot("z", self.heading) @ np.array([1.0, 0, 0])
        side = (1 if s == "L" else -1) * 0.055 * self.height / 1.7
        print_xy = np.array([*self.ground(middle), 0.0]) + side * left
        pitch = _knots(x, [0, 0.11, 0.36, STANCE], [20, 0, -4, -58])
        turn, ankle = self._foot_turn(pitch, s), self.ankle[s]
        heel, ball = self._soles(s)
        pivot = heel if pitch > 0 else ball
        flat = self._foot_turn(0, s) @ (pivot - ankle)
        place = print_xy + flat
        place[2] = 0.0
        bend = max(0.0, -pitch) * 0.85
        return self._clear(place + turn @ (ankle - pivot), turn, bend, s), turn, bend

    def _leg(self, turns: dict[str, Array], root: Array, pelvis: Array, t: float, s: str) -> None:
        """Thigh, shank, foot and toe rotations by two-bone inverse kinematics."""
        hip = root + pelvis @ (self.hip[s] - self.sk.head("root"))
        ankle, foot, bend = self._foot(t, s)
        reach = ankle - hip
        far = min(float(np.linalg.norm(reach)), 0.998 * (self.thigh + self.shank))
        axis = _unit(reach)
        forward = _unit(foot @ np.array([0, -1.0, 0]) * np.array([1, 1, 0]))
        forward = _unit(forward - (forward @ axis) * axis)
        cos = (self.thigh**2 + far**2 - self.shank**2) / (2 * self.thigh * far)
        cos = float(np.clip(cos, -1, 1))
        knee = hip + self.thigh * (cos * axis + np.sqrt(1 - cos * cos) * forward)
        left = np.cross(-axis, forward)
        rest_left = np.array([1.0, 0, 0])
        thigh = _align(self.knee[s] - self.hip[s], rest_left, knee - hip, left)
        shank = _align(self.ankle[s] - self.knee[s], rest_left, ankle - knee, left)
        turns[f"upperleg01.{s}"] = thigh
        turns[f"lowerleg01.{s}"] = shank
        turns[f"foot.{s}"] = foot
        for i in range(1, 6):
            turns[f"toe{i}-1.{s}"] = foot @ rot("x", -bend)

    def _arm(self, turns: dict[str, Array], chest: Array, t: float, s: str) -> None:
        """Shoulder and elbow: swings against the leg of the same side."""
        sign = 1.0 if s == "L" else -1.0
        swing = -sign * np.cos(2 * np.pi * self.phase(t) - 0.25)
        theta = np.radians(3 + self.walk.arm * (swing + 0.12 * swing * abs(swing)))
        bend = np.radians(self.walk.elbow + 0.6 * self.walk.arm * (0.5 + 0.5 * swing))
        out = np.radians(self.walk.abduct)
        shoulder = self.sk.head(f"upperarm01.{s}")
        elbow, wrist = self.sk.head(f"lowerarm01.{s}"), self.sk.head(f"wrist.{s}")
        upper = np.array([sign * np.sin(out), -np.sin(theta), -np.cos(theta)])
        fore = np.array([sign * 0.03, -np.sin(theta + bend), -np.cos(theta + bend)])
        hinge = np.cross(_unit(upper), _unit(fore))
        rest_hinge = np.cross(elbow - shoulder, wrist - elbow)
        turns[f"clavicle.{s}"] = chest @ rot("y", sign * 4.0) @ rot("z", -sign * 4.0 * swing)
        turns[f"upperarm01.{s}"] = chest @ _align(elbow - shoulder, rest_hinge, upper, hinge)
        turns[f"lowerarm01.{s}"] = chest @ _align(wrist - elbow, rest_hinge, fore, hinge)
        way = turns[f"lowerarm01.{s}"] @ _unit(wrist - elbow)
        for name, twist in (("lowerarm02", 2.0), ("wrist", 5.0)):
            turns[f"{name}.{s}"] = _about(way, -sign * twist) @ turns[f"lowerarm01.{s}"]
        self._fingers(turns, s)

    def _fingers(self, turns: dict[str, Array], s: str) -> None:
        """Relaxed fingers: curled a little about the knuckles' own axis."""
        hand = turns[f"wrist.{s}"]
        row = self.sk.head(f"finger2-1.{s}") - self.sk.head(f"finger5-1.{s}")
        axis = _unit(row)
        for f in range(2, 6):
            for joint, angle in ((1, 10.0), (2, 22.0), (3, 26.0)):
                a = (angle + 4 * f) * (-1 if s == "L" else 1)
                turns[f"finger{f}-{joint}.{s}"] = hand @ _about(axis, a)

    def pose(self, t: float) -> Array:
        """Bone transforms at time t (s); see `Skeleton.pose`."""
        root, pelvis = self._pelvis(t)
        cycle = 2 * np.pi * self.phase(t)
        base = rot("z", self.heading)
        turns: dict[str, Array] = {"root": pelvis}
        yaw, roll = 5.5 * np.cos(cycle), 1.6 * np.cos(cycle - 2 * np.pi * 0.22)
        chest = base @ rot("z", yaw) @ rot("y", roll) @ rot("x", self.walk.lean)
        for i, name in enumerate(("spine05", "spine04", "spine03", "spine02", "spine01")):
            turns[name] = _blend(pelvis, chest, (i + 0.5) / 5)
        nod = 1.2 * np.cos(2 * cycle + 0.6)
        head = base @ rot("z", self.walk.look + 0.15 * yaw) @ rot("x", 1.0 + nod)
        for i, name in enumerate(("neck01", "neck02", "neck03", "head")):
            turns[name] = _blend(chest, head, (i + 1) / 4)
        for s in "LR":
            self._leg(turns, root, pelvis, t, s)
            self._arm(turns, chest, t, s)
        return self.sk.pose(root, turns)


def _about(axis: Array, degrees: float) -> Array:
    """Rotation about a unit axis."""
    x, y, z = axis
    k = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    a = np.radians(degrees)
    return np.asarray(np.eye(3) + np.sin(a) * k + (1 - np.cos(a)) * k @ k)


def _blend(a: Array, b: Array, t: float) -> Array:
    """A rotation between two near ones (polar part of their mix)."""
    u, _, v = np.linalg.svd((1 - t) * a + t * b)
    return np.asarray(u @ v)
