"""scikit-learn's Boltzmann machine: `fit`, in float32.

It learns from persistent chains (PCD, which it calls SML), not by CD, a step of them for each batch
as well, by plain gradient descent; and it goes through the examples in their order.
"""

from typing import Any

from protocol import Train, serve, vectors
from sklearn.neural_network import BernoulliRBM


def prepare(workload: dict[str, Any]) -> Train:
    net, fit = workload["model"]["net"], workload["model"]["fit"]
    batch = fit["batch_size"]
    x = vectors(workload)
    whole = len(x) // batch
    rbm = BernoulliRBM(
        net["hidden_units"],
        learning_rate=fit["learning_rate"],
        batch_size=batch,
        random_state=0,
    )

    def train(steps: int) -> int:
        """From new weights: `partial_fit` would go on, but in float64, which takes longer."""
        count = min(steps, whole)
        epochs = -(-steps // count)
        rbm.set_params(n_iter=epochs).fit(x[: count * batch])
        return epochs * count

    return train


if __name__ == "__main__":
    serve(prepare)
