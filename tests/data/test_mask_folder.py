"""Folders of images and masks, well formed and not."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import IGNORE, ArraySource, load
from cnnlab.data.image import fit_image
from cnnlab.data.mask_file import MaskClasses, fit_mask, read_classes, read_mask
from cnnlab.data.mask_folder import MaskFolderSource
from cnnlab.errors import UserError

PALETTE = """# a comment
sky 0 0 255
green tree 0 128 0  # a name of two words

ignore 0 0 0
"""


def write(path, pixels, mode=None):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.asarray(pixels, np.uint8)
    if mode != "P":
        Image.fromarray(pixels).save(path)
        return
    image = Image.fromarray(pixels)
    image.putpalette(list(range(256)) * 3)  # one of 3 colors would leave no room for 255
    assert image.mode == "P"
    image.save(path)


def write_pairs(folder, count=10, shape=(6, 8), mode=None):
    """Images filled with their number, whose masks have label number % 3 and one ignored pixel."""
    for number in range(count):
        mask = np.full(shape, number % 3)
        mask[0, 0] = IGNORE
        write(folder / "images" / f"{number}.png", np.full((*shape, 3), number))
        write(folder / "masks" / f"{number}.png", mask, mode)


def loaded(path, **options):
    return load(f"folder:{path}", task="segmentation", **options)


def refused(path, **options):
    with pytest.raises(UserError) as caught:
        loaded(path, **options)
    text = str(caught.value)
    assert text.endswith(".") and "\n" not in text
    return text


def assert_pairs(source):
    for image, label in zip(source.images, source.labels, strict=True):
        assert (label[1:] == image[0, 0, 0] % 3).all()
        assert label[0, 0] == IGNORE


@pytest.mark.parametrize("mode", ["L", "P"])
def test_images_and_masks_directly_in_the_path(tmp_path, mode):
    write_pairs(tmp_path, 20, mode=mode)
    dataset = loaded(tmp_path)
    assert dataset.info.class_names == ("0", "1", "2")
    assert dataset.info.image_shape == (6, 8, 3)
    assert dataset.info.num_examples == {"train": 14, "test": 4, "validation": 2}
    numbers = [n for source in dataset.splits.values() for n in source.images[:, 0, 0, 0]]
    assert sorted(numbers) == list(range(20))
    for source in dataset.splits.values():
        assert source.labels.dtype == np.uint8
        assert_pairs(source)


@pytest.mark.parametrize("validation", ["val", "validation"])
def test_folders_of_splits(tmp_path, validation):
    for split, count in (("train", 5), ("test", 3), (validation, 2)):
        write_pairs(tmp_path / split, count)
    assert loaded(tmp_path).info.num_examples == {"train": 5, "test": 3, "validation": 2}


def test_names_of_indexed_masks(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "classes.txt").write_text("# of masks\nsky\ngreen tree\nroad\nsea\n")
    assert loaded(tmp_path).info.class_names == ("sky", "green tree", "road", "sea")


def test_colored_masks(tmp_path):
    colors = np.array([[0, 0, 255], [0, 128, 0], [0, 0, 0]])
    chosen = np.random.default_rng(0).integers(0, 3, (10, 6, 8))
    for number in range(10):
        write(tmp_path / "images" / f"{number}.jpg", np.full((6, 8), 10 * number))
        write(tmp_path / "masks" / f"{number}.png", colors[chosen[number]])
    (tmp_path / "palette.txt").write_text(PALETTE)
    dataset = loaded(tmp_path)
    assert dataset.info.class_names == ("sky", "green tree")
    assert dataset.info.image_shape == (6, 8, 1)
    expected = np.array([0, 1, IGNORE])[chosen]
    for source in dataset.splits.values():
        for image, label in zip(source.images, source.labels, strict=True):
            np.testing.assert_array_equal(label, expected[round(image.mean() / 10)])


def test_a_palette_names_the_classes_of_indexed_masks_too(tmp_path):
    write_pairs(tmp_path)
    (tmp_path / "palette.txt").write_text("a 0 0 1\nb 0 0 2\nc 0 0 3\n")
    dataset = loaded(tmp_path)
    assert dataset.info.class_names == ("a", "b", "c")
    assert_pairs(dataset.splits["train"])


def test_large_folders_are_streamed_with_the_same_splits(tmp_path, monkeypatch):
    write_pairs(tmp_path, 20)
    in_memory = loaded(tmp_path).splits
    # By its module: in the package, the function `load` hides the module of that name.
    monkeypatch.setattr(sys.modules["cnnlab.data.load"], "MAX_BYTES", 0)
    streamed = loaded(tmp_path).splits
    for split, source in streamed.items():
        assert isinstance(source, MaskFolderSource)
        assert isinstance(in_memory[split], ArraySource)
        for index in range(len(source)):
            for key in ("image", "label"):
                np.testing.assert_array_equal(source[index][key], in_memory[split][index][key])


def test_hidden_files_are_not_read_and_subfolders_are(tmp_path):
    write_pairs(tmp_path / "images", 0)
    for number in range(6):
        write(tmp_path / "images" / "a" / f"{number}.png", np.zeros((6, 8)))
        write(tmp_path / "masks" / "a" / f"{number}.png", np.eye(6, 8))
    (tmp_path / "masks" / "a" / "._0.png").write_bytes(b"of macOS")
    (tmp_path / "images" / "notes.txt").touch()
    assert sum(loaded(tmp_path).info.num_examples.values()) == 6


def test_images_and_masks_come_to_one_size_together(tmp_path):
    """A mask that is its image's threshold stays so, away from edges, whatever the shapes."""
    y, x = np.mgrid[:90, :70]
    for number in range(4):
        disk = (y - 40) ** 2 + (x - 20 - 8 * number) ** 2 < 15**2
        write(tmp_path / "images" / f"{number}.png", disk * 200)
        write(tmp_path / "masks" / f"{number}.png", disk)
    dataset = loaded(tmp_path, image_size=32)
    assert dataset.info.image_shape == (32, 32, 1)
    images, labels = dataset.splits["train"].images[..., 0], dataset.splits["train"].labels
    assert set(np.unique(labels)) == {0, 1}
    disagree = (images > 100) != (labels == 1)
    assert disagree.mean() < 0.02
    assert (labels == 1).mean() > 0.1


@pytest.mark.parametrize("shape", [(32, 32), (45, 35), (20, 64)])
def test_a_mask_is_cut_like_its_image(shape):
    ramp = np.add.outer(np.arange(90), np.arange(70)).astype(np.uint8)
    image = fit_image(Image.fromarray(ramp), (*shape, 1))[..., 0]
    # Bicubic smooths and nearest jumps: a ramp tells a shift from that.
    difference = image.astype(float) - fit_mask(ramp, shape)
    inner = difference[3:-3, 3:-3]
    assert abs(inner.mean()) < 0.6
    assert np.abs(inner).max() <= 90 / min(shape) + 1.5


def break_missing_mask(folder):
    (folder / "masks" / "3.png").unlink()
    (folder / "masks" / "7.png").unlink()
    return r"images/3.png' \(and 1 more\) has no mask '.*masks/3"


def break_missing_image(folder):
    (folder / "images" / "3.png").unlink()
    return r"masks/3.png' has no image '.*images/3"


def break_size(folder):
    write(folder / "masks" / "3.png", np.zeros((8, 6)))
    return "masks/3.png' has 6x8 pixels, and its image '.*images/3.png' has 8x6"


def break_range(folder):
    (folder / "classes.txt").write_text("a\nb\n")
    return "masks/2.png' has the label 2 at row 0, column 1: 2 classes allow 0 to 1"


def break_mask_file(folder):
    (folder / "masks" / "3.png").write_bytes(b"no image")
    return "masks/3.png' cannot be read as an image"


def break_image_file(folder):
    (folder / "images" / "3.png").write_bytes(b"no image")
    return "images/3.png' cannot be read as an image"


def break_palette(folder):
    write(folder / "masks" / "3.png", np.zeros((6, 8, 3)))
    return r"masks/3.png' is a colored mask \(RGB\), and there is no palette.txt"


def break_color(folder):
    write(folder / "masks" / "3.png", np.full((6, 8, 3), (1, 130, 4)))
    (folder / "palette.txt").write_text("a 0 128 0\nignore 9 9 9\nb 0 0 0\nc 0 0 7\n")
    return "has the color 1 130 4 at row 0, column 0, .* nearest there is 0 128 0, a"


def break_own_colors(folder):
    image = Image.fromarray(np.eye(6, 8, dtype=np.uint8))
    image.putpalette([0, 0, 7, 0, 128, 0])
    image.save(folder / "masks" / "3.png")
    (folder / "palette.txt").write_text("a 0 128 0\nb 0 0 7\nc 1 1 1\n")
    return r"masks/3.png' is indexed, and its values \[0, 1\] are other .* \[1, 0\]"


def break_jpeg(folder):
    (folder / "masks" / "3.png").unlink()
    write(folder / "masks" / "3.jpg", np.zeros((6, 8)))
    return "masks/3.jpg' is a JPEG, which blurs labels"


def break_twice(folder):
    write(folder / "images" / "3.bmp", np.zeros((6, 8)))
    return "3.bmp' and '.*3.png' have the same name"


def break_names(folder):
    (folder / "classes.txt").write_text("a\nb\na\n")
    return "classes.txt, line 3: the class 'a' is there already"


def break_both(folder):
    (folder / "classes.txt").write_text("a\nb\nc\n")
    (folder / "palette.txt").write_text("a 0 0 0\n")
    return "both palette.txt and classes.txt"


def break_layout(folder):
    (folder / "train").mkdir()
    return r"images or masks of its own beside the splits \['train'\]"


def break_folder(folder):
    (folder / "masks").rename(folder / "labels")
    return "There is no folder .*masks: segmentation needs images and masks"


BREAKAGES = [value for name, value in list(globals().items()) if name.startswith("break_")]


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda f: f.__name__.removeprefix("break_"))
def test_a_mistake_is_named_with_its_file_before_training(tmp_path, breakage):
    write_pairs(tmp_path)
    words = breakage(tmp_path)
    assert re.search(words, refused(tmp_path))


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a 0 0", "line 1: 'a 0 0' is not 'NAME R G B'"),
        ("a 0 0 256", "line 1: 'a 0 0 256'"),
        ("1 2 3", "line 1: '1 2 3'"),
        ("a 0 0 -1", "line 1: 'a 0 0 -1'"),
        ("a 0 0 0\nb 0 0 0", "line 2: the color 0 0 0 is there already"),
        ("ignore 0 0 0", "names 0 classes"),
    ],
)
def test_a_palette_that_cannot_be(tmp_path, line, words):
    (tmp_path / "palette.txt").write_text(line)
    with pytest.raises(UserError, match=words):
        read_classes(tmp_path)


def test_masks_of_0_and_255(tmp_path):
    """A common way to save two classes, of which one would be ignored."""
    for number in range(4):
        write(tmp_path / "images" / f"{number}.png", np.zeros((6, 8)))
        write(tmp_path / "masks" / f"{number}.png", np.eye(6, 8) * 255)
    assert "no labels but 0, so there is nothing to tell apart (255 is ignored" in refused(tmp_path)


def test_16_bit_labels_and_1_bit_masks(tmp_path):
    Image.fromarray(np.array([[0, 1], [2, 255]], np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(
        read_mask(tmp_path / "a.png", MaskClasses()), [[0, 1], [2, IGNORE]]
    )
    Image.fromarray(np.array([[0, 1], [2, 300]], np.uint16)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match="label 300 at row 1, column 1: 255 classes"):
        read_mask(tmp_path / "b.png", MaskClasses())
    Image.fromarray(np.array([[False, True]])).save(tmp_path / "c.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "c.png", MaskClasses()), [[0, 1]])


def test_the_other_task_is_named(tmp_path):
    write_pairs(tmp_path / "both")
    with pytest.raises(UserError, match=r"set --config\.task=segmentation to learn the masks"):
        load(f"folder:{tmp_path / 'both'}")
    write(tmp_path / "classes" / "cat" / "0.png", np.zeros((4, 4)))
    assert "neither images/ and masks/ nor train/images/" in refused(tmp_path / "classes")
    assert "there is no such folder" in refused(tmp_path / "nowhere")


def test_a_single_pair_cannot_be_split(tmp_path):
    write_pairs(tmp_path, 1)
    (tmp_path / "classes.txt").write_text("a\n")
    assert "a single image left" in refused(tmp_path)
