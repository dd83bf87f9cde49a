"""IDX files are read as they are specified, and anything else is refused."""

import gzip
import struct

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from modelmill.datasets import mnist, processed
from modelmill.datasets.mnist import format_idx, parse_idx
from modelmill.errors import ModelmillError

# Two axes of 2 and 3, by the specification: 00 00, type 08, axes, sizes, values.
TABLE = bytes.fromhex("00000802 00000002 00000003 010203 0405ff")
PACKED = gzip.compress(TABLE, mtime=0)

ARRAYS = npst.arrays(np.uint8, npst.array_shapes(max_dims=4, min_side=0, max_side=5))


# --- one file --------------------------------------------------------------------------------


@pytest.mark.parametrize("data", [TABLE, PACKED], ids=["plain", "gzip"])
def test_a_file_by_hand(data):
    array = parse_idx(data)
    assert array.dtype == np.uint8
    assert array.tolist() == [[1, 2, 3], [4, 5, 255]]


def test_a_file_is_formatted_to_the_specification():
    assert format_idx(np.array([[1, 2, 3], [4, 5, 255]], np.uint8)) == TABLE


@given(ARRAYS, st.booleans(), st.booleans())
@settings(deadline=None)
def test_formatting_and_parsing_are_inverse(array, packed, transposed):
    array = array.T if transposed else array
    data = gzip.compress(format_idx(array)) if packed else format_idx(array)
    np.testing.assert_array_equal(parse_idx(data), array, strict=True)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an IDX file"),
        (TABLE[:3], "not an IDX file"),
        (b"\x01" + TABLE[1:], "not an IDX file of unsigned bytes .starts 01000802."),
        (bytes.fromhex("00000d01 00000000"), "not an IDX file of unsigned bytes"),
        (bytes.fromhex("00000800"), "not an IDX file of unsigned bytes"),
        (TABLE[:11], "ends within its header"),
        (TABLE[:-1], "5 values where the header announces 6"),
        (TABLE[:12], "0 values where the header announces 6"),
        (TABLE + b"\0", "7 values where the header announces 6"),
        (struct.pack(">4B4I", 0, 0, 8, 4, *[2**32 - 1] * 4), "0 values where"),
        (struct.pack(">4B4I", 0, 0, 8, 4, 0, *[2**32 - 1] * 3), "4 axes"),
        (struct.pack(">4B100I", 0, 0, 8, 100, *[1] * 100) + b"x", "100 axes"),
        (PACKED[:-1], "damaged gzip"),
        (PACKED[:12], "damaged gzip"),
        (PACKED[:2], "damaged gzip"),
        (PACKED + b"rest", "damaged gzip"),
        (PACKED[:-8] + bytes(8), "damaged gzip"),
        (gzip.compress(TABLE[:-1], mtime=0), "5 values where the header announces 6"),
    ],
)
def test_a_damaged_file_is_refused_by_name(data, message):
    with pytest.raises(ModelmillError, match=f"^digits: .*{message}"):
        parse_idx(data, "digits")


@given(st.binary(max_size=40), st.sampled_from([b"", b"\0\0\x08", b"\x1f\x8b\x08", TABLE[:8]]))
@example(b"\x03" + bytes(12), b"\0\0\x08")
@settings(deadline=None)
def test_any_bytes_are_an_array_that_formats_back_or_an_error(data, start):
    try:
        array = parse_idx(start + data)
    except ModelmillError:
        return
    assert format_idx(array) == start + data


# --- four files ------------------------------------------------------------------------------


@pytest.fixture
def digits(tmp_path):
    """Writes the four files; returns their folder. A digit's first pixel tells its number."""

    def write(train=5, test=2, **replaced):
        raw = tmp_path / "raw"
        raw.mkdir()
        for prefix, count, first in (("train", train, 0), ("t10k", test, 100)):
            images = np.zeros((count, 28, 28), np.uint8)
            images[:, 0, 0] = first + np.arange(count)
            labels = np.arange(count, dtype=np.uint8) % 10
            (raw / f"{prefix}-images-idx3-ubyte").write_bytes(format_idx(images))
            (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(format_idx(labels))
        for name, array in replaced.items():
            path = raw / f"{name.replace('_', '-')}-ubyte"
            path.unlink()
            if array is not None:
                path.write_bytes(format_idx(np.array(array, np.uint8)))
        return raw

    return write


def prepared(raw, **options):
    out = raw.parent / "out"
    out.mkdir()
    mnist.prepare(raw, out, mnist.Options(**options))
    return processed.load(out)


def test_the_first_examples_are_for_validation(digits):
    data = prepared(digits(), validation=2)
    splits = {
        name: (data.split(name)["x"][:, 0, 0].tolist(), data.split(name)["y"].tolist())
        for name in data.meta["splits"]
    }
    assert splits == {
        "validation": ([0, 1], [0, 1]),
        "train": ([2, 3, 4], [2, 3, 4]),
        "test": ([100, 101], [0, 1]),
    }


def test_pixels_and_labels_stay_bytes_on_disk(digits):
    data = prepared(digits(), validation=1)
    assert {name: array.dtype for name, array in data.arrays.items()} == {"x": "u1", "y": "u1"}
    assert data.arrays["x"].shape == (7, 28, 28)
    assert data.meta["scale"] * 255 == 1
    assert data.meta["class_names"] == list("0123456789")


def test_binary_pixels_are_as_often_1_as_they_are_bright(digits):
    images = np.zeros((3, 100, 100), np.uint8) + np.array([0, 51, 255], np.uint8)[:, None, None]
    drawn = mnist.binarised(images, seed=1)
    assert [drawn[0].max(), drawn[2].min()] == [0, 1]
    assert drawn[1].mean() == pytest.approx(0.2, abs=5 * 0.4 / 100)
    data = prepared(digits(), validation=1, binary_seed=1)
    assert data.meta["scale"] == 1
    assert set(np.unique(data.arrays["x"])) <= {0, 1}


@pytest.mark.parametrize("validation", [5, 6])
def test_something_must_be_left_for_training(digits, validation):
    with pytest.raises(ModelmillError, match=rf"validation \({validation}\) leaves nothing of 5"):
        prepared(digits(), validation=validation)


@pytest.mark.parametrize(
    ("replaced", "message"),
    [
        ({"train_labels_idx1": [0, 1, 2, 3, 10]}, "train: a label is 10"),
        ({"t10k_labels_idx1": [0, 255]}, "t10k: a label is 255"),
        ({"train_labels_idx1": [0, 1, 2, 3]}, r"train: images \(5, 28, 28\) and labels \(4,\)"),
        ({"t10k_labels_idx1": [[0], [1]]}, "t10k: images .* disagree"),
        ({"t10k_images_idx3": [[0], [1]]}, "t10k: images .* disagree"),
        ({"t10k_images_idx3": np.zeros((2, 14, 14))}, r"\(28, 28\) and of \(14, 14\) pixels"),
        ({"t10k_images_idx3": None}, "t10k-images-idx3-ubyte is missing"),
    ],
)
def test_files_that_do_not_belong_together_are_refused(digits, replaced, message):
    with pytest.raises(ModelmillError, match=message):
        prepared(digits(**replaced), validation=1)
