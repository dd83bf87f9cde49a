"""Recommendations: to whom, from what, and what is said of those that cannot be made."""

from functools import partial

import numpy as np
import pytest
from clone import ROOT, Clone
from test_commands import ask

from modelmill import models, params
from modelmill.datasets import processed, ratings, titles
from modelmill.datasets.ratings import Item
from modelmill.errors import ModelmillError
from modelmill.parts import part
from modelmill.trained import artifacts, recommender
from modelmill.trained.recommender import Knowledge, Recommender

NAMES = sorted(path.stem for path in (ROOT / "conf/model").glob("movielens_*.yaml"))
KNOWS_USERS = ("movielens_mf", "movielens_rbm_item")  # by weights of their own
FILMS = [
    Item("1", "Toy Story", 1995, []),
    Item("2", "Usual Suspects, The", 1995, []),
    Item("3", "Sabrina", 1954, []),
    Item("4", "Sabrina", 1995, []),
    Item("5", "Star Trek: First Contact", 1996, []),
    Item("6", "Star Trek: Generations", 1994, []),
    Item("7", "Postino, Il", 1994, []),
    Item("8", "City of Lost Children, The (La Cité)", None, []),
    Item("9", "Postino, Il", 1994, []),
    Item("10", "Брат", 1997, []),
    Item("11", "七人の侍", 1954, []),
]


@pytest.fixture(scope="module")
def house(tmp_path_factory, tensorflow):
    """Made-up ratings, and a recommender of each kind with random weights."""
    import keras

    house = Clone(tmp_path_factory.mktemp("house"))
    (house.path / "conf").symlink_to(ROOT / "conf")
    house.compose("profile=smoke", f"model=[{','.join(NAMES)}]")
    given = params.load(house.path / "params.yaml")
    for name in ("movielens", "movielens_seen"):
        house.call("download", name)
        house.call("preprocess", name)
    for name in NAMES:
        entry = given.models[name]
        data = processed.load(house.path / "data/processed" / entry.dataset)
        spec = entry.spec(name, data.meta)
        keras.utils.set_random_seed(1)
        model = models.build(name, entry.arch, entry.net, spec)
        task = part("tasks", entry.task, "")
        if hasattr(task, "begin"):
            task.begin(model, data, entry.fit)
        draw = np.random.default_rng(2)
        model.set_weights([w + draw.normal(0, 0.1, w.shape) for w in model.get_weights()])
        folder = house.path / "data/models" / name
        folder.mkdir(parents=True)
        card = artifacts.card(given.training(name), spec, data.digest, model)
        row = {"step": 1, "epoch": 1.0, "loss": 1.0}
        artifacts.save(folder, model, card, [row], np.zeros((0, model.count_params())))
    return house


@pytest.fixture
def recommended(house, capsys, in_process):
    """What the command prints, in lines."""

    def run(*arguments):
        house.call("recommend", *arguments)
        return capsys.readouterr().out.splitlines()

    return run


def recommender_of(house, name, data):
    return Recommender(house.path / "data/models" / name, Knowledge.of(data))


def data_of(house, name):
    card = artifacts.read_card(house.path / "data/models" / name)
    return processed.load(house.path / "data/processed" / card.settings["dataset"])


# --- evidence ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_no_test_rating_is_ever_predicted_from(house, name, monkeypatch, tmp_path):
    """A user's marked rating, of the test split, is not among what any prediction is given."""
    from modelmill.evaluation import Job
    from modelmill.trained import inference

    data, given = data_of(house, name), []
    for function in ("ratings", "seen"):
        real = getattr(inference, function)

        def spy(model, known, *rest, real=real):
            given.append(known)
            return real(model, known, *rest)

        monkeypatch.setattr(inference, function, spy)
    folder = house.path / "data/models" / name
    job = Job(folder, artifacts.read_card(folder), data, *[tmp_path] * 3)
    evaluation = part("evaluation", job.card.settings["task"], "")
    evaluation.evaluate(job, evaluation.Eval(split="test"))
    test, user = data.split("test"), int(data.split("test")["user"][0])
    recommender_of(house, name, data).for_user(user, 3)
    assert len(given) > 1
    for known in given:
        if len(known) == 1:  # what is known of this user alone
            assert not known[0, test["item"][test["user"] == user]].any()
        else:
            assert not known[test["user"], test["item"]].any()
            assert np.count_nonzero(known) == len(data.split("train")["user"])


@pytest.mark.parametrize("name", NAMES)
def test_what_is_suggested_is_new_to_the_user_and_may_be_in_the_test(house, name):
    data = data_of(house, name)
    model, found = recommender_of(house, name, data), set()
    for user in range(10):
        suggested = {item for item, _ in model.for_user(user, data.meta["items"])}
        rated = {
            split: set(data.split(split)["item"][data.split(split)["user"] == user].tolist())
            for split in ("train", "validation", "test")
        }
        assert not suggested & (rated["train"] | rated["validation"])
        found |= suggested & rated["test"]
    assert found


@pytest.mark.parametrize("name", ["movielens_rbm_user", "movielens_rbm_top"])
def test_somebody_new_with_the_ratings_of_a_user_is_told_the_same(house, name):
    data = data_of(house, name)
    model, user = recommender_of(house, name, data), 3
    new = model.for_newcomer(model.knowledge.stars[user], 1000)
    known = dict(model.for_user(user, 1000))
    for item, value in new:
        if not model.knowledge.left_out[user, item]:
            assert value == pytest.approx(known[item], rel=1e-5)


def test_of_two_machines_the_one_that_sees_a_users_ratings_knows_somebody_new(house):
    data = data_of(house, "movielens_rbm_blend")
    both, stars = recommender_of(house, "movielens_rbm_blend", data), np.zeros(80, np.uint8)
    stars[[4, 9]] = 5, 1
    alone = recommender_of(house, "movielens_rbm_user", data)
    alone.model.set_weights(both.model.get_layer("user_rbm").get_weights())
    assert both.for_newcomer(stars, 5) == alone.for_newcomer(stars, 5)


# --- the command -------------------------------------------------------------------------------


def test_a_user_sees_what_they_liked_and_will_like(recommended, house):
    printed = recommended("movielens_rbm_item", "--user", "7", "--top", "3")
    assert len(printed) == 8
    assert printed[0] == "stars  rated highest"
    assert printed[1].startswith("    5  The ")
    assert printed[4] == "stars  recommended"
    numbers = [float(line.split()[0]) for line in printed[5:]]
    assert numbers == sorted(numbers, reverse=True)
    assert all(line.split()[-1] in ratings.GENRES for line in printed[5:])


def test_somebody_new_names_films_as_people_do(recommended):
    given = ["--rate", "old miller=5", "--rate", "The Quiet Rivr=1", "--top", "2"]
    for name in sorted(set(NAMES) - set(KNOWS_USERS)):
        printed = recommended(name, *given)
        assert printed[1].startswith("    5  The Old Miller (")
        assert printed[2].startswith("    1  The Quiet River (")
        assert len(printed) == 6


@pytest.mark.parametrize("name", NAMES)
def test_every_recommender_finds_films_alike(recommended, name):
    title, *lines = recommended(name, "--like", "Old Miller", "--top", "4")
    assert title.startswith(" like  most like The Old Miller (")
    assert len(lines) == 4
    assert not any("Old Miller" in line for line in lines)


def test_what_is_wrong_is_said_in_one_line_before_tensorflow_is_there(house):
    run = partial(lambda *given: (house.path, "recommend", *given))
    questions = {
        run("movielens_mf", "--user", "51"): "there is no user '51' among the 50, 1 to 50",
        run("movielens_mff", "--user", "1"): "did you mean 'movielens_mf'",
        run("movielens_mf", "--rate", "Old Miller=5"): "none for somebody new: --rate is for a",
        run("movielens_rbm_item", "--rate", "Old Miller=5"): "movielens_rbm_user",
        run("movielens_rbm_user", "--rate", "Old Miller=6"): "expected TITLE=STARS with 1 to 5",
        run("movielens_rbm_user", "--rate", "Old Miller"): "--rate 'Old Miller': expected TITLE=",
        run("movielens_rbm_user", "--rate", "Vertigo=4"): "there is no film 'Vertigo'",
        run("movielens_rbm_user", "--rate", "Old Miller=4", "--rate", "old miller=3"): "already",
        run("movielens_rbm_user", "--like", "Old"): "'Old' may be The Old Miller (",
        run("movielens_rbm_user", "--like", ""): "there is no film ''",
    }
    for (question, said), answer in zip(questions.items(), ask(*questions), strict=True):
        assert answer.code == 2, question
        assert said in answer.err
        assert answer.err.startswith("error: ")
        assert answer.err.count("\n") == 1
        assert answer.imported == []


def test_what_recommends_nothing_says_so():
    card = artifacts.Card({"model": "m", "task": "classification"}, models.Spec({}, 1), "", "", 0)
    with pytest.raises(ModelmillError, match="m is a model for classification: it recommends noth"):
        recommender.require(card)


def test_beyond_the_most_stars_too_the_best_come_first(house, monkeypatch):
    from modelmill.trained import inference

    data = data_of(house, "movielens_mf")
    found = recommender_of(house, "movielens_mf", data)
    known = np.flatnonzero(inference.well_known(found.knowledge.stars))[:3]
    stars = np.zeros(len(found.knowledge.stars[0]))
    stars[known] = 5.1, 5.4, 4.5
    monkeypatch.setattr(inference, "ratings", lambda *_: stars)
    free = found.knowledge._replace(left_out=np.zeros_like(found.knowledge.left_out))
    found.knowledge = free
    assert found.for_user(0, 3) == [(known[1], 5), (known[0], 5), (known[2], 4.5)]


# --- titles ------------------------------------------------------------------------------------


def test_titles_are_shown_as_people_say_them():
    assert titles.label(FILMS[1]) == "The Usual Suspects (1995)"
    assert titles.label(FILMS[6]) == "Il Postino (1994)"
    assert titles.label(FILMS[7]) == "The City of Lost Children (La Cité)"
    assert titles.label(Item("9", "Enfer, L'", 1994, [])) == "L'Enfer (1994)"
    assert titles.label(Item("9", "Lasso, Last", 1994, [])) == "Lasso, Last (1994)"


@pytest.mark.parametrize(
    ("wanted", "number"),
    [
        ("Toy Story", 0),
        ("toy story (1995)", 0),
        ("Toy Stroy", 0),
        ("usual suspects", 1),
        ("The Usual Suspects", 1),
        ("Usual Suspects, The (1995)", 1),
        ("Sabrina (1954)", 2),
        ("sabrina (1995)", 3),
        ("First Contact", 4),
        ("il postino", 6),
        ("La Cite", 7),
        ("брат", 9),
        ("七人の侍 (1954)", 10),
    ],
)
def test_a_film_is_found(wanted, number):
    assert titles.find(wanted, FILMS) == number


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("Sabrina", r"'Sabrina' may be Sabrina \(1954\), Sabrina \(1995\)"),
        ("Star Trek", r"'Star Trek' may be Star Trek: First Contact \(1996\), Star Trek: Gen"),
        ("Toy Store Wars", r"there is no film 'Toy Store Wars', but Toy Story \(1995\)"),
        ("Toy Story (1999)", r"there is no film 'Toy Story \(1999\)'"),
        ("!", "there is no film '!'"),
        ("Солярис", "there is no film 'Солярис'"),
        ("", "there is no film ''"),
    ],
)
def test_a_film_that_is_not_there_or_not_the_only_one_is_said(wanted, said):
    with pytest.raises(ModelmillError, match=said):
        titles.find(wanted, FILMS)


# --- served ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["movielens_mf", "movielens_rbm_top"])
def test_a_served_recommender_answers_users_with_films(house, name, tmp_path):
    import pandas as pd
    from mlflow.exceptions import MlflowException

    from modelmill.trained import serving

    data, folder = data_of(house, name), house.path / "data/models" / name
    packed = serving.pack(folder, data, tmp_path / "packed")
    served = serving._load_pyfunc(str(packed))
    found = served.predict(pd.DataFrame({"user": ["7", "50"]}), {"top": 3})
    expected = recommender_of(house, name, data).for_user(6, 3)
    films = ratings.catalogue(data.folder).items
    assert found.user.tolist() == ["7"] * 3 + ["50"] * 3
    assert found["rank"].tolist() == [1, 2, 3] * 2
    assert found.item.tolist()[:3] == [films[item].id for item, _ in expected]
    declared = serving.signature(served.model.card, data, {})
    assert list(found.columns) == declared.outputs.input_names()
    with pytest.raises(MlflowException, match="there is no user '51'"):
        served.predict(pd.DataFrame({"user": ["51"]}))
    with pytest.raises(MlflowException, match="top is at least 1, not 0"):
        served.predict(pd.DataFrame({"user": ["7"]}), {"top": 0})
    changed = packed / recommender.KNOWLEDGE
    content = changed.read_bytes()
    changed.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    with pytest.raises(ModelmillError, match=r"meta\.sha256"):
        serving._load_pyfunc(str(packed))
