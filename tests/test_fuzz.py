"""Whatever a file holds, its reader gives what is right or says what is wrong in one line.

The suite tries the same 60 files on each reader, `make fuzz` 10,000: files with a few bytes
changed, lost or doubled, and files of any bytes. None may take endless time or much memory.
"""

import codecs
import gzip
import io
import re
import shutil
import signal
import struct
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import psutil
import pytest
import yaml
from conftest import ROOT
from hypothesis import assume, example, given
from hypothesis import strategies as st
from PIL import Image

from modelmill import params
from modelmill.datasets import iris, line, mnist, processed, ptb, ratings, text
from modelmill.datasets.mnist import FONT
from modelmill.errors import ModelmillError
from modelmill.plain_yaml import read_yaml, yaml_data
from modelmill.trained.digits import read_digit
from pipelines.compose import check, compose

resource = pytest.importorskip("resource")
pytestmark = [
    pytest.mark.fuzz,
    pytest.mark.filterwarnings("error::RuntimeWarning", "error::UserWarning"),
]

SECONDS, MEGABYTES = 60, 600  # of a processor, for one file; above what the process has
LONGEST_LINE = 600
PROMISE = "what is right, or one line that says what is wrong"


# --- files -----------------------------------------------------------------------------------


@st.composite
def damaged(draw, *wholes):
    """One of the files, or part of it, with up to four places changed; or any bytes."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    data = bytearray(draw(st.sampled_from(wholes)))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(data)))
        match draw(st.sampled_from(["change", "flip", "insert", "lose", "double", "end"])):
            case "change":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "flip":
                data[at : at + 1] = bytes(byte ^ 1 << draw(BITS) for byte in data[at : at + 1])
            case "insert":
                data[at:at] = draw(SNIPPETS | st.binary(max_size=8))
            case "lose":
                del data[at : at + draw(st.integers(1, 40))]
            case "double":
                data[at:at] = data[at : at + draw(st.integers(1, 40))]
            case "end":
                del data[at:]
    return bytes(data)


BITS = st.integers(0, 7)
# What has a meaning to some reader, or is known to surprise one.
SNIPPETS = st.sampled_from(
    [
        *b"\0|\n|\r\n|\n\n| |,|#|-1|nan|inf|1e999|0x|2001-99-99|null|~|{}|[]|? |---\n".split(b"|"),
        *b"\xef\xbb\xbf|\xff\xfe|\xed\xa0\x80|\xc3\xa9|<eos>|<unk>".split(b"|"),
        *b"&a [*a]|*a|!!python/name:os.system|!!binary x|<<: 5\n|${|${seed}".split(b"|"),
        *(mark * 5000 for mark in (b"9", b"x", b"[")),
    ]
)


@contextmanager
def bounded():
    """A file that takes too long or too much memory is a failure."""

    def late(*_):
        raise TimeoutError(f"more than {SECONDS} s of a processor")

    before = resource.getrlimit(resource.RLIMIT_DATA)
    used = psutil.Process().memory_info().data
    previous = signal.signal(signal.SIGPROF, late)
    signal.setitimer(signal.ITIMER_PROF, SECONDS)
    resource.setrlimit(resource.RLIMIT_DATA, (used + (MEGABYTES << 20), before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, previous)


def read(reader, *arguments):
    """What the reader gives, None if it refuses in one line."""
    with bounded():
        try:
            return reader(*arguments)
        except ModelmillError as error:
            refusal = str(error)
    assert re.fullmatch(rf"[^\n]{{1,{LONGEST_LINE}}}", refusal), refusal
    return None


def prepared(reader, files, options):
    """What a data set's reader makes of files (None: one that is missing), None if it refuses."""

    def prepare():
        reader.prepare(raw, out, options)
        return processed.load(out)

    with tempfile.TemporaryDirectory() as folder:
        raw, out = Path(folder, "raw"), Path(folder, "out")
        raw.mkdir()
        out.mkdir()
        for name, content in files.items():
            if content is not None:
                (raw / name).write_bytes(content)
        data = read(prepare)
        if data is None:
            return None
        return Contents(data)


class Contents:
    """A prepared data set, in memory: every split has something in it."""

    def __init__(self, data):
        self.meta = data.meta
        self.splits = {
            name: {key: array.copy() for key, array in data.split(name).items()}
            for name in data.meta["splits"]
        }
        assert all(len(array) for split in self.splits.values() for array in split.values())
        if "tokens" in data.arrays:
            self.vocabulary = data.vocabulary()
            self.tokens = [self.vocabulary[index] for index in data.arrays["tokens"]]


# --- MNIST -----------------------------------------------------------------------------------

TABLE = mnist.format_idx(np.arange(6, dtype=np.uint8).reshape(2, 3))
# A gigabyte of zeros after the 25 that are announced: 1,024 times the same megabyte, compressed.
BOMB = gzip.compress(mnist.format_idx(np.zeros((5, 5), np.uint8)))
BOMB += gzip.compress(bytes(1 << 20)) * 1024
LIAR = gzip.compress(TABLE[:4] + b"\xff" * 8 + TABLE[12:])


@pytest.mark.fault("damaged IDX files", PROMISE)
@given(damaged(TABLE, gzip.compress(TABLE, mtime=0)))
@example(BOMB)
@example(LIAR)
def test_idx(data):
    array = read(mnist.parse_idx, data, "digits")
    if array is not None:
        whole = gzip.decompress(data) if data.startswith(mnist.GZIP_MAGIC) else data
        assert mnist.format_idx(array) == whole


IMAGES = mnist.format_idx(np.arange(36, dtype=np.uint8).reshape(4, 3, 3))
LABELS = mnist.format_idx(np.arange(4, dtype=np.uint8))
KINDS = {"images-idx3": IMAGES, "labels-idx1": LABELS}


@pytest.mark.fault("damaged MNIST", PROMISE)
@given(st.dictionaries(st.sampled_from([*KINDS]), damaged(IMAGES, LABELS)), st.integers(1, 5))
def test_digits(changed, validation):
    files = {f"train-{kind}-ubyte": changed.get(kind, whole) for kind, whole in KINDS.items()}
    files |= {f"t10k-{kind}-ubyte": whole for kind, whole in KINDS.items()}
    data = prepared(mnist, files, mnist.Options(validation=validation))
    if data:
        assert len(data.splits["validation"]["x"]) == validation
        assert data.splits["train"]["y"].max() <= 9


# --- text ------------------------------------------------------------------------------------

PLAY = "ROMEO:\r\nIs the day so young?\n\n\0é語😀\n"
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-7", "latin-1", "cp1252"]
ENCODINGS += ["ascii", "gb18030", "shift_jis", "iso2022_jp", "hz", "unicode_escape", "big5hkscs"]
TEXTS = [PLAY.encode(encoding) for encoding in ("utf-8", "utf-16", "utf-32-be", "utf-7", "gb18030")]


@pytest.mark.fault("text in the wrong encoding", PROMISE)
@given(damaged(b"a", *TEXTS), st.sampled_from(ENCODINGS), st.sampled_from([1, 2, 3, 7, 1 << 20]))
@example(b"", "utf-8", 1)
@example(b"+2AA-", "utf-7", 1)
def test_characters(data, encoding, block):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, text.FILE)
        path.write_bytes(data)
        codes = read(lambda: [c for part in text.code_points(path, encoding, block) for c in part])
    try:
        expected = codecs.getincrementaldecoder(encoding)().decode(data, final=True)
        expected.encode()
    except UnicodeError:
        assert codes is None
    else:
        assert "".join(map(chr, codes)) == expected


@pytest.mark.fault("damaged text", PROMISE)
@given(damaged(b"a", b"ab", *TEXTS), st.floats(0, 1, exclude_min=True, exclude_max=True))
@example("é".encode() * 600_000, 0.5)
def test_text(data, fraction):
    options = text.Options(encoding="utf-8", validation_fraction=fraction)
    found = prepared(text, {text.FILE: data}, options)
    if found:
        assert "".join(found.tokens) == data.decode()
        assert len(found.splits["train"]["tokens"]) == int(len(found.tokens) * (1 - fraction))


# --- Penn Treebank ---------------------------------------------------------------------------

CORPUS = b" the old <unk> turns \n a <unk> N \n\n the river leaves"
FILES = list(ptb.SPLITS.values())


@pytest.mark.fault("damaged Penn Treebank", PROMISE)
@given(st.lists(st.none() | st.just(CORPUS) | damaged(CORPUS, b"x"), min_size=3, max_size=3))
@example([b"the <unk> " * 500_000, b"x" * 500_000, b"the"])
@example([b"x" * 9_000_000, b"x" * 5000, b"the"])
def test_treebank(contents):
    data = prepared(ptb, dict(zip(FILES, contents, strict=True)), ptb.Options())
    if data:
        for split, content in zip(ptb.SPLITS, contents, strict=True):
            lines = io.StringIO(content.decode(), newline=None).read()
            words = lines.replace("\n", f" {ptb.END} ").split()
            known = [word if word in data.vocabulary else ptb.UNKNOWN for word in words]
            assert [data.vocabulary[index] for index in data.splits[split]["tokens"]] == known


# --- tables ----------------------------------------------------------------------------------

FLOWERS = b"4,4,setosa,versicolor\n5.1,3.5,1.4,0.2,0\n7,3,4,1,1\n5,3.5,1.4,0.2,0\n6,3,4,1,1\n"


@pytest.mark.fault("damaged iris", PROMISE)
@given(damaged(FLOWERS), st.integers(1, 6))
def test_flowers(data, rows):
    options = iris.Options(rows=rows, test_fraction=0.4, split_seed=1)
    found = prepared(iris, {iris.FILE: data}, options)
    if found:
        values = [part["x"] for part in found.splits.values()]
        assert sum(map(len, values)) == rows
        assert np.isfinite(np.concatenate(values)).all()
        assert max(part["y"].max() for part in found.splits.values()) < found.meta["outputs"]


@pytest.mark.fault("damaged points", PROMISE)
@given(damaged(b"x,y\n1,2\n-0.5,1e-3\n3,4\n"))
def test_points(data):
    found = prepared(line, {line.FILE: data}, line.Options())
    if found:
        assert np.isfinite(found.splits["train"]["x"]).all()
        assert np.isfinite(found.splits["train"]["y"]).all()


STARS = b"user_id:token\titem_id:token\trating:float\n" + b"".join(
    b"%d\t%d\t%d\n" % (user, item, 1 + (user + item) % 5) for user in (3, 12) for item in (1, 2, 3)
)
FILMS = b"item_id\tmovie_title\trelease_year\tclass\n" + b"".join(
    b"%d\tFilm %d\t%d\tDrama War\n" % (item, item, 1990 + item) for item in (1, 2, 3)
)


@pytest.mark.fault("damaged ratings", PROMISE)
@given(damaged(STARS) | st.just(STARS), damaged(FILMS) | st.just(FILMS))
def test_ratings(given, films):
    options = ratings.Options(
        stars=5,
        folds=3,
        fold=1,
        shuffle_within="all",
        validation_fraction=0.3,
        split_seed=1,
    )
    found = prepared(ratings, {ratings.RATINGS: given, ratings.ITEMS: films}, options)
    if found:
        values = [part["rating"] for part in found.splits.values()]
        assert set(np.concatenate(values)) <= set(range(1, 6))
        assert max(part["user"].max() for part in found.splits.values()) < found.meta["users"]
        assert max(part["item"].max() for part in found.splits.values()) < found.meta["items"]


# --- prepared data ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stored")
    np.save(folder / "x.npy", np.arange(12, dtype=np.float32).reshape(6, 2))
    processed.describe(folder, {"train": (0, 4), "test": (4, 6)}, scale=1.0)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.fault("damaged prepared data", PROMISE)
@given(st.data())
def test_prepared(stored, data):
    name = data.draw(st.sampled_from(sorted(stored)))
    files = stored | {name: data.draw(damaged(stored[name]))}
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        found = read(processed.load, Path(folder))
        if found:
            for name, (start, stop) in found.meta["splits"].items():
                assert all(len(part) == stop - start > 0 for part in found.split(name).values())


# --- settings --------------------------------------------------------------------------------


def few():
    """params.yaml with few entries: what makes the others valid makes these."""
    whole = read_yaml(ROOT / "params.yaml")
    whole["datasets"] = {name: whole["datasets"][name] for name in ("line_origin", "shakespeare")}
    whole["models"] = {name: whole["models"][name] for name in ("line_sgd", "char_rnn")}
    return yaml.safe_dump(whole, sort_keys=False).encode()


@pytest.mark.fault("damaged params.yaml", PROMISE)
@given(damaged(few()))
def test_params(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "params.yaml")
        path.write_bytes(data)
        found = read(params.load, path)
    if found:
        assert all(map(params.NAME.fullmatch, [*found.models, *found.datasets]))


def doubling(line):
    """YAML of forty lines, each of which holds the one before it twice."""
    return "x0: &x0 {a: 1}\n" + "".join(line.format(i, i - 1) + "\n" for i in range(1, 40))


@pytest.mark.fault("YAML that stands for billions of values", PROMISE)
@pytest.mark.parametrize(
    ("bomb", "reason"),
    [
        (doubling("x{0}: &x{0} [*x{1}, *x{1}]"), "too large"),
        (doubling("x{0}: &x{0} {{<<: [*x{1}, *x{1}]}}"), "too large"),
        (doubling("x{0}: &x{0} {{a: *x{1}, b: *x{1}}}"), "too large"),
        ("x0: &x0 1\n" + "".join(f"x{i}: &x{i} [*x{i - 1}]\n" for i in range(1, 99)), "levels"),
        ("a: " + "[" * 50_000, "levels"),
        ("a: " + "{a: " * 50_000, "levels"),
        ("- " * 50_000, "levels"),
        ("".join(f"key{i}: {i}\n" for i in range(100_000)), "too large"),
        ("a: &a [*a]", "of nothing that ended before"),
        ("seed: " + "9" * 5000, "digits"),
        ("seed: 0x" + "9" * 5000, "more than 64 bits in line 1"),
    ],
)
def test_bombs(tmp_path, monkeypatch, bomb, reason):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(ROOT / "conf", "conf")
    Path("params.yaml").write_text(bomb)
    for command in (params.load, check):
        with (
            bounded(),
            pytest.raises(ModelmillError, match=rf"^params\.yaml .{{,{LONGEST_LINE}}}$"),
        ):
            command()
    Path("conf/profile/quick.yaml").write_text(bomb)  # which is for Hydra to read
    with bounded(), pytest.raises(ModelmillError, match=rf"^conf/profile/quick\.yaml .*{reason}"):
        compose([])


CONF = {
    "config.yaml": b"seed: 1\n"
    b"defaults: [profile: quick, dataset: [line_origin], model: [line_sgd], _self_]\n",
    **{
        name: (ROOT / "conf" / name).read_bytes()
        for name in ("profile/quick.yaml", "dataset/line_origin.yaml", "model/line_sgd.yaml")
    },
}


@pytest.mark.fault("damaged conf/", PROMISE)
@given(st.data())
def test_conf(data):
    name = data.draw(st.sampled_from(sorted(CONF)))
    changed = data.draw(damaged(CONF[name]))
    overrides = data.draw(st.lists(st.sampled_from(OVERRIDES) | st.text(max_size=20), max_size=1))
    assume(not any(override.startswith("hydra") for override in overrides))
    with tempfile.TemporaryDirectory() as folder:
        for path, content in (CONF | {name: changed}).items():
            Path(folder, path).parent.mkdir(exist_ok=True)
            Path(folder, path).write_bytes(content)
        found = read(compose, overrides, Path(folder))
    if found:
        read(lambda: params.parse(yaml_data(found, "conf"), "conf"))


OVERRIDES = [
    "seed=2",
    "seed=",
    "profile=x",
    "+x=${y}",
    "~seed",
    "models.line_sgd.fit.batch_size=1,2",
]
OVERRIDES += [
    "seed=${seed}",
    "+a={b:[c,{d:'}",
    "seed=!!python/name:os.system",
    "=",
    "--help",
    "a b",
]


# --- pictures --------------------------------------------------------------------------------


def pictures():
    dots = (FONT[3][:, None] >> np.arange(4, -1, -1) & 1).astype(np.uint8) * 255
    grey = Image.fromarray(np.pad(dots.repeat(2, 0).repeat(2, 1), 4))
    for kind, mode in [("PNG", "L"), ("PNG", "LA"), ("PNG", "P"), ("PNG", "I;16"), ("JPEG", "RGB")]:
        yield kind, mode, grey
    for kind, mode in [("GIF", "P"), ("BMP", "RGB"), ("TIFF", "F"), ("PPM", "L"), ("WEBP", "RGBA")]:
        yield kind, mode, grey


def saved(kind, mode, grey):
    buffer = io.BytesIO()
    (
        Image.fromarray(np.asarray(grey, np.uint16) * 257) if mode == "I;16" else grey.convert(mode)
    ).save(buffer, kind)
    return buffer.getvalue()


def announced(width, height):
    """A GIF of a few bytes that says it is so large."""
    gif = next(saved(*picture) for picture in pictures() if picture[0] == "GIF")
    return gif[:6] + struct.pack("<HH", width, height) + gif[10:]


@pytest.mark.fault("damaged pictures", PROMISE)
@example(announced(11565, 2605))
@example(announced(60000, 1))
@given(damaged(*(saved(*picture) for picture in pictures())))
def test_pictures(data):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "digit.png")
        path.write_bytes(data)
        form = read(read_digit, path)
    if form is not None:
        assert (form.shape, form.dtype, form.max()) == ((28, 28), np.uint8, 255)
