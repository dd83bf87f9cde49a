"""What SECURITY.md promises and no other test shows."""

import dataclasses
import io
import json
import pickle
import subprocess
import sys
import threading
import zipfile
from functools import partial
from http.server import BaseHTTPRequestHandler, HTTPServer

import h5py
import numpy as np
import pytest
from conftest import ROOT
from PIL import PSDraw

from modelmill.errors import ModelmillError
from modelmill.models import Spec, linear
from modelmill.plain_yaml import yaml_data
from modelmill.trained import artifacts
from modelmill.trained.artifacts import Card
from modelmill.trained.digits import read_digit

# --- files that would run something ----------------------------------------------------------


class Payload:
    """Unpickling it makes a file."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (str(self.mark), "w")


def pickled(path, payload):
    path.write_bytes(pickle.dumps(payload))


def array(path, payload):
    with path.open("wb") as file:
        np.save(file, np.array([payload], object), allow_pickle=True)


def archive(path, payload):
    with path.open("wb") as file:
        np.savez(file, x=np.array([payload], object))


def hdf5(path, payload):
    with h5py.File(path, "w") as file:
        file["x"] = np.void(pickle.dumps(payload))


def keras_file(path, payload):
    """A .keras archive with a Lambda layer of pickled code."""
    layer = {"class_name": "Lambda", "config": {"function": pickle.dumps(payload).hex()}}
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("config.json", json.dumps({"class_name": "Sequential", "config": [layer]}))
        file.writestr("model.weights.h5", pickle.dumps(payload))


def linked(path, payload):
    """Weights that are read from another file."""
    with h5py.File(path.with_name("other.h5"), "w") as other:
        other["v"] = np.ones((4, 3), np.float32)
    with h5py.File(path, "w") as file:
        file["layers/dense/vars/0"] = h5py.ExternalLink("other.h5", "v")


@pytest.fixture
def trained(tmp_path, tensorflow):
    """A trained model's folder."""
    net = {"bias": False, "initializer": {"name": "constant", "value": 0.0}}
    settings = {"model": "m", "seed": 1, "dataset": "d", "task": "classification", "arch": "linear"}
    fit = {"length": "1 steps", "batch_size": 1, "learning_rate": 0.1}
    settings |= {"net": net, "fit": fit | {"optimizer": {"name": "sgd"}}}
    card = Card(settings, Spec.examples((4,), 3), "d", "f", 12)
    model = linear.build(linear.Net.model_validate(net), card.spec)
    laps = [{"step": 1, "epoch": 1.0, "loss": 1.0}]
    artifacts.save(tmp_path, model, card, laps, np.zeros((1, 12), np.float32))
    # As a card that does not say what the weights are: what else they are is for their reader.
    (tmp_path / artifacts.CARD).write_text(json.dumps(dataclasses.asdict(card)), encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("write", [pickled, array, archive, hdf5, keras_file, linked])
def test_weights_are_numbers_or_refused(trained, write):
    assert artifacts.restore(trained).count_params() == 12
    mark = trained / "executed"
    write(trained / artifacts.WEIGHTS, Payload(mark))
    with pytest.raises(ModelmillError, match=r"does not fit"):
        artifacts.restore(trained)
    assert not mark.exists()


@pytest.mark.parametrize("write", [pickled, array, archive])
def test_snapshots_are_never_unpickled(trained, write):
    mark = trained / "executed"
    write(trained / artifacts.SNAPSHOTS, Payload(mark))
    with pytest.raises(ModelmillError, match=r"snapshots\.npy is damaged"):
        artifacts.read_snapshots(trained)
    assert not mark.exists()


@pytest.mark.parametrize(
    "tag", ["object/apply:os.system [touch {}]", "object:builtins.open", "name:os.system"]
)
def test_yaml_makes_plain_data_only(tmp_path, tag):
    from pipelines.compose import compose

    mark = tmp_path / "executed"
    text = f"seed: !!python/{tag.format(mark)}\n"
    (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    for read in (partial(yaml_data, text), partial(compose, [], tmp_path)):
        with pytest.raises(ModelmillError, match="python/"):
            read()
    assert not mark.exists()


def test_a_picture_is_never_handed_to_another_program(tmp_path, monkeypatch):
    picture = io.BytesIO()
    drawing = PSDraw.PSDraw(picture)
    drawing.begin_document()
    drawing.end_document()
    (tmp_path / "seven.png").write_bytes(picture.getvalue())
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(ModelmillError, match=r"seven\.png is not an image"):
        read_digit(tmp_path / "seven.png")


# --- the locks -------------------------------------------------------------------------------

ADVISORY = {"id": "PYSEC-1", "affected": [{"package": {"name": "numpy", "ecosystem": "PyPI"}}]}


@pytest.fixture
def audit(tmp_path):
    """Audits two locks by a service with these advisories; None: there is none."""
    locks = [tmp_path / "requirements.lock", tmp_path / "requirements-dev.lock"]
    for lock, names in zip(locks, [("numpy", "pandas"), ("numpy", "pytest")], strict=True):
        pins = (f"{name}==1.0 --hash=sha256:{'0' * 64}\n" for name in names)
        lock.write_text("".join(pins), encoding="utf-8")

    class Service(BaseHTTPRequestHandler):
        def do_POST(self):
            query = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            found = self.server.advisories.get(query["package"]["name"], [])
            body = json.dumps({"vulns": found} if found else {}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    def run(advisories):
        server = HTTPServer(("127.0.0.1", 0), Service)
        server.advisories = advisories
        url = f"http://127.0.0.1:{server.server_port}/v1/query"
        if advisories is None:
            server.server_close()
        else:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        command = [sys.executable, ROOT / ".ci/audit.py", "--locks", *locks, "--service", url]
        result = subprocess.run(command, capture_output=True, text=True)
        if advisories is not None:
            server.shutdown()
            server.server_close()
        return result.returncode, result.stdout

    return run


@pytest.mark.parametrize(
    ("advisories", "code", "said"),
    [
        ({}, 0, "3 packages audited\n"),
        ({"numpy": [ADVISORY]}, 1, "numpy 1.0: PYSEC-1, fixed in none\n3 packages audited\n"),
        (None, 0, "no advisory service answered: not audited\n"),
    ],
)
def test_the_locks_are_audited_or_it_is_said_that_they_are_not(audit, advisories, code, said):
    assert audit(advisories) == (code, said)


def test_an_audit_that_breaks_fails(tmp_path):
    command = [sys.executable, ROOT / ".ci/audit.py", "--lock", tmp_path / "nowhere"]
    assert subprocess.run(command, capture_output=True).returncode == 1
