"""The fundamentals: every value against an answer known by hand or computed without TensorFlow."""

import json
import math

import matplotlib.image
import numpy as np
import pytest

pytestmark = pytest.mark.usefixtures("tensorflow")
PICTURES = ["activations", "convolution_1d", "convolution_2d", "edges", "lstm"]


@pytest.fixture(scope="module")
def found(tensorflow):
    """What the stage writes as JSON, read back."""
    from modelmill.fundamentals import values

    return json.loads(json.dumps(values.compute(), allow_nan=False))


def test_every_topic_is_there(found):
    assert list(found) == [
        *("hello_world", "tensors", "products", "counter", "open_input", "arithmetic"),
        *("gradients", "activations", "convolution_1d", "convolution_2d", "conv2d_shapes"),
        *("edges", "lstm"),
    ]


def test_hello_world(found):
    assert found["hello_world"] == {"sum": [5]}


def test_tensors_of_rank_0_to_3(found):
    matrix = [[1, 2, 3], [2, 3, 4], [3, 4, 5]]
    rank_3 = [matrix, [[4, 5, 6], [5, 6, 7], [6, 7, 8]], [[7, 8, 9], [8, 9, 10], [9, 10, 11]]]
    assert found["tensors"] == {
        "scalar": {"rank": 0, "shape": [], "value": 2},
        "vector": {"rank": 1, "shape": [3], "value": [1, 2, 3]},
        "matrix": {"rank": 2, "shape": [3, 3], "value": matrix},
        "rank_3": {"rank": 3, "shape": [3, 3, 3], "value": rank_3},
    }


def test_products(found):
    assert found["products"] == {"element": [[4, 9], [9, 16]], "matrix": [[13, 18], [18, 25]]}


def test_a_variable_counts(found):
    assert found["counter"] == [0, 1, 2, 3]


def test_a_function_of_an_open_input(found):
    assert found["open_input"] == {
        "scalar": 7.0,
        "rank_3": [
            [[2, 4, 6], [8, 10, 12], [14, 16, 18], [20, 22, 24]],
            [[26, 28, 30], [32, 34, 36], [38, 40, 42], [44, 46, 48]],
        ],
    }


def test_arithmetic(found):
    assert found["arithmetic"] == {
        "add": [7],
        "subtract": [3],
        "multiply_1_2": 2,
        "multiply_3_3": 9,
    }


def test_gradients(found):
    assert found["gradients"] == {"x": 10.0, "y": 3.0}


def test_activations(found):
    e = math.e
    tanh = [(e**2 - 1) / (e**2 + 1), (e**4 - 1) / (e**4 + 1)]
    expected = {
        "z": [-2, -1, 0, 1, 2],
        "step": [0, 0, 1, 1, 1],
        "sigmoid": [1 / (1 + e**2), 1 / (1 + e), 0.5, e / (1 + e), e**2 / (1 + e**2)],
        "tanh": [-tanh[1], -tanh[0], 0, *tanh],
        "ReLU": [0, 0, 0, 1, 2],
        "softplus": [math.log(1 + e**z) for z in (-2, -1, 0, 1, 2)],
    }
    assert found["activations"].keys() == expected.keys()
    for name, values in expected.items():
        assert found["activations"][name] == pytest.approx(values, abs=1e-6), name


def test_activation_surfaces_lie_over_weight_and_bias():
    from modelmill.fundamentals import values

    w, b, surfaces = values.activation_surfaces(limit=1.0, points=3)
    assert w.tolist() == [[-1, 0, 1]] * 3
    assert b.tolist() == [[-1] * 3, [0] * 3, [1] * 3]
    assert list(surfaces) == ["step", "sigmoid", "tanh", "ReLU", "softplus"]
    assert surfaces["step"].tolist() == [[0, 0, 1], [0, 1, 1], [1, 1, 1]]
    assert surfaces["ReLU"].tolist() == [[0, 0, 0], [0, 0, 1], [0, 1, 2]]
    z = w + b
    np.testing.assert_allclose(surfaces["sigmoid"], 1 / (1 + np.exp(-z)), rtol=1e-6)
    np.testing.assert_allclose(surfaces["tanh"], np.tanh(z), rtol=1e-6)
    np.testing.assert_allclose(surfaces["softplus"], np.log1p(np.exp(z)), rtol=1e-6)


def test_convolution_in_one_dimension(found):
    assert found["convolution_1d"] == {
        "first": [6, 11, 14, 5, 0],
        "full": [6, 14, 34, 34, 8],
        "same": [6, 14, 34, 34],
        "valid": [14, 34, 34],
    }


def test_each_element_contributes_a_copy_of_the_kernel():
    from modelmill.fundamentals import values

    assert values.contributions().tolist() == [[6, 3, 0, 0, 0], [0, 8, 4, 0, 0], [0, 0, 10, 5, 0]]


def test_convolution_in_two_dimensions(found):
    full = [[-255, 248, 4, 3], [-212, -28, 236, 4], [-218, 2, -14, 230]]
    assert found["convolution_2d"] == {
        "full": full,
        "same": [row[:3] for row in full],
        "valid": [row[1:3] for row in full],
    }


@pytest.mark.parametrize("mode", ["full", "same", "valid"])
@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (4, 3), (5, 6)])
def test_convolution_agrees_with_scipy(tensorflow, mode, size):
    from scipy.signal import convolve2d

    from modelmill.fundamentals import values

    rng = np.random.default_rng(0)
    signal, kernel = rng.integers(-9, 10, (5, 6)), rng.integers(-9, 10, size)
    tensors = [tensorflow.constant(array, tensorflow.int32) for array in (signal, kernel)]
    result = values.convolve(*tensors, mode).numpy()
    np.testing.assert_array_equal(result, convolve2d(signal, kernel, mode))


def test_convolution_in_one_dimension_agrees_with_numpy_whichever_is_longer(tensorflow):
    from modelmill.fundamentals import values

    for a, b in (([1, 2, 3, 4], [5, 6, 7]), ([5, 6, 7], [1, 2, 3, 4])):
        for mode in values.MODES:
            result = values.convolve_1d(tensorflow.constant(a), tensorflow.constant(b), mode)
            assert result.numpy().tolist() == np.convolve(a, b, mode).tolist()


def test_shapes_of_conv2d(found):
    assert found["conv2d_shapes"] == {"valid": [1, 8, 8, 1], "same": [1, 10, 10, 1]}


def test_laplacian_by_hand(tensorflow):
    from modelmill.fundamentals import values

    def laplacian(image):
        return values.laplacian(tensorflow.constant(image)).numpy().tolist()

    assert laplacian([[7] * 4] * 3) == [[0] * 4] * 3
    assert laplacian([[0, 0, 9, 9]] * 3) == [[0, 9, -9, 0]] * 3
    point = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
    assert laplacian(point) == values.LAPLACIAN


def test_edges_of_a_photograph(found):
    from modelmill.fundamentals import values

    image = values.photograph().numpy()
    assert image.shape == (427, 640)
    assert 0 <= image.min() < 20
    assert 235 < image.max() <= 255
    framed = np.pad(image, 1, "edge")
    inside = framed[1:-1, 1:-1]
    neighbours = framed[:-2, 1:-1] + framed[2:, 1:-1] + framed[1:-1, :-2] + framed[1:-1, 2:]
    changes = neighbours - 4 * inside
    assert found["edges"] == {
        "shape": [427, 640],
        "mean_grey": pytest.approx(image.mean(), abs=1e-6),
        "mean": 0.0,
        "mean_magnitude": pytest.approx(np.abs(changes).mean(), abs=1e-6),
    }


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def lstm_step(x, h, c):
    """One step of an LSTM whose weights are 0.5 cos(0, 1, ...), gates in Keras' order."""
    units = h.shape[-1]

    def weights(rows):
        return 0.5 * np.cos(np.arange(rows * 4 * units)).reshape(rows, 4 * units)

    z = x @ weights(x.shape[-1]) + h @ weights(units)
    i, f, candidate, o = np.split(z, 4, axis=-1)
    c = sigmoid(f + 1) * c + sigmoid(i) * np.tanh(candidate)
    return sigmoid(o) * np.tanh(c), c


def test_lstm_cell(found):
    x = np.array([[1, 2, 3, 4, 3, 2], [3, 2, 2, 2, 2, 2]])
    output, memory = lstm_step(x, np.zeros((2, 4)), np.zeros((2, 4)))
    assert found["lstm"]["cell"]["shape"] == [2, 4]
    np.testing.assert_allclose(found["lstm"]["cell"]["output"], output, atol=2e-6)
    np.testing.assert_allclose(found["lstm"]["cell"]["memory"], memory, atol=2e-6)


def test_stacked_lstm(found):
    first = [[1, 2, 3, 4, 3, 2], [1, 2, 1, 1, 1, 2], [1, 2, 2, 2, 2, 2]]
    second = [[1, 2, 3, 4, 3, 2], [3, 2, 2, 1, 1, 2], [0, 0, 0, 0, 3, 2]]
    lower, upper = ((np.zeros((2, units)), np.zeros((2, units))) for units in (4, 5))
    outputs = []
    for x in np.array([first, second]).swapaxes(0, 1):
        lower = lstm_step(x, *lower)
        upper = lstm_step(lower[0], *upper)
        outputs.append(upper[0])
    assert found["lstm"]["stacked"]["shape"] == [2, 3, 5]
    np.testing.assert_allclose(
        found["lstm"]["stacked"]["output"], np.stack(outputs, axis=1), atol=2e-6
    )


@pytest.fixture
def stage(tmp_path, monkeypatch):
    """Runs the stage in an empty folder; returns the bytes of all it wrote, by path."""
    from modelmill import runtime
    from pipelines import fundamentals

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.argv", ["fundamentals"])
    monkeypatch.setattr(runtime, "start", lambda seed: None)  # the fixture has started it

    def run():
        fundamentals.main()
        files = (path for path in tmp_path.rglob("*") if path.is_file())
        return {str(path.relative_to(tmp_path)): path.read_bytes() for path in files}

    return run


@pytest.mark.long
def test_the_stage_writes_the_same_bytes_twice(stage, tmp_path):
    first = stage()
    folder = "data/figures/fundamentals"
    assert sorted(first) == [
        *(f"{folder}/{name}.png" for name in PICTURES),
        "data/metrics/fundamentals.json",
    ]
    for name in PICTURES:
        pixels = matplotlib.image.imread(tmp_path / folder / f"{name}.png")[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50, name
        assert pixels.std() > 0.05, name
    assert stage() == first
