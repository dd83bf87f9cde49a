"""A damaged result costs its own row; every reader says in one line what to run."""

import errno
import json
import os
import shutil
import sys
import tempfile
from contextlib import chdir
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image
from test_fuzz import PROMISE, damaged, read

from modelmill import models, params
from modelmill.datasets import processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job
from modelmill.files import undamaged, write_json, write_text
from modelmill.parts import part
from modelmill.report import charts, content, seeds, stages, table
from modelmill.report.page import write
from modelmill.sweeps import state
from modelmill.trained import artifacts
from modelmill.trained.history import read_history, read_phases

NAMES = ("line_sgd", "line_gd")
MODEL, FIGURES = "data/models/line_sgd", "data/figures/line_sgd"
TEXTS = "data/evaluations/line_sgd"
DATA, TEXT = "data/processed/line_origin", "data/processed/words"


@pytest.fixture(scope="module")
def everything():
    whole = params.load(ROOT / "params.yaml")
    chosen = {name: whole.models[name] for name in NAMES}
    return whole.model_copy(update={"models": chosen})


@pytest.fixture(scope="module")
def house(everything, tmp_path_factory, tensorflow):
    """A repository in which two models have been trained and evaluated, by its files' names."""
    charts.library()  # whose engine needs more room as it starts than `read` has
    house = tmp_path_factory.mktemp("house")
    for name in (
        "dvc.yaml",
        "requirements.lock",
        "docs/results/full.json",
        "docs/results/seeds.json",
    ):
        (house / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, house / name)
    with chdir(house):
        for name in NAMES:
            _run(everything, name)
        words = Path(TEXT)
        words.mkdir()
        np.save(words / "tokens.npy", np.arange(6, dtype=np.uint8) % 3)
        write_json(words / "vocabulary.json", {"tokens": ["a", "b", "<eos>"]})
        processed.describe(words, {"train": (0, 6)}, unit="word", vocabulary_size=3)
    return {
        str(path.relative_to(house)): path.read_bytes()
        for path in house.rglob("*")
        if path.is_file()
    }


def _run(everything, name):
    """Writes what preparing data, training and evaluating leave."""
    entry = everything.models[name]
    dataset = everything.datasets[entry.dataset]
    reader, raw = part("datasets", dataset.reader, name), Path("data/raw", entry.dataset)
    data = Path("data/processed", entry.dataset)
    model, figures, texts = (
        Path("data", kind, name) for kind in ("models", "figures", "evaluations")
    )
    for folder in (raw, data, model, figures, texts, Path("data/metrics")):
        folder.mkdir(parents=True, exist_ok=True)
    reader.generate(raw, dataset.generate)
    reader.prepare(raw, data, dataset.options)
    prepared = processed.load(data)
    spec = entry.spec(name, prepared.meta)
    net = models.build(name, entry.arch, entry.net, spec)
    card = artifacts.card(everything.training(name), spec, prepared.digest, net)
    rows = [{"step": n, "epoch": n / 10, "examples": n * 10, "loss": 1 / n} for n in (10, 20)]
    artifacts.save(model, net, card, rows, np.zeros((2, card.parameters), np.float32))
    metrics = {entry.reference.metric: 0.01, "examples": 100}
    artifacts.save_evaluation(texts, card, entry.eval.model_dump(), metrics)
    write_json(Path("data/metrics", f"{name}.json"), metrics)
    Image.linear_gradient("L").resize((8, 8)).save(figures / "fit.png")
    (texts / "sample.txt").write_text("words", encoding="utf-8")
    write_text(figures / content.CONFUSION, "actual,predicted,count\na,a,3\na,b,0\nb,a,1\nb,b,2\n")


@pytest.fixture
def here(house, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    _lay(house, Path())


def _lay(files, folder):
    for name, whole in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(whole)


def test_what_the_system_refuses_is_no_damage():
    """Else the remedy would remove what is whole."""
    with pytest.raises(ModelmillError) as refused, undamaged(Path("study.log"), "rm study.log"):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(refused.value) == "study.log: No space left on device"


def _collect(everything):
    return table.collect(everything, Path(), lambda card: None)


def _without(path, *keys):
    """The JSON of a file without a key within it."""

    def change(content):
        value = inner = json.loads(content)
        for key in keys[:-1]:
            inner = inner[key]
        del inner[keys[-1]]
        return json.dumps(value).encode()

    return path, change


def _with(path, value, *keys):
    def change(content):
        whole = inner = json.loads(content)
        for key in keys[:-1]:
            inner = inner[key]
        inner[keys[-1]] = value
        return json.dumps(whole).encode()

    return path, change


CARD, HISTORY = f"{MODEL}/model.json", f"{MODEL}/history.csv"
DAMAGES = [
    (f"{TEXTS}/evaluation.json", lambda content: b""),
    (f"{TEXTS}/evaluation.json", lambda content: content[:40]),
    (f"{TEXTS}/evaluation.json", lambda content: b"[" * 100_000),
    (HISTORY, lambda content: b""),
    (HISTORY, lambda content: b"step,epoch,loss\n"),
    (HISTORY, lambda content: content.replace(b"epoch", b"epic")),
    (HISTORY, lambda content: content.replace(b"0.05", b"nan")),
    (HISTORY, lambda content: content + b"30,3,300,0.1,7\n"),
    _with(CARD, [], "settings"),
    _without(CARD, "settings", "arch"),
    _without(CARD, "settings", "fit", "batch_size"),
    _with(CARD, 10**12, "spec", "outputs"),
    _with(CARD, "nowhere", "settings", "arch"),
    _with(CARD, "../../etc", "settings", "dataset"),
    (CARD, lambda content: b'{"a":' * 100_000),
]
DATA_DAMAGES = [
    _without(f"{DATA}/meta.json", "digest"),
    _without(f"{DATA}/meta.json", "splits"),
    _with(f"{DATA}/meta.json", [2], "input_shape"),
    _with(f"{DATA}/meta.json", None, "scale"),
    _with(f"{DATA}/meta.json", ["one", "two"], "class_names"),
]


@pytest.mark.fault("damaged results", "their own row alone is lost, the file and the remedy named")
@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_a_damaged_result_costs_its_own_row(here, everything, house, name, damage):
    Path(name).write_bytes(damage(house[name]))
    found = _collect(everything)
    stage = "evaluate" if name.startswith(TEXTS) else "train"
    assert found["line_sgd"]["value"] is None
    assert name in found["line_sgd"]["problem"]
    assert f"run `dvc repro {stage}@line_sgd`" in found["line_sgd"]["problem"]
    assert found["line_gd"]["value"] == 0.01
    lines = table.plain(found).splitlines()
    assert "damaged" in lines[1]
    assert lines[-1] == found["line_sgd"]["problem"]
    write(Path("page.html"), everything, Path())
    page = Path("page.html").read_text(encoding="utf-8")
    parts = {name: page.partition(f'<h3 id="model-{name}">')[2] for name in ("line_sgd", "line_gd")}
    assert "damaged: " in parts["line_sgd"].partition("</article>")[0]
    assert "damaged: " not in parts["line_gd"].partition("</article>")[0]
    assert all(parts.values())


def test_a_history_without_what_is_drawn_costs_the_page_its_own_model(here, everything, house):
    Path(HISTORY).write_bytes(house[HISTORY].replace(b"examples", b"example"))
    write(Path("page.html"), everything, Path())
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count("it has no column examples") == 1


@pytest.mark.parametrize(("name", "damage"), DATA_DAMAGES)
def test_damaged_facts_are_named_with_the_stage_that_writes_them(here, house, name, damage):
    Path(name).write_bytes(damage(house[name]))
    with pytest.raises(ModelmillError, match=r"run `dvc repro preprocess@line_origin`$"):
        processed.load(Path(DATA))


def test_a_fact_that_is_not_there_is_named(here):
    with pytest.raises(ModelmillError, match=r"has no class_names: .* run `dvc repro preprocess@"):
        processed.load(Path(DATA)).meta["class_names"]


def test_a_version_with_room_for_gigabytes_is_refused_before_it_is_given(here):
    for path, load in (
        (Path(DATA, "x.npy"), lambda: processed.load(Path(DATA))),
        (Path(MODEL, artifacts.SNAPSHOTS), lambda: artifacts.read_snapshots(Path(MODEL))),
    ):
        content = bytearray(path.read_bytes())
        content[6] ^= 2  # 1.0 becomes 3.0
        path.write_bytes(content)
        with pytest.raises(ModelmillError, match=r"format 3\.0 of arrays, where 1\.0 was written"):
            load()


@pytest.mark.parametrize("content", [b"{}", b'{"tokens": ["a", "b"]}', b'{"tokens": [1, 2, 3]}'])
def test_a_damaged_vocabulary_is_an_error(here, content):
    Path(TEXT, "vocabulary.json").write_bytes(content)
    with pytest.raises(ModelmillError, match=r"vocabulary.json is damaged.*preprocess@words`$"):
        processed.load(Path(TEXT)).vocabulary()


def test_a_column_that_is_asked_for_must_be_there(here):
    with pytest.raises(ModelmillError, match=r"no column perplexity: run `dvc repro train@"):
        read_history(Path(MODEL), "perplexity")


@pytest.mark.parametrize("name", [f"{FIGURES}/fit.png", f"{TEXTS}/sample.txt"])
def test_a_damaged_picture_or_text_costs_its_own_models_part(here, everything, name):
    Path(name).write_bytes(b"\xff\xfe\xfd")
    write(Path("page.html"), everything, Path())
    page = Path("page.html").read_text(encoding="utf-8")
    assert page.count('<p class="empty">damaged: ') == 1
    assert f"{name} is damaged" in page


def test_a_picture_of_which_a_part_claims_gigabytes_asks_for_none(here, everything):
    picture = Path(FIGURES, "fit.png")
    content = bytearray(picture.read_bytes())
    content[content.index(b"IDAT") - 4] = 0x7F
    picture.write_bytes(content)
    read(write, Path("page.html"), everything, Path())
    assert "line_gd" in Path("page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["dvc.yaml", "docs/results/full.json", "docs/results/seeds.json"])
@pytest.mark.parametrize("content", [b"", b"{}", b"[]", b"stages: {a: {deps: [b], outs: [b]}}x"])
def test_what_git_has_is_named_with_git(here, everything, name, content):
    Path(name).write_bytes(content)
    with pytest.raises(ModelmillError, match=rf"^{name} .*run `git checkout {name}`$"):
        write(Path("page.html"), everything, Path())


def test_stages_that_need_one_another_are_refused(tmp_path, everything):
    path = tmp_path / "dvc.yaml"
    path.write_text("stages: {a: {deps: [x], outs: [y]}, b: {deps: [y], outs: [x]}}")
    with pytest.raises(ModelmillError, match="the stages a, b need one another"):
        stages.levels(path, everything)


# --- every bit -------------------------------------------------------------------------------


@pytest.mark.fault("one flipped bit of weights, card or prepared data", "refused, never an answer")
@given(st.data())
def test_a_flipped_bit_gives_no_other_answer(house, data):
    names = [f"{MODEL}/{artifacts.WEIGHTS}", CARD, f"{DATA}/meta.json", f"{DATA}/x.npy"]
    names += [f"{TEXT}/vocabulary.json", f"{TEXT}/meta.json"]
    name = data.draw(st.sampled_from(names))
    content = bytearray(house[name])
    content[data.draw(st.integers(0, len(content) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _lay(house, Path())
        before = _answer()
        Path(name).write_bytes(content)
        after = read(_answer)
        assert after in (None, before)


def _answer():
    """What predicting and sampling read, verified as they do."""
    job, words = Job.of("line_sgd", verify=True), processed.load(Path(TEXT), verify=True)
    weights = [weight.tolist() for weight in artifacts.restore(job.folder).get_weights()]
    return weights, job.card, dict(job.data.meta), words.vocabulary()


# --- any damage ------------------------------------------------------------------------------

NOTHING = params.load(ROOT / "params.yaml").model_copy(update={"models": {}})
READERS = {
    f"{MODEL}/{artifacts.WEIGHTS}": lambda _: artifacts.restore(Path(MODEL)),
    CARD: lambda _: artifacts.read_card(Path(MODEL)),
    HISTORY: lambda _: (read_history(Path(MODEL)), read_phases(Path(MODEL))),
    f"{MODEL}/{artifacts.SNAPSHOTS}": lambda _: artifacts.read_snapshots(Path(MODEL)),
    f"{TEXTS}/evaluation.json": lambda card: artifacts.read_evaluation(Path("data"), card),
    f"data/metrics/{NAMES[0]}.json": lambda card: artifacts.read_evaluation(Path("data"), card),
    f"{FIGURES}/{content.CONFUSION}": lambda _: content.classes(
        Path(FIGURES, content.CONFUSION), "x"
    ),
    f"{FIGURES}/fit.png": lambda _: content.figures(Path(FIGURES), "x"),
    f"{DATA}/meta.json": lambda _: processed.load(Path(DATA), verify=True),
    f"{DATA}/x.npy": lambda _: processed.load(Path(DATA), verify=True),
    f"{TEXT}/vocabulary.json": lambda _: processed.load(Path(TEXT)).vocabulary(),
    "docs/results/full.json": lambda _: content.models(NOTHING, Path(), lambda card: None),
    "docs/results/seeds.json": lambda _: seeds.read(Path()),
    "dvc.yaml": lambda _: stages.levels(Path("dvc.yaml"), NOTHING),
    "requirements.lock": lambda _: content.locked(Path()),
}


@pytest.fixture(scope="module")
def laid(house, tmp_path_factory):
    """The repository, laid out once, and the card of its model."""
    folder = tmp_path_factory.mktemp("laid")
    _lay(house, folder)
    return folder, artifacts.read_card(folder / MODEL)


@pytest.mark.fault("a damaged or cut result, by its own reader", PROMISE)
@pytest.mark.parametrize("name", READERS)
@given(data=st.data())
def test_a_damaged_file_is_read_or_refused(house, laid, name, data):
    folder, card = laid
    bad = data.draw(damaged(house[name]))
    with chdir(folder):
        Path(name).unlink()  # what is mapped of it stays as it was
        Path(name).write_bytes(bad)
        read(READERS[name], card)
        Path(name).write_bytes(house[name])


ASIDE = ("line_gd", "raw/")  # others', or read by none of these


@pytest.mark.fault("damaged or cut files of data/ and of its report", PROMISE)
@given(st.data())
def test_any_damage_is_answered_in_one_line(house, everything, data):
    name = data.draw(st.sampled_from(sorted(n for n in house if not any(a in n for a in ASIDE))))
    bad = data.draw(damaged(house[name]))
    with tempfile.TemporaryDirectory() as folder, chdir(folder):
        _lay(house, Path())
        Path(name).write_bytes(bad)
        if found := read(_collect, everything):
            assert found["line_gd"]["value"] == 0.01 or name.startswith("data/processed")
            assert "\n" not in found["line_sgd"].get("problem", "")
        assert found or name == "docs/results/seeds.json"  # which all share, and git has
        read(write, Path("page.html"), everything, Path())
        read(_answer)
        read(read_history, Path(MODEL))
        read(artifacts.read_snapshots, Path(MODEL))


@pytest.mark.fault("a damaged sweep.json", PROMISE)
@given(damaged(b'{"sweep.seed": "1", "code": "f"}'))
@example(b'{"A%s\\nx": "1"}' % (b"x" * 5000))
def test_a_damaged_sweep_is_answered_in_one_line(everything, content):
    from modelmill.sweeps import settings

    sweep = settings.load(ROOT / "conf/sweep", SWEEP)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, state.IDENTITY).write_bytes(content)
        data = processed.Processed(Path(), {"digest": "d"}, {})
        wanted = everything.model_copy(update={"models": {sweep.model: MODEL_OF_SWEEP}})
        assert read(state.prepare, Path(folder), "s", sweep, wanted, data, False) is None


SWEEP = sorted((ROOT / "conf/sweep").glob("*.yaml"))[0].stem
MODEL_OF_SWEEP = next(iter(params.load(ROOT / "params.yaml").models.values()))


# --- the commands ----------------------------------------------------------------------------


def test_results_prints_the_others(here, everything, capsys, monkeypatch):
    from pipelines import results

    monkeypatch.setattr(results, "load", lambda: everything)
    monkeypatch.setattr(sys, "argv", ["results"])
    Path(TEXTS, "evaluation.json").write_bytes(b"{")
    results.main()
    printed = capsys.readouterr().out
    assert "0.0100" in printed
    assert "run `dvc repro evaluate@line_sgd`" in printed
