"""Tensors, gradients, activation functions, convolutions and LSTM cells, computed by TensorFlow."""

from typing import Any, Literal

import keras
import numpy as np
import tensorflow as tf

Mode = Literal["full", "same", "valid"]
MODES: tuple[Mode, ...] = ("full", "same", "valid")

MATRIX = [[2, 3], [3, 4]]
SIGNAL, KERNEL = [3, 4, 5], [2, 1, 0]
SHORT, LONG = [6, 2], [1, 2, 5, 4]
IMAGE, DIFFERENCE = [[255, 7, 3], [212, 240, 4], [218, 216, 230]], [[-1, 1]]
LAPLACIAN = [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
FEATURES = [[1, 2, 3, 4, 3, 2], [3, 2, 2, 2, 2, 2]]
SEQUENCES = [
    [[1, 2, 3, 4, 3, 2], [1, 2, 1, 1, 1, 2], [1, 2, 2, 2, 2, 2]],
    [[1, 2, 3, 4, 3, 2], [3, 2, 2, 1, 1, 2], [0, 0, 0, 0, 3, 2]],
]

ACTIVATIONS = {
    "step": lambda z: tf.cast(z >= 0, z.dtype),
    "sigmoid": tf.sigmoid,
    "tanh": tf.tanh,
    "ReLU": tf.nn.relu,
    "softplus": tf.nn.softplus,
}


def compute() -> dict[str, Any]:
    """Every topic by name, as numbers, lists and dictionaries that JSON can hold."""
    topics = {
        "hello_world": hello_world(),
        "tensors": tensors(),
        "products": products(),
        "counter": counter(),
        "open_input": open_input(),
        "arithmetic": arithmetic(),
        "gradients": gradients(),
        "activations": activations(),
        "convolution_1d": convolution_1d(),
        "convolution_2d": convolution_2d(),
        "conv2d_shapes": conv2d_shapes(),
        "edges": edges(),
        "lstm": {"cell": lstm_cell(), "stacked": stacked_lstm()},
    }
    return _plain(topics)


def hello_world() -> dict[str, Any]:
    """The first sum, [2] + [3]."""
    return {"sum": tf.add([2], [3])}


def tensors() -> dict[str, Any]:
    """A tensor of each rank from 0 to 3, with its rank and shape."""
    vector = tf.constant([1, 2, 3])
    matrix = tf.stack([vector, vector + 1, vector + 2])
    examples = {
        "scalar": tf.constant(2),
        "vector": vector,
        "matrix": matrix,
        "rank_3": tf.stack([matrix, matrix + 3, matrix + 6]),
    }
    return {
        name: {"rank": tf.rank(tensor), "shape": tensor.shape, "value": tensor}
        for name, tensor in examples.items()
    }


def products() -> dict[str, Any]:
    """`MATRIX` times itself, element by element and as a matrix."""
    matrix = tf.constant(MATRIX)
    return {"element": matrix * matrix, "matrix": matrix @ matrix}


def counter() -> list[tf.Tensor]:
    """The values of a variable that starts at 0 and is incremented three times."""
    count = tf.Variable(0)
    return [count.read_value(), *(count.assign_add(1).read_value() for _ in range(3))]


def open_input() -> dict[str, Any]:
    """One graph, 2 a, whose input `a` is left open until it is called: a scalar, then rank 3."""

    @tf.function(input_signature=[tf.TensorSpec(shape=None, dtype=tf.float32)])
    def twice(a: tf.Tensor) -> tf.Tensor:
        return a * 2

    rank_3 = tf.reshape(tf.range(1.0, 25.0), [2, 4, 3])
    return {"scalar": twice(tf.constant(3.5)), "rank_3": twice(rank_3)}


def arithmetic() -> dict[str, Any]:
    """Sum and difference of [5] and [2]; the products 1 x 2 and 3 x 3."""
    return {
        "add": tf.add([5], [2]),
        "subtract": tf.subtract([5], [2]),
        "multiply_1_2": tf.multiply(1, 2),
        "multiply_3_3": tf.multiply(3, 3),
    }


def gradients() -> dict[str, Any]:
    """The partial derivatives of 2 x² + 3 x y at (1, 2): 4 x + 3 y and 3 x."""
    x, y = tf.Variable(1.0), tf.Variable(2.0)
    with tf.GradientTape() as tape:
        f = 2 * x**2 + 3 * x * y
    by_x, by_y = tape.gradient(f, [x, y])
    return {"x": by_x, "y": by_y}


def activations() -> dict[str, Any]:
    """Each activation function at a few points; the step is 1 from 0 on."""
    z = tf.constant([-2.0, -1.0, 0.0, 1.0, 2.0])
    return {"z": z, **{name: function(z) for name, function in ACTIVATIONS.items()}}


def activation_surfaces(
    limit: float, points: int
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """What a neuron with the input 1 answers, by its weight and bias.

    Returns:
        The weights w and the biases b, both evenly in [-limit, limit], and by activation
        function its values at w * 1 + b; float32 [points, points], w along the last axis.
    """
    axis = tf.linspace(-limit, limit, points)
    w, b = tf.meshgrid(axis, axis)
    surfaces = {name: function(w * 1 + b).numpy() for name, function in ACTIVATIONS.items()}
    return w.numpy(), b.numpy(), surfaces


def convolve(signal: tf.Tensor, kernel: tf.Tensor, mode: Mode) -> tf.Tensor:
    """True convolution of two matrices: the kernel is turned around before it slides.

    TensorFlow's own `conv2d`, as every convolutional layer, does not turn it (strictly, that is
    cross-correlation). A kernel that is learned comes out turned, one that is given must be.

    Args:
        signal: [rows, columns].
        kernel: [rows, columns], of the signal's type.
        mode: as in `scipy.signal.convolve2d`: "full" has every position where the two overlap,
            "same" those that give as large a result as the signal, "valid" only those where the
            kernel lies wholly inside.

    Returns:
        [rows, columns], of the signal's type.
    """
    turned = tf.reverse(kernel, axis=[0, 1])
    zeros = [_zeros_around(size, mode) for size in kernel.shape]
    batch, filters = signal[tf.newaxis, :, :, tf.newaxis], turned[:, :, tf.newaxis, tf.newaxis]
    return tf.nn.conv2d(batch, filters, strides=1, padding=[(0, 0), *zeros, (0, 0)])[0, :, :, 0]


def _zeros_around(size: int, mode: Mode) -> tuple[int, int]:
    # An even kernel has no middle: SciPy then puts the odd zero before, TensorFlow's SAME after.
    before_and_after = {
        "full": (size - 1, size - 1),
        "same": (size // 2, (size - 1) // 2),
        "valid": (0, 0),
    }
    return before_and_after[mode]


def convolve_1d(a: tf.Tensor, b: tf.Tensor, mode: Mode) -> tf.Tensor:
    """True convolution of two vectors, as `numpy.convolve`: the longer one is the signal."""
    signal, kernel = (a, b) if len(a) >= len(b) else (b, a)
    return convolve(signal[tf.newaxis], kernel[tf.newaxis], mode)[0]


def convolution_1d() -> dict[str, Any]:
    """`SIGNAL` by `KERNEL` in full; `SHORT` by `LONG` in each mode."""
    short, long = tf.constant(SHORT), tf.constant(LONG)
    return {
        "first": convolve_1d(tf.constant(SIGNAL), tf.constant(KERNEL), "full"),
        **{mode: convolve_1d(short, long, mode) for mode in MODES},
    }


def contributions() -> np.ndarray:
    """What each element of `SIGNAL` adds to its full convolution with `KERNEL`.

    Returns:
        Integers [elements, positions]: copies of the kernel, each moved to its element and
        multiplied by it. Their sum is the convolution.
    """
    alone = tf.linalg.diag(SIGNAL)
    return np.stack([convolve_1d(element, tf.constant(KERNEL), "full") for element in alone])


def convolution_2d() -> dict[str, Any]:
    """`IMAGE` by `DIFFERENCE`, which takes from each pixel its right neighbour, in each mode."""
    return {mode: convolve(tf.constant(IMAGE), tf.constant(DIFFERENCE), mode) for mode in MODES}


def conv2d_shapes() -> dict[str, Any]:
    """Shapes [batch, rows, columns, channels] after a 3 x 3 filter over a 10 x 10 image."""
    image, filters = tf.ones([1, 10, 10, 1]), tf.ones([3, 3, 1, 1])
    return {
        padding.lower(): tf.nn.conv2d(image, filters, strides=1, padding=padding).shape
        for padding in ("VALID", "SAME")
    }


def photograph() -> tf.Tensor:
    """A Chinese temple, one of scikit-learn's two photographs, as grey levels [rows, columns]."""
    from sklearn.datasets import load_sample_image  # type: ignore[import-untyped]

    grey = tf.image.rgb_to_grayscale(load_sample_image("china.jpg"))
    return tf.cast(grey[:, :, 0], tf.int32)


def laplacian(image: tf.Tensor) -> tf.Tensor:
    """The sum of each pixel's differences to its four neighbours: 0 but where something changes.

    The image is mirrored at its border, which would be an edge all around otherwise.
    """
    mirrored = tf.pad(image, [[1, 1], [1, 1]], "SYMMETRIC")
    return convolve(mirrored, tf.constant(LAPLACIAN), "valid")


def edges() -> dict[str, Any]:
    """The size of the photograph's edge map, its mean (signs cancel out: 0) and mean magnitude."""
    image = photograph()
    # In float64 the sums of these integers are exact, in whichever order they are added.
    changes = tf.cast(laplacian(image), tf.float64)
    return {
        "shape": changes.shape,
        "mean_grey": tf.reduce_mean(tf.cast(image, tf.float64)),
        "mean": tf.reduce_mean(changes),
        "mean_magnitude": tf.reduce_mean(tf.abs(changes)),
    }


def fixed_weights(shape: tuple[int, ...], dtype: str) -> tf.Tensor:
    """An initializer that needs no luck: 0.5 cos(0), 0.5 cos(1), ..., row by row."""
    return tf.reshape(0.5 * tf.cos(tf.range(np.prod(shape), dtype=dtype)), shape)


def _cell(units: int) -> keras.layers.LSTMCell:
    return keras.layers.LSTMCell(
        units, kernel_initializer=fixed_weights, recurrent_initializer=fixed_weights
    )


def lstm_cell() -> dict[str, Any]:
    """One step of an LSTM cell of 4 units over `FEATURES` [2, 6], from a state of zeros.

    Biases are 0 but for the forget gate's, 1 (Jozefowicz et al. 2015), which is Keras' default.

    Returns:
        The output h, which is also the short-term state, and the long-term state c; [2, 4].
    """
    inputs, zeros = tf.constant(FEATURES, tf.float32), tf.zeros([2, 4])
    output, (_, memory) = _cell(4)(inputs, [zeros, zeros])
    return {"shape": output.shape, "output": output, "memory": memory}


def stacked_lstm() -> dict[str, Any]:
    """LSTM cells of 4 and 5 units, one above the other, over `SEQUENCES` [2, 3, 6].

    Returns:
        The upper cell's output at each step; [2, 3, 5].
    """
    layers = keras.layers.StackedRNNCells([_cell(4), _cell(5)])
    output = keras.layers.RNN(layers, return_sequences=True)(tf.constant(SEQUENCES, tf.float32))
    return {"shape": output.shape, "output": output}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    array = np.asarray(value)
    # Six digits: the last bits of a float32 may differ from one processor to the next.
    return (array.astype(float).round(6) if array.dtype.kind == "f" else array).tolist()
