"""modelmill: the classic deep-learning models, trained and compared on real data.

The library knows nothing of DVC or Hydra; the scripts in ``pipelines/`` connect it to them.
"""
