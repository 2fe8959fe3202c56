"""Image files that ordinary packages carry, read and trained on.

Reads every image that scikit-image, scikit-learn and matplotlib install, and compares the pixels
with Pillow's. Then makes small data sets of some of them and of nilearn's brain, in layouts and
pixel types that people have, and trains a network on each. Prints the lines of docs/data.md.

    pip install nilearn
    python benchmarks/real_files.py --folder=/tmp/real_files
"""

import argparse
import csv
import time
from pathlib import Path

import matplotlib
import numpy as np
import skimage
import sklearn
import tifffile
from PIL import Image
from skimage.color import rgb2hed
from skimage.filters import gaussian, threshold_otsu

from cnnlab.config import Config, apply_overrides
from cnnlab.data.image import EXTENSIONS, read_pixels
from cnnlab.errors import UserError
from cnnlab.train import fit

SKIMAGE = Path(skimage.__file__).parent / "data"
SKLEARN = Path(sklearn.__file__).parent / "datasets" / "images"
MATPLOTLIB = Path(matplotlib.get_data_path()) / "sample_data"


def image_files():
    """Every image file of the three packages."""
    folders = (SKIMAGE, SKLEARN, MATPLOTLIB)
    return [path for f in folders for path in sorted(f.iterdir()) if path.suffix in EXTENSIONS]


def read_all():
    """Path and pixels of each file, or the sentence that refuses it."""
    for path in image_files():
        try:
            yield path, read_pixels(path)
        except UserError as error:
            yield path, str(error)


def expected(path):
    """Pixels as Pillow has them, transparency on white; None where it cannot read the file."""
    with Image.open(path) as image:
        if image.mode in ("RGBA", "LA", "P"):
            white = Image.new("RGBA", image.size, "white")
            image = Image.alpha_composite(white, image.convert("RGBA")).convert("RGB")
        pixels = np.asarray(image)
    return pixels if pixels.ndim == 3 else pixels[:, :, None]


def textures(folder):
    """Brick, grass and gravel: patches as PNG in folders of classes, named by their strip."""
    for name in ("brick", "grass", "gravel"):
        image = np.asarray(Image.open(SKIMAGE / f"{name}.png"))
        for strip in range(8):
            for column in range(8):
                patch = image[64 * strip :, 64 * column :][:64, :64]
                write(folder / name / f"strip{strip}_{column}.png", patch)
    return {"data.name": f"folder:{folder}", "data.group_by": "strip[0-9]"}


def photographs(folder):
    """scikit-learn's two photographs: patches as JPEG, listed with their labels in a table."""
    rows = []
    for name in ("china", "flower"):
        image = np.asarray(Image.open(SKLEARN / f"{name}.jpg"))
        for row in range(6):
            for column in range(10):
                path = f"row{row}/{name}{column}.jpg"
                write(folder / path, image[64 * row :, 64 * column :][:64, :64])
                rows.append((path, name))
    with (folder / "patches.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "label"), *rows])
    return {"data.name": f"folder:{folder}/patches.csv", "data.group_by": "1"}


def microscopy(folder, kind):
    """Immunohistochemistry of a colon: tiles, and masks of the brown stain as 0 and 255."""
    image = np.asarray(Image.open(SKIMAGE / "ihc.png"))
    stain = gaussian(rgb2hed(image)[:, :, 2], 2)
    mask = 255 * (stain > threshold_otsu(stain))
    for row in range(8):
        for column in range(8):
            at = np.s_[64 * row : 64 * row + 64, 64 * column : 64 * column + 64]
            name, tile = f"{row}{column}", image[at]
            write(folder / "masks" / f"{name}_mask.png", mask[at].astype(np.uint8))
            if kind == "uint8 PNG":
                write(folder / "images" / f"{name}.png", tile)
                continue
            path = folder / "images" / f"{name}.tif"
            path.parent.mkdir(parents=True, exist_ok=True)
            deep = tile * np.uint16(257) if kind == "uint16 TIFF" else np.float32(tile / 255)
            tifffile.imwrite(path, deep, photometric="rgb")
    # Files of other types have other endings: held out by their numbers, the splits are the same.
    number = "/([0-9]+)[.]"
    return {
        "data.name": f"folder:{folder}", "data.mask_suffix": "_mask", "data.group_by": number
    }  # fmt: skip


def brain(folder):
    """MNI brain of nilearn: every third axial slice, gray and white matter, blocks of 15 mm."""
    import nibabel  # comes with nilearn
    import nilearn

    place = Path(nilearn.__file__).parent / "datasets" / "data"
    volumes = [
        np.asanyarray(
            nibabel.load(place / f"mni_icbm152_{kind}_tal_nlin_sym_09a_converted.nii.gz").dataobj
        )[2:194:2, 4:228:2]
        for kind in ("t1", "gm", "wm")
    ]
    for number in range(30, 150, 3):
        head, gray, white = (volume[:, :, number] for volume in volumes)
        mask = np.where(white > 127, 2, np.where(gray > 127, 1, 0)).astype(np.uint8)
        name = f"block{number // 15}_{number:03}.png"
        write(folder / "images" / name, head)
        write(folder / "masks" / name, mask)
    (folder / "classes.txt").write_text("background\ngray matter\nwhite matter\n")
    return {"data.name": f"folder:{folder}", "data.group_by": "block[0-9]+"}


def write(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **({"quality": 95} if path.suffix == ".jpg" else {}))


CLASSIFIER = {
    "steps": 600,
    "model.name": "lenet",
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.001,
}
SEGMENTER = {
    "steps": 150,
    "task": "segmentation",
    "model.name": "unet_bn",
    "model.options.width": 8,
    "model.options.levels": 3,
    "optimizer.name": "adam",
    "optimizer.learning_rate": 0.003,
}


def train(name, folder, data, network):
    """Trains on a set and returns a row of the table."""
    fields = {"epochs": None, "batch_size": 16, "log_every_steps": 50}
    config = apply_overrides(Config(), fields | {"evaluation.every_epochs": 15.0} | data | network)
    start = time.perf_counter()
    result = fit(config, folder)
    score = "miou" if config.task == "segmentation" else "accuracy"
    seconds = time.perf_counter() - start
    words = {"miou": "mean IoU", "accuracy": "accuracy"}[score]
    return f"| {name} | {words} {100 * result['test'][score]:.1f} % | {seconds:.0f} s |"


def main():
    """Prints what was read and the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--folder", type=Path, required=True, help="of the sets and runs; new")
    options = parser.parse_args()
    data, runs = options.folder / "data", options.folder / "runs"
    found = list(read_all())
    same = [path for path, pixels in found if not isinstance(pixels, str)
            and np.array_equal(pixels, expected(path))]  # fmt: skip
    refused = [(path.name, pixels) for path, pixels in found if isinstance(pixels, str)]
    print(f"{len(found)} files: {len(same)} equal Pillow's pixels, {len(refused)} refused")
    for path, pixels in found:
        if not isinstance(pixels, str) and path not in same:
            print(f"{path.name}: {pixels.dtype} {pixels.shape}, not as Pillow has it")
    for name, sentence in refused:
        print(f"{name}: {sentence}")
    sets = [
        ("textures of scikit-image, PNG in folders of classes", textures(data / "a"), CLASSIFIER),
        ("photographs of scikit-learn, JPEG in a table", photographs(data / "b"), CLASSIFIER),
        ("MNI brain of nilearn, slices with `classes.txt`", brain(data / "c"), SEGMENTER),
    ]
    for number, kind in enumerate(("uint8 PNG", "uint16 TIFF", "float32 TIFF")):
        made = microscopy(data / f"d{number}", kind)
        sets.append((f"microscopy of scikit-image, {kind}, masks of 0 and 255", made, SEGMENTER))
    rows = [
        train(name, runs / str(number), made, network)
        for number, (name, made, network) in enumerate(sets)
    ]
    print("| set | test split | time |\n|---|---|---|", *rows, sep="\n")


if __name__ == "__main__":
    main()
