"""Letters A to J at the size and in the grey levels of the digits, OOD data for their networks."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench_uq.api import Categorical, Dataset, Examples, Task

LETTERS = "ABCDEFGHIJ"
FACES = (
    "DejaVuSans", "DejaVuSans-Bold", "DejaVuSans-Oblique", "DejaVuSans-BoldOblique",
    "DejaVuSansMono", "DejaVuSansMono-Bold", "DejaVuSansMono-Oblique", "DejaVuSansMono-BoldOblique",
    "DejaVuSerif", "DejaVuSerif-Bold", "DejaVuSerif-Italic", "DejaVuSerif-BoldItalic",
    "STIXGeneral", "STIXGeneralBol", "STIXGeneralItalic", "STIXGeneralBolIta",
    "cmr10", "cmb10", "cmss10", "cmtt10",
)  # fmt: skip
COPIES = 5  # of each letter in each face
# The digits are counts of ink in blocks of 4x4 pixels of 32x32 bitmaps; so are the letters.
SIDE, BLOCK = 8, 4
FINE = SIDE * BLOCK
# The fonts' own units in the height of a line.
UNITS = 2048
# From half units to a letter about 150 high: its curves then become polygons of some 40 edges.
SHRUNK = 20


@dataclass(frozen=True)
class Letters(Dataset):
    """A thousand letters, 100 a class, drawn from the outlines of 20 typefaces."""

    reference: ClassVar[str] = (
        "outlines of the typefaces that come with matplotlib, https://matplotlib.org"
    )
    title: ClassVar[str] = "Letters"
    splits: ClassVar[tuple[str, ...]] = ("test",)

    def task(self, root: Path) -> Task:
        """Classify ten letters, with the mean and std of the digits: their networks see these."""
        shape, classes = (1, SIDE, SIDE), Categorical(len(LETTERS))
        return Task(shape, classes, mean=(0.3054,), std=(0.3761,), network="lenet")

    def files(self, root: Path) -> Sequence[Path]:
        """No files: the typefaces come with a package."""
        return ()

    def load(self, split: str, root: Path, fold: int = 0) -> Examples:
        """Draw the letters, the same ones each time."""
        kept = {"test": draw}[split]()
        return Examples(kept.inputs.copy(), kept.targets.copy())


@functools.cache
def draw() -> Examples:
    """Draw each letter in each face a few times, of varying size, angle, place and weight."""
    rng = np.random.default_rng(0)
    bitmaps = []
    for face in FACES:
        for letter in LETTERS:
            edges = outline(letter, face)
            for _ in range(COPIES):
                bitmaps.append(weigh(fill(jitter(edges, rng)), rng))

    counts = np.array(bitmaps).reshape(-1, 1, SIDE, BLOCK, SIDE, BLOCK).sum((3, 5))
    labels = np.tile(np.repeat(np.arange(len(LETTERS)), COPIES), len(FACES))
    return Examples((counts / BLOCK**2).astype(np.float32), labels.astype(np.int64))


def outline(letter: str, face: str) -> np.ndarray:
    """Edges of a letter's outline, (edges, 2 ends, xy), y upwards."""
    import matplotlib
    from matplotlib.font_manager import FontProperties
    from matplotlib.path import Path as Curves
    from matplotlib.textpath import TextPath

    file = Path(matplotlib.get_data_path(), "fonts", "ttf", f"{face}.ttf")
    text = TextPath((0, 0), letter, size=UNITS, prop=FontProperties(fname=file))

    # Versions of FreeType differ by less than a quarter of a font unit; points lie at halves of it.
    polygons = Curves((text.vertices * 2).round() / SHRUNK, text.codes).to_polygons()
    edges = [np.stack((polygon, np.roll(polygon, -1, 0)), 1) for polygon in polygons]
    return np.concatenate(edges)


def jitter(edges: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Turn a letter and place it in the bitmap, as high as a digit.

    It is no wider than a digit, and hardly wider than its own shape.
    """
    angle = np.deg2rad(rng.uniform(-8, 8))
    # A rotation whose second column is negated: y points down in a bitmap.
    edges = edges @ np.array([[np.cos(angle), -np.sin(angle)], [-np.sin(angle), -np.cos(angle)]])

    low, high = edges.min((0, 1)), edges.max((0, 1))
    width, height = high - low
    tall = rng.uniform(29, 31)
    wide = min(rng.uniform(20, 25), 1.1 * tall * width / height)
    centre = FINE / 2 + rng.uniform(-1, 1, 2) * (2.0, 0.5)
    return (edges - (low + high) / 2) * (wide / width, tall / height) + centre


def fill(edges: np.ndarray) -> np.ndarray:
    """Whether each pixel centre lies inside, (FINE, FINE): left of an odd number of edges."""
    centres = np.arange(FINE) + 0.5
    (x0, y0), (x1, y1) = edges[:, 0].T, edges[:, 1].T
    rows = centres[:, None]
    crosses = (y0 <= rows) != (y1 <= rows)
    slope = (x1 - x0) / np.where(y0 == y1, 1, y1 - y0)
    x = np.where(crosses, x0 + (rows - y0) * slope, -np.inf)
    return (x[:, None, :] > rows).sum(-1) % 2 == 1


def weigh(bitmap: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Thicken or thin the strokes until the letter has about as much ink as a digit."""
    from scipy.ndimage import distance_transform_edt

    # Distances of whole pixels come in steps. The noise divides the steps, and is gone once blocks
    # are counted.
    noise = rng.uniform(0, 1, bitmap.shape)
    distance = distance_transform_edt(~bitmap) - distance_transform_edt(bitmap) + noise
    edge = np.quantile(distance, rng.normal(0.305, 0.034))
    return distance <= np.clip(edge, -1, 2.5)
