"""The corruptions of CIFAR-10-C, for colour images; without frost, which needs photographs.

Each has five severities. Numbers are those of Hendrycks and Dietterich 2019 (arXiv:1903.12261)
for 32x32 pixels, as in make_cifar_c.py of github.com/hendrycks/robustness at ca36008. Lengths are
in pixels of SIDE.
"""

from functools import partial

from bench_uq.conditions.corruption.blur import defocus_blur, gaussian_blur, motion_blur, zoom_blur
from bench_uq.conditions.corruption.canvas import Severity, severities
from bench_uq.conditions.corruption.colour import brightness, contrast, saturate
from bench_uq.conditions.corruption.digital import jpeg_compression, pixelate
from bench_uq.conditions.corruption.geometry import elastic_transform
from bench_uq.conditions.corruption.glass import glass_copies
from bench_uq.conditions.corruption.noise import (
    gaussian_noise,
    impulse_noise,
    shot_noise,
    speckle_noise,
)
from bench_uq.conditions.corruption.spatter import mud, water
from bench_uq.conditions.corruption.weather import fog, snow

SIDE = 32
FOG = partial(fog, size=SIDE)

KINDS: dict[str, tuple[Severity, ...]] = {
    "gaussian-noise": severities(gaussian_noise, 0.04, 0.06, 0.08, 0.09, 0.10),
    "shot-noise": severities(shot_noise, 500, 250, 100, 75, 50),
    "impulse-noise": severities(impulse_noise, 0.01, 0.02, 0.03, 0.05, 0.07),
    "defocus-blur": severities(
        defocus_blur, (0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
    "glass-blur": severities(
        glass_copies, (0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
    "motion-blur": severities(motion_blur, (6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
    # Up to 1.06, 1.11, 1.15, 1.20 and 1.25. As published: rounding decides whether NumPy's arange
    # contains its end.
    "zoom-blur": severities(zoom_blur, (7, 0.01), (12, 0.01), (16, 0.01), (21, 0.01), (26, 0.01)),
    "snow": severities(
        snow, (0.1, 0.2, 1, 0.6, 8, 3, 0.95), (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
        (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9), (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
        (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8)),
    "fog": severities(FOG, (0.2, 3), (0.5, 3), (0.75, 2.5), (1, 2), (1.5, 1.75)),
    "brightness": severities(brightness, 0.05, 0.1, 0.15, 0.2, 0.3),
    "contrast": severities(contrast, 0.75, 0.5, 0.4, 0.3, 0.15),
    "elastic-transform": severities(
        elastic_transform, (0, 0, 0.08), (0.05, 0.2, 0.07), (0.08, 0.06, 0.06),
        (0.1, 0.04, 0.05), (0.1, 0.03, 0.03)),
    "pixelate": severities(pixelate, 0.95, 0.9, 0.85, 0.75, 0.65),
    "jpeg-compression": severities(jpeg_compression, 80, 65, 58, 50, 40),
    "speckle-noise": severities(speckle_noise, 0.06, 0.1, 0.12, 0.16, 0.2),
    "gaussian-blur": severities(gaussian_blur, 0.4, 0.6, 0.7, 0.8, 1),
    "spatter": severities(
        water, (0.62, 0.1, 0.7, 0.7, 0.5), (0.65, 0.1, 0.8, 0.7, 0.5), (0.65, 0.3, 1, 0.69, 0.5)
    ) + severities(mud, (0.65, 0.1, 0.7, 0.69, 0.6), (0.65, 0.1, 0.5, 0.68, 0.6)),
    "saturate": severities(saturate, (0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
}  # fmt: skip
