"""Folders of images and masks, well formed and not."""

import re
import sys

import numpy as np
import pytest
from PIL import Image

from cnnlab.data import IGNORE, ArraySource, load
from cnnlab.data.describe import describe
from cnnlab.data.geometry.pixels import place_labels, place_pixels
from cnnlab.data.geometry.placement import Geometry
from cnnlab.data.mask_file import MaskClasses, read_classes, read_mask
from cnnlab.data.sources.mask_folder import MaskFolderSource
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
    assert dataset.info.num_examples == {"train": 15, "test": 4, "validation": 1}
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
    monkeypatch.setattr(sys.modules["cnnlab.data.cache"], "MAX_BYTES", 0)
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
    # 90x70 pixels become 32x24, and what is around them is ignored.
    assert set(np.unique(labels)) == {0, 1, 255}
    assert (labels != 255).sum(axis=(1, 2)).tolist() == [32 * 24] * len(labels)
    disagree = ((images > 100) != (labels == 1)) & (labels != 255)
    assert disagree.mean() < 0.02
    assert (labels == 1).mean() > 0.08


@pytest.mark.parametrize("shape", [(32, 32), (45, 35), (20, 64)])
def test_a_mask_is_cut_like_its_image(shape):
    ramp = np.add.outer(np.arange(90), np.arange(70)).astype(np.uint8)
    placement = Geometry().place(ramp.shape, shape)
    image = place_pixels(ramp[..., None], placement, 1)[..., 0]
    # Bicubic smooths and nearest jumps: a ramp tells a shift from that.
    difference = image.astype(float) - place_labels(ramp, placement)
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


def test_masks_with_nothing_to_tell_apart(tmp_path):
    for number in range(4):
        write(tmp_path / "images" / f"{number}.png", np.zeros((6, 8)))
        write(tmp_path / "masks" / f"{number}.png", np.zeros((6, 8)))
    assert "are 0 (background) at every pixel: there is nothing to learn" in refused(tmp_path)
    for number in range(4):
        write(tmp_path / "masks" / f"{number}.png", np.eye(6, 8) * 255)
    (tmp_path / "classes.txt").write_text("a\nb\n")
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
    with pytest.raises(UserError, match="set task=segmentation to learn the masks"):
        load(f"folder:{tmp_path / 'both'}")
    write(tmp_path / "classes" / "cat" / "0.png", np.zeros((4, 4)))
    assert "neither images/ and masks/ nor train/images/" in refused(tmp_path / "classes")
    assert "there is no such folder" in refused(tmp_path / "nowhere")


def test_a_single_pair_cannot_be_split(tmp_path):
    write_pairs(tmp_path, 1)
    (tmp_path / "classes.txt").write_text("a\n")
    assert "a single image left" in refused(tmp_path)


def write_values(folder, *masks):
    """A pair of files for each mask, given by the values of its halves; twelve of each."""
    for number, values in enumerate(masks * 12):
        pixels = np.repeat(np.array(values), 4)[None].repeat(6, 0)
        write(folder / "images" / f"{number:03}.png", np.full(pixels.shape, number))
        write(folder / "masks" / f"{number:03}.png", pixels)


def test_gray_masks_of_0_and_255_are_background_and_foreground(tmp_path):
    write_values(tmp_path, (0, 255), (0, 0))
    dataset = loaded(tmp_path)
    assert dataset.info.class_names == ("background", "foreground")
    assert set(np.unique(dataset.splits["train"].labels)) == {0, 1}
    shares = np.array(dataset.info.class_counts["train"])
    assert 0.1 < shares[1] / shares.sum() < 0.4 and dataset.info.ignored["train"] == 0
    assert "2 classes: background " in describe(dataset)[0]


def test_a_palette_gives_meaning_to_gray_values(tmp_path):
    write_values(tmp_path, (0, 255), (0, 128))
    (tmp_path / "palette.txt").write_text("sky 0 0 0\ncell 255 255 255\nignore 128 128 128\n")
    dataset = loaded(tmp_path)
    assert dataset.info.class_names == ("sky", "cell")
    assert set(np.unique(dataset.splits["train"].labels)) == {0, 1, IGNORE}


def test_a_gray_value_that_the_palette_lacks(tmp_path):
    write_values(tmp_path, (0, 255), (0, 7))
    (tmp_path / "palette.txt").write_text("sky 0 0 0\ncell 255 255 255\n")
    assert "has the value 7 at row 0, column 4, and the classes have the values 0, 255" in refused(
        tmp_path
    )


def test_masks_of_both_kinds_are_refused(tmp_path):
    write_values(tmp_path, (0, 1), (0, 255))
    text = refused(tmp_path)
    assert "000.png' has the values 0 and 1, and '" in text and "001.png' 0 and 255" in text
    (tmp_path / "classes.txt").write_text("background\ncell\n")
    assert loaded(tmp_path).info.class_names == ("background", "cell")


@pytest.mark.parametrize(
    ("masks", "shown"),
    [
        ([(0, 128)], "0, 128"),
        ([(0, 127), (0, 254)], "0, 127, 254"),
        ([(0, 37), (74, 111)], "0, 37, 74, 111"),
        ([(0, 1), (0, 3)], "0, 1, 3"),
    ],
)
def test_values_with_gaps_are_refused(tmp_path, masks, shown):
    write_values(tmp_path, *masks)
    text = refused(tmp_path)
    assert f"have the values {shown}, which are no labels without gaps" in text
    assert "classes.txt if there are" in text


def test_named_classes_may_have_gaps(tmp_path):
    write_values(tmp_path, (0, 2))
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert loaded(tmp_path).info.class_names == ("a", "b", "c")


@pytest.mark.parametrize(
    ("masks", "kind"),
    [
        ([range(5), range(8), range(12)], "numbers of instances"),
        ([range(200), range(200)], "200 different ones"),
    ],
)
def test_instance_numbers_and_noise_are_no_classes(tmp_path, masks, kind):
    for number in range(12):
        values = np.resize(list(masks[number % len(masks)]), (10, 20))
        write(tmp_path / "images" / f"{number}.png", values)
        write(tmp_path / "masks" / f"{number}.png", values)
    text = refused(tmp_path)
    assert f"have the values 0, 1, 2, 3, 4, 5, 6, 7, ..., {kind} rather than" in text
    names = "\n".join(f"class {number}" for number in range(200))
    (tmp_path / "classes.txt").write_text(names)
    assert loaded(tmp_path).info.num_classes == 200


@pytest.mark.parametrize(
    ("values", "names", "said"),
    [
        ((0, 255), None, "'background'"),
        ((0, 1), None, "'0', the background,"),
        ((0, 2), "sky\ncell\nrim", "'sky'"),
    ],
)
def test_masks_that_are_all_background_are_named(tmp_path, values, names, said):
    write_values(tmp_path, values, values, (0, 0))
    if names:
        (tmp_path / "classes.txt").write_text(names)
    note = loaded(tmp_path).notes[0]
    count = len(list((tmp_path / "masks").iterdir()))
    empty = [f"'{tmp_path}/masks/{number:03}.png'" for number in range(2, count, 3)]
    more = f" and {len(empty) - 8} more" if len(empty) > 8 else ""
    shown = ", ".join(empty[:8])
    assert note == f"{len(empty)} of {count} masks are {said} at every pixel: {shown}{more}."
    assert note in describe(loaded(tmp_path))


def test_masks_with_a_suffix(tmp_path):
    write_pairs(tmp_path)
    for number in range(10):
        mask = tmp_path / "masks" / f"{number}.png"
        mask.rename(mask.with_stem(f"{number}_mask"))
    hint = "if masks are named '0_mask', set data.mask_suffix=_mask."
    assert refused(tmp_path).endswith(hint)
    write(tmp_path / "masks" / "0_color.png", np.zeros((2, 2)))
    dataset = loaded(tmp_path, mask_suffix="_mask")
    assert dataset.info.left_out == {"without _mask": 1}
    assert_pairs(dataset.splits["train"])
    assert "whose names end with _seg" in refused(tmp_path, mask_suffix="_seg")
    (tmp_path / "masks" / "3_mask.png").unlink()
    assert "3.png' has no mask" in (text := refused(tmp_path, mask_suffix="_mask"))
    assert "masks/3_mask.*'" in text


def test_names_pair_in_either_unicode_form(tmp_path):
    write_pairs(tmp_path)
    for kind, name in (("images", "caf\u00e9"), ("masks", "cafe\u0301")):
        path = tmp_path / kind / "0.png"
        path.rename(path.with_stem(name))
    paths = loaded(tmp_path).paths
    assert "images/caf\u00e9.png" in {path for split in paths.values() for path in split}
