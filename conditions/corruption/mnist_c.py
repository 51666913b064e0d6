"""The corruptions of MNIST-C with their five severities, for grey images.

Numbers are those of Mu and Gilmer 2019 (arXiv:1906.02337) as in their corruptions.py of
github.com/google-research/mnist-c at aa07569, whose data sets are of one severity each. Lengths
are in pixels of SIDE.
"""

from functools import partial

from bench_uq.conditions.corruption.blur import motion_blur
from bench_uq.conditions.corruption.canny import canny_edges
from bench_uq.conditions.corruption.canvas import Severity, severities
from bench_uq.conditions.corruption.colour import brightness
from bench_uq.conditions.corruption.digital import stripe
from bench_uq.conditions.corruption.geometry import rotate, scale, shear, translate
from bench_uq.conditions.corruption.glass import glass_swaps
from bench_uq.conditions.corruption.lines import dotted_line, zigzag
from bench_uq.conditions.corruption.noise import impulse_noise, shot_noise
from bench_uq.conditions.corruption.spatter import mud
from bench_uq.conditions.corruption.weather import fog

SIDE = 28
# A corner of a fractal of 256x256 pixels.
FOG = partial(fog, size=256)

KINDS: dict[str, tuple[Severity, ...]] = {
    "shot-noise": severities(shot_noise, 60, 25, 12, 5, 3),
    "impulse-noise": severities(impulse_noise, 0.03, 0.06, 0.09, 0.17, 0.27),
    "glass-blur": severities(
        glass_swaps, (0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
    "motion-blur": severities(motion_blur, (10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
    "shear": severities(shear, 0.2, 0.4, 0.6, 0.8, 1.0),
    "scale": severities(scale, 0.9, 0.8, 0.7, 0.6, 0.5),
    "rotate": severities(rotate, 0.2, 0.4, 0.6, 0.8, 1.0),
    "brightness": severities(brightness, 0.1, 0.2, 0.3, 0.4, 0.5),
    "translate": severities(translate, 1, 2, 3, 4, 5),
    "fog": severities(FOG, (1.5, 2), (2.0, 2), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)),
    "spatter": severities(
        mud, (0.65, 0.3, 4, 0.69, 0.6), (0.65, 0.3, 3, 0.68, 0.6), (0.65, 0.3, 2, 0.68, 0.5),
        (0.65, 0.3, 1, 0.65, 1.5), (0.67, 0.4, 1, 0.65, 1.5)),
    # These four are published at one strength: all severities are alike.
    "stripe": severities(stripe, *((),) * 5),
    "dotted-line": severities(dotted_line, *((),) * 5),
    "zigzag": severities(zigzag, *((),) * 5),
    "canny-edges": severities(canny_edges, *((1, 0.1, 0.2),) * 5),
}  # fmt: skip
