"""The compiled training loop and what it is made of."""

AXES = (
    "step",
    "phase",
    "epoch",
    "examples",
    "learning_rate",
)  # of a history; the rest are its metrics
