"""Iris, lines, generated stand-ins, and how prepared data is stored and replaced."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.datasets import iris, line, mnist, processed, ptb, text
from modelmill.errors import ModelmillError
from modelmill.files import replacing, replacing_folder, sha256, write_json

# --- iris ------------------------------------------------------------------------------------

TUTORIAL = iris.Options(rows=149, test_fraction=0.33, split_seed=42)
TABLE = "2,4,one,two\n5.1,3.5,1.4,0.2,0\n7.0,3.2,4.7,1.4,1\n"


@pytest.fixture
def folders(tmp_path):
    raw, out = tmp_path / "raw", tmp_path / "out"
    raw.mkdir()
    out.mkdir()
    return raw, out


@pytest.fixture
def flowers(folders):
    """The file as scikit-learn ships it, in the raw folder."""
    from importlib.metadata import distribution

    raw, _ = folders
    shipped = distribution("scikit-learn").locate_file("sklearn/datasets/data/iris.csv")
    (raw / iris.FILE).write_bytes(Path(str(shipped)).read_bytes())
    return folders


def test_iris_is_read_by_hand(folders):
    raw, _ = folders
    (raw / iris.FILE).write_text(TABLE)
    x, y, names = iris.read(raw / iris.FILE)
    np.testing.assert_array_equal(x, np.float32([[5.1, 3.5, 1.4, 0.2], [7, 3.2, 4.7, 1.4]]))
    assert y.tolist() == [0, 1]
    assert names == ["one", "two"]


@pytest.mark.parametrize(("rows", "fraction", "seed"), [(149, 0.33, 42), (150, 0.2, 0)])
def test_iris_is_split_as_scikit_learn_splits_it(flowers, rows, fraction, seed):
    from sklearn.datasets import load_iris
    from sklearn.model_selection import train_test_split

    x, y = (part[:rows] for part in load_iris(return_X_y=True))
    train_x, test_x, train_y, test_y = train_test_split(x, y, test_size=fraction, random_state=seed)
    iris.prepare(*flowers, iris.Options(rows=rows, test_fraction=fraction, split_seed=seed))
    data = processed.load(flowers[1])
    np.testing.assert_array_equal(data.split("train")["x"], train_x.astype(np.float32))
    np.testing.assert_array_equal(data.split("train")["y"], train_y)
    np.testing.assert_array_equal(data.split("test")["x"], test_x.astype(np.float32))
    np.testing.assert_array_equal(data.split("test")["y"], test_y)
    assert data.meta["class_names"] == ["setosa", "versicolor", "virginica"]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "not an iris table"),
        ("2,4,one,two\n", "where the header announces 2 x 4"),
        ("rows,4,one,two\n1,2,3,4,0\n", r"first line is none of ROWS,COLUMNS,CLASS,\.\.\."),
        (TABLE.replace("2,4,", "3,4,"), r"\(2, 5\) values where the header announces 3 x 4"),
        (TABLE.replace("0.2,0", "0.2"), "not an iris table"),
        (TABLE.replace("5.1", "five"), "not an iris table"),
        (TABLE.replace("1.4,1", "1.4,2"), r"a class outside 0\.\.1"),
        (TABLE.replace("1.4,1", "1.4,0.5"), r"a class outside 0\.\.1"),
        (b"\xff\xfe", "not an iris table"),
        (None, "No such file"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_bad_iris_table_is_an_error(folders, table, message):
    raw, out = folders
    if table is not None:
        (raw / iris.FILE).write_bytes(table if isinstance(table, bytes) else table.encode())
    with pytest.raises(ModelmillError, match=message):
        iris.prepare(raw, out, TUTORIAL)


def test_more_rows_than_there_are_cannot_be_asked_for(folders):
    raw, out = folders
    (raw / iris.FILE).write_text(TABLE)
    with pytest.raises(ModelmillError, match=r"2 rows, options\.rows asks for 149"):
        iris.prepare(raw, out, TUTORIAL)


def test_a_table_may_have_hundreds_of_classes(folders):
    raw, _ = folders
    names = [f"class {n}" for n in range(300)]
    rows = [f"{n},{n}" for n in range(300)]
    (raw / iris.FILE).write_text("\n".join([f"300,1,{','.join(names)}", *rows]))
    _, y, _ = iris.read(raw / iris.FILE)
    assert y.tolist() == [*range(300)]


def test_a_table_of_other_measures_names_them(folders):
    raw, out = folders
    (raw / iris.FILE).write_text("\ufeff3,2,one,two\n1,2,0\n3,4,1\n5,6,1\n", encoding="utf-8")
    asked = {"rows": 3, "test_fraction": 0.3, "split_seed": 1}
    iris.prepare(raw, out, iris.Options(measures=["petals", "height"], **asked))
    meta = processed.load(out).meta
    assert (meta["input_shape"], meta["input_names"]) == ([2], ["petals", "height"])
    with pytest.raises(ModelmillError, match=r"2 measures, options\.measures names 4"):
        iris.prepare(raw, out, iris.Options(**asked))


# --- lines -----------------------------------------------------------------------------------


def points(**changed):
    options = {"points": 500, "x": "even", "low": -1.0, "high": 3.0}
    options |= {"slope": 2.0, "intercept": -1.0, "noise": 0.1}
    return line.Generate(**{"seed": 0} | options | changed)


def drawn(folders, settings):
    raw, out = folders
    line.generate(raw, settings)
    line.prepare(raw, out, line.Options())
    return processed.load(out).split("train")


@pytest.mark.parametrize("x", ["even", "random"])
def test_least_squares_finds_the_line_again(folders, x):
    data = drawn(folders, points(x=x))
    assert data["x"].shape == data["y"].shape == (500, 1)
    assert data["x"].dtype == data["y"].dtype == np.float32
    slope, intercept = np.polyfit(data["x"][:, 0], data["y"][:, 0], 1)
    # The standard errors are about 0.004 and 0.006.
    assert slope == pytest.approx(2, abs=0.02)
    assert intercept == pytest.approx(-1, abs=0.03)


def test_points_without_noise_are_on_the_line(folders):
    data = drawn(folders, points(points=5, noise=0.0))
    assert data["x"][:, 0].tolist() == [-1, 0, 1, 2, 3]
    assert data["y"][:, 0].tolist() == [-3, -1, 1, 3, 5]


def test_random_points_stay_in_their_range(folders):
    x = drawn(folders, points(x="random"))["x"]
    assert -1 <= x.min() < -0.9
    assert 2.9 < x.max() <= 3


@pytest.mark.parametrize(
    "content",
    ["", "x,y\n", "x,y\n1\n", "x,y\n1,2,3\n", "x,y\n1,two\n", "1,2\n3,4\n", "y,x\n1,2\n", None],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_a_bad_table_of_points_is_an_error(folders, content):
    raw, out = folders
    if content is not None:
        (raw / line.FILE).write_text(content)
    with pytest.raises(ModelmillError, match=r"line\.csv: not the points of a line"):
        line.prepare(raw, out, line.Options())


# --- made-up files ---------------------------------------------------------------------------

OPTIONS = {
    line: line.Options(),
    mnist: mnist.Options(validation=500),
    ptb: ptb.Options(),
    text: text.Options(encoding="utf-8", validation_fraction=0.1),
}


def write(reader, folder, seed):
    settings = points(seed=seed) if reader is line else reader.Generate(seed=seed)
    reader.generate(folder, settings)


def generated(reader, folder, seed):
    folder.mkdir()
    write(reader, folder, seed)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.mark.parametrize("reader", OPTIONS)
def test_what_is_generated_can_be_read(folders, reader):
    raw, out = folders
    write(reader, raw, 1)
    reader.prepare(raw, out, OPTIONS[reader])
    data = processed.load(out)
    assert all(len(data.split(name)[key]) for name in data.meta["splits"] for key in data.arrays)


@pytest.mark.parametrize("reader", OPTIONS)
def test_the_same_seed_gives_the_same_bytes(tmp_path, reader):
    first, again, other = (
        generated(reader, tmp_path / name, seed) for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )
    assert first == again
    assert first.keys() == other.keys()
    assert all(first[name] != other[name] for name in first)


def test_generated_digits_can_be_told_apart(folders):
    """The mean image of a digit, its ink moved about, is nearest to the mean of that digit."""
    raw, out = folders
    write(mnist, raw, 1)
    mnist.prepare(raw, out, OPTIONS[mnist])
    data = processed.load(out)
    means = {
        name: np.stack(
            [data.split(name)["x"][data.split(name)["y"] == digit].mean(0) for digit in range(10)]
        )
        for name in ("train", "test")
    }
    distances = ((means["train"][:, None] - means["test"]) ** 2).sum((2, 3))
    assert distances.argmin(1).tolist() == list(range(10))


# --- prepared data ---------------------------------------------------------------------------


@pytest.fixture
def stored(tmp_path):
    np.save(tmp_path / "x.npy", np.arange(12, dtype=np.uint8).reshape(6, 2))
    np.save(tmp_path / "y.npy", np.arange(6, dtype=np.uint8))
    processed.describe(tmp_path, {"train": (0, 4), "test": (4, 6)}, scale=0.5)
    return tmp_path


def test_what_is_described_is_loaded(stored):
    data = processed.load(stored)
    assert data.split("test")["x"].tolist() == [[8, 9], [10, 11]]
    assert data.split("train")["y"].tolist() == [0, 1, 2, 3]
    assert data.meta["scale"] == 0.5
    assert all(isinstance(array, np.memmap) for array in data.arrays.values())


def test_what_has_no_scale_is_taken_as_it_is(stored):
    np.save(stored / "x.npy", np.zeros((6, 2), np.float32))
    processed.describe(stored, {"train": (0, 4), "test": (4, 6)})
    assert processed.load(stored, verify=True).meta["scale"] == 1


def test_arrays_are_read_only(stored):
    with pytest.raises(ValueError, match="read-only"):
        processed.load(stored).arrays["y"][0] = 1


def test_the_digest_tells_contents_apart(stored):
    before = processed.load(stored).digest
    np.save(stored / "y.npy", np.array([0, 1, 2, 3, 4, 6], np.uint8))
    processed.describe(stored, {"train": (0, 4), "test": (4, 6)}, scale=0.5)
    assert processed.load(stored).digest != before


def test_an_unknown_split_is_an_error_that_names_the_others(stored):
    with pytest.raises(ModelmillError, match="no split 'tset', only train, test"):
        processed.load(stored).split("tset")


@pytest.mark.parametrize(
    ("splits", "problem"),
    [
        ({"train": (0, 4), "test": (3, 6)}, "the splits from 0 and from 3 overlap"),
        ({"train": (0, 6), "test": (6, 6)}, "nothing is left for split 'test'"),
        ({"train": (0, 4), "test": (4, 7)}, "split 'test' ends at 7, beyond the data"),
    ],
)
def test_splits_are_disjoint_and_whole(stored, splits, problem):
    with pytest.raises(ModelmillError, match=problem):
        processed.describe(stored, splits)
    meta = json.loads((stored / "meta.json").read_text())
    (stored / "meta.json").write_text(json.dumps(meta | {"splits": splits}))
    with pytest.raises(ModelmillError, match=problem):
        processed.load(stored)


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"class_names": ["a", "b"]}, "array y, row 2: 2 is no class from 0 to 1"),
        ({"class_names": [*"abbdef"]}, "two are the same"),
        ({"class_names": [*"abcde", "class"]}, "or one is 'class'"),
        ({"class_names": [*"abcdef"], "input_shape": [3]}, r"input_shape \[3\] of examples \[2\]"),
    ],
)
def test_facts_that_do_not_fit_the_arrays_are_refused_before_they_are_written(
    stored, facts, problem
):
    (stored / "meta.json").unlink()
    facts |= {"outputs": len(facts["class_names"]), "scale": 0.5}
    with pytest.raises(ModelmillError, match=problem):
        processed.describe(stored, {"train": (0, 4), "test": (4, 6)}, **facts)
    assert not (stored / "meta.json").exists()


@pytest.mark.parametrize(
    ("name", "values", "problem"),
    [
        ("tokens", [0, 1, 2], "array tokens, row 2: 2 is no token from 0 to 1"),
        ("user", [1, 2, 0], "array user, row 1: 2 is no user from 0 to 1"),
        ("item", [0.0, 1.0, 1.0], "array item is float64: each item is a whole number"),
        ("rating", [1, 5, 0], "array rating, row 2: 0 is no rating from 1 to 5"),
    ],
)
def test_numbers_are_of_what_there_is(tmp_path, name, values, problem):
    np.save(tmp_path / f"{name}.npy", np.array(values))
    facts = {"vocabulary_size": 2, "users": 2, "items": 2, "stars": 5}
    with pytest.raises(ModelmillError, match=problem):
        processed.describe(tmp_path, {"train": (0, 3)}, **facts)
    assert not (tmp_path / "meta.json").exists()


def test_a_scale_is_for_integers(stored):
    np.save(stored / "x.npy", np.zeros((6, 2), np.float32))
    with pytest.raises(ModelmillError, match="a scale is for integers, and array x is float32"):
        processed.describe(stored, {"train": (0, 4), "test": (4, 6)}, scale=0.5)


def test_examples_in_two_splits_are_counted(stored):
    np.save(stored / "x.npy", np.array([[1, 2], [1, 2], [3, 4], [5, 6], [1, 2], [7, 8]]))
    processed.describe(stored, {"train": (0, 4), "test": (4, 6)}, scale=1.0)
    shared = processed.load(stored).meta["shared"]
    assert shared == {"train in test": 2, "test in train": 1}


def save_pickled(path):
    np.save(path, np.array([{"code": "never run"}] * 6), allow_pickle=True)


DAMAGES = {
    "missing": lambda path: None,
    "empty": lambda path: path.write_bytes(b""),
    "not an array": lambda path: path.write_text("hello"),
    "an archive": lambda path: np.savez(path.open("wb"), y=np.arange(6)),
    "a pickle": save_pickled,
    "other shape": lambda path: np.save(path, np.arange(5, dtype=np.uint8)),
    "other type": lambda path: np.save(path, np.arange(6, dtype=np.int64)),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_array_is_an_error(stored, damage):
    (stored / "y.npy").unlink()
    DAMAGES[damage](stored / "y.npy")
    with pytest.raises(ModelmillError, match="is not a prepared data set"):
        processed.load(stored)


@given(st.data())
@settings(max_examples=100, deadline=None)
def test_a_damaged_header_is_an_error_or_an_array_as_described(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("stored")
    np.save(folder / "y.npy", np.arange(6, dtype=np.uint8))
    processed.describe(folder, {"train": (0, 6)})
    content = bytearray((folder / "y.npy").read_bytes())
    content[data.draw(st.integers(0, 127))] = data.draw(st.integers(0, 255))
    (folder / "y.npy").write_bytes(content[: data.draw(st.integers(100, len(content)))])
    try:
        loaded = processed.load(folder)
    except ModelmillError:
        return
    assert loaded.arrays["y"].shape == (6,)
    assert loaded.arrays["y"].dtype == np.uint8


@pytest.mark.parametrize(
    "meta", [None, b"", b"[]", b"{}", b'{"arrays": []}', b'{"arrays": {"y": {}}}', b"\xff"], ids=str
)
def test_a_damaged_description_is_an_error(stored, meta):
    (stored / processed.META).unlink()
    if meta is not None:
        (stored / processed.META).write_bytes(meta)
    with pytest.raises(ModelmillError, match="is not a prepared data set"):
        processed.load(stored)


# --- replacing files -------------------------------------------------------------------------


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_when_all_went_well(tmp_path):
    path = tmp_path / "deep" / "x.npy"
    for value in (1, 2):
        with replacing(path) as temporary:
            assert temporary.suffix == ".npy"
            np.save(temporary, np.array(value))
        assert np.load(path) == value
    assert names(path.parent) == ["x.npy"]
    assert path.stat().st_mode & 0o777 == 0o644


def test_a_folder_is_replaced_as_a_whole(tmp_path):
    path = tmp_path / "deep" / "set"
    for name in ("old", "new"):
        with replacing_folder(path) as temporary:
            assert names(temporary) == []
            (temporary / name).write_text(name)
        assert names(path) == [name]
    assert names(path.parent) == ["set"]
    assert path.stat().st_mode & 0o777 == 0o755


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_when_writing_a_file_fails_the_old_one_stays_alone(tmp_path, interruption):
    path = tmp_path / "x"
    path.write_text("old")

    def fail():
        with replacing(path) as temporary:
            temporary.write_text("half of the n")
            raise interruption

    with pytest.raises(interruption):
        fail()
    assert path.read_text() == "old"
    assert names(tmp_path) == ["x"]


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_when_filling_a_folder_fails_the_old_one_stays_alone(tmp_path, interruption):
    path = tmp_path / "set"
    path.mkdir()
    (path / "old").touch()

    def fail():
        with replacing_folder(path) as temporary:
            (temporary / "new").touch()
            raise interruption

    with pytest.raises(interruption):
        fail()
    assert names(tmp_path) == ["set"]
    assert names(path) == ["old"]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), object()])
def test_what_json_cannot_say_leaves_the_old_file(tmp_path, value):
    path = tmp_path / "x.json"
    write_json(path, {"b": 1, "a": [2]})
    with pytest.raises((ValueError, TypeError)):
        write_json(path, {"value": value})
    assert list(json.loads(path.read_text())) == ["b", "a"]
    assert names(tmp_path) == ["x.json"]


def test_sha256_is_over_the_files_one_after_another(tmp_path):
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "bc").write_bytes(b"bc")
    # Known from FIPS 180-2, appendix B.1.
    assert sha256(tmp_path / "a", tmp_path / "bc") == (
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    )
