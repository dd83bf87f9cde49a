"""params.yaml is refused by name, in one line, for whatever is wrong with it."""

import copy
import re
import sys
from contextlib import nullcontext

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from modelmill import models, params, parts
from modelmill.errors import ModelmillError
from modelmill.plain_yaml import read_yaml, yaml_data
from modelmill.sweeps.settings import with_values
from modelmill.training.settings import parse_duration


@pytest.fixture(scope="module")
def valid():
    return read_yaml(ROOT / "params.yaml")


def put(value, path, new):
    """A copy of `value` with `new` at the dotted `path`."""
    changed = copy.deepcopy(value)
    *parents, last = path.split(".")
    place = changed
    for key in parents:
        place = place[key]
    place[last] = new
    return changed


def test_the_committed_params_are_valid(valid):
    parsed = params.parse(valid)
    assert parsed.models["ptb_small"].net.units == 200
    assert parsed.models["ptb_small"].fit.optimizer.name == "sgd"
    assert parsed.datasets["mnist"].options.validation == 5000


@pytest.mark.parametrize(
    ("path", "new", "expected"),
    [
        ("models.mnist_softmax.fit.batchsize", 5, "no key 'batchsize' here; did you mean 'batch_"),
        ("models.mnist_softmax.net.baias", True, "net: there is no key 'baias' here; did you mean"),
        ("models.mnist_softmax.eval.splitt", "x", "eval: there is no key 'splitt'"),
        ("models.char_rnn.eval.sample.seed", -1, "eval.sample.seed: Input should be greater"),
        ("models.mnist_softmax.fit.batch_size", "5", "fit.batch_size: Input should be a valid int"),
        ("models.mnist_softmax.fit.batch_size", 0, "fit.batch_size: Input should be greater than"),
        ("models.mnist_softmax.fit.learning_rate", float("nan"), "fit.learning_rate: "),
        ("models.mnist_softmax.fit.keep_by", "validation_acuracy", "fit.keep_by: it chooses where"),
        (
            "models.mnist_rbm.fit.stop",
            {"metric": "free_energy_gap"},
            "fit.stop.metric: there is no 'free_energy_gap'; did you mean 'validation_free_energy",
        ),
        (
            "models.mnist_softmax.fit.optimizer.name",
            "adm",
            "name: there is no 'adm'; did you mean 'adam'",
        ),
        (
            "models.line_sgd.fit.optimizer.name",
            "s\ngd",
            r"optimizer.name: there is no 's\ngd'; did",
        ),
        ("models.line_sgd.fit.optimizer.name", "s" * 999, "fit.optimizer.name: there is no 'sss"),
        ("models.mnist_softmax.fit.optimizer.rho", 0.9, "fit.optimizer: there is no key 'rho'"),
        ("models.mnist_softmax.fit.length", "3 days", "fit.length: expected a length such as"),
        ("models.mnist_softmax.fit.num_steps", 5, "fit: there is no key 'num_steps' here"),
        ("models.ptb_small.fit.num_steps", None, "fit.num_steps: Input should be a valid integer"),
        ("models.mnist_softmax.fit.corruption", 0.3, "fit: there is no key 'corruption' here"),
        ("models.movielens_rbm_top.fit.examples", 100, "fit: there is no key 'examples' here"),
        ("models.movielens_rbm_top.eval.split", "train", "eval.split: Input should be 'valid"),
        ("models.movielens_rbm_item.eval.split", "train", "eval.split: Input should be 'valid"),
        ("models.mnist_softmax.fit.loss", "l2", "fit.loss: Input should be 'cross_entropy' or"),
        ("models.mnist_softmax.fit.keep", "best ", "fit.keep: Input should be 'last' or 'best'"),
        ("models.line_sgd.fit.keep", "best", "fit.keep: the data set has no validation split"),
        (
            "models.mnist_softmax.fit.stop",
            {"metric": "validation_acuracy"},
            "fit.stop.metric: there is no 'validation_acuracy'; did you mean 'validation_accuracy'",
        ),
        (
            "models.line_sgd.fit.stop",
            {"metric": "validation_loss"},
            "fit.stop.metric: there is no 'validation_loss'; choose from loss",
        ),
        (
            "models.mnist_softmax.fit.optimizer.nesterov",
            True,
            "fit.optimizer: nesterov needs a momentum above 0",
        ),
        ("models.ptb_small.fit.shards", 31, "fit: shards (31) exceed batch_size (30)"),
        ("models.mnist_softmax.dataset", "mnst", "no 'mnst'; did you mean 'mnist'?"),
        ("models.mnist_softmax.task", "clasification", "did you mean 'classification'?"),
        (
            "models.mnist_softmax.arch",
            "linaer",
            "arch: there is no 'linaer'; did you mean 'linear",
        ),
        ("models.mnist_softmax.arch", "../x", "arch: there is no '../x'"),
        ("models.m; rm -rf /", {}, "models.m; rm -rf /"),
        ("datasets.mnist.reader", "minst", "reader: there is no 'minst'; did you mean 'mnist'?"),
        ("datasets.mnist.reader", "processed", "processed.py has no Options"),
        ("datasets.mnist.options.validation", 0, "options.validation: Input should be greater"),
        (
            "datasets.iris.sources",
            [{"kind": "https", "urls": {"other.csv": "https://example.invalid/other.csv"}}],
            "datasets.iris: a source (https) has other.csv where files has iris.csv",
        ),
        ("models.mnist_softmax.eval.split", "tset", "eval.split: there is no 'tset'; did you mean"),
        ("models.char_rnn.eval.split", "test", "eval.split: there is no 'test'; choose from train"),
        ("models.mnist_softmax.reference.metric", "acuracy", "did you mean 'accuracy'?"),
        ("models.mnist_softmax.train_for", {"quick": "1 epoch"}, "train_for: there is no 'full'"),
        ("models.mnist_softmax.train_for.full", "ages", "train_for.full: expected a length"),
        (
            "models.mnist_softmax.dataset",
            "ptb",
            "task: 'classification' needs x (values), data set 'ptb' has tokens (tokens)",
        ),
        (
            "models.line_sgd.dataset",
            "mnist",
            "'regression' needs y (values), data set 'mnist' has x (values), y (classes)",
        ),
        (
            "models.ptb_small.arch",
            "linear",
            "net: there is no key",
        ),
        ("datasets.iris.generate", {"seed": 1}, "generate: reader 'iris' makes nothing up"),
        ("datasets.line_origin.generate.noise", -1.0, "generate.noise: Input should be greater"),
        ("datasets.line_origin.generate.low", 1e9, "high is above low, by a finite number"),
        (
            "datasets.ptb.sources",
            [{"kind": "ftp"}],
            "0.kind: there is no 'ftp'; did you mean 'https'",
        ),
        (
            "models.mnist_mlp.fit.optimizer",
            "adam",
            "fit.optimizer: a block is expected here, such as {name: adam}, found 'adam'",
        ),
        ("profile", "../fast", "profile: String should match pattern"),
        ("seed", True, "seed: Input should be a valid integer"),
        ("models", None, "models: Input should be a valid dictionary"),
        (f"models.{'X' * 5000}", {}, "models.XXX"),
        ("profile", "X" * 5000, "profile: String should match pattern"),
        ("models.mnist_softmax.fit", {"x" * 5000: 1}, "fit: there is no key 'xxx"),
        ("models.mnist_softmax.dataset", "x" * 5000, "there is no 'xxx"),
    ],
)
def test_an_error_names_the_key_and_what_is_wrong(valid, path, new, expected):
    with pytest.raises(ModelmillError) as error:
        params.parse(put(valid, path, new))
    assert expected in str(error.value)
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 600


def test_a_missing_key_is_named(valid):
    del (changed := copy.deepcopy(valid))["models"]["ptb_small"]["fit"]["batch_size"]
    with pytest.raises(ModelmillError, match=r"models\.ptb_small\.fit\.batch_size: Field required"):
        params.parse(changed)


MACHINES = {
    ("mnist_rbm", "mnist_mlp"): "'density' trains a Boltzmann machine of ones and zeros, 'mlp' is",
    ("mnist_mlp", "mnist_rbm"): "'classification' trains no Boltzmann machine, 'rbm' is a Boltz",
    ("movielens_rbm_item", "movielens_mf"): "machines of ratings, 'factorization' is none",
    ("movielens_mf", "movielens_rbm_item"): "'rating' trains no Boltzmann machine, 'rating_rbm' is",
}


@pytest.mark.parametrize(("name", "other"), MACHINES)
def test_a_task_is_given_the_kind_of_model_that_it_trains(valid, name, other):
    changed = copy.deepcopy(valid)
    for key in ("arch", "net"):
        changed["models"][name][key] = valid["models"][other][key]
    with pytest.raises(ModelmillError, match=f"models.{name}.arch: .*{MACHINES[name, other]}"):
        params.parse(changed)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("import foo_bar", r"src/modelmill/models/mine\.py: No module named 'foo_bar': if"),
        ("def build(:", r"mine\.py: line 1: invalid syntax"),
        ("units = 1", r"arch: src/modelmill/models/mine\.py has no Net"),
        ("class Net: pass", r"arch: src/modelmill/models/mine\.py has no INPUTS"),
        ("from modelmill.layers import no", r"mine\.py: ImportError: cannot import name 'no'"),
        ("class Net(Sektion): pass", r"mine\.py: NameError: name 'Sektion' is not defined"),
    ],
)
def test_a_mistake_in_ones_own_part_is_named(tmp_path, monkeypatch, text, said):
    (tmp_path / "models").mkdir()
    (tmp_path / "models/mine.py").write_text(text)
    monkeypatch.setattr(parts, "PACKAGE", tmp_path)
    monkeypatch.setattr(models, "__path__", [str(tmp_path / "models")])
    monkeypatch.delitem(sys.modules, "modelmill.models.mine", raising=False)
    with pytest.raises(ModelmillError, match=said):
        parts.part("models", "mine", "arch")


@pytest.mark.parametrize("name", ["Softmax", "1st", "a-b", "a b", "", "a;b", "ä", "$(x)"])
def test_names_that_would_not_suit_a_shell_are_refused(valid, name):
    changed = copy.deepcopy(valid)
    changed["models"][name] = changed["models"]["mnist_softmax"]
    with pytest.raises(ModelmillError, match="a name is lower-case letters"):
        params.parse(changed)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    )
)
def test_any_data_is_parsed_or_refused_in_one_line(value):
    with pytest.raises(ModelmillError) as error:
        params.parse(value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["a: [", "a: !!python/object:os.system x", "\tx", "a: 1\na: 2"])
def test_what_is_not_plain_yaml_is_refused(text):
    with pytest.raises(ModelmillError, match="not valid YAML"):
        yaml_data(text)


def test_numbers_are_read_as_dvc_reads_them():
    assert yaml_data("a: 1e-3\nb: 010\nc: yes") == {"a": 0.001, "b": 10, "c": "yes"}


def test_a_missing_file_says_what_to_do(tmp_path):
    with pytest.raises(ModelmillError, match=r"modelmill compose"):
        params.load(tmp_path / "params.yaml")


@pytest.mark.parametrize(
    ("text", "steps"), [("13 epochs", 1300), ("1 epoch", 100), ("1000 steps", 1000), ("7_steps", 7)]
)
def test_lengths_of_training(text, steps):
    assert parse_duration(text).steps(steps_per_epoch=100) == steps


@pytest.mark.parametrize("text", ["0 epochs", "-1 steps", "1.5 epochs", "epochs", "", 5, None])
def test_lengths_that_mean_nothing(text):
    with pytest.raises(ValueError, match="expected a length"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ({"seed": 2}, False),
        ({"models.line_sgd.fit.learning_rate": 0.5}, False),
        ({"models.line_sgd.about": "another", "models.line_sgd.reference.goal": 0.5}, True),
        ({"models.line_gd.fit.learning_rate": 0.5}, True),  # another model is none of its business
        (None, False),  # the model is gone
    ],
)
def test_a_result_is_kept_only_if_params_are_those_it_was_made_with(changed, kept, monkeypatch):
    before = params.load(ROOT / "params.yaml")
    data = with_values(before.model_dump(), changed or {})
    if changed is None:
        del data["models"]["line_sgd"]
    monkeypatch.setattr(params, "load", lambda: params.parse(data))

    expected = nullcontext() if kept else pytest.raises(ModelmillError, match=r"while it was tried")
    with expected:
        params.require_unchanged(before, lambda now: now.training("line_sgd"), "it was tried")


@pytest.mark.parametrize(
    ("name", "arch", "shape", "expected"),
    [
        (
            "mnist_cnn",
            "convnet",
            [784],
            "'convnet' takes grey images [rows, columns], not examples",
        ),
        (
            "mnist_lstm",
            "row_recurrent",
            [784],
            "takes sequences [steps, features], not examples of",
        ),
    ],
)
def test_an_architecture_that_does_not_suit_the_data_is_refused(valid, name, arch, shape, expected):
    """By what is in the prepared data, and before TensorFlow starts."""
    entry = params.parse(valid).models[name]
    assert entry.arch == arch
    arrays = {"y": {"shape": [9], "dtype": "uint8"}}
    meta = {"input_shape": shape, "class_names": [*"0123456789"], "arrays": arrays}
    with pytest.raises(ModelmillError, match=re.escape(expected)):
        entry.spec(name, meta)


def test_an_autoencoder_is_no_classifier(valid):
    entry = params.parse(valid).models["mnist_denoising_autoencoder"]
    entry = entry.model_copy(update={"task": "classification"})
    arrays = {"y": {"shape": [9], "dtype": "uint8"}}
    meta = {"input_shape": [28, 28], "class_names": [*"0123456789"], "arrays": arrays}
    with pytest.raises(ModelmillError, match="gives back its 784 inputs, not 10 outputs"):
        entry.spec("m", meta)


def test_what_a_model_is_given_must_be_what_its_architecture_takes(valid):
    entry = valid["models"]["ptb_small"]
    entry["arch"], entry["net"] = "linear", {"bias": True, "initializer": {"name": "constant"}}
    with pytest.raises(ModelmillError, match="'linear' takes x, task 'language_modeling' gives to"):
        params.parse(valid)
