"""Text becomes ids in any encoding and any size of block; the cache is never taken on trust."""

import json
import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from modelmill.datasets import processed, text
from modelmill.datasets.text import TextLoader, code_points
from modelmill.errors import ModelmillError

ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-7", "gb18030"]
WRITABLE = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


@pytest.fixture
def write(tmp_path):
    """Writes input.txt; returns its folder."""

    def run(content, encoding="utf-8"):
        data = content if isinstance(content, bytes) else content.encode(encoding)
        (tmp_path / text.FILE).write_bytes(data)
        return tmp_path

    return run


def decoded(path, encoding, block):
    return "".join(chr(code) for codes in code_points(path, encoding, block) for code in codes)


# --- decoding --------------------------------------------------------------------------------


@given(WRITABLE, st.sampled_from(ENCODINGS), st.integers(1, 70))
@example("é" * 5, "utf-8", 3)
@example("a😀b\r\nc", "utf-16", 3)
@settings(deadline=None)
def test_code_points_are_those_of_the_text(content, encoding, block):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, text.FILE)
        path.write_bytes(content.encode(encoding))
        assert decoded(path, encoding, block) == content


@pytest.mark.parametrize("block", [1, 2, 3, 1000])
@pytest.mark.parametrize(
    ("encoding", "content"),
    [
        ("latin-1", "Fußgänger"),
        ("cp1252", "“façade” 5 €"),
        ("shift_jis", "吾輩は猫である。\n名前はまだ無い"),
        ("iso2022_jp", "吾輩は猫である。Meow"),
        ("big5", "床前明月光"),
        ("koi8-r", "жизнь и ляля"),
        ("cp037", "EBCDIC"),
    ],
)
def test_encodings_of_the_world(write, encoding, content, block):
    assert decoded(write(content, encoding) / text.FILE, encoding, block) == content


@pytest.mark.parametrize("block", [1, 2, 3, 4, 5, 7, 1000])
@pytest.mark.parametrize(
    ("encoding", "data", "offset"),
    [
        ("utf-8", b"abcd\xffef", 4),
        ("utf-8", b"ab\xe3\x81\x82\xe3\x81Xcd", 5),
        ("utf-8", "ab語".encode()[:-1], 2),
        ("utf-8-sig", b"\xef\xbb\xbfabc\xffd", 6),
        ("utf-16", "ab".encode("utf-16") + b"c", 6),
        ("utf-16-le", b"a\x00b\x00\x00\xdcc\x00", 4),
        ("shift_jis", "猫a".encode("shift_jis") + b"\x82", 3),
        ("ascii", b"abc\x80", 3),
    ],
)
def test_undecodable_bytes_are_named_by_their_offset(write, encoding, data, offset, block):
    path = write(data) / text.FILE
    with pytest.raises(ModelmillError, match=rf"not {encoding}: .* at byte {offset}$"):
        decoded(path, encoding, block)


def test_a_large_offset_is_exact(write):
    folder = write(b"x" * 1_500_000 + "é".encode() + b"\xff")
    with pytest.raises(ModelmillError, match="at byte 1,500,002"):
        TextLoader(folder, 1, 1)


@pytest.mark.parametrize(
    "encoding", ["nope", "zlib", "hex", "rot13", "base64", "undefined", "punycode", "\0"]
)
def test_what_is_no_text_encoding_is_refused(write, encoding):
    with pytest.raises(ModelmillError, match="Python knows no text encoding"):
        TextLoader(write("abc"), 1, 1, encoding)


def test_utf_16_must_say_its_byte_order(write):
    with pytest.raises(ModelmillError, match=r"not utf-16: .*BOM"):
        TextLoader(write("abc", "utf-16-le"), 1, 1, "utf-16")


# --- vocabulary and ids ----------------------------------------------------------------------


def test_vocabulary_falls_in_frequency_and_ties_go_to_the_first_seen(write):
    loader = TextLoader(write("hello, world"), 1, 3)
    assert loader.chars == ["l", "o", "h", "e", ",", " ", "w", "r", "d"]
    assert loader.vocab == {character: i for i, character in enumerate("lohe, wrd")}
    assert loader.vocab_size == 9
    assert loader.tensor.tolist() == [2, 3, 0, 0, 1, 4, 5, 6, 1, 7, 0, 8]


@given(WRITABLE.filter(bool), st.sampled_from(ENCODINGS))
@settings(max_examples=50, deadline=None)
def test_ids_decode_to_the_text(content, encoding):
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, text.FILE).write_bytes(content.encode(encoding))
        loader = TextLoader(folder, 1, 1, encoding)
        assert "".join(loader.chars[i] for i in loader.tensor) == content
        assert sorted(loader.chars) == sorted(set(content))
        counts = [content.count(character) for character in loader.chars]
        assert counts == sorted(counts, reverse=True)


@given(WRITABLE, st.integers(1, 9))
@settings(max_examples=50, deadline=None)
def test_the_vocabulary_does_not_depend_on_the_blocks(content, block):
    codes = np.array([ord(character) for character in content], np.uint32)
    blocks = [codes[i : i + block] for i in range(0, len(codes), block)]
    assert text.count_characters(iter(blocks)) == text.count_characters(iter([codes]))


@pytest.mark.parametrize(
    ("distinct", "dtype"),
    [(1, np.uint8), (256, np.uint8), (257, np.uint16), (65536, np.uint16), (65537, np.uint32)],
)
def test_ids_take_the_smallest_type_and_stay_on_disk(write, distinct, dtype):
    characters = [chr(code) for code in range(0x20, 0x20 + distinct + 0x800)]
    content = "".join(c for c in characters if not "\ud800" <= c <= "\udfff")[:distinct]
    tensor = TextLoader(write(content), 1, 1).tensor
    assert tensor.dtype == dtype
    assert tensor.tolist() == list(range(distinct))
    assert isinstance(tensor, np.memmap)


def test_new_lines_are_kept_as_they_are(write):
    assert set(TextLoader(write(b"a\r\nb\nc\r"), 1, 1).chars) == set("abc\r\n")


# --- the cache -------------------------------------------------------------------------------


@pytest.fixture
def encodings(monkeypatch):
    """The encodings that texts were encoded from since the test began."""
    made = []
    encode_file = text.encode_file

    def counted(path, out, encoding):
        made.append(encoding)
        return encode_file(path, out, encoding)

    monkeypatch.setattr(text, "encode_file", counted)
    return made


def state(folder):
    return {
        name: ((folder / name).stat().st_ino, (folder / name).stat().st_mtime_ns)
        for name in (text.TENSOR, text.VOCABULARY)
    }


def test_the_cache_is_used_again(write, encodings):
    folder = write("to be or not")
    first = TextLoader(folder, 2, 3)
    before = state(folder)
    second = TextLoader(folder, 3, 2)
    assert encodings == ["utf-8"]
    assert state(folder) == before
    assert second.chars == first.chars
    assert second.tensor.tolist() == first.tensor.tolist()


def test_another_text_is_encoded_anew_even_if_as_long_and_as_old(write, encodings):
    folder = write("aaab")
    TextLoader(folder, 1, 1)
    age = (folder / text.FILE).stat()
    write("bbba")
    os.utime(folder / text.FILE, ns=(age.st_atime_ns, age.st_mtime_ns))
    assert TextLoader(folder, 1, 1).chars == ["b", "a"]
    assert len(encodings) == 2


def test_another_encoding_is_encoded_anew(write, encodings):
    folder = write("é")
    assert TextLoader(folder, 1, 1, "utf-8").chars == ["é"]
    assert TextLoader(folder, 1, 1, "latin-1").chars == ["Ã", "©"]
    assert encodings == ["utf-8", "latin-1"]


DAMAGES = {
    "missing": lambda data: None,
    "empty": lambda data: b"",
    "truncated": lambda data: data[:-1],
    "cut within its first bytes": lambda data: data[:20],
    "longer": lambda data: data + b"0",
    "overwritten": lambda data: bytes(len(data)),
    "one byte changed": lambda data: data[:-2] + bytes([data[-2] ^ 1]) + data[-1:],
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_tensor_is_made_anew(write, encodings, damage):
    folder = write("to be or not")
    expected = TextLoader(folder, 1, 1).tensor.tolist()
    path = folder / text.TENSOR
    replace(path, DAMAGES[damage](path.read_bytes()))
    assert TextLoader(folder, 1, 1).tensor.tolist() == expected
    assert len(encodings) == 2


@pytest.mark.parametrize(
    "content", [None, b"", b"{", b"[]", b"null", b"{}", b'{"tokens": []}', b"\xff"], ids=str
)
def test_a_damaged_vocabulary_is_made_anew(write, encodings, content):
    folder = write("to be or not")
    expected = TextLoader(folder, 1, 1).chars
    replace(folder / text.VOCABULARY, content)
    assert TextLoader(folder, 1, 1).chars == expected
    assert len(encodings) == 2


def replace(path, content):
    """New content in a new file, as the old one may still be mapped."""
    path.unlink()
    if content is not None:
        path.write_bytes(content)


def test_a_text_that_cannot_be_decoded_leaves_no_cache(write):
    folder = write("fine")
    TextLoader(folder, 1, 1)
    write(b"fine\xff")
    with pytest.raises(ModelmillError):
        TextLoader(folder, 1, 1)
    write(b"good")
    assert TextLoader(folder, 1, 1).chars == ["o", "g", "d"]


# --- batches ---------------------------------------------------------------------------------


def test_batches_by_hand(write):
    """Ten characters make 2 streams of 4 in windows of 2; the last two are not used."""
    loader = TextLoader(write("abcdefghij"), 2, 2)
    assert loader.num_batches == len(loader.x_batches) == len(loader.y_batches) == 2
    assert [x.tolist() for x in loader.x_batches] == [[[0, 1], [4, 5]], [[2, 3], [6, 7]]]
    assert [y.tolist() for y in loader.y_batches] == [[[1, 2], [5, 6]], [[3, 4], [7, 0]]]


def test_next_batch_goes_round_and_can_start_over(write):
    loader = TextLoader(write("abcdefghij"), 2, 2)
    firsts = [loader.next_batch()[0][0, 0] for _ in range(3)]
    assert firsts == [0, 2, 0]
    loader.reset_batch_pointer()
    x, y = loader.next_batch()
    assert x.tolist() == [[0, 1], [4, 5]]
    assert y.tolist() == [[1, 2], [5, 6]]


@given(st.text("abcdef", min_size=1, max_size=200), st.integers(1, 5), st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_streams_reproduce_the_text_and_targets_are_one_ahead(content, batch_size, seq_length):
    used = len(content) // (batch_size * seq_length) * batch_size * seq_length
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, text.FILE).write_text(content)
        if not used:
            with pytest.raises(ModelmillError, match="too few"):
                TextLoader(folder, batch_size, seq_length)
            return
        loader = TextLoader(folder, batch_size, seq_length)
        batches = [loader.next_batch() for _ in range(loader.num_batches)]
        assert {part.shape for batch in batches for part in batch} == {(batch_size, seq_length)}
        x, y = (np.concatenate(parts, axis=1).ravel() for parts in zip(*batches, strict=True))
        assert "".join(loader.chars[i] for i in x) == content[:used]
        assert y.tolist() == np.roll(x, -1).tolist()


def test_too_little_text_is_an_error_with_the_numbers(write):
    folder = write("x" * 99)
    with pytest.raises(ModelmillError, match=r"99 ids .* 4 x 25 steps.* at least 100"):
        TextLoader(folder, 4, 25)


@pytest.mark.parametrize(("batch_size", "seq_length"), [(0, 1), (1, 0), (-1, -1)])
def test_sizes_below_one_are_refused(write, batch_size, seq_length):
    with pytest.raises(ModelmillError, match="at least 1"):
        TextLoader(write("abc"), batch_size, seq_length)


@pytest.mark.parametrize(("data", "encoding"), [(b"", "utf-8"), (b"\xff\xfe", "utf-16")])
def test_an_empty_text_is_an_error(write, data, encoding):
    with pytest.raises(ModelmillError, match="is empty"):
        TextLoader(write(data), 1, 1, encoding)


def test_a_missing_text_is_an_error_even_with_a_cache(write):
    folder = write("abc")
    TextLoader(folder, 1, 1)
    (folder / text.FILE).unlink()
    with pytest.raises(ModelmillError, match=r"input\.txt is missing"):
        TextLoader(folder, 1, 1)


# --- prepare ---------------------------------------------------------------------------------


def test_prepare_sets_the_end_of_the_text_aside(write, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    options = text.Options(encoding="utf-8", validation_fraction=0.25)
    text.prepare(write("abcabcaX"), out, options)
    data = processed.load(out)
    characters = data.vocabulary()
    spelled = {
        name: "".join(characters[i] for i in data.split(name)["tokens"])
        for name in ("train", "validation")
    }
    assert spelled == {"train": "abcabc", "validation": "aX"}
    assert data.meta["vocabulary_size"] == 4
    assert json.loads((out / "vocabulary.json").read_text())["encoding"] == "utf-8"


def test_prepare_without_a_text_is_an_error(tmp_path):
    options = text.Options(encoding="utf-8", validation_fraction=0.25)
    with pytest.raises(ModelmillError, match="is missing"):
        text.prepare(tmp_path, tmp_path, options)
