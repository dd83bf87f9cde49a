"""What is measured after training that is more than a mean over predictions."""
