"""Initial values as params.yaml names them."""

import keras

from modelmill import params


def initializer(settings: params.Initializer) -> keras.initializers.Initializer:
    """The Keras initializer for a block of params.yaml."""
    match settings:
        case params.Constant():
            return keras.initializers.Constant(settings.value)
        case params.Uniform():
            return keras.initializers.RandomUniform(-settings.limit, settings.limit)
        case params.Normal():
            return keras.initializers.RandomNormal(stddev=settings.stddev)
        case params.TruncatedNormal():
            return keras.initializers.TruncatedNormal(stddev=settings.stddev)
        case params.GlorotUniform():
            return keras.initializers.GlorotUniform()
