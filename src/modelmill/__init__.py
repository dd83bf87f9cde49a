"""modelmill: the classic deep-learning models, trained and compared on real data.

The library imports neither DVC nor Hydra; the scripts in ``pipelines/`` connect it to them.
"""
