from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def python(code: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd="/"
    )
    return done.stdout.strip()


def test_the_list_of_packages_is_what_is_on_disk() -> None:
    places = PROJECT["tool"]["setuptools"]["package-dir"]
    found = {"tvm_sparse"}
    for name, folder in places.items():
        for path in (ROOT / folder).rglob("__init__.py"):
            if not path.is_symlink() and not any(p.is_symlink() for p in path.parents):
                inner = path.parent.relative_to(ROOT / folder).parts
                found.add(".".join([name, *inner]))
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found


def test_every_mapped_folder_is_linked_into_the_package() -> None:
    for name, folder in PROJECT["tool"]["setuptools"]["package-dir"].items():
        link = ROOT / name.replace(".", "/")
        assert link.resolve() == (ROOT / folder).resolve()


def test_data_files_of_packages_are_packaged() -> None:
    setup = PROJECT["tool"]["setuptools"]
    packed = {
        path.resolve()
        for name, globs in setup["package-data"].items()
        for glob in globs
        for path in (ROOT / name.replace(".", "/")).glob(glob)
    }
    folders = [ROOT / folder for folder in setup["package-dir"].values()]
    kinds = {".toml", ".json", ".c", ".cc", ".h", ".typed"}
    assert packed == {path for one in folders for path in one.rglob("*") if path.suffix in kinds}


def test_the_vocabulary_loads_neither_torch_nor_tvm() -> None:
    code = """
import sys
import tvm_sparse
from tvm_sparse import choose, formats, kernel, report, targets
from tvm_sparse import Layer, Scheme, Target
targets.load("x86"); [formats.get(name) for name in formats.names()]
print(sorted({"torch", "tvm"} & set(sys.modules)))
"""
    assert python(code) == "[]"


def test_help_loads_neither_torch_nor_tvm() -> None:
    code = """
import sys
sys.argv = ["tvm-sparse", "--help"]
from tvm_sparse.cli import main
try:
    main()
except SystemExit:
    pass
print(sorted({"torch", "tvm"} & set(sys.modules)))
"""
    assert python(code).endswith("[]")


def test_import_takes_less_than_a_fifth_of_a_second() -> None:
    code = "import time; t = time.perf_counter(); import tvm_sparse; print(time.perf_counter() - t)"
    assert min(float(python(code)) for _ in range(3)) < 0.2


def test_public_names_are_all_there() -> None:
    import tvm_sparse

    for name in tvm_sparse.__all__:
        assert getattr(tvm_sparse, name) is not None
    assert set(dir(tvm_sparse)) == set(tvm_sparse.__all__)
    with pytest.raises(AttributeError, match="no attribute 'missing'"):
        tvm_sparse.missing  # noqa: B018


def test_every_dependency_is_justified_in_contributing() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    extras = PROJECT["project"]["optional-dependencies"].values()
    for line in [*PROJECT["project"]["dependencies"], *(r for extra in extras for r in extra)]:
        name = line.split("=")[0].split(">")[0].split("<")[0]
        assert f"`{name}`" in text, name
