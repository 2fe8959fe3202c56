"""Image files whose pixels are labels: indexed (a value is a class) or colored (by a palette)."""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from cnnlab.data.image import UNREADABLE, unreadable
from cnnlab.data.source import IGNORE
from cnnlab.errors import UserError

# The name in a palette of colors that are ignored.
_IGNORED = "ignore"
_EXAMPLE = "'NAME R G B' with values from 0 to 255, e.g. 'road 128 64 128'"


@dataclasses.dataclass(frozen=True)
class MaskClasses:
    """Meaning of the pixels of masks.

    Attributes:
      names: names of the classes in the order of their labels; None if no file names them.
      colors: RGB colors and their labels; empty for indexed masks.
      grays: values of gray masks and their labels; empty if the values are labels.
    """

    names: tuple[str, ...] | None = None
    colors: tuple[tuple[tuple[int, int, int], int], ...] = ()
    grays: tuple[tuple[int, int], ...] = ()


# Masks of 0 and 255, as most tools save what is either object or not.
BINARY = MaskClasses(("background", "foreground"), grays=((0, 0), (255, 1)))


def read_classes(folder: Path) -> MaskClasses:
    """Reads `folder/palette.txt` or `folder/classes.txt` if one of them exists.

    A palette has lines `NAME R G B`, a list of classes has one name per line; in both, `#` starts a
    comment. Classes are labelled in the order of the lines. Several colors may have one name, and
    pixels of colors named `ignore` are ignored.

    Raises:
      UserError: a line is invalid (with its file and number), or both files exist.
    """
    palette, classes = folder / "palette.txt", folder / "classes.txt"
    if palette.is_file() and classes.is_file():
        raise UserError(
            f"{folder} has both palette.txt and classes.txt: keep the palette for colored masks, "
            "or the names for indexed ones."
        )
    if palette.is_file():
        return _read_palette(palette)
    if not classes.is_file():
        return MaskClasses()
    names: list[str] = []
    for number, name in _lines(classes):
        if name in names:
            raise UserError(f"{classes}, line {number}: the class '{name}' is there already.")
        names.append(name)
    return MaskClasses(_checked(names, classes))


def _read_palette(path: Path) -> MaskClasses:
    names: list[str] = []
    colors: dict[tuple[int, int, int], int] = {}
    for number, line in _lines(path):
        words = line.split()
        name = " ".join(words[:-3])
        color = tuple(int(word) if word.isdecimal() else -1 for word in words[-3:])
        if not name or not all(0 <= value <= 255 for value in color):
            raise UserError(f"{path}, line {number}: '{line}' is not {_EXAMPLE}.")
        if color in colors:
            raise UserError(f"{path}, line {number}: the color {_rgb(color)} is there already.")
        if name == _IGNORED:
            colors[color] = IGNORE
            continue
        if name not in names:
            names.append(name)
        colors[color] = names.index(name)
    gray = all(red == green == blue for red, green, blue in colors)
    grays = tuple((color[0], label) for color, label in colors.items()) if gray else ()
    return MaskClasses(_checked(names, path), tuple(colors.items()), grays)


def _lines(path: Path) -> list[tuple[int, str]]:
    """Numbers and texts of the lines that are not empty or comments."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"'{path}' cannot be read as text.") from error
    lines = ((n, line.split("#")[0].strip()) for n, line in enumerate(text.splitlines(), start=1))
    return [(number, line) for number, line in lines if line]


def _checked(names: list[str], path: Path) -> tuple[str, ...]:
    if not 1 <= len(names) <= IGNORE:
        raise UserError(f"{path} names {len(names)} classes, and there may be 1 to {IGNORE}.")
    return tuple(names)


def read_mask(path: Path, classes: MaskClasses) -> np.ndarray:
    """Reads an upright mask as labels, uint8 [height, width], in its own size.

    Raises:
      UserError: the file is not a complete image, a color is not in the palette, a label has no
        class, or a colored mask has no palette.
    """
    try:
        with Image.open(path) as image:
            image.load()
            kind = image.format
    except (*UNREADABLE, Image.DecompressionBombError) as error:
        raise UserError(unreadable(path)) from error
    if kind == "JPEG":
        raise UserError(f"'{path}' is a JPEG, which blurs labels: save masks as PNG.")
    image = ImageOps.exif_transpose(image)
    if classes.grays and image.mode == "L":
        return _grays_to_labels(np.asarray(image), path, classes)
    if image.mode in ("P", "L", "1") or image.mode.startswith("I"):
        labels = _check_labels(np.asarray(image), path, classes)
        if image.mode == "P" and classes.colors:
            _check_own_colors(image, labels, path, classes)
        return labels
    if not classes.colors:
        raise UserError(
            f"'{path}' is a colored mask ({image.mode}), and there is no palette.txt that says "
            f"which color is which class: add one with lines {_EXAMPLE}."
        )
    return _colors_to_labels(np.asarray(image.convert("RGB")), path, classes)


def _grays_to_labels(values: np.ndarray, path: Path, classes: MaskClasses) -> np.ndarray:
    table = np.full(256, -1, np.int16)
    for value, label in classes.grays:
        table[value] = label
    labels = table[values]
    if (labels < 0).any():
        row, column = _first(labels < 0)
        known = ", ".join(str(value) for value, _ in classes.grays)
        raise UserError(
            f"'{path}' has the value {values[row, column]} at row {row}, column {column}, and the "
            f"classes have the values {known}."
        )
    return labels.astype(np.uint8)


def _check_labels(values: np.ndarray, path: Path, classes: MaskClasses) -> np.ndarray:
    num_classes = IGNORE if classes.names is None else len(classes.names)
    wrong = ((values < 0) | (values >= num_classes)) & (values != IGNORE)
    if wrong.any():
        row, column = _first(wrong)
        value = int(values[row, column])
        raise UserError(
            f"'{path}' has the label {value} at row {row}, column {column}: {num_classes} classes "
            f"allow 0 to {num_classes - 1}, and {IGNORE} for what is ignored."
        )
    return values.astype(np.uint8)


def _check_own_colors(
    image: Image.Image, labels: np.ndarray, path: Path, classes: MaskClasses
) -> None:
    """Refuses an indexed mask whose colors are the palette's in another order."""
    own = np.array(image.getpalette("RGB")).reshape(-1, 3)
    used = [value for value in np.unique(labels).tolist() if value < len(own)]
    meant = dict(classes.colors)
    said = [meant.get(tuple(own[value].tolist())) for value in used]
    if None not in said and said != used:
        raise UserError(
            f"'{path}' is indexed, and its values {used} are other classes than its colors are by "
            f"palette.txt, {said}: save it as RGB, or give it the palette in the order of the file."
        )


def _colors_to_labels(pixels: np.ndarray, path: Path, classes: MaskClasses) -> np.ndarray:
    colors = np.array([color for color, _ in classes.colors])
    labels = np.array([label for _, label in classes.colors], np.uint8)
    codes, known = _codes(pixels), _codes(colors)
    order = np.argsort(known)
    place = order[np.searchsorted(known, codes, sorter=order).clip(max=len(known) - 1)]
    wrong = known[place] != codes
    if wrong.any():
        row, column = _first(wrong)
        color = pixels[row, column].astype(int)
        nearest = int(np.square(colors - color).sum(axis=1).argmin())
        label = int(labels[nearest])
        name = _IGNORED if label == IGNORE else classes.names[label]
        raise UserError(
            f"'{path}' has the color {_rgb(color)} at row {row}, column {column}, which "
            f"palette.txt lacks; the nearest there is {_rgb(colors[nearest])}, {name}."
        )
    return labels[place]


def _codes(colors: np.ndarray) -> np.ndarray:
    """One integer per color."""
    red, green, blue = np.moveaxis(colors.astype(np.int32), -1, 0)
    return (red << 16) | (green << 8) | blue


def _first(wrong: np.ndarray) -> tuple[int, int]:
    row, column = np.argwhere(wrong)[0]
    return int(row), int(column)


def _rgb(color: object) -> str:
    return " ".join(str(int(value)) for value in color)
