"""A small classifier learned from the operator's labels: features, training, calibration, format.
Standard library alone, the same code on CPython and in Pyodide; docs/classifier-design.md has the
figures."""
