"""Image files that scikit-image, scikit-learn and matplotlib install are read as they are."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

import cnnlab

ROOT = Path(cnnlab.__file__).parent.parent


@pytest.fixture(scope="module")
def real_files():
    spec = importlib.util.spec_from_file_location("real_files", ROOT / "benchmarks/real_files.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_file_has_its_pixels_or_its_sentence(real_files):
    found = dict(real_files.read_all())
    assert len(found) > 25
    refused = {path.name: text for path, text in found.items() if isinstance(text, str)}
    assert set(refused) <= {"multipage.tif", "multipage_rgb.tif", "lfw_subset.npy"}
    assert "has 2 pages of 15x10 pixels" in refused["multipage.tif"]
    assert "has 25 channels (its last axis)" in refused["lfw_subset.npy"]
    for path, pixels in found.items():
        if path.name not in refused:
            np.testing.assert_array_equal(pixels, real_files.expected(path), err_msg=path.name)


@pytest.mark.slow
def test_the_same_microscopy_in_three_types_scores_alike(real_files, tmp_path):
    scores = []
    for number, kind in enumerate(("uint8 PNG", "uint16 TIFF", "float32 TIFF")):
        data = real_files.microscopy(tmp_path / f"data{number}", kind)
        network = real_files.SEGMENTER | {"steps": 60}
        row = real_files.train(kind, tmp_path / f"run{number}", data, network)
        scores.append(float(row.split("mean IoU ")[1].split()[0]))
    assert min(scores) > 85
    assert max(scores) - min(scores) < 2
