"""Starting TensorFlow: quietly, quickly, deterministically, one thread per shard of a batch."""

import gc
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

# XLA's new library for reductions on processors crashes now and then where two shards begin to use
# the same compiled function at once: they share a list that nothing guards.
SAFE_XLA = "--xla_cpu_experimental_ynn_fusion_type="

# Keras imports these if it finds them, for features not used here: 2 of the 4 seconds it takes.
UNUSED_BY_KERAS = ("sklearn", "pandas", "matplotlib")

# What else decides how numbers are rounded: instructions of the processor, and variables.
INSTRUCTIONS = ("avx2", "fma", "avx512f", "avx512_bf16", "avx512_vnni", "amx_bf16", "asimd", "sve")
VARIABLES = ("ONEDNN", "TF_ENABLE_ONEDNN", "TF_XLA", "XLA_FLAGS", "TF_CPU", "NVIDIA_TF32")


@contextmanager
def _hidden(names: tuple[str, ...]) -> Iterator[None]:
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]


@contextmanager
def uncollected() -> Iterator[None]:
    """Keeps the garbage collector from going through an import's objects: a quarter of its time."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _quiet() -> Iterator[None]:
    """Drops what TensorFlow's C++ parts write to standard error before they can be configured."""
    sys.stderr.flush()
    stderr = os.dup(2)
    with Path(os.devnull).open("w") as nothing:
        os.dup2(nothing.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)


def start(
    seed: int,
    shards: int | None = None,
    cores: int | None = None,
) -> None:
    """Imports TensorFlow and makes every run with the same seed give the same bytes.

    Args:
        seed: for initial weights, dropout, and whatever else draws random numbers.
        shards: parts of a batch that are learnt from side by side, by a thread each: more threads
            would round a gradient otherwise. None if nothing is to be learnt.
        cores: how many to use; None is all that this process may use. The results are the same.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    if SAFE_XLA not in (flags := os.environ.get("XLA_FLAGS", "")):
        os.environ["XLA_FLAGS"] = f"{SAFE_XLA} {flags}".strip()
    with _quiet(), uncollected(), _hidden(UNUSED_BY_KERAS):
        import keras
        import tensorflow as tf

        for gpu in tf.config.list_physical_devices("GPU"):
            tf.config.experimental.set_memory_growth(gpu, True)  # others may be at work on it
    tf.get_logger().setLevel("ERROR")  # it warns of many models in one process
    # Whatever ~/.keras/keras.json says.
    keras.config.set_image_data_format("channels_last")
    keras.config.set_floatx("float32")
    cores = cores or available_cores()
    tf.config.threading.set_inter_op_parallelism_threads(min(shards or 1, cores))
    tf.config.threading.set_intra_op_parallelism_threads(1 if shards else cores)
    tf.config.experimental.enable_op_determinism()
    keras.utils.set_random_seed(seed)


def numerics() -> dict[str, str]:
    """What the bytes of a training depend on beside its settings, data and code."""
    import tensorflow as tf

    info = Path("/proc/cpuinfo")
    known = info.read_text(encoding="utf-8") if info.is_file() else platform.machine()
    words = set(known.split())
    gpus = [
        tf.config.experimental.get_device_details(gpu).get("device_name", "unknown")
        for gpu in tf.config.list_physical_devices("GPU")
    ]
    return {
        "tensorflow": version("tensorflow"),
        "instructions": " ".join(name for name in INSTRUCTIONS if name in words),
        **({"gpus": ", ".join(gpus)} if gpus else {}),
        **{key: os.environ[key] for key in sorted(os.environ) if key.startswith(VARIABLES)},
    }


def available_cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
