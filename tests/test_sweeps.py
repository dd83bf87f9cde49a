"""Sweeps: what is refused, and real ones that fail, are killed, lose a node, and are promoted."""

import signal
import sys

import pandas as pd
import psutil
import pytest
from clone import Clone
from conftest import ROOT, until

from modelmill.errors import ModelmillError
from modelmill.plain_yaml import yaml_data
from modelmill.runtime import available_cores
from modelmill.schema import validate
from modelmill.sweeps import promote, settings, state
from modelmill.trained.history import read_history

FIT, NET = "models.mnist_mlp.fit", "models.mnist_mlp.net"
HEADER = """
about: for a test
model: mnist_mlp
overrides: [profile=smoke, "models.mnist_mlp.fit.length='{length}'"]
metric: validation_loss
mode: min
"""
FAILING = """
sampler: grid
trials: null
stopping: {name: median, grace: 1, trials: 10}
resources: {cpus: CORES}
space:
  models.mnist_mlp.fit.learning_rate: {choice: [3.0e+38, 0.06, 0.5]}
  models.mnist_mlp.net.hidden_units: {choice: [[8], [100000000000]]}
  models.mnist_mlp.net.dropout:
    {choice: [0.1], when: {models.mnist_mlp.fit.learning_rate: 0.5}}
"""
# A sweep that stands still as soon as its first trial is over.
STANDING = """
import os, signal, sys
from modelmill.sweeps import engine
from pipelines import run, sweep
told = engine.Bar.on_trial_complete
def stop(*arguments, **more):
    told(*arguments, **more)
    os.kill(os.getpid(), signal.SIGSTOP)
engine.Bar.on_trial_complete = stop
run(sweep.main)
"""
# In trial.py: the first worker asked to take a second trial dies, and one trial cannot run.
DYING = """

import os
from functools import wraps
from ray.tune.trainable import FunctionTrainable

takes_another, trains = FunctionTrainable.reset_config, train

def die_once(self, config):
    if not Path({marker!r}).exists():
        Path({marker!r}).touch()
        os.kill(os.getpid(), 9)
    return takes_another(self, config)

FunctionTrainable.reset_config = die_once

@wraps(trains)
def train(values, **more):
    if min(max(value) if isinstance(value, list) else value for value in values.values()) > 1000:
        raise OSError("no space left")
    trains(values, **more)
"""
# With all cores for each trial, which makes a sweep repeatable.
ALONE = """
sampler: tpe
trials: 3
resources: {cpus: 2}
space:
  models.mnist_mlp.fit.learning_rate: {log_uniform: [0.01, 1.0]}
"""
LONG = """
sampler: tpe
trials: 5
space:
  models.mnist_mlp.fit.learning_rate: {log_uniform: [0.01, 1.0]}
  models.mnist_mlp.net.hidden_units.0: {log_integer: [4, 32]}
"""


def sweep(**changes):
    value = {
        "about": "",
        "model": "mnist_mlp",
        "space": {f"{FIT}.learning_rate": {"uniform": [0.1, 0.2]}},
        "trials": 2,
        "metric": "validation_loss",
        "mode": "min",
    }
    return validate(settings.Sweep, value | changes, "", "x.yaml")


@pytest.fixture(scope="module")
def base():
    return yaml_data((ROOT / "params.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trails": 3}, "did you mean 'trials'"),
        ({"space": {f"{FIT}.learning_rate": {"uniform": [2.0, 1.0]}}}, "lower to a higher"),
        ({"space": {f"{FIT}.learning_rate": {"log_uniform": [0.0, 1.0]}}}, "above 0"),
        ({"space": {f"{FIT}.learning_rate": {}}}, "expected one of choice, integer"),
        ({"sampler": "grid", "trials": None}, "a grid needs a choice"),
        ({"trials": None}, "trials"),
        ({"seed": 2**31}, "seed: Input should be less than 2147483648"),
        ({"stopping": {"name": "asha", "grace": 0}}, "stopping.grace"),
        ({"space": {f"{FIT}.learning_rate": {"choice": [[1, None]]}}}, r"choice\.0"),
        (
            {"space": {f"{FIT}.clip_norm": {"choice": [1.0], "when": {f"{FIT}.shufle": True}}}},
            "shufle is no key above",
        ),
    ],
)
def test_a_mistake_in_a_sweep_is_named(changes, message):
    with pytest.raises(ModelmillError, match=message):
        sweep(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"space": {f"{FIT}.lerning_rate": {"choice": [1.0]}}}, "did you mean 'learning_rate'"),
        ({"space": {f"{FIT}.optimiser.name": {"choice": ["sgd"]}}}, "did you mean 'optimizer'"),
        ({"space": {f"{FIT}.learning_rate": {"uniform": [-1.0, 1.0]}}}, "learning_rate = -1"),
        ({"space": {f"{NET}.hidden_units.3": {"integer": [1, 2]}}}, "there is no '3'"),
        ({"metric": "accuracy"}, "did you mean 'validation_accuracy'"),
        ({"model": "mnist_mpl"}, "model: there is no 'mnist_mpl'; did you mean 'mnist_mlp'"),
        ({"space": {"models.other.fit.x": {"choice": [1]}}}, r"space\.models\.other\.fit\.x: only"),
        ({"mode": "max"}, "mode: of validation_loss the lower is better"),
    ],
)
def test_a_space_that_the_model_does_not_have_is_refused(base, changes, message):
    with pytest.raises(ModelmillError, match=message):
        settings.check(sweep(**changes), base, "x.yaml")


def test_data_without_a_validation_part_cannot_judge(base):
    space = {"models.iris_logistic.fit.learning_rate": {"uniform": [0.1, 0.2]}}
    with pytest.raises(ModelmillError, match="no 'validation'"):
        settings.check(sweep(model="iris_logistic", space=space), base, "x.yaml")


def test_a_grid_has_conditional_values_only_where_their_condition_holds():
    space = {
        f"{NET}.activation": {"choice": ["relu", "tanh"]},
        f"{NET}.dropout": {"choice": [0.1, 0.2], "when": {f"{NET}.activation": "relu"}},
    }
    points = sweep(space=space, sampler="grid", trials=None).grid()
    assert [list(point.values()) for point in points] == [["relu", 0.1], ["relu", 0.2], ["tanh"]]


@pytest.mark.parametrize("path", sorted((ROOT / "conf/sweep").glob("*.yaml")), ids=lambda p: p.stem)
def test_the_sweeps_of_conf_are_valid(path):
    from pipelines.compose import compose

    declared = settings.load(path.parent, path.stem)
    settings.check(declared, yaml_data(compose(declared.overrides, ROOT / "conf")), str(path))


def test_what_cannot_be_an_experiment_is_refused():
    assert promote.delta({"a": {"b": 2, "c": 3}}, {"a": {"b": 1, "c": 3}}) == {"a": {"b": 2}}
    with pytest.raises(ModelmillError, match=r"a\.b"):
        promote.delta({"a": {}}, {"a": {"b": 1}})


@pytest.mark.parametrize("path", sorted((ROOT / "conf/model").glob("*.yaml")), ids=lambda p: p.stem)
def test_a_models_file_is_written_as_it_was_but_for_the_values(path):
    text = path.read_text(encoding="utf-8")
    assert promote.in_model(text, {}, path.stem, str(path)) == text
    changed = promote.in_model(
        text, {f"models.{path.stem}.net": {"units": [8, 9]}}, path.stem, str(path)
    )
    assert yaml_data(changed) == {**yaml_data(text), "net": {"units": [8, 9]}}
    assert changed.count("#") <= text.count("#")
    assert changed.startswith(text[: text.index("about:")])


@pytest.mark.parametrize(
    ("key", "value", "written"),
    [
        ("fit.learning_rate", 0.5, {"fit": {"learning_rate": 0.5}}),
        ("fit.optimizer.momentum", 0.9, {"fit": {"optimizer": {"momentum": 0.9}}}),
    ],
)
def test_a_model_that_inherits_gets_the_blocks_it_lacks(key, value, written):
    text = "defaults: [mnist_mlp@_here_]\n\nabout: A delta  # of the other\n"
    changed = promote.in_model(text, {f"models.mine.{key}": value}, "mine", "mine.yaml")
    assert yaml_data(changed) == {**yaml_data(text), **written}
    assert changed.startswith(text)


def test_a_list_that_is_inherited_is_not_written_in_part():
    with pytest.raises(ModelmillError, match=r"mine\.yaml: .*hidden_units\.0: the list is another"):
        promote.in_model("about: A\n", {"models.mine.net.hidden_units.0": 9}, "mine", "mine.yaml")


def study_of(values, **attributes):
    """A study of trials with these values, which ended well if `attributes` do not say else."""
    import optuna

    from modelmill.sweeps.study import STATUS
    from modelmill.sweeps.trial import FINISHED

    study = optuna.create_study()
    for number, value in enumerate(values):
        rate = optuna.distributions.FloatDistribution(0.1, 0.2)
        study.add_trial(
            optuna.trial.create_trial(
                params={f"{FIT}.learning_rate": 0.1 + 0.01 * number},
                distributions={f"{FIT}.learning_rate": rate},
                value=value,
                user_attrs={STATUS: FINISHED, **attributes},
            )
        )
    return study


def test_trials_that_all_gave_the_same_share_no_importance(tmp_path):
    from modelmill.sweeps import table

    same, other = study_of([0.5, 0.5, 0.5]), study_of([0.5, 0.6, 0.7])
    assert "importance" not in table.plain(same, sweep(), 5)
    assert "importance: fit.learning_rate 100%" in table.plain(other, sweep(), 5)
    table.write(same, sweep(), tmp_path)
    pictures = {path.name for path in tmp_path.glob("*.png")}
    assert pictures == {"parallel_coordinate.png", "slice.png"}
    assert (tmp_path / table.PAGE).exists()


def test_a_sweep_of_which_no_trial_has_ended_says_so():
    from modelmill.sweeps import table

    assert table.plain(study_of([]), sweep(), 5) == "no trial has ended yet"


def test_a_sweep_of_which_every_trial_failed_says_why():
    from modelmill.sweeps import table
    from modelmill.sweeps.trial import FAILED, REASON, STATUS

    study = study_of([9.0], **{STATUS: FAILED, REASON: "no space left"})
    assert table.plain(study, sweep(), 5) == "trial 0 failed: no space left"


@pytest.mark.fault(
    "SIGKILL while a grid is queued", "`--resume` queues the points that are missing"
)
def test_a_grid_that_was_queued_in_part_is_completed(tmp_path):
    from optuna.trial import TrialState

    from modelmill.sweeps import study

    space = {f"{FIT}.learning_rate": {"choice": [0.1, 0.2, 0.3]}}
    of_grid = sweep(space=space, sampler="grid", trials=None)
    known = study.open_study(study.storage(tmp_path), "grid", of_grid)
    known.enqueue_trial(of_grid.grid()[0])
    known.tell(known.ask().number, state=TrialState.FAIL)  # killed between that and queueing again
    known.enqueue_trial(of_grid.grid()[1])
    for _ in range(2):
        known = study.open_study(study.storage(tmp_path), "grid", of_grid)
        study.take_up(known, of_grid)
        waiting = known.get_trials(states=[TrialState.WAITING])
        rates = [trial.system_attrs["fixed_params"][f"{FIT}.learning_rate"] for trial in waiting]
        assert sorted(rates) == [0.1, 0.2, 0.3]


@pytest.mark.fault("a full disk while a sweep notes a trial", "`--resume` goes on from the others")
def test_a_line_of_the_study_that_was_cut_short_costs_nothing_else(tmp_path):
    from modelmill.sweeps import study

    journal = tmp_path / "study.log"
    study.drop_unfinished_line(tmp_path)
    assert not journal.exists()
    known = study.open_study(study.storage(tmp_path), "x", sweep())
    known.tell(known.ask(), 0.5)
    whole = journal.read_bytes()
    for content in (whole, whole + b'{"op_code": 6, "wor'):
        journal.write_bytes(content)
        study.drop_unfinished_line(tmp_path)
        assert journal.read_bytes() == whole
    journal.write_bytes(whole[:-9] + whole)
    with pytest.raises(ModelmillError, match=r"study.log is damaged: .* --fresh`$"):
        study.storage(tmp_path)


def test_what_a_sweep_writes_into_conf_does_not_make_it_another_sweep(base, tmp_path):
    from types import SimpleNamespace

    rate, units = f"{FIT}.learning_rate", f"{NET}.hidden_units.0"
    searched = sweep(space={rate: {"uniform": [0.1, 0.2]}, units: {"integer": [1, 9]}})
    for values in ({}, {rate: 0.15, units: 5}):
        given = settings.check(searched, settings.with_values(base, values), "x.yaml")
        state.prepare(tmp_path, "x", searched, given, SimpleNamespace(digest="d"), fresh=False)
    changed = settings.with_values(base, {f"{FIT}.batch_size": 7})
    given = settings.check(searched, changed, "x.yaml")
    with pytest.raises(ModelmillError, match=r"other values of params\.fit\.batch_size:"):
        state.prepare(tmp_path, "x", searched, given, SimpleNamespace(digest="d"), fresh=False)


def test_where_each_trial_has_its_own_seed_that_of_conf_may_change(base, tmp_path):
    from types import SimpleNamespace

    searched = sweep(space={"seed": {"integer": [1, 9]}})
    for seed in (1, 2):
        given = settings.check(searched, settings.with_values(base, {"seed": seed}), "x.yaml")
        state.prepare(tmp_path, "x", searched, given, SimpleNamespace(digest="d"), fresh=False)


@pytest.mark.fault("two sweeps of one name at once", "the second refuses; the first is untouched")
def test_one_process_at_a_time_is_at_work_on_a_sweep(tmp_path):
    with (
        state.alone(tmp_path / "a"),
        state.alone(tmp_path / "b"),
        pytest.raises(ModelmillError, match=r"another process is at work on .*/a"),
        state.alone(tmp_path / "a"),
    ):
        pass
    with state.alone(tmp_path / "a"):
        pass


# --- real sweeps ---------------------------------------------------------------------------


class Swept(Clone):
    """A clone with made-up digits, in which sweeps are run."""

    def declare(self, name, text, length):
        path = self.path / f"conf/sweep/{name}.yaml"
        path.write_text(HEADER.format(length=length) + text, encoding="utf-8")

    def sweep(self, *arguments, code=0):
        return self.run("modelmill", "sweep", *arguments, code=code)

    def ended(self, name):
        """When each trial that is over was over, by number."""
        from modelmill.sweeps import study

        folder = self.path / "data/sweeps" / name
        if not (folder / study.JOURNAL).exists():
            return {}
        known = study.open_study(study.storage(folder), name, settings.load(self.conf, name))
        return {trial.number: trial.datetime_complete for trial in study.judged(known)}

    def forget(self, name):
        """Takes a sweep's runs out of MLflow."""
        from modelmill.sweeps import study
        from modelmill.tracking import store

        with self.here():
            client = store.connect()
            found = client.search_runs(
                [store.experiment(client, "mnist")], f"tags.sweep = '{name}'"
            )
            for run in found:
                client.delete_run(run.info.run_id)
        kept = study.storage(self.path / "data/sweeps" / name)
        known = study.open_study(kept, name, settings.load(self.conf, name))
        assert known.user_attrs[study.RECORDED]
        known.set_user_attr(study.RECORDED, "")

    @property
    def conf(self):
        return self.path / "conf/sweep"

    def trials(self, name):
        return pd.read_csv(self.path / "data/sweeps" / name / "trials.csv")


def recorded(run):
    """What MLflow has of a run of a sweep, comparable."""
    return run["tags"].get("trial", ""), run["status"], str(sorted(run["metrics"].items()))


@pytest.fixture(scope="module")
def clone(seed, tmp_path_factory):
    clone = Swept(seed.copied(tmp_path_factory.mktemp("sweeps")).path)
    clone.keep("model", ["mnist_mlp"])
    clone.compose("profile=smoke")
    return clone


def test_a_sweep_wants_the_data_that_its_own_settings_ask_for(clone):
    text = HEADER.format(length="2 epochs").replace("profile=smoke, ", "") + LONG
    (clone.conf / "other.yaml").write_text(text, encoding="utf-8")
    said = clone.sweep("other", code=2)
    assert "data/processed/mnist is prepared as params.yaml says" in said
    assert "and `dvc repro preprocess@mnist`" in said


@pytest.mark.long
@pytest.mark.fault(
    "a sweep's worker dies between two trials; trials diverge, lack memory, raise an error",
    "the trial is run by another; reported; the sweep goes on",
)
@pytest.mark.usefixtures("in_process")
def test_trials_that_fail_are_reported_and_the_best_is_reproduced(clone, tmp_path):
    clone.declare("failing", FAILING.replace("CORES", str(available_cores())), "2 epochs")
    died = tmp_path / "died"
    with (clone.path / "src/modelmill/sweeps/trial.py").open("a", encoding="utf-8") as file:
        file.write(DYING.format(marker=str(died)))
    printed = clone.sweep("failing", "--promote")
    assert died.exists()
    assert "try a smaller fit.learning_rate" in printed
    assert "failed: out of memory" in printed
    assert "failed: OSError: no space left" in printed
    trials = clone.trials("failing")
    assert sorted(trials.status) == ["failed"] * 4 + ["finished"] * 2
    best = trials.iloc[0]
    assert all(trials["net.dropout"].notna() == (trials["fit.learning_rate"] == 0.5))

    runs = [run for run in clone.runs() if run["tags"].get("sweep") == "failing"]
    children = [run for run in runs if "mlflow.parentRunId" in run["tags"]]
    assert len(children) == len(runs) - 1 == 6
    assert sorted(run["status"] for run in children) == ["FAILED"] * 4 + ["FINISHED"] * 2
    for run in children:
        assert set(run["params"]) <= {"fit.learning_rate", "net.hidden_units", "net.dropout"}
        assert ("reason" in run["tags"]) == (run["status"] == "FAILED")

    folder = clone.path / "data/sweeps/failing"
    pictures = {path.name for path in folder.glob("*.png")}
    assert pictures == {"parallel_coordinate.png", "slice.png", "param_importances.png"}
    assert "cdn" not in (folder / "plots.html").read_text(encoding="utf-8")[:2000]

    experiment = clone.path / "conf/experiment/failing_best.yaml"
    assert f"learning_rate: {best['fit.learning_rate']}" in experiment.read_text(encoding="utf-8")
    clone.compose("+experiment=failing_best", "profile=smoke")
    clone.call("train", "mnist_mlp")
    history = read_history(clone.path / "data/models/mnist_mlp")
    assert f"{best.validation_loss:.9g}" == f"{history.validation_loss.iloc[-1]:.9g}"

    said = clone.sweep("failing", "--write", code=2)
    assert "+experiment=failing_best, which may hide" in said
    clone.compose("profile=smoke")
    clone.forget("failing")  # as if MLflow's server had been down all the time
    printed = clone.sweep("failing", "--write")
    again = [run for run in clone.runs() if run["tags"].get("sweep") == "failing"]
    assert sorted(map(recorded, again)) == sorted(map(recorded, runs))
    assert f"+  learning_rate: {best['fit.learning_rate']}\n" in printed
    assert "+  hidden_units: [8]\n" in printed
    clone.run("modelmill", "compose", "--check")
    assert clone.git("diff", "--numstat", "conf/model").split()[2:] == ["conf/model/mnist_mlp.yaml"]
    assert "commit it first" in clone.sweep("failing", "--write", code=2)
    clone.git("checkout", "-q", "conf/model", "src")
    clone.compose("profile=smoke", f"{FIT}.learning_rate=0.3")
    assert f"{FIT}.learning_rate=0.3, which may hide" in clone.sweep("failing", "--write", code=2)
    clone.compose("profile=smoke")


@pytest.mark.long
@pytest.mark.fault("SIGKILL of a sweep", "`--resume` repeats no finished trial")
def test_a_killed_sweep_is_resumed_without_repeating_what_was_finished(clone):
    clone.declare("killed", LONG, "4 epochs")
    process = clone.started(sys.executable, "-c", STANDING, "killed")
    alive = psutil.Process(process.pid)
    until(lambda: alive.status() == psutil.STATUS_STOPPED, process)
    assert "another process is at work" in clone.sweep("killed", "--fresh", code=2)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = clone.ended("killed")
    assert len(before) == 1
    assert "--resume" in clone.sweep("killed", code=2)
    clone.edit("conf/sweep/killed.yaml", "[4, 32]", "[4, 64]")
    assert "sweep.space" in clone.sweep("killed", "--resume", code=2)
    clone.edit("conf/sweep/killed.yaml", "[4, 64]", "[4, 32]")
    clone.sweep("killed", "--resume")
    after = clone.ended("killed")
    assert len(after) == 5
    assert before.items() <= after.items()
    trials = clone.trials("killed")
    assert set(trials.status) == {"finished"}
    assert trials["fit.learning_rate"].nunique() == 5
    runs = [run for run in clone.runs() if run["tags"].get("sweep") == "killed"]
    children = [run for run in runs if "mlflow.parentRunId" in run["tags"]]
    assert len(runs) - len(children) == 1
    assert sum(run["status"] == "FINISHED" for run in children) == 5
    assert "RUNNING" not in {run["status"] for run in runs}


@pytest.mark.long
@pytest.mark.fault("two sweeps and a `dvc repro` at once", "each ends as if alone")
def test_sweeps_and_a_repro_may_run_side_by_side(clone):
    for name in ("left", "right"):
        clone.declare(name, ALONE, "2 epochs")
    sweep = ["modelmill", "sweep"]
    commands = [[*sweep, "left"], [*sweep, "right"], ["dvc", "repro", "train@mnist_mlp"]]
    processes = [clone.started(*command) for command in commands]
    for process in processes:
        printed, _ = process.communicate()
        assert process.returncode == 0, printed
    left, right = (clone.trials(name).drop(columns="seconds") for name in ("left", "right"))
    assert list(left.status) == ["finished"] * 3
    pd.testing.assert_frame_equal(left, right)
    assert clone.stale("train@mnist_mlp") == set()


@pytest.mark.long
@pytest.mark.fault("a node of the cluster dies", "every trial is finished")
def test_a_node_that_dies_costs_no_trial(clone, monkeypatch):
    from ray.cluster_utils import Cluster

    clone.declare("cluster", LONG, "10 epochs")
    checks = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500}
    monkeypatch.setenv("PYTHONPATH", str(clone.path / "src"))
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 1,
            "include_dashboard": False,
            "_system_config": {**checks, "health_check_failure_threshold": 4},
        },
    )
    try:
        node = cluster.add_node(num_cpus=1)
        sweep = ["modelmill", "sweep", "cluster"]
        process = clone.started(*sweep, RAY_ADDRESS=cluster.address)
        head = ""
        for line in process.stdout:
            head += line
            if line.startswith("1/5: "):
                break
        cluster.remove_node(node, allow_graceful=False)
        printed = head + process.communicate()[0]
        assert process.returncode == 0, printed
    finally:
        cluster.shutdown()
    trials = clone.trials("cluster")
    assert list(trials.status) == ["finished"] * 5, printed
