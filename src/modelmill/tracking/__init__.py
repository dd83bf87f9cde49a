"""MLflow, a view of the files: trainings as runs, models registered, runs as they happen."""
