"""What evaluating measures, by hand, and what it draws: something, and the same again."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from conftest import ROOT

from modelmill import params
from modelmill.datasets.processed import Processed
from modelmill.errors import ModelmillError
from modelmill.evaluation import Job, classification, language_modeling, reconstruction
from modelmill.models import Spec, autoencoder
from modelmill.report import content
from modelmill.tasks.classification import probabilities
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from pipelines import results

RNG = np.random.default_rng(0)
LINE = (np.linspace(0, 1, 11), np.linspace(0, 2, 11) ** 1.1)
DIGITS = RNG.random((14, 9, 8)).astype(np.float32)
NAMES = ["zero", "$_$", "b_$x_$"]  # which is no mathematics


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved, which can be asked what is in them."""
    from matplotlib.figure import Figure

    figures = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, path, **_: figures.append(figure))
    return figures


def test_a_graphics_processor_adds_up_the_same_losses(tensorflow, monkeypatch):
    """There the kernel that is used elsewhere is none that TensorFlow calls deterministic."""
    from modelmill.tasks.classification import score

    draw = np.random.default_rng(0)
    logits, y = draw.normal(size=(50, 10)).astype(np.float32), draw.integers(0, 10, 50)
    here = score(tensorflow.constant(logits), tensorflow.constant(y), "cross_entropy")
    monkeypatch.setattr(tensorflow.config, "list_physical_devices", lambda kind: ["GPU"])
    monkeypatch.delattr(tensorflow.raw_ops, "SparseSoftmaxCrossEntropyWithLogits")
    there = score(tensorflow.constant(logits), tensorflow.constant(y), "cross_entropy")
    np.testing.assert_allclose(here.sums, there.sums, rtol=1e-6)


@pytest.mark.parametrize("loss", ["cross_entropy", "half_squared_error"])
@pytest.mark.usefixtures("tensorflow")
def test_the_measured_loss_is_the_trained_one(loss):
    import tensorflow as tf

    from modelmill.tasks import classification as task

    logits, truth = RNG.normal(size=(6, 3)).astype(np.float32), RNG.integers(0, 3, 6)
    trained = task.score(tf.constant(logits), tf.constant(truth, tf.int32), loss).sums
    assert classification.losses(logits, truth, loss).sum() == pytest.approx(float(trained[0]))


def test_probabilities_are_those_that_were_trained():
    logits = np.log([[1.0, 3.0, 4.0]])
    found = probabilities(logits, "cross_entropy")
    np.testing.assert_allclose(found, [[1 / 8, 3 / 8, 4 / 8]])
    found = probabilities(logits, "half_squared_error")
    np.testing.assert_allclose(found, [[1 / 2, 3 / 4, 4 / 5]])


def test_the_most_telling_inputs_are_those_that_separate_the_classes():
    truth = np.repeat([0, 1], 50)
    x = RNG.normal(size=(100, 4))
    x[:, 1] += 8 * truth
    x[:, 3] -= 4 * truth
    assert classification.most_telling(x, truth) == [1, 3]
    x[:, 0] = 7.0
    assert classification.most_telling(x, truth) == [1, 3]


@pytest.mark.usefixtures("tensorflow")
def test_an_autoencoder_that_answers_black_misses_all_the_ink(tmp_path, monkeypatch):
    from modelmill.trained import inference

    pixels = np.full((40, 5, 5), 51, np.uint8)
    seen = []

    def black(model, x, scale):
        seen.append(x)
        return np.zeros(x.shape, np.float32)

    monkeypatch.setattr(artifacts, "restore", lambda folder: None)
    monkeypatch.setattr(inference, "predict", black)
    meta = {"scale": 1 / 255, "splits": {"test": [0, 40]}}
    card = Card({"model": "toy", "fit": {"snapshots": False}}, Spec.examples((5, 5), 25), "", "", 0)
    job = Job(
        tmp_path, card, Processed(tmp_path, meta, {"x": pixels}), tmp_path, tmp_path, tmp_path
    )
    options = reconstruction.Eval(split="test", corruption=0.4, seed=3)
    metrics = reconstruction.evaluate(job, options)
    assert metrics["total_squared_error"] == pytest.approx(40 * 25 * 0.2**2)
    assert metrics["loss"] == pytest.approx(25 * 0.2**2)
    assert metrics["mean_squared_error"] == pytest.approx(0.2**2)
    assert metrics["examples"] == 40
    assert np.mean(seen[0] == 0) == pytest.approx(0.4, abs=0.05)
    reconstruction.evaluate(dataclasses.replace(job), options)
    np.testing.assert_array_equal(seen[0], seen[1])


@pytest.mark.usefixtures("tensorflow")
def test_what_an_autoencoder_made_of_examples_is_drawn_lap_by_lap(drawn, tmp_path):
    fit = {"length": "1 epoch", "batch_size": 4, "learning_rate": 0.1, "snapshots": "outputs"}
    fit |= {"optimizer": {"name": "sgd"}, "corruption": 0.25}
    net = {"hidden_units": [2], "tied": True, "initializer": {"name": "glorot_uniform"}}
    settings = {"model": "toy", "seed": 3, "dataset": "d", "task": "reconstruction"}
    settings |= {"arch": "autoencoder", "net": net, "fit": fit}
    spec, x = Spec.examples((3, 2), 6), RNG.integers(1, 256, (60, 3, 2), np.uint8)
    model = autoencoder.build(autoencoder.Net.model_validate(net), spec)
    card = Card(settings, spec, "", "", model.count_params())
    laps = [{"step": n, "epoch": n / 4, "loss": 9.0, "validation_loss": 8 / n} for n in range(1, 8)]
    outputs = RNG.random((7, 60)).astype(np.float32)
    artifacts.save(tmp_path, model, card, laps, outputs)
    meta = {"scale": 1 / 255, "input_shape": [3, 2]}
    meta["splits"] = {"train": [0, 20], "validation": [20, 40], "test": [40, 60]}
    job = Job(tmp_path, card, Processed(tmp_path, meta, {"x": x}), *[tmp_path] * 3)
    reconstruction.evaluate(job, reconstruction.Eval(split="test", corruption=0.25))
    (axes,) = drawn[-1].axes
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "original",
        "25% missing",
        "epoch 0.25,\nerror 8",
        "epoch 0.5,\nerror 4",
        "epoch 1.25,\nerror 1.6",
        "epoch 1.75,\nerror 1.14",
    ]
    table = np.pad(axes.images[0].get_array().filled(0), (0, 1)).reshape(6, 4, 10, 3)
    whole, given, *made = table.swapaxes(1, 2)[..., :3, :2]
    np.testing.assert_allclose(whole, x[20:30] / 255, rtol=1e-6)
    kept = given > 0
    assert 0.5 < kept.mean() < 0.95
    np.testing.assert_array_equal(given[kept], whole[kept])
    np.testing.assert_array_equal(made, outputs[[0, 1, 4, 6]].reshape(4, 10, 3, 2))


def test_principal_components_leave_what_can_be_worked_out_by_hand():
    """Of points on a cross the longer bar is the first component; the other bar is the error."""
    from modelmill.evaluation.measures.codes import of_components

    cross = np.array([[8, 7], [2, 7], [5, 8], [5, 6]], np.float32)
    found = of_components(cross, cross, 1)
    np.testing.assert_allclose(found, [[8, 7], [2, 7], [5, 7], [5, 7]], atol=1e-5)
    assert reconstruction.squared_error(found, cross, 1.0) == pytest.approx(2)
    both = of_components(cross, cross, 2)
    np.testing.assert_allclose(both, cross, atol=1e-5)


def test_a_squared_error_is_added_up_over_values_and_examples():
    assert reconstruction.squared_error(np.ones((2, 3)), np.full((2, 3), 6), 0.5) == 2 * 3 * 4


def test_a_walk_goes_straight_from_each_code_to_the_next():
    from modelmill.evaluation.measures.codes import walks

    codes = np.array([[0, 0], [1, 2], [1, 0]], np.float32)
    expected = [[[0, 0], [0.5, 1], [1, 2]], [[1, 2], [1, 1], [1, 0]]]
    np.testing.assert_array_equal(walks(codes, 3), expected)


# --- figures -------------------------------------------------------------------------------

CURVES = ["learning_curves", "perplexity", "line_fit", "line_over_time"]
CLASSES = ["confusion_matrix", "decision_regions", "reading", "codes"]
TEXTS = ["passage", "extremes", "over_time", "over_time of one kind"]
IMAGES = ["grid", "rows", "mosaics"]


def history(laps=4):
    steps = np.arange(1, laps + 1) * 10
    columns = {"step": steps, "epoch": steps / 20, "learning_rate": 0.1}
    for name in ("loss", "perplexity", "validation_loss", "validation_perplexity"):
        columns[name] = 50.0 / steps
    return pd.DataFrame(columns)


def draw(name, path):
    from modelmill.figures import classes, codes, curves, images, texts

    x, y = LINE
    match name:
        case "learning_curves":
            curves.learning_curves(history(), "toy", path)
        case "perplexity":
            curves.perplexity(history(), 600, "word", "toy", path)
        case "line_fit":
            curves.line_fit(x, y, [("trained", 2.0, 0.0), ("best", 1.9, 0.1)], "toy", path)
        case "line_over_time":
            lines = np.array([[0.5, 0.1], [1.5, 0.05], [1.9, 0.0]])
            curves.line_over_time(x, y, np.array([5, 10, 15]), lines, "toy", path)
        case "confusion_matrix":
            classes.confusion_matrix(
                np.array([[9, 1, 0], [0, 7, 0], [2, 0, 0]]), NAMES, "toy", path
            )
        case "decision_regions":
            places = np.linspace(0, 1, 20)
            decided = (np.add.outer(places, places) * 1.4).astype(int)
            points, truth = DIGITS[:9, 0, :2], np.arange(9) % 3
            grid = (places, places)
            classes.decision_regions(grid, decided, points, truth, NAMES[:2], NAMES, "toy", path)
        case "reading":
            shares = np.full((2, 9, 3), 1 / 3)
            classes.reading(DIGITS[:2], shares, NAMES, "toy", path)
        case "codes":
            points = DIGITS[..., :2].reshape(-1, 2)
            codes.by_class(points, np.arange(len(points)) % 3, NAMES, "toy", path)
        case "passage":
            tokens = ["costs", "$", "5", "or", "$", "6", "<eos>", "_x^"]
            texts.passage(tokens, np.arange(8.0), True, "toy", path)
        case "extremes":
            texts.extremes([("$", 0.1), (" ", 0.2)], [("$x$", 9.0), ("\n", 7.0)], "toy", path)
        case "over_time":
            panels = {"forget gate": DIGITS[0, :4], "cell state": DIGITS[0, :4] - 0.5}
            texts.over_time(["costs", "$", "_x^", "<eos>"], panels, True, "toy", path)
        case "over_time of one kind":
            panels = {"hidden state": DIGITS[0, :4] - 0.5}
            texts.over_time(["$", "$", " ", "\n"], panels, False, "toy", path)
        case "grid":
            images.grid(DIGITS, [str(i) for i in range(14)], "toy", path)
        case "no mistakes":
            images.grid(DIGITS[:0], [], "toy", path)
        case "rows":
            images.rows([("original", DIGITS[:5]), ("restored", DIGITS[5:10])], "toy", path)
        case "mosaics":
            parts = [("one", DIGITS[:1]), ("many", DIGITS - 0.5)]
            images.mosaics(parts, "toy", path, signed=True)


@pytest.mark.parametrize("name", [*CURVES, *CLASSES, *TEXTS, *IMAGES, "no mistakes"])
def test_a_figure_shows_something_and_is_the_same_again(name, tmp_path):
    from matplotlib.image import imread

    for path in (tmp_path / "one.png", tmp_path / "two.png"):
        draw(name, path)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
    picture = imread(tmp_path / "one.png")
    assert min(picture.shape[:2]) > 100
    assert np.mean(picture[..., :3] < 1) > 0.01 or name == "no mistakes"


def test_a_mosaic_keeps_every_image_apart_from_its_neighbours():
    from modelmill.figures.images import tile

    picture = tile(DIGITS)
    assert picture.shape == (2 * 10 - 1, 8 * 9 - 1)
    np.testing.assert_array_equal(picture[:9, :8], DIGITS[0])
    np.testing.assert_array_equal(picture[10:19, 9:17], DIGITS[9])
    assert np.isnan(picture[:, 8]).all()
    assert np.isnan(picture[9]).all()
    assert np.isnan(picture).sum() == picture.size - DIGITS.size


@pytest.mark.parametrize(("kind", "array"), [("examples", "x"), ("tokens", "tokens")])
def test_a_figure_over_a_part_of_the_split_is_refused(tmp_path, kind, array):
    card = Card({"model": "m"}, Spec.examples((1,), 1), "d", "f", 1)
    data = Processed(tmp_path, {"splits": {"test": [10, 50]}}, {array: np.zeros(50)})
    job = Job(tmp_path, card, data, *[tmp_path] * 3)
    job.require_whole("test", {kind: 40})
    with pytest.raises(ModelmillError, match=r"m: evaluated on 39 of the 40 in split 'test'"):
        job.require_whole("test", {kind: 39})


def test_tokens_are_ordered_by_their_mean_loss():
    tokens, losses = np.array([2, 0, 2, 0, 1]), np.array([1.0, 4.0, 3.0, 0.5, 0.1])
    assert language_modeling.by_token(tokens, losses, 2) == ([(2, 2.0), (0, 2.25)], 2)
    assert language_modeling.by_token(tokens, losses, 9)[1] == 2  # none occurs as often


def test_the_liveliest_units_are_those_that_vary_most_slow_ones_first():
    quick, slow = [4, -4, 4, -4], [3, 3, -3, -3]
    still, pale = [9, 9, 9, 9], [1, -1, 1, -1]
    state = np.transpose([still, quick, pale, slow]).astype(np.float32)
    assert language_modeling.liveliest(state, 2).tolist() == [3, 1]
    assert sorted(language_modeling.liveliest(state, 9).tolist()) == [0, 1, 2, 3]


def test_each_unit_has_a_row_and_each_token_a_column(drawn, tmp_path):
    from modelmill.figures import texts

    gate = DIGITS[0, :3, :4]
    panels = {"input gate": gate, "cell state": gate - 0.5}
    texts.over_time(["a", "b", "<eos>"], panels, True, "toy", tmp_path / "x.png")
    upper, lower = [axes for axes in drawn[0].axes if axes.get_label() != "<colorbar>"]
    np.testing.assert_array_equal(upper.images[0].get_array(), gate.T)
    np.testing.assert_array_equal(lower.images[0].get_array(), gate.T - 0.5)
    assert upper.images[0].get_clim() == (0, 1)
    low, high = lower.images[0].get_clim()
    assert low == -high
    assert [label.get_text() for label in lower.get_xticklabels()] == ["a", "b", "↵"]


def test_nets_that_were_pre_trained_are_drawn_beside_their_controls(drawn, tmp_path):
    """The error of each epoch of fine-tuning; a control differs in that one key."""
    models = params.load(ROOT / "params.yaml").models
    accuracies = {}
    for number, pair in enumerate(results.PRETRAINED.values()):
        pretrained, control = (models[name] for name in pair)
        assert pretrained.fit.pretrain
        assert control.fit == pretrained.fit.model_copy(update={"pretrain": None})
        assert (control.arch, control.net) == (pretrained.arch, pretrained.net)
        for name in pair:
            accuracies[name] = 0.5 + len(accuracies) / 10 + number / 100
            rows = [f"{10 * e},{e},0.1,{accuracies[name] + e / 1000}" for e in (1, 2)]
            (tmp_path / name).mkdir()
            table = "\n".join(["step,epoch,loss,validation_accuracy", *rows, ""])
            (tmp_path / name / "history.csv").write_text(table)
    results.draw_pretraining(tmp_path, tmp_path / "x.png")
    for axes, (heading, pair) in zip(drawn[0].axes, results.PRETRAINED.items(), strict=True):
        assert axes.get_title() == heading
        for line, name in zip(axes.lines, pair, strict=True):
            expected = [100 * (1 - accuracies[name] - e / 1000) for e in (1, 2)]
            np.testing.assert_allclose(line.get_xydata(), [[1, expected[0]], [2, expected[1]]])


def test_a_text_is_cut_into_lines_with_a_value_for_each_character():
    from modelmill.figures.texts import COLUMNS, layout

    lines = layout(["ab", "<eos>", "c"], np.array([0.5, 0.25, 1.0]), words=True)
    assert [text for text, _ in lines] == ["ab ↵", "c"]
    np.testing.assert_array_equal(lines[0][1], [0.5, 0.5, np.nan, 0.25])
    lines = layout(list("x" * (COLUMNS + 1) + "\n"), np.ones(COLUMNS + 2), words=False)
    assert [text for text, _ in lines] == ["x" * COLUMNS, "x↵"]


def test_confusion_is_a_table_from_which_the_page_tells_precision_and_recall(tmp_path):
    counts = np.array([[3, 1, 0], [0, 2, 0], [0, 0, 0]])  # [true, predicted]
    names = ["zero", "one", "two"]
    (tmp_path / "confusion.csv").write_text(classification.table(counts, names))
    rows = (tmp_path / "confusion.csv").read_text().splitlines()
    assert rows[:4] == ["actual,predicted,examples", "zero,zero,3", "zero,one,1", "zero,two,0"]
    assert content.classes(tmp_path / "confusion.csv", "") == [
        ("zero", 4, 1, 0.75),
        ("one", 2, 2 / 3, 1),
        ("two", 0, 0, 0),
    ]


def test_curves_without_validation_data_are_of_training_alone():
    from modelmill.figures import curves

    history = pd.DataFrame({"step": [1, 2], "epoch": [0.5, 1.0], "loss": [2.0, 1.0]})
    assert curves.tables(history) == {
        "loss": "epoch,curve,value\n0.5,training,2\n1,training,1\n",
    }
    history["validation_loss"] = [3.0, 2.5]
    assert curves.tables(history)["loss"].splitlines()[3] == "0.5,validation,3"
