"""What a model is trained for, and how it learns: one module per task.

Each has what `modelmill.training.task.Task` lists; the training loop knows no task. What is done
with the trained model is in the module of the same name in `modelmill.evaluation`.
"""
