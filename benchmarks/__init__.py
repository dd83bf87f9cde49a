"""Speed, measured side by side: nothing here is part of the pipeline or of its tests."""
