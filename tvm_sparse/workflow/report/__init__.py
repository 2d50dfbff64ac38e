"""A run as one page to look at, and its pictures: made from what its folder holds."""

from __future__ import annotations

import base64
import io
from importlib.util import find_spec
from pathlib import Path

from tvm_sparse import aside
from tvm_sparse.errors import ConfigError
from tvm_sparse.workflow.report import gather, page

__all__ = ["write"]

_DPI = 120


def write(folder: Path) -> Path:
    """Write ``report.html``, which needs no other file, and ``report/*.png``.

    Parameters
    ----------
    folder : Path
        Of a run; plans that are not measured yet are left out.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    ConfigError
        If the folder is none of a run; without matplotlib.
    """
    found = gather.read(folder)
    if find_spec("matplotlib") is None:
        raise ConfigError("pictures need matplotlib: pip install 'tvm-sparse[report]'")
    from tvm_sparse.workflow.report import figures

    pictures = {}
    (folder / "report").mkdir(exist_ok=True)
    for name, draw in figures.FIGURES.items():
        figure = draw(found)
        if figure is not None:
            with io.BytesIO() as file:
                figure.savefig(file, format="png", dpi=_DPI, facecolor="white")
                picture = file.getvalue()
            aside.replace(folder / "report" / f"{name}.png", picture)
            pictures[name] = base64.b64encode(picture).decode()
    aside.replace(folder / "report.html", page.html(found, pictures).encode())
    return folder / "report.html"
