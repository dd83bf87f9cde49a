"""Results from a remote that is shared: another clone has them without training."""

import pytest

MODEL = "mnist_softmax"
STAGE = f"evaluate@{MODEL}"
# An S3 server on loopback takes any; with credentials in the environment no other place is asked.
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
}


@pytest.fixture(scope="module")
def origin(seed, tmp_path_factory):
    return seed.copied(tmp_path_factory.mktemp("origin"))


@pytest.fixture(scope="module")
def server():
    import boto3
    from moto.server import ThreadedMotoServer

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


@pytest.mark.parametrize("kind", ["folder", pytest.param("s3", marks=pytest.mark.long)])
def test_another_clone_has_the_results_without_training(origin, server, tmp_path, kind):
    from dvc.repo import Repo

    s3 = {"url": "s3://results/modelmill", "endpointurl": server}
    remote = {"url": str(tmp_path / "remote")} if kind == "folder" else s3
    with origin.here(), Repo() as repo:
        with repo.config.edit("repo") as config:
            config["core"]["remote"] = "shared"
            config["remote"] = {"shared": remote}
        repo.push(STAGE, with_deps=True, run_cache=True)
    origin.commit()
    clone = origin.cloned(tmp_path / "there")
    clone.run("dvc", "pull", STAGE, "--with-deps", "--run-cache")
    assert clone.trained(MODEL) == origin.trained(MODEL)
    assert clone.repro(STAGE) == set()
    assert clone.stale(STAGE) == set()
