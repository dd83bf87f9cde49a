"""Pictures of digits: whatever they look like, they come out in the form of MNIST."""

import dataclasses
import itertools
import os
import shutil

import numpy as np
import pytest
from clone import ROOT, Clone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from PIL import Image

from modelmill.datasets.mnist import FONT
from modelmill.errors import ModelmillError
from modelmill.files import write_json
from modelmill.trained import digits
from modelmill.trained.digits import normalise, read_digit

LABELS = st.integers(0, 9)


def draw(label, scale=6, height=90, width=120, top=20, left=50, paper=230, ink=40):
    """A digit of the font, `scale` pixels a dot, on paper, uint8 [height, width]."""
    dots = (FONT[label][:, None] >> np.arange(4, -1, -1) & 1).astype(bool)
    shape = dots.repeat(scale, axis=0).repeat(scale, axis=1)
    picture = np.full((height, width), paper, np.uint8)
    picture[top : top + shape.shape[0], left : left + shape.shape[1]][shape] = ink
    return picture


def difference(one, other):
    """Mean absolute difference in levels; a centre of mass between two pixels may go to either."""
    shifts = itertools.product((-1, 0, 1), repeat=2)
    moved = (np.roll(one, shift, axis=(0, 1)) for shift in shifts)
    return min(np.abs(picture.astype(float) - other).mean() for picture in moved)


# --- normalise -----------------------------------------------------------------------------


@given(LABELS, st.integers(0, 255), st.integers(0, 255))
def test_only_the_contrast_decides_what_is_ink(label, paper, ink):
    picture = draw(label, paper=paper, ink=ink)
    if abs(paper - ink) < digits.FAINTEST * 255:
        with pytest.raises(ModelmillError, match="no digit to see"):
            normalise(picture)
    else:
        form = normalise(picture)
        assert np.array_equal(form, normalise(draw(label)))
        assert np.array_equal(form, normalise(255 - picture))
        assert np.array_equal(form, normalise(picture.astype(np.uint16) * 257))


@given(LABELS, *[st.integers(1, 200)] * 4)
def test_it_does_not_matter_where_the_digit_is(label, above, below, left, right):
    picture = draw(label, 6, above + 42 + below, left + 30 + right, above, left)
    assert np.array_equal(normalise(picture), normalise(draw(label)))


@settings(max_examples=40)
@given(LABELS, st.integers(4, 8), st.integers(2, 5))
def test_a_larger_picture_has_the_same_form(label, scale, factor):
    picture = draw(label, scale)
    larger = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    assert difference(normalise(larger), normalise(picture)) < 5


@given(LABELS, st.integers(1, 8), st.booleans())
def test_a_digit_fills_the_box_and_is_balanced_on_the_centre(label, scale, cut):
    picture = draw(label, scale)[20 : 20 + 7 * scale] if cut else draw(label, scale)
    form = normalise(picture)
    rows, columns = form.any(axis=1).nonzero()[0], form.any(axis=0).nonzero()[0]
    assert np.ptp(rows) + 1 == digits.BOX
    assert np.ptp(columns) + 1 <= digits.BOX
    assert form.max() == 255
    places = np.arange(digits.FIELD)
    for axis in (0, 1):
        centre = form.sum(axis=axis) @ places / form.sum()
        assert abs(centre - digits.CENTRE) <= 1


@given(
    npst.arrays(
        st.sampled_from([np.uint8, np.uint16]),
        npst.array_shapes(min_dims=2, max_dims=2, max_side=40),
    )
)
def test_any_picture_gives_a_form_or_has_no_digit(picture):
    try:
        form = normalise(picture)
    except ModelmillError:
        return
    assert form.shape == (28, 28)
    assert form.dtype == np.uint8
    assert form.max() == 255


@settings(max_examples=30)
@given(LABELS, st.floats(-0.4, 0.4), st.floats(-0.4, 0.4), st.integers(0, 2**32 - 1))
def test_shade_noise_and_dust_are_not_ink(label, down, across, seed):
    clean = draw(label)
    height, width = clean.shape
    light = 0.6 + down * (np.linspace(0, 1, height)[:, None] - 0.5)
    light = light + across * (np.linspace(0, 1, width) - 0.5)
    rng = np.random.default_rng(seed)
    dirty = clean * light + rng.normal(0, 4, clean.shape)
    dirty[5:7, 5:7] = dirty[80:82, 100:102] = 20
    assert difference(normalise(dirty.clip(0, 255).astype(np.uint8)), normalise(clean)) < 8


def test_a_form_stays_as_it_is():
    form = normalise(draw(5, scale=9))
    assert difference(normalise(form), form) < 7


def test_thin_strokes_are_as_white_as_thick_ones():
    picture = np.zeros((400, 400), np.uint8)
    np.fill_diagonal(picture[100:300, 100:300], 255)
    assert normalise(picture).max() == 255


# --- files ---------------------------------------------------------------------------------

GREY = Image.fromarray(draw(3))
DEEP = Image.fromarray(draw(3).astype(np.uint16) * 257)


def transparent(stroke, beneath):
    """`stroke` where the digit is; nothing, above the colour `beneath`, elsewhere."""
    mask = Image.fromarray(draw(3, paper=0, ink=255))
    picture = Image.new("RGBA", mask.size, (*beneath, 0))
    picture.paste((*stroke, 255), mask=mask)
    return picture


WHITE, BLACK, BLUE = (255, 255, 255), (0, 0, 0), (0, 0, 200)
FILES = {
    "grey.png": GREY,
    "two_colours.png": GREY.convert("1", dither=Image.Dither.NONE),
    "rgb.png": GREY.convert("RGB"),
    "palette.png": GREY.convert("P"),
    "palette.gif": transparent(BLUE, WHITE),
    "16_bit.png": DEEP,
    "16_bit.tif": DEEP,
    "16_bit.pgm": DEEP,
    "cmyk.tif": GREY.convert("CMYK"),
    "grey_alpha.png": transparent(BLACK, WHITE).convert("LA"),
    "black_on_nothing.png": transparent(BLACK, BLACK),
    "white_on_nothing.png": transparent(WHITE, WHITE),
    "blue_on_nothing.png": transparent(BLUE, BLACK),
}


@pytest.mark.parametrize("name", FILES)
def test_every_kind_of_file_shows_the_same_digit(name, tmp_path):
    FILES[name].save(tmp_path / name)
    assert np.array_equal(read_digit(tmp_path / name), normalise(draw(3)))


def test_jpeg_noise_is_not_ink(tmp_path):
    GREY.convert("RGB").save(tmp_path / "digit.jpg", quality=40)
    assert difference(read_digit(tmp_path / "digit.jpg"), normalise(draw(3))) < 5


def test_of_very_many_pixels_blocks_are_enough(tmp_path, monkeypatch):
    monkeypatch.setattr(digits, "ENOUGH", 50_000)
    Image.fromarray(draw(3, 24, 360, 2000, 80, 200)).save(tmp_path / "strip.png")
    assert difference(read_digit(tmp_path / "strip.png"), normalise(draw(3))) < 5


def test_a_photograph_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the orientation: to be turned clockwise
    lying = GREY.transpose(Image.Transpose.ROTATE_90)
    lying.save(tmp_path / "digit.png", exif=exif)
    assert np.array_equal(read_digit(tmp_path / "digit.png"), normalise(draw(3)))


def test_what_cannot_be_read_is_named_in_one_line(tmp_path, monkeypatch):
    GREY.save(tmp_path / "whole.png")
    whole = (tmp_path / "whole.png").read_bytes()
    (tmp_path / "truncated.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.png").write_text("7", encoding="utf-8")
    (tmp_path / "empty.png").touch()
    (tmp_path / "folder.png").mkdir()
    os.mkfifo(tmp_path / "pipe.png")
    levels = np.where(np.eye(50, dtype=bool), np.inf, 0).astype(np.float32)
    Image.fromarray(levels).save(tmp_path / "infinite.png", "TIFF")
    Image.new("RGB", (50, 50), "ivory").save(tmp_path / "blank.png")
    Image.new("RGBA", (50, 50)).save(tmp_path / "nothing.png")
    Image.new("1", (300, 300)).save(tmp_path / "large.png")
    Image.new("1", (500, 500)).save(tmp_path / "larger.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 80_000)
    for name, problem in {
        "missing": "is missing",
        "truncated": "cannot be read: image file is truncated",
        "text": "is not an image",
        "empty": "is not an image",
        "folder": "is not a regular file",
        "pipe": "is not a regular file",
        "infinite": "a pixel is no finite number",
        "blank": "no digit to see",
        "nothing": "no digit to see",
        "large": "more than 80,000 pixels",
        "larger": "more than 80,000 pixels",
    }.items():
        with pytest.raises(ModelmillError) as error:
            read_digit(tmp_path / f"{name}.png")
        assert f"{name}.png" in str(error.value)
        assert problem in str(error.value)
        assert "\n" not in str(error.value)


# --- the command ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def house(tmp_path_factory, tensorflow):
    """A repository where softmax regression has learned the made-up digits in MNIST's form."""
    from modelmill import models, params
    from modelmill.datasets import mnist, processed
    from modelmill.models import Spec
    from modelmill.trained import artifacts

    house = tmp_path_factory.mktemp("house")
    shutil.copy(ROOT / "params.yaml", house)
    data, model = house / "data/processed/mnist", house / "data/models/mnist_softmax"
    for folder in (house / "raw", data, model):
        folder.mkdir(parents=True)
    mnist.generate(house / "raw", mnist.Generate(seed=1))
    mnist.prepare(house / "raw", data, mnist.Options(validation=1000))
    prepared = processed.load(data)
    x, labels = (prepared.arrays[name][:300] for name in "xy")
    forms = np.stack([normalise(picture) for picture in x]).reshape(len(x), -1) / 255

    entry = params.load(ROOT / "params.yaml").models["mnist_softmax"]
    chosen = entry.model_dump(include={"dataset", "task", "arch", "net", "fit"})
    chosen |= {"model": "mnist_softmax", "seed": 1}
    spec = Spec.examples((28, 28), 10)
    net = models.build("mnist_softmax", entry.arch, entry.net, spec)
    net.set_weights([np.linalg.lstsq(forms, 20 * np.eye(10)[labels])[0].T, np.zeros(10)])
    card = artifacts.card(chosen, spec, prepared.digest, net)
    laps = np.empty((0, card.parameters), np.float32)
    artifacts.save(model, net, card, [{"step": 1, "epoch": 1.0, "loss": 0.0}], laps)
    (house / "data/models/iris_logistic").mkdir()
    other = dataclasses.replace(card, spec=Spec.examples((4,), 3))
    write_json(house / "data/models/iris_logistic/model.json", dataclasses.asdict(other))
    return house


@pytest.mark.usefixtures("in_process")
def test_the_digits_in_files_are_told_apart(house, capsys):
    labels, names = [3, 1, 4, 1], ["0.png", "1.png", "2.png", "1.png"]
    for name, label in zip(names, labels, strict=True):
        Image.fromarray(draw(label)).save(house / name)
    Clone(house).call("predict", "mnist_softmax", *names)
    header, *lines = (line.split() for line in capsys.readouterr().out.splitlines())
    assert header == ["class", *"0123456789", "image"]
    assert [int(line[0]) for line in lines] == labels
    assert [line[-1] for line in lines] == names
    for line, label in zip(lines, labels, strict=True):
        probabilities = [float(p) for p in line[1:-1]]
        assert sum(probabilities) == pytest.approx(1, abs=0.01)
        assert np.argmax(probabilities) == label


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["char_rnn", "0.png"], "char_rnn is a model for language_modeling"),
        (["iris_logistic", "0.png"], "iris_logistic takes 4 values"),
        (["mnist_softmax", "nowhere.png"], "nowhere.png is missing"),
    ],
)
def test_what_cannot_be_predicted_is_answered_in_one_line(house, capsys, arguments, problem):
    with pytest.raises(ModelmillError, match=rf"^{problem}.*$"):
        Clone(house).call("predict", *arguments)
    assert capsys.readouterr().out == ""
