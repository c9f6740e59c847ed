"""The libraries of the pages, out of their npm packages to where the Worker's assets are."""

import shutil

from scripts import paths

_FILES = (
    (paths.UPLOT / "dist" / "uPlot.esm.js", "uPlot.esm.js"),
    (paths.UPLOT / "dist" / "uPlot.min.css", "uPlot.min.css"),
    (paths.UPLOT / "LICENSE", "uPlot.LICENSE"),
)


def place_libraries() -> None:
    paths.PAGES_LIBRARIES.mkdir(parents=True, exist_ok=True)
    for source, name in _FILES:
        shutil.copyfile(source, paths.PAGES_LIBRARIES / name)


if __name__ == "__main__":
    place_libraries()
