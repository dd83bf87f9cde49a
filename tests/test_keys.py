"""Every key is explained, from one source: to a person, in docs/configuration.md, to editors."""

import json
import re
from pathlib import Path

import pytest
from conftest import ROOT
from jsonschema import Draft202012Validator

from modelmill import editors, keys, params
from modelmill.errors import ModelmillError
from modelmill.parts import part, parts
from modelmill.plain_yaml import read_yaml, yaml_data
from modelmill.schema import about, meanings
from modelmill.sweeps.settings import Sweep


@pytest.fixture(scope="module")
def committed():
    return params.load(ROOT / "params.yaml")


def blocks():
    """Every block of conf/, by where it is."""
    found = {"params.yaml": params.Params, "conf/sweep": Sweep}
    for kind, names in {
        "datasets": ("Options", "Generate"),
        "models": ("Net",),
        "tasks": ("Fit",),
        "evaluation": ("Eval",),
    }.items():
        for module in parts(kind):
            there = {name: getattr(part(kind, module, ""), name, None) for name in names}
            found |= {
                f"{kind}/{module}.py: {name}": block for name, block in there.items() if block
            }
    for where, block in list(found.items()):
        for field in block.model_fields.values():
            found |= {f"{where}: {each.__name__}": each for each in keys.inner(field.annotation)}
    return found


def test_the_docstring_of_every_block_says_what_its_keys_mean():
    for where, block in blocks().items():
        assert about(block), f"{where} has no docstring"
        silent = {key for key, field in block.model_fields.items() if key not in keys.TAGS}
        assert silent - meanings(block).keys() == set(), f"{where}: not under `Attributes:`"


def test_the_document_is_what_the_code_says():
    written = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    assert written == keys.document(), "run `modelmill keys --write`"


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("", "seed = 1\n      integer ≥ 0, < 2147483648: of every training"),
        ("models.mnist_mlp.fit", "batch_size = 128\n      integer ≥ 1: examples"),
        ("models.mnist_mlp.fit", "keep = last\n      last or best, by default last: the weights"),
        ("models.mnist_mlp.fit", "stop = null\n      Stop or null, by default null: when it ends"),
        ("models.mnist_mlp.fit.stop", "patience\n      integer ≥ 1, by default 1: laps"),
        ("models.mnist_mlp.fit.stop.patience", "patience\n      integer ≥ 1"),
        ("models.mnist_mlp.fit.optimizer", "fit.optimizer, name: adam: Kingma and Ba"),
        ("models.mnist_mlp.net.hidden_units.0", "hidden_units.0 = 625\n      integer ≥ 1: of"),
        ("models.mnist_cnn.net.blocks.0", "filters = 32\n      integer ≥ 1: pictures"),
        ("models.mnist_mlp", "train_for = {full: 100 epochs, quick: 5 epochs, smoke: 20 steps}"),
        ("models.movielens_mf.net.decay", "decay = 0.1\n      number ≥ 0, by default 0.0: times"),
        ("models", "models.mnist_mlp\nmodels.mnist_deep_mlp"),
        ("datasets.iris.files.iris.csv", "bytes = 2734"),
        ("datasets.line_origin.files", "bytes\n      integer ≥ 1: its size"),
    ],
)
def test_a_block_is_explained_with_its_values(committed, path, said):
    assert said in keys.explain(committed, path)


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("modls", "keys: params.yaml: there is no 'modls'; did you mean 'models'?"),
        ("models.mnist_mp", "keys: models: there is no 'mnist_mp'; did you mean 'mnist_mlp'?"),
        ("models.mnist_mlp.fit.batch", "did you mean 'batch_size'?"),
        ("models.mnist_mlp.fit.batch_size.x", "fit.batch_size is a value: there is nothing below"),
        ("models.mnist_cnn.net.blocks.7", "blocks: there is no '7'; choose from 0, 1, 2"),
    ],
)
def test_a_key_that_is_not_there_is_answered_with_the_nearest(committed, path, said):
    with pytest.raises(ModelmillError) as error:
        keys.explain(committed, path)
    assert said in str(error.value)


# --- in editors ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def schemas():
    return editors.schemas()


def schema_of(path):
    """The name of the schema that a file of conf/ asks editors for."""
    (name,) = re.findall(r"^# yaml-language-server: \$schema=(\S+)\n", path.read_text(), re.M)
    assert (path.parent / name).is_file()
    return Path(name).stem


def test_the_files_for_editors_are_what_the_code_says(schemas):
    written = {path.stem: path.read_text() for path in (ROOT / "conf/schema").glob("*.json")}
    expected = {name: editors.text(schema) for name, schema in schemas.items()}
    assert written == expected, "run `modelmill keys --write`"
    assert {name: json.loads(text) for name, text in written.items()} == schemas


def test_editors_find_nothing_wrong_with_conf(schemas):
    for path in (ROOT / "conf").rglob("*.yaml"):
        Draft202012Validator(schemas[schema_of(path)]).validate(read_yaml(path))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("model/mnist_mlp", "batch_size: 128", "batchsize: 128"),
        ("model/mnist_mlp", "batch_size: 128", "batch_size: many"),
        ("model/mnist_mlp", "arch: mlp", "arch: mpl"),
        ("model/mnist_mlp", "hidden_units: [625]", "units: [625]"),
        ("model/mnist_mlp", "optimizer: {name: sgd}", "optimizer: {name: sgd, beta_1: 0.9}"),
        ("model/mnist_mlp", "full: 100 epochs", "full: long"),
        ("dataset/movielens", "stars: 5", "stars: five"),
        ("experiment/ptb_batch_20", "batch_size: 20", "batch_size: 20\n    nett: {}"),
        ("sweep/mnist_mlp_rate", "mode: max", "mode: most"),
    ],
)
def test_editors_find_a_mistake_and_admit_an_interpolation(schemas, file, old, new):
    path = ROOT / "conf" / f"{file}.yaml"
    text, valid = path.read_text(), Draft202012Validator(schemas[schema_of(path)]).is_valid
    assert old in text
    assert not valid(yaml_data(text.replace(old, new)))
    if file.startswith("model"):
        assert valid(yaml_data(text.replace("batch_size: 128", "batch_size: ${seed}")))
