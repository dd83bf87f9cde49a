"""Fisher's iris, and tables like it, as scikit-learn ships it.

iris.csv has a header, and then in each line the measures and a class.
"""

from pathlib import Path
from typing import Annotated

import numpy as np
from pydantic import Field

from modelmill.datasets.processed import describe
from modelmill.errors import ModelmillError
from modelmill.schema import PositiveInt, Section

FILE = "iris.csv"
MEASURES = ["sepal length, cm", "sepal width, cm", "petal length, cm", "petal width, cm"]

SPLITS = ("train", "test")
ARRAYS = {"x": "values", "y": "classes"}


class Options(Section):
    """The first `rows` rows, of which `test_fraction` (rounded up) are held out.

    Attributes:
        rows: of the file, from its beginning.
        measures: what its columns are.
        test_fraction: share of them that is the test set.
        split_seed: of the draw of that share.
    """

    rows: PositiveInt
    measures: list[str] = MEASURES
    test_fraction: Annotated[float, Field(gt=0, lt=1)]
    split_seed: Annotated[int, Field(ge=0, lt=2**32)]


def read(path: Path) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Returns float32 measures [rows, columns], unsigned classes [rows], and the classes' names.

    Raises:
        ModelmillError: the file is missing or not of this form.
    """
    try:
        header, *lines = path.read_text(encoding="utf-8-sig").splitlines() or [""]
        rows, _, rest = header.partition(",")
        columns, *names = rest.split(",")
        if not (rows.isdecimal() and columns.isdecimal() and names):
            raise ValueError("its first line is none of ROWS,COLUMNS,CLASS,...")
        if not any(map(str.strip, lines)):
            raise ValueError(f"no values where the header announces {rows} x {columns}")
        table = np.loadtxt(lines, delimiter=",", comments=None, ndmin=2)
        with np.errstate(over="ignore"):
            measures = table[:, :-1].astype(np.float32)
        if not np.isfinite(measures).all():
            raise ValueError("a value that is no number, or too large for one")
        if table.shape != (int(rows), int(columns) + 1):
            raise ValueError(f"{table.shape} values where the header announces {rows} x {columns}")
        if not np.isin(table[:, -1], np.arange(len(names))).all():
            raise ValueError(f"a class outside 0..{len(names) - 1}")
    except (OSError, ValueError) as error:
        raise ModelmillError(f"{path}: not an iris table: {error!s:.200}") from None
    return measures, table[:, -1].astype(np.min_scalar_type(len(names) - 1)), names


def prepare(raw: Path, out: Path, options: Options) -> None:
    """Writes x float32 [rows, measures] and y unsigned [rows], in scikit-learn's order of a split.

    The permutation is that of ``train_test_split(test_size=..., random_state=split_seed)``:
    the held-out rows come first in it.
    """
    x, y, names = read(raw / FILE)
    if options.rows > len(x):
        raise ModelmillError(
            f"{raw / FILE} has {len(x)} rows, options.rows asks for {options.rows}"
        )
    found, named = x.shape[1], len(options.measures)
    if found != named:
        raise ModelmillError(f"{raw / FILE} has {found} measures, options.measures names {named}")
    order = np.random.RandomState(options.split_seed).permutation(options.rows)
    held_out = int(np.ceil(options.rows * options.test_fraction))
    np.save(out / "x.npy", x[order])
    np.save(out / "y.npy", y[order])
    describe(
        out,
        {"test": (0, held_out), "train": (held_out, options.rows)},
        input_shape=[x.shape[1]],
        input_names=options.measures,
        outputs=len(names),
        class_names=names,
        scale=1.0,
    )
