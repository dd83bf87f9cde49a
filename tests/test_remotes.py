"""Results from a remote that is shared: another clone has them without training."""

import pytest
from clone import Clone
from moto.server import ThreadedMotoServer

STAGE = "evaluate@line_sgd"
# An S3 server on loopback takes any; with credentials in the environment no other place is asked.
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def origin(tmp_path_factory, dvc_cache):
    clone = Clone(tmp_path_factory.mktemp("origin"), dvc_cache)
    clone.repro(STAGE)
    return clone


@pytest.fixture(scope="module")
def server():
    import boto3

    server = ThreadedMotoServer(port=0)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for key, value in KEYS.items():
            patch.setenv(key, value)
        address = f"http://{host}:{port}"
        boto3.client("s3", endpoint_url=address).create_bucket(Bucket="results")
        yield address
    server.stop()


def folder(clone, tmp_path):
    clone.run("dvc", "remote", "add", "-fd", "shared", str(tmp_path / "remote"))


def s3(clone, server):
    clone.run("dvc", "remote", "add", "-fd", "shared", "s3://results/modelmill")
    clone.run("dvc", "remote", "modify", "shared", "endpointurl", server)


@pytest.mark.parametrize("kind", ["folder", "s3"])
def test_another_clone_has_the_results_without_training(origin, server, tmp_path, kind):
    folder(origin, tmp_path) if kind == "folder" else s3(origin, server)
    origin.commit()
    origin.run("dvc", "push", STAGE, "--with-deps", "--run-cache")
    clone = origin.cloned(tmp_path / "there")
    clone.run("dvc", "pull", STAGE, "--with-deps", "--run-cache")
    assert clone.bytes("line_sgd") == origin.bytes("line_sgd")
    assert clone.repro(STAGE) == set()
    assert "up to date" in clone.run("dvc", "status", STAGE)
