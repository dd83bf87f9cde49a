"""Sweeps: many trainings of one model, side by side, to find its best hyperparameters.

Ray Tune runs the trials, on this machine or a cluster; Optuna chooses their values. Optuna's study,
a file written as each trial ends, is all that a sweep knows: it is resumed and reported from there.
"""
