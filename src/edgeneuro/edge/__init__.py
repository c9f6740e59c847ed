"""The Workers runtime: the only folder that imports `workers`, `js` or `pyodide`. It turns what the
runtime gives into plain Python and back, and decides nothing."""
