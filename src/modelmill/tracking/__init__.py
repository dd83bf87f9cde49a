"""MLflow, a view of the files: trainings as runs, models registered; nothing else imports it."""
