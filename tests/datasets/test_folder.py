"""Images of the user's own: what is read, and each mistake told in one line that names the file or
folder.
"""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench_uq.api import Categorical, MissingData, UsageError
from bench_uq.datasets.folder import Folder
from bench_uq.plan.plugins import Plugins

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (6, 5), np.uint8)
RGB = RNG.integers(0, 256, (6, 5, 3), np.uint8)
FOLDER = Folder(path=Path("mine"))


def save(array: np.ndarray, path: Path) -> Path:
    """Write an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)
    return path


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return a folder of two classes, cat and dog, in colour."""
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            save(RGB, tmp_path / "mine" / split / name / "0.png")
            save(255 - RGB, tmp_path / "mine" / split / name / "1.png")
    return tmp_path / "mine"


def refused(mine: Path, dataset: Folder = FOLDER, split: str = "train") -> str:
    """Return the one line for which loading is refused."""
    with pytest.raises(UsageError) as caught:
        dataset.load(split, mine.parent)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_accents_in_one_sign_or_in_two(mine: Path) -> None:
    """A class and a path are found as another system spells their accents."""
    (mine / "train" / "dog").rename(mine / "train" / "caf\u00e9")
    (mine / "test" / "dog").rename(mine / "test" / "cafe\u0301")
    mine = mine.rename(mine.with_name("me\u0301"))

    dataset = Folder(path=Path("m\u00e9"))
    assert dataset.task(mine.parent).likelihood == Categorical(2)
    assert sorted(dataset.load("test", mine.parent).targets) == [0, 0, 1, 1]


def test_images_and_labels(mine: Path) -> None:
    """Classes are labelled in the order of their names and mixed evenly, their images in the order
    of theirs.
    """
    examples = FOLDER.load("train", mine.parent)

    assert FOLDER.task(mine.parent).input_shape == (3, 6, 5)
    assert FOLDER.task(mine.parent).likelihood == Categorical(2)
    assert examples.targets.tolist() == [0, 1, 0, 1]
    assert np.array_equal(RGB.transpose(2, 0, 1), examples.inputs[0])
    assert np.array_equal(255 - RGB.transpose(2, 0, 1), examples.inputs[2])


def test_any_number_of_first_images_holds_the_classes_by_their_share(mine: Path) -> None:
    """Of 30 cats and 10 dogs the first 8 are 6 cats and 2 dogs; a file that changes is read again."""
    for name, count in (("cat", 30), ("dog", 10)):
        for number in range(2, count):
            save(RGB, mine / "test" / name / f"{number}.png")
    assert np.bincount(FOLDER.load("test", mine.parent).targets[:8]).tolist() == [6, 2]

    file = save(255 - RGB, mine / "test" / "cat" / "0.png")
    os.utime(file, (1, 1))
    found = FOLDER.load("test", mine.parent).inputs[0]
    assert np.array_equal(255 - RGB.transpose(2, 0, 1), found)


def test_images_in_folders_of_a_class(mine: Path) -> None:
    """Images further down belong to the class; other files, hidden ones and such folders are none."""
    save(RGB, mine / "train" / "cat" / "more" / "2.png")
    (mine / "train" / "cat" / "notes.txt").write_text("not an image")
    for name in (".thumbs/0.png", "__MACOSX/0.png", "cat/._1.png"):
        save(RGB, mine / "train" / name)

    assert FOLDER.task(mine.parent).likelihood == Categorical(2)
    assert FOLDER.load("train", mine.parent).targets.tolist() == [0, 1, 0, 1, 0]


def test_what_is_left_out_is_told_by_reason(mine: Path) -> None:
    """Previews of other programs at any depth, and folders linked into themselves, are not walked."""
    cat = mine / "train" / "cat"
    for place in (".ipynb_checkpoints", "@eaDir/0.png", ".@__thumb", "more/__MACOSX"):
        save(GREY, cat / place / "0.png")
    save(RGB, cat / "more" / "2.png")
    (cat / "self").symlink_to(".")
    (cat / "again").symlink_to("more")
    (cat / "3.svg").write_bytes(b"")
    (mine / "train" / "stray.png").write_bytes(b"")
    (mine / "train" / "dog" / "1.png").unlink()

    examples = FOLDER.load("train", mine.parent)
    assert np.bincount(examples.targets).tolist() == [3, 1]
    assert examples.remarks == (
        "train/: 4 left out, hidden or of other programs (.@__thumb, .ipynb_checkpoints, @eaDir, __MACOSX)",
        "train/: 2 left out, links to a folder that is read already (again, self)",
        "train/: 1 left out, without the name of an image (.svg)",
        "train/: 1 left out, outside of the folders of classes (stray.png)",
        "train/: more left out than read of cat",
        "train/: one image only of dog",
    )  # fmt: skip
    assert FOLDER.load("test", mine.parent).remarks == ()


@pytest.mark.parametrize("place", ["train/cat/9.png", "train/cow", "test/cat/more"])
def test_links_to_nothing(mine: Path, place: str) -> None:
    """A link whose target is gone is refused with both names: without it the data would be others."""
    (mine / place).symlink_to("/mnt/moved/it")
    told = f"{mine / place}: a link to /mnt/moved/it, which is not there"
    assert refused(mine, split=place.partition("/")[0]) == told


def test_images_are_read_as_they_are_shown(mine: Path) -> None:
    """Transparency, orientation, depth, palette and animation: the pixels are those of a viewer."""
    ink = np.zeros((6, 5, 4), np.uint8)
    ink[2:4, 1:3, 3] = 255
    black_on_white = np.where(ink[..., 3] > 0, 0, 255)
    half = Image.fromarray(np.dstack([GREY, np.full_like(GREY, 51)]), "LA")
    palette = Image.fromarray(ink[..., 3] // 255, "P")
    palette.putpalette([9, 9, 9, 0, 0, 0])
    turned = Image.Exif()
    turned[0x0112] = 6  # turned by a quarter to the left when taken

    shown: list[tuple[np.ndarray, Image.Image, str, dict[str, object]]] = [
        (black_on_white, Image.fromarray(ink), "png", {}),
        (black_on_white, palette, "png", {"transparency": 0}),
        (np.round(255 - 0.2 * (255.0 - GREY)), half, "png", {}),
        (np.rot90(GREY, -1), Image.fromarray(GREY), "png", {"exif": turned}),
        (GREY, Image.fromarray(GREY.astype(np.uint16) * 257), "pgm", {}),
        (black_on_white, Image.fromarray(black_on_white.astype(np.uint16) * 7), "png",
         {"transparency": 255 * 7}),
        (255 - GREY, Image.fromarray(GREY), "png", {"save_all": True, "default_image": True,
         "append_images": [Image.fromarray(255 - GREY), Image.fromarray(GREY)]}),
        (GREY, Image.fromarray(GREY), "gif", {"save_all": True,
         "append_images": [Image.fromarray(255 - GREY)]}),
        (black_on_white, palette, "gif", {"transparency": 0}),
    ]  # fmt: skip
    for expected, image, kind, options in shown:
        for file in (mine / "train").rglob("*.*"):
            file.unlink()
        for name in ("cat", "dog"):
            image.save(mine / "train" / name / f"0.{kind}", **options)
        for colour, channels in (("auto", 1), ("rgb", 3)):
            found = Folder(path=Path("mine"), colour=colour).load("train", mine.parent).inputs[0]
            assert len(found) >= channels
            assert np.abs(found - expected.astype(int)).max() <= 1


def test_test_labels_are_those_of_training(mine: Path) -> None:
    """A test split that lacks a class labels the others as training does; a class of its own is
    refused.
    """
    (mine / "test" / "cat").rename(mine / "elsewhere")
    assert FOLDER.load("test", mine.parent).targets.tolist() == [1, 1]

    (mine / "elsewhere").rename(mine / "test" / "cow")
    assert (
        refused(mine, split="test")
        == f"{mine / 'test/cow'}: not a class of {mine / 'train'} (cat, dog)"
    )


def test_test_alone_is_unseen_data(mine: Path) -> None:
    """Without train/ the classes are those of test/, and training is refused with the folder's
    name.
    """
    (mine / "train").rename(mine / "other")

    assert FOLDER.task(mine.parent).likelihood == Categorical(2)
    assert FOLDER.load("test", mine.parent).targets.tolist() == [0, 1, 0, 1]
    with pytest.raises(MissingData, match="mine/train"):
        FOLDER.load("train", mine.parent)


@pytest.mark.parametrize(("grey", "auto"), [(4, 1), (3, 3)])
@pytest.mark.parametrize("colour", ["auto", "grey", "rgb"])
def test_grey_images(mine: Path, colour: str, grey: int, auto: int) -> None:
    """Where all training images are grey, auto is grey for all; one in colour makes it rgb."""
    channels = {"auto": auto, "grey": 1, "rgb": 3}[colour]
    for file in sorted((mine / "train").rglob("*.png"))[:grey]:
        save(GREY, file)
    dataset = Folder(path=Path("mine"), colour=colour)

    assert dataset.task(mine.parent).input_shape == (channels, 6, 5)
    assert np.array_equal(np.stack([GREY] * channels), dataset.load("train", mine.parent).inputs[0])
    assert dataset.load("test", mine.parent).inputs.shape == (4, channels, 6, 5)


def test_sixteen_bits(mine: Path) -> None:
    """Of grey levels of 16 bits the upper 8 are kept."""
    levels = np.arange(30, dtype=np.uint16).reshape(6, 5) * 2000
    for file in (mine / "train").rglob("*.png"):
        save(levels, file)

    assert np.array_equal(levels // 256, FOLDER.load("train", mine.parent).inputs[0, 0])


def test_other_sizes(mine: Path) -> None:
    """Images of two sizes are refused: the first that differs, both sizes, and what would mend it."""
    save(RGB[:5], mine / "train" / "dog" / "0.png")
    save(RGB[:4], mine / "train" / "dog" / "1.png")

    first, other = mine / "train" / "cat" / "0.png", mine / "train" / "dog" / "0.png"
    assert refused(mine) == f"{other}: 5x5 pixels where {first} has 5x6; size=N resizes all to NxN"
    assert Folder(path=Path("mine"), size=4).load("train", mine.parent).inputs.shape == (4, 3, 4, 4)


def test_resizing_smooths(mine: Path) -> None:
    """A resized image is PIL's bilinear one, in which every pixel of the large image counts."""
    board = np.indices((64, 64)).sum(0) % 2 * np.uint8(255)
    for file in (mine / "train").rglob("*.png"):
        save(board.astype(np.uint8), file)
    inputs = Folder(path=Path("mine"), size=8).load("train", mine.parent).inputs

    assert np.abs(inputs.astype(int) - 127).max() < 16


@pytest.mark.parametrize("kept", [0, 20, 60, -40])
def test_truncated_image(mine: Path, kept: int) -> None:
    """An image cut in its header or its pixels is named."""
    file = mine / "train" / "dog" / "1.png"
    file.write_bytes(file.read_bytes()[:kept])

    assert refused(mine).startswith(f"{file}: cannot be read as an image, ")


def test_files_that_are_no_images(mine: Path) -> None:
    """A file that only has the name of an image, and images of floats, are refused by name."""
    file = mine / "train" / "dog" / "1.jpg"
    file.write_text("<html>404</html>")
    assert refused(mine) == f"{file}: cannot be read as an image, not an image of a known format"

    file.unlink()
    file = save(GREY.astype(np.float32), mine / "train" / "cat" / "9.tif")
    assert refused(mine).startswith(f"{file}: pixels of mode F, expected 1, L, ")


def test_no_folders(mine: Path) -> None:
    """Images without folders of classes, and folders without images, are told."""
    for file in list((mine / "test").rglob("*.png")):
        file.unlink()
    assert refused(mine, split="test") == f"{mine / 'test/cat'}: has no images"

    (mine / "test" / "cat").rmdir()
    (mine / "test" / "dog").rmdir()
    save(RGB, mine / "test" / "0.png")
    assert refused(mine, split="test") == f"{mine / 'test'}: has no folders, one per class"


def test_where_it_is_looked_for(mine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path is looked for below the root, then in the working folder, and is taken as it is where
    absolute.
    """
    monkeypatch.chdir(mine.parent)

    assert len(FOLDER.load("train", mine.parent / "nowhere")) == 4
    assert len(Folder(path=mine).load("train", Path("nowhere"))) == 4
    with pytest.raises(MissingData) as caught:
        Folder(path=Path("yours")).load("train", Path("root"))
    assert "folder[path=yours]: missing root/yours, yours (" in str(caught.value)


def test_options() -> None:
    """Options that make no sense are refused by name; without a path, loading asks for one."""
    for option, value in (("size", "-1"), ("size", "x"), ("colour", "blue")):
        with pytest.raises(UsageError, match=option):
            Plugins().spec("dataset", f"folder[path=mine,{option}={value}]")
    with pytest.raises(UsageError, match=r"say which, folder\[path=FOLDER\]"):
        Plugins().spec("dataset", "folder").value.task(Path())
