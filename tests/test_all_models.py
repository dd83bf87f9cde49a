"""Every model of conf/ learns for two steps on made-up data and is evaluated, in one process.

Without ``--long`` one of each kind that the pipeline's own tests do not train already; for the
time that takes, recurrent ones are made small.
"""

import json

import pytest
from clone import FILES, MODELS, ROOT, Clone
from omegaconf import OmegaConf

from modelmill import params
from modelmill.files import write_text

NAMES = sorted(path.stem for path in (ROOT / "conf/model").glob("*.yaml"))
PICTURES = {
    "line_gd": "curves line line_over_time",
    "iris_logistic": "confusion curves regions",
    "mnist_softmax": "confusion curves mistakes weights",
    "mnist_mlp": "confusion curves filters mistakes",
    "mnist_cnn": "confusion curves feature_maps filters mistakes",
    "mnist_lstm": "confusion curves mistakes reading",
    "mnist_denoising_autoencoder": "curves learning reconstructions",
    "mnist_autoencoder": "codes curves learning reconstructions walks",
    "mnist_dbn": "confusion curves filters mistakes pretraining",
    "mnist_rbm": "activity curves fantasies filters log_z",
    "ptb_small": "curves passage perplexity predictability reading",
    "char_rnn": "curves passage perplexity predictability reading",
    "movielens_mf": "calibration curves errors neighbours",
    "movielens_rbm_blend": "blend calibration curves errors neighbours",
    "movielens_rbm_top": "curves neighbours",
}
QUICK = PICTURES.keys() - {*MODELS, "mnist_autoencoder", "ptb_small"}
SMALL = {"num_steps": 4, "units": 8, "embedding": 8, "validation": 100}


def shrunk(value):
    """Settings with the sizes of `SMALL`, wherever they are."""
    if not isinstance(value, dict):
        return value
    return {key: SMALL.get(key, shrunk(inner)) for key, inner in value.items()}


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """A folder with the prepared data of all data sets, and params.yaml with every model."""
    house = Clone(tmp_path_factory.mktemp("house"))
    (house.path / "conf").symlink_to(ROOT / "conf")
    short = [f"models.{name}.fit.length=2 steps" for name in NAMES]
    house.compose("profile=smoke", f"model=[{','.join(NAMES)}]", *short)
    file = house.path / "params.yaml"
    write_text(
        file, json.dumps(shrunk(OmegaConf.to_container(OmegaConf.load(file))))
    )  # which is YAML, too
    for name in params.load(house.path / "params.yaml").datasets:
        house.call("download", name)
        house.call("preprocess", name)
    return house


@pytest.mark.usefixtures("in_process")
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=() if name in QUICK else pytest.mark.long) for name in NAMES]
)
def test_a_model_learns_and_is_evaluated(house, name):
    house.call("train", name)
    house.call("evaluate", name)
    data = house.path / "data"
    assert all((data / "models" / name / file).stat().st_size for file in FILES)
    metrics = json.loads((data / f"metrics/{name}.json").read_text(encoding="utf-8"))
    reference = params.load(house.path / "params.yaml").models[name].reference
    assert (metrics[reference.metric] < 0) == (reference.metric == "log_likelihood")
    assert metrics[reference.metric]
    assert metrics["parameters"] > 0
    drawn = {path.stem for path in (data / "figures" / name).glob("*.png")}
    assert drawn == set(PICTURES[name].split()) if name in PICTURES else "curves" in drawn
