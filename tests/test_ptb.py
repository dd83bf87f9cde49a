"""Words become ids by the training text's vocabulary, and windows carry on where they stopped."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modelmill.datasets import processed, ptb
from modelmill.datasets.ptb import ptb_iterator, ptb_raw_data
from modelmill.errors import ModelmillError

IDS = [4, 3, 2, 1, 0, 5, 6, 1, 1, 1, 1, 0, 3, 4, 1]
TRAIN = " a b a \n c <unk> b a \n"


@pytest.fixture
def corpus(tmp_path):
    """Writes the three files (None: leaves one out); returns their folder."""

    def write(train=TRAIN, validation="a\n", test="b\n"):
        for name, content in zip(ptb.SPLITS.values(), (train, validation, test), strict=True):
            if content is not None:
                data = content if isinstance(content, bytes) else content.encode()
                (tmp_path / name).write_bytes(data)
        return tmp_path

    return write


# --- words and ids ---------------------------------------------------------------------------


def test_the_vocabulary_falls_in_frequency_then_goes_by_the_alphabet(corpus):
    train, validation, test, ids = ptb_raw_data(corpus())
    assert list(ids) == ["a", "<eos>", "b", "<unk>", "c"]
    assert list(ids.values()) == [0, 1, 2, 3, 4]
    assert train.tolist() == [0, 2, 0, 1, 4, 3, 2, 0, 1]
    assert validation.tolist() == [0, 1]
    assert test.tolist() == [2, 1]
    assert train.dtype == np.uint8


def test_what_windows_editors_put_before_a_text_is_no_word(corpus):
    folder = corpus(*(b"\xef\xbb\xbf" + text for text in (b"a b\n", b"b\n", b"a\n")))
    assert [*ptb_raw_data(folder)[3]] == ["<eos>", "a", "b"]


def test_only_the_training_text_makes_the_vocabulary(corpus):
    _, validation, test, ids = ptb_raw_data(corpus(validation="new a\n", test="newer newer\n"))
    assert "new" not in ids
    assert len(ids) == 5
    assert validation.tolist() == [3, 0, 1]
    assert test.tolist() == [3, 3, 1]


def test_an_unknown_word_without_unk_is_an_error_that_names_it(corpus):
    with pytest.raises(ModelmillError, match=r"ptb\.test\.txt.*'new'.*<unk>"):
        ptb_raw_data(corpus(train="a b\n", test="b new\n"))


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("a b\n", "a b <eos>"),
        ("a b", "a b"),
        ("a\n\nb\n", "a <eos> <eos> b <eos>"),
        ("\n", "<eos>"),
        ("a b\r\na\r\n", "a b <eos> a <eos>"),
        ("  a \t b  \n", "a b <eos>"),
        ("é 語\n", "é 語 <eos>"),
    ],
)
def test_lines_and_blanks(corpus, content, expected):
    train, _, _, ids = ptb_raw_data(corpus(train=content, validation=content, test=content))
    words = list(ids)
    assert " ".join(words[i] for i in train) == expected


@given(st.lists(st.lists(st.text("abcé<>", min_size=1, max_size=3), max_size=5), min_size=1))
@settings(max_examples=50, deadline=None)
def test_ids_decode_to_the_words(sentences):
    content = "".join(" ".join(sentence) + " \n" for sentence in sentences)
    with tempfile.TemporaryDirectory() as folder:
        for name in ptb.SPLITS.values():
            Path(folder, name).write_text(content, encoding="utf-8")
        train, *_, ids = ptb_raw_data(folder)
    words = list(ids)
    assert [words[i] for i in train] == [word for s in sentences for word in [*s, "<eos>"]]
    counts = [(-np.count_nonzero(train == i), word) for word, i in ids.items()]
    assert counts == sorted(counts)


BLANKS = "".join(c for c in map(chr, range(0x3001)) if c.isspace() and c != "\r")


@given(st.text("ab é" + BLANKS, min_size=1), st.integers(1, 9))
def test_words_are_those_that_python_splits_in_whatever_pieces(text, block):
    expected = text.replace("\n", " <eos> ").split()
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ptb, "BLOCK", block)
        path = Path(folder, "text")
        path.write_text(text, encoding="utf-8", newline="")
        if expected:
            words, blocks = ptb.read(path)
            assert [words[place] for block in blocks for place in block] == expected
            assert words == list(dict.fromkeys(expected))
        else:
            with pytest.raises(ModelmillError, match="is empty"):
                ptb.read(path)


@pytest.mark.parametrize("split", ptb.SPLITS)
def test_a_missing_file_is_an_error(corpus, split):
    with pytest.raises(ModelmillError, match=f"{ptb.SPLITS[split]} is missing"):
        ptb_raw_data(corpus(**{split: None}))


@pytest.mark.parametrize("split", ptb.SPLITS)
@pytest.mark.parametrize("content", ["", " ", "\t  "])
def test_a_file_without_words_is_an_error(corpus, split, content):
    with pytest.raises(ModelmillError, match=f"{ptb.SPLITS[split]} is empty"):
        ptb_raw_data(corpus(**{split: content}))


def test_a_file_that_is_not_utf_8_is_an_error(corpus):
    with pytest.raises(ModelmillError, match=r"ptb\.valid\.txt: not UTF-8"):
        ptb_raw_data(corpus(validation=b"a \xff\n"))


# --- windows ---------------------------------------------------------------------------------


def test_windows_by_hand():
    windows = [(x.tolist(), y.tolist()) for x, y in ptb_iterator(np.array(IDS), 3, 2)]
    assert windows == [
        ([[4, 3], [5, 6], [1, 0]], [[3, 2], [6, 1], [0, 3]]),
        ([[2, 1], [1, 1], [3, 4]], [[1, 0], [1, 1], [4, 1]]),
    ]


def test_a_list_of_ids_will_do():
    assert len(list(ptb_iterator(IDS, 3, 2))) == 2


@given(st.lists(st.integers(0, 9), max_size=120), st.integers(1, 5), st.integers(1, 5))
@settings(deadline=None)
def test_streams_reproduce_the_ids_and_y_is_one_ahead(ids, batch_size, num_steps):
    length = len(ids) // batch_size
    count = (length - 1) // num_steps
    if count < 1:
        with pytest.raises(ModelmillError, match="too few"):
            next(ptb_iterator(np.array(ids), batch_size, num_steps))
        return
    windows = list(ptb_iterator(np.array(ids), batch_size, num_steps))
    assert len(windows) == count
    x, y = (np.concatenate(parts, axis=1) for parts in zip(*windows, strict=True))
    for stream in range(batch_size):
        start = stream * length
        assert x[stream].tolist() == ids[start : start + count * num_steps]
        assert y[stream].tolist() == ids[start + 1 : start + count * num_steps + 1]


def test_too_few_words_are_an_error_with_the_numbers():
    with pytest.raises(ModelmillError, match=r"8 ids .* 3 x 2 steps.* at least 9"):
        next(ptb_iterator(np.arange(8), 3, 2))
    assert len(list(ptb_iterator(np.arange(9), 3, 2))) == 1


@pytest.mark.parametrize(("batch_size", "num_steps"), [(0, 2), (2, 0), (-1, 2)])
def test_sizes_below_one_are_refused(batch_size, num_steps):
    with pytest.raises(ModelmillError, match="at least 1"):
        next(ptb_iterator(np.array(IDS), batch_size, num_steps))


# --- prepare ---------------------------------------------------------------------------------


def test_prepare_stores_the_three_texts_one_after_another(corpus, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    ptb.prepare(corpus(), out, ptb.Options())
    data = processed.load(out)
    assert data.vocabulary() == ["a", "<eos>", "b", "<unk>", "c"]
    assert data.meta["vocabulary_size"] == 5
    assert {name: data.split(name)["tokens"].tolist() for name in ptb.SPLITS} == {
        "train": [0, 2, 0, 1, 4, 3, 2, 0, 1],
        "validation": [0, 1],
        "test": [2, 1],
    }
