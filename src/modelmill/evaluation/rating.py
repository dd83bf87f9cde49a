"""Evaluating ratings predicted by backpropagation: as any that are predicted."""

from modelmill.evaluation.measures.rated import METRICS, Eval, evaluate

__all__ = ["METRICS", "Eval", "evaluate"]
