"""Files of every kind, through every path that reads images: the right pixels, or a sentence."""

import json
import os

import numpy as np
import pytest
import tifffile
from PIL import Image

from cnnlab.cli.main import main
from cnnlab.data import load
from cnnlab.data.image import PixelInfo, inspect_image, read_image, read_pixels
from cnnlab.data.sources.folder import FolderSource
from cnnlab.data.sources.tfds import TfdsSource
from cnnlab.errors import UserError
from tests.data.tfds_records import RecordList

SHAPE = (5, 7)
RAMP = np.arange(35).reshape(SHAPE)
TYPES = ("bool", "uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32",
         "float64")  # fmt: skip
HELD = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}


def values(dtype, channels=None):
    """Pixels of a type that use the range which others would lose, [height, width(, channels)]."""
    ramp = RAMP if channels is None else RAMP[..., None] + 40 * np.arange(channels)
    if dtype == "bool":
        return ramp % 2 == 1
    if dtype.startswith("float"):
        return (ramp / 64 - 0.25).astype(dtype)
    limits = np.iinfo(dtype)
    spread = {"uint8": 1, "int8": 1, "uint16": 80, "int16": 40, "uint32": 20_000, "int32": 20_000}
    pixels = ramp.astype(np.int64) * spread[dtype] - (300 if limits.min < -300 else 0)
    return (pixels % (limits.max + 1)).astype(dtype) if dtype == "int8" else pixels.astype(dtype)


def held(pixels):
    """What is expected of pixels in the type of a file."""
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    return pixels.astype(HELD.get(str(pixels.dtype), "float32"))


def tiff(pixels, **options):
    return lambda path: tifffile.imwrite(path, pixels, **options)


def pillow(pixels, mode=None, **options):
    def save(path):
        image = Image.fromarray(pixels)
        (image if mode is None else image.convert(mode)).save(path, **options)

    return save


GOOD = {}
for name in TYPES:
    # What a file of 1 bit says is black and white.
    scale = 255 if name == "bool" else 1
    GOOD[f"{name}.tif"] = tiff(values(name), photometric="minisblack"), held(values(name)) * scale
    GOOD[f"deflated_{name}.tif"] = (
        tiff(values(name), photometric="minisblack", compression="zlib"), held(values(name)) * scale
    )  # fmt: skip
    for channels in (None, 1, 2, 3, 4, 7, 16):
        pixels = values(name, channels)
        GOOD[f"{name}_{channels}.npy"] = lambda path, x=pixels: np.save(path, x), held(pixels)
for name in ("uint8", "uint16", "int16", "float32"):
    for channels in (2, 3, 4, 5, 16):
        pixels = values(name, channels)
        photometric = "rgb" if channels == 3 else "minisblack"
        GOOD[f"{name}_{channels}.tif"] = (
            tiff(pixels, photometric=photometric, planarconfig="contig"), held(pixels)
        )  # fmt: skip
        GOOD[f"planes_{name}_{channels}.tif"] = (
            tiff(np.moveaxis(pixels, 2, 0), photometric=photometric, planarconfig="separate"),
            held(pixels),
        )
pixels = values("uint16", 3)
GOOD["imagej.tif"] = tiff(np.moveaxis(pixels, 2, 0), imagej=True, metadata={"axes": "CYX"}), pixels
COLOR = (values("uint8", 3).astype(int) * 7 % 256).astype(np.uint8)
GRAY = COLOR[..., :1]
WHITE = np.full((*SHAPE, 3), 255, np.uint8)
MARKER = np.dstack([COLOR, RAMP * 7]).astype(np.uint8)
TRANSPARENT = np.dstack([COLOR, np.where(RAMP % 2, 255, 0)]).astype(np.uint8)
ON_WHITE = np.where((RAMP % 2 == 1)[..., None], COLOR, WHITE)
GOOD |= {
    "marker.tif": (tiff(MARKER, photometric="rgb", extrasamples=["unspecified"]), MARKER),
    "alpha.tif": (tiff(TRANSPARENT, photometric="rgb", extrasamples=["unassalpha"]), ON_WHITE),
    "gray.png": (pillow(GRAY[..., 0]), GRAY),
    "color.png": (pillow(COLOR), COLOR),
    "alpha.png": (pillow(TRANSPARENT), ON_WHITE),
    "bits.png": (pillow(RAMP % 2 == 1), np.where(RAMP % 2, 255, 0).astype(np.uint8)[..., None]),
    "16.png": (pillow(values("uint16")), values("uint16")[..., None]),
    "gray.bmp": (pillow(GRAY[..., 0]), GRAY),
    "color.bmp": (pillow(COLOR), COLOR),
    "color.webp": (pillow(COLOR, lossless=True), COLOR),
    "alpha.webp": (pillow(TRANSPARENT, lossless=True, exact=True), ON_WHITE),
    "color.ppm": (pillow(COLOR), COLOR),
    "gray.pgm": (pillow(GRAY[..., 0]), GRAY),
    "palette.png": (pillow(COLOR // 128 * 255, "P", palette=Image.Palette.WEB),
                    COLOR // 128 * 255),
    "palette.gif": (pillow(COLOR // 128 * 255, "P", palette=Image.Palette.WEB),
                    COLOR // 128 * 255),
    "lzw.tif": (pillow(COLOR, compression="tiff_lzw"), COLOR),
    "palette.tif": (pillow(COLOR // 128 * 255, "P", palette=Image.Palette.WEB),
                    COLOR // 128 * 255),
}  # fmt: skip


def stored(pixels, orientation):
    """How a camera that was turned would store pixels (EXIF 2.3, tag 274)."""
    turn = {
        1: lambda x: x, 2: np.fliplr, 3: lambda x: np.rot90(x, 2), 4: np.flipud,
        5: lambda x: x.swapaxes(0, 1), 6: lambda x: np.rot90(x, 1),
        7: lambda x: np.rot90(x, 2).swapaxes(0, 1), 8: lambda x: np.rot90(x, -1),
    }  # fmt: skip
    return np.ascontiguousarray(turn[orientation](pixels))


BLOCKS = np.kron(COLOR[:2, :3] // 64 * 64, np.ones((16, 16, 1), np.uint8))
for orientation in range(1, 9):
    exif = Image.Exif()
    exif[274] = orientation
    for suffix, options in (
        ("png", {}), ("webp", {"lossless": True}), ("tif", {}),
        ("jpg", {"quality": 100, "subsampling": 0}), ("jfif", {"quality": 100, "subsampling": 0}),
    ):  # fmt: skip
        turned = stored(BLOCKS, orientation)
        if suffix == "jfif":
            options = options | {"format": "JPEG"}
        GOOD[f"turned{orientation}.{suffix}"] = pillow(turned, exif=exif, **options), BLOCKS
    for kind, turned in (("deep", values("uint16", 3)), ("five", values("float32", 5))):
        tag = [(274, "H", 1, orientation, True)]
        photometric = "rgb" if kind == "deep" else "minisblack"
        GOOD[f"{kind}{orientation}.tif"] = (
            tiff(
                stored(turned, orientation),
                photometric=photometric,
                planarconfig="contig",
                extratags=tag,
            ),
            turned,
        )  # fmt: skip


def make(path, save):
    save(path)
    return path


def by_header(path, expected):
    return inspect_image(path)


def by_path(path, expected):
    return read_pixels(path)


def by_bytes(path, expected):
    """As a data set of TFDS is read."""
    records = [{"image": path.read_bytes(), "label": 0}]
    source = TfdsSource(
        RecordList(records), "image", "label", expected.shape, 1, str(expected.dtype)
    )
    return source[0]["image"]


def by_files(path, expected):
    """As `features` and streamed folders are read."""
    source = FolderSource([path], np.zeros(1, int), expected.shape, str(expected.dtype))
    return source.read_many(np.array([0]))[0][0]


def by_prediction(path, expected):
    info = inspect_image(path)
    return read_image(path, (info.height, info.width, expected.shape[2]), str(expected.dtype))


PATHS = (by_path, by_bytes, by_files, by_prediction)


@pytest.mark.parametrize("name", GOOD)
def test_the_right_pixels_by_every_path(tmp_path, name):
    save, expected = GOOD[name]
    path = make(tmp_path / name, save)
    assert inspect_image(path) == PixelInfo(*expected.shape, str(expected.dtype))
    tolerance = 2 if name.endswith(("jpg", "jfif")) else 0
    for read in PATHS:
        found = read(path, expected)
        assert found.shape == expected.shape and found.dtype == expected.dtype, read
        np.testing.assert_allclose(
            found.astype(float), expected.astype(float), rtol=0, atol=tolerance
        )


@pytest.mark.parametrize("name", ["uint16.tif", "int16_5.tif", "float32_7.npy", "color.png",
                                  "turned6.tif", "deep8.tif"])  # fmt: skip
def test_folders_read_the_same(tmp_path, name):
    save, expected = GOOD[name]
    for label in "ab":
        (tmp_path / label).mkdir()
        for index in range(4):
            make(tmp_path / label / f"{index}_{name}", save)
    dataset = load(f"folder:{tmp_path}", validation_fraction=0)
    assert dataset.info.image_shape == expected.shape
    assert dataset.info.dtype == str(expected.dtype)
    for source in dataset.splits.values():
        for image in source.images:
            np.testing.assert_array_equal(image, expected)
    if dataset.info.dtype != "uint8":
        assert dataset.info.value_range == (expected.min(), expected.max())


BROKEN = {
    f"{kind}.{suffix}": content
    for suffix in ("png", "jpg", "tif", "webp", "gif", "bmp", "npy")
    for kind, content in (("text", b"no image"), ("empty", b""), ("random", bytes(range(256))))
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_is_no_image(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(BROKEN[name])
    for read in (by_header, *PATHS):
        with pytest.raises(UserError, match="it is corrupt, or no image"):
            read(path, GRAY)
    with pytest.raises(UserError, match=r"^'example 3' cannot be read as an image"):
        read_pixels(BROKEN[name], name="example 3")


@pytest.mark.parametrize("name", ["color.png", "turned1.jpg", "uint16.tif", "uint16_5.tif",
                                  "color.webp", "color.bmp", "uint16_3.npy", "lzw.tif",
                                  "deflated_float32.tif"])  # fmt: skip
@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
def test_what_is_cut_off(tmp_path, name, share):
    """Where the pixels that are missing can be told."""
    path = make(tmp_path / name, GOOD[name][0])
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    try:
        found = read_pixels(path)
    except UserError as error:
        assert str(error).endswith(".") and "\n" not in str(error)
    else:
        np.testing.assert_allclose(found.astype(float), GOOD[name][1].astype(float), atol=2)


STACK = np.zeros((6, *SHAPE), np.uint16)
REFUSED = {
    "stack.tif": (tiff(STACK, photometric="minisblack"), "has 6 pages of 5x7 pixels"),
    "colored_stack.tif": (tiff(np.zeros((4, *SHAPE, 3), np.uint8), photometric="rgb"),
                          "has 4 pages of 5x7 pixels"),
    "depth.tif": (tiff(STACK, imagej=True, metadata={"axes": "ZYX"}), "has 6 pages of 5x7"),
    "many.tif": (tiff(np.zeros((*SHAPE, 17), np.uint8), photometric="minisblack",
                      planarconfig="contig"), "has 17 channels, and at most 16 are read"),
    "complex.tif": (tiff(np.zeros(SHAPE, np.complex64)), "pixels of type complex64"),
    "nan.tif": (tiff(np.full(SHAPE, np.nan, np.float32)), "pixels that are not finite"),
    "infinite.npy": (lambda path: np.save(path, np.full(SHAPE, np.inf)), "are not finite"),
    "many.npy": (lambda path: np.save(path, np.zeros((*SHAPE, 17))), "has 17 channels"),
    "vector.npy": (lambda path: np.save(path, np.zeros(3)), r"has float64 \[3\]"),
    "volume.npy": (lambda path: np.save(path, np.zeros((2, 3, 4, 5))), r"float64 \[2, 3, 4, 5\]"),
    "nothing.npy": (lambda path: np.save(path, np.zeros((0, 4))), r"has float64 \[0, 4\]"),
    "words.npy": (lambda path: np.save(path, np.array([["a"]])), r"has <U1 \[1, 1\]"),
    "pickle.npy": (lambda path: np.save(path, np.array([[{}]]), allow_pickle=True), "is corrupt"),
    "folder.png": (lambda path: path.mkdir(), "is a folder, and should be an image"),
    "pipe.png": (os.mkfifo, "is no file, but a pipe, socket or device"),
    "missing.png": (lambda path: None, "There is no image"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(tmp_path, name):
    save, sentence = REFUSED[name]
    path = make(tmp_path / name, save)
    # In a record of TFDS there are bytes, and no folders, pipes or arrays of NumPy's.
    in_records = path.is_file() and path.suffix != ".npy"
    for read in PATHS if in_records else (by_path, by_files, by_prediction):
        with pytest.raises(UserError, match=sentence) as caught:
            read(path, np.zeros((*SHAPE, 1), np.float32))
        assert str(caught.value).endswith(".") and "\n" not in str(caught.value)


def test_a_large_image_is_read_and_a_bomb_is_refused(tmp_path, monkeypatch):
    pixels = np.zeros((14_000, 14_000), bool)
    Image.fromarray(pixels).save(tmp_path / "large.png")
    assert inspect_image(tmp_path / "large.png") == (14_000, 14_000, 1, "uint8")
    assert read_image(tmp_path / "large.png", (8, 8, 1)).shape == (8, 8, 1)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(UserError, match="has more than 2,000 pixels, which no image should have"):
        read_pixels(tmp_path / "large.png")


def test_mixed_types_and_channels_in_a_folder(tmp_path):
    for label, name in (("a", "uint8.tif"), ("b", "uint16.tif")):
        (tmp_path / label).mkdir()
        for index in range(4):
            make(tmp_path / label / f"{index}_{name}", GOOD[name][0])
    with pytest.raises(UserError, match=r"has 1 channel of uint8, and .* 1 channel of uint16"):
        load(f"folder:{tmp_path}")


def test_an_image_of_another_type_than_the_run_is_refused(tmp_path):
    path = make(tmp_path / "a.tif", GOOD["uint16.tif"][0])
    with pytest.raises(UserError, match="has uint16 pixels, and the data set uint8"):
        read_image(path, (5, 7, 1))
    path = make(tmp_path / "five.tif", GOOD["uint8_5.tif"][0])
    with pytest.raises(UserError, match="has 5 channels, and the data set 3"):
        read_image(path, (5, 7, 3))


@pytest.mark.parametrize("name", ["uint16.tif", "float32_5.tif", "int16_2.tif"])
def test_deep_images_are_resized_without_loss_of_range(tmp_path, name):
    path = make(tmp_path / name, GOOD[name][0])
    expected = GOOD[name][1]
    found = read_image(path, (10, 14, expected.shape[2]), str(expected.dtype))
    assert found.dtype == expected.dtype
    inner = found[2:-2, 2:-2].astype(float).mean((0, 1))
    np.testing.assert_allclose(inner, expected[1:-1, 1:-1].astype(float).mean((0, 1)), rtol=0.01)


# The same pixels in other files: a photograph turned in eight ways by a camera, and other formats.
SAME = {
    **{
        f"turned{turn}.{suffix}": BLOCKS
        for turn in range(1, 9)
        for suffix in ("png", "webp", "tif")
    },
    "blocks.bmp": BLOCKS,
    "blocks.ppm": BLOCKS,
    "blocks_lzw.tif": BLOCKS,
    "blocks.npy": BLOCKS,
    "blocks_alpha.png": BLOCKS,
}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A network that has been trained for a step on such pixels, and files of the same pixels."""
    folder = tmp_path_factory.mktemp("same")
    opaque = np.full((*BLOCKS.shape[:2], 1), 255, np.uint8)
    saves = {
        "blocks.bmp": pillow(BLOCKS),
        "blocks.ppm": pillow(BLOCKS),
        "blocks_lzw.tif": pillow(BLOCKS, compression="tiff_lzw"),
        "blocks.npy": lambda path: np.save(path, BLOCKS),
        "blocks_alpha.png": pillow(np.dstack([BLOCKS, opaque])),
    }
    (folder / "files").mkdir()
    for name in SAME:
        make(folder / "files" / name, saves[name] if name in saves else GOOD[name][0])
    for label, pixels in {"a": BLOCKS, "b": 255 - BLOCKS}.items():
        (folder / "data" / label).mkdir(parents=True)
        for index in range(6):
            Image.fromarray(pixels).save(folder / "data" / label / f"{index}.png")
    settings = {"data.name": f"folder:{folder}/data", "epochs": "none", "steps": 1, "batch_size": 4,
                "num_devices": 1, "model.options.hidden": "(6,)"}  # fmt: skip
    config = [f"--config.{name}={value}" for name, value in settings.items()]
    command = ["train", "--config=mlp_digits", *config, f"--workdir={folder}/run"]
    assert main(["launch.py", *command]) == 0
    return folder


def test_commands_see_the_same_pixels(run, capsys):
    """`predict` and `features` say the same of each file; `analyze` looks at one."""
    files = [str(run / "files" / name) for name in SAME]
    workdir = f"--workdir={run}/run"
    capsys.readouterr()
    assert main(["launch.py", "predict", workdir, "--json", *files]) == 0
    printed = capsys.readouterr().out.strip().splitlines()[-1]
    first, *others = [entry["top"] for entry in json.loads(printed)["predictions"]]
    assert len(others) == len(SAME) - 1
    assert all(other == first for other in others)
    assert main(["launch.py", "features", workdir, f"--out={run}/x.npz", *files]) == 0
    with np.load(run / "x.npz") as features:
        assert features["embedding"].shape[0] == len(SAME)
        np.testing.assert_array_equal(
            features["embedding"], features["embedding"][:1].repeat(len(SAME), 0)
        )


@pytest.mark.parametrize("name", ["text.png", "empty.tif", "random.jpg", "stack.tif", "nan.tif",
                                  "missing.png", "many.tif", "uint16_3.tif"])  # fmt: skip
def test_commands_refuse_in_one_sentence(run, tmp_path, capsys, name):
    path = tmp_path / name
    if name in BROKEN:
        path.write_bytes(BROKEN[name])
    else:
        make(path, (REFUSED.get(name) or GOOD[name])[0])
    workdir = f"--workdir={run}/run"
    out = tmp_path / "x.npz"
    for command in (["predict"], ["features", f"--out={out}"], ["analyze", "integrated_gradients"]):
        assert main(["launch.py", *command, workdir, str(path)]) == 1
        *notes, error = capsys.readouterr().err.splitlines()  # how data and image were understood
        assert error.startswith("error: ") and name in error
        assert not any("error" in note or "Traceback" in note for note in notes)
    assert not out.exists()
