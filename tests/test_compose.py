"""params.yaml is what conf/ composes to, by our command and by DVC's."""

import contextlib
import re
import shutil
import subprocess
import sys

import pytest
from conftest import ROOT
from dvc.utils.hydra import compose_and_dump

from modelmill import params
from modelmill.errors import ModelmillError
from modelmill.models import Spec
from modelmill.plain_yaml import yaml_data
from pipelines import compose


@pytest.fixture(scope="module")
def composed():
    with contextlib.chdir(ROOT):
        return compose.compose([])


@pytest.fixture
def house(tmp_path, monkeypatch, composed):
    """A folder with a copy of conf/ and params.yaml, and no experiment going on."""
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    (tmp_path / "params.yaml").write_text(composed, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_EXP_NAME", raising=False)
    return tmp_path


def write(house, overrides):
    (house / "params.yaml").write_text(compose.compose(overrides), encoding="utf-8")


def edit(house, file, old, new):
    path = house / "conf" / file
    text = path.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")


def test_the_committed_params_are_composed_from_conf(monkeypatch):
    monkeypatch.chdir(ROOT)
    text = (ROOT / "params.yaml").read_text(encoding="utf-8")
    profile = yaml_data(text)["profile"]
    assert text == compose.compose([f"profile={profile}"])


@pytest.mark.parametrize(
    "overrides",
    [[], ["profile=full"], ["profile=smoke", "seed=7", "models.ptb_small.fit.learning_rate=1e-3"]],
)
def test_dvc_composes_the_same_bytes(house, overrides):
    compose_and_dump(house / "dvc.yaml", str(house / "conf"), None, "config", str(house), overrides)
    assert (house / "dvc.yaml").read_text(encoding="utf-8") == compose.compose(overrides)


@pytest.mark.parametrize("profile", ["quick", "full", "smoke"])
def test_every_profile_is_valid(house, profile):
    parsed = params.parse(yaml_data(compose.compose([f"profile={profile}"])))
    assert parsed.profile == profile
    for model in parsed.models.values():
        assert model.fit.length == model.train_for[profile]


def test_a_model_in_the_place_of_another_is_refused(house):
    (house / "conf/model/other.yaml").write_text("# @package models.mnist_mlp\nseed: 1\n")
    with pytest.raises(ModelmillError, match=r"other\.yaml: its first line must be: # @package mo"):
        compose.compose([])


def test_composing_says_which_models_are_left_out(house, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compose", "model=[iris_logistic]", "dataset=[iris]"])
    compose.main()
    printed = capsys.readouterr().out
    assert printed.startswith("params.yaml: 1 of 31 models, profile quick; without char_rnn, ")
    assert printed.endswith("mnist_mlp and 10 more\n")


def test_check_is_content_with_fresh_params_of_any_profile(house):
    for profile in ("quick", "full"):
        write(house, [f"profile={profile}"])
        compose.check()


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ("log: [" + "[x, [y]], " * 500 + "]", "log: only in params.yaml"),
        ("1: x", "1: only in params.yaml"),
        ("synthetic_data: [" + "[x, [y]], " * 500 + "]", "says [['x', [...]], ['x', [...]], "),
        ("synthetic_data: " + "x" * 5000, "params.yaml says 'xxx"),
        ("".join(f"key{i}: 1\n" for i in range(5000)), "and 4981 more\n"),
        ("? " + "x" * 5000 + "\n: 1", "xxx: only in params.yaml"),
    ],
)
def test_check_shows_the_beginning_of_what_is_long(house, lines, said):
    edit(house, "../params.yaml", "synthetic_data: null", lines)
    with pytest.raises(ModelmillError) as error:
        compose.check()
    assert said in str(error.value)
    assert len(str(error.value)) < 2000


def test_check_names_every_stale_key(house):
    edit(house, "model/mnist_softmax.yaml", "batch_size: 50", "batch_size: 64")
    edit(house, "dataset/mnist.yaml", "  validation: 5000", "  validation: 6000")
    with pytest.raises(ModelmillError) as error:
        compose.check()
    message = str(error.value)
    assert "models.mnist_softmax.fit.batch_size: conf/ says 64, params.yaml says 50" in message
    assert "datasets.mnist.options.validation: conf/ says 6000, params.yaml says 5000" in message
    assert "modelmill compose profile=quick" in message


def test_check_notices_keys_on_one_side_only(house):
    edit(house, "model/mnist_softmax.yaml", "  split: test", "  split: test\n  other: 1")
    with (house / "params.yaml").open("a", encoding="utf-8") as file:
        file.write("extra: 2\n")
    with pytest.raises(ModelmillError) as error:
        compose.check()
    assert "models.mnist_softmax.eval.other: only in conf/" in str(error.value)
    assert "extra: only in params.yaml" in str(error.value)


def test_check_remembers_the_overrides_it_composed_with(house, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compose", "profile=smoke", "seed=5"])
    compose.main()
    compose.check()
    edit(house, "model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    with pytest.raises(ModelmillError) as error:
        compose.check()
    assert "models.char_rnn.fit.clip_norm" in str(error.value)
    assert "seed:" not in str(error.value)
    assert "modelmill compose profile=smoke seed=5" in str(error.value)


def test_a_remembered_override_that_applies_no_more_is_named(house, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compose", "models.char_rnn.fit.clip_norm=3.0"])
    compose.main()
    edit(house, "config.yaml", "    - char_rnn\n", "")
    with pytest.raises(ModelmillError) as error:
        compose.check()
    assert "params.yaml was composed with models.char_rnn.fit.clip_norm=3.0: run" in str(
        error.value
    )


def test_what_we_composed_is_checked_in_an_experiment_too(house, monkeypatch):
    monkeypatch.setattr("sys.argv", ["compose"])
    compose.main()
    monkeypatch.setenv("DVC_EXP_NAME", "wise-owl")
    monkeypatch.setenv("DVC_ROOT", str(house))
    edit(house, "model/char_rnn.yaml", "clip_norm: 5.0", "clip_norm: 4.0")
    with pytest.raises(ModelmillError, match=r"char_rnn\.fit\.clip_norm"):
        compose.check()


def test_broken_yaml_in_conf_is_one_line(house):
    edit(house, "config.yaml", "seed: 1", "seed: [")
    with pytest.raises(ModelmillError, match=r"^conf/config\.yaml is not") as error:
        compose.compose([])
    assert "\n" not in str(error.value)


def test_the_readmes_model_works_as_printed(house):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```yaml\n(# @package models\.(\w+)\n.*?)```", readme, re.DOTALL)
    text, name = block
    (house / "conf/model" / f"{name}.yaml").write_text(text, encoding="utf-8")
    edit(
        house, "config.yaml", "      - mnist_softmax\n", f"      - mnist_softmax\n      - {name}\n"
    )
    parsed = params.parse(yaml_data(compose.compose([])))
    assert parsed.models[name].arch == "linear"


def test_the_documented_architecture_works_as_printed(tensorflow):
    document = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(from typing.*?)```", document, re.DOTALL)
    lint = [sys.executable, "-m", "ruff", "check", "--quiet", "--config", ROOT / "pyproject.toml"]
    subprocess.run([*lint, "-"], input=code, text=True, check=True)
    scope = {}
    exec(code, scope)
    model = scope["build"](scope["Net"](hidden_units=7), Spec.examples((28, 28), 10))
    assert model.count_params() == 784 * 7 + 7 + 7 * 10 + 10


def test_an_experiment_is_trusted_for_dvc_has_just_composed_it(house, monkeypatch):
    write(house, ["seed=9"])
    monkeypatch.setenv("DVC_EXP_NAME", "wise-owl")
    compose.check()


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("models.mnist_softmax.fit.batch_siz=3", "batch_siz"),
        ("profile=fast", "fast"),
        ("models.mnist_softmax.fit.batch_size=-3", "batch_size"),
        ("what is this", "what is this"),
    ],
)
def test_a_wrong_override_changes_nothing(house, monkeypatch, override, named):
    before = (house / "params.yaml").read_bytes()
    monkeypatch.setattr("sys.argv", ["compose", override])
    with pytest.raises(ModelmillError, match=named):
        compose.main()
    assert (house / "params.yaml").read_bytes() == before
