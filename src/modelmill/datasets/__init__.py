"""Getting raw files, and reading them: one module per format.

A reader is a module with `Options` (its keys in ``conf/dataset/``) and
``prepare(raw, out, options)``, which writes arrays to `out` and describes them with
`modelmill.datasets.processed.describe`.
"""
