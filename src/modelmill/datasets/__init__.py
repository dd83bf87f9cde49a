"""Getting raw files, and reading them: one module per format.

A reader is a module with `Options` (its keys in ``conf/dataset/``), `SPLITS`, `ARRAYS` (names of
what it prepares, and what kind each is: values, classes, tokens, ids), and
``prepare(raw, out, options)``, which writes arrays to `out` and describes them with
`modelmill.datasets.processed.describe`. One that can be made up for the profile smoke also has
`Generate`, the typed keys of `generate`, and ``generate(raw, settings)``.

`text.TextLoader` and `ptb.ptb_raw_data` with `ptb.ptb_iterator` read a folder on their own, without
the pipeline; training cuts the same windows inside its compiled loop.
"""
