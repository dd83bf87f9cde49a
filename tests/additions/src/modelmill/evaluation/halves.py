"""The metrics that the task measures, on a whole split."""

from modelmill.schema import Section

METRICS = {}


class Eval(Section):
    split: str


def evaluate(job, options):
    import numpy as np
    import tensorflow as tf

    from modelmill.parts import part
    from modelmill.trained import artifacts

    task, settings = part("tasks", job.card.settings["task"], "task"), job.card.settings
    fit, model = task.Fit.model_validate(settings["fit"]), artifacts.restore(job.folder)
    batches = task.batches(job.data, options.split, fit, 0)
    state, total = task.initial(model, fit), 0.0
    for index in range(batches.steps):
        batch = batches.batch(batches.load(0, index, 1), tf.constant(0))
        score, state = task.measure(model, batch, state, fit)
        total = total + np.array([score.predictions, *score.sums])
    found = task.metrics([float(value) for value in total[1:] / total[0]])
    return {**found, "examples": int(total[0])}
