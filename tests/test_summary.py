"""What a run says of a training: the best and the last of each metric, and axes for its curves."""

from modelmill.tracking import summary

HISTORY = [
    {"step": 1, "epoch": 1.0, "loss": 3.0, "accuracy": 0.5, "perplexity": 9.0},
    {"step": 2, "epoch": 2.0, "loss": 1.0, "accuracy": 0.9, "perplexity": 4.0},
    {"step": 3, "epoch": 3.0, "loss": 2.0, "accuracy": 0.8, "perplexity": 5.0},
]
BETTER = {"loss": "lower", "accuracy": "higher", "perplexity": "lower"}


def test_the_best_of_a_metric_is_its_highest_or_its_lowest():
    found = summary.best_and_final(HISTORY, BETTER)
    best = {name: value for name, value in found.items() if name.startswith("best_")}
    assert best == {"best_loss": 1.0, "best_accuracy": 0.9, "best_perplexity": 4.0}
    assert found["final_loss"] == 2.0
    assert not {"final_step", "final_epoch"} & set(found)


def test_of_a_training_in_phases_the_best_is_of_the_last_one():
    phases = [row | {"phase": number} for row, number in zip(HISTORY, (1, 2, 2), strict=True)]
    found = summary.best_and_final([phases[1] | {"phase": 1}, *phases[2:]], BETTER)
    assert found["best_accuracy"] == 0.8
    assert summary.best_and_final(phases, BETTER)["best_accuracy"] == 0.9


def test_where_there_are_validation_data_the_best_is_theirs():
    columns = ("loss", "accuracy")
    rows = [row | {f"validation_{name}": row[name] for name in columns} for row in HISTORY]
    found = summary.best_and_final(rows, BETTER)
    assert {name for name in found if name.startswith("best_")} == {
        "best_validation_loss",
        "best_validation_accuracy",
    }
    assert found["best_validation_accuracy"] == 0.9
    assert {"final_loss", "final_validation_loss"} <= set(found)
