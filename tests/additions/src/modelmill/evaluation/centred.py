"""As of the perceptron."""

from modelmill.evaluation.perceptron import METRICS, Eval, evaluate

__all__ = ["METRICS", "Eval", "evaluate"]
