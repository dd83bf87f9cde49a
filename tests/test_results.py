"""The results table tells what was measured, and only replaces its own part of a document."""

import json

import pytest
from conftest import ROOT

from modelmill import params, results
from modelmill.errors import ModelmillError


@pytest.fixture
def models():
    return params.load(ROOT / "params.yaml").models


def write(folder, **metrics):
    for name, values in metrics.items():
        (folder / f"{name}.json").write_text(json.dumps(values))


def test_a_row_a_model_with_goal_and_verdict(models, tmp_path):
    write(tmp_path, mnist_softmax={"accuracy": 0.91}, ptb_small={"perplexity": 120.0})
    table = results.table(models, tmp_path).set_index("model")
    assert list(table.index) == list(models)
    softmax, treebank, line = (table.loc[n] for n in ("mnist_softmax", "ptb_small", "line_sgd"))
    assert (softmax.value, softmax.goal, softmax.reached) == ("0.9100", "≥ 0.9100", "yes")
    assert (treebank.value, treebank.goal, treebank.reached) == ("120.00", "≤ 115.90", "no")
    assert (line.value, line.reached, line.published) == ("not run", "", "–")


def test_the_table_replaces_only_what_is_between_the_marks(models, tmp_path):
    block = results.markdown(results.table(models, tmp_path), "quick")
    document = f"before\n{results.BEGIN}\nold\n{results.END}\nafter\n"
    once = results.insert(document, block)
    assert once == f"before\n{block}\nafter\n"
    assert results.insert(once, block) == once


@pytest.mark.parametrize(
    "document",
    [
        "nothing",
        f"{results.BEGIN} only",
        f"{results.END}{results.BEGIN}",
        f"{results.BEGIN}{results.BEGIN}{results.END}",
    ],
)
def test_a_document_without_both_marks_is_left_alone(document):
    with pytest.raises(ModelmillError, match="there must be one line"):
        results.insert(document, "block")


def test_the_readme_has_the_place_for_the_table():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert results.insert(readme, results.BEGIN + results.END)
