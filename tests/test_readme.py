from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
BOARDS = (ROOT / "docs" / "boards.md").read_text()
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]


def blocks(text: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)


def test_the_code_of_the_readme_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (first, second), (arm, _) = blocks(README), blocks(BOARDS)
    assert len(first.splitlines()) == 12
    shown: dict[str, Any] = {}
    exec(first, shown)
    assert shown["y"].shape == (1, 128, 56, 56)
    assert "2 layers sparse" in capsys.readouterr().out
    exec(second, shown)
    assert shown["y"].numpy().shape == (1, 128, 56, 56)
    exec(arm, shown)
    assert shown["compiled"].description.triple == "aarch64-linux-gnu"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_pages_link_to_exist(page: Path) -> None:
    for link in re.findall(r"\]\(([\w./:-]+)[)#]", page.read_text()):
        assert link.startswith("https://") or (page.parent / link).exists(), link


def test_the_readme_links_to_every_page() -> None:
    for page in ROOT.glob("docs/*.md"):
        assert f"](docs/{page.name})" in README


def test_the_readme_names_every_format_and_command() -> None:
    from tvm_sparse import formats
    from tvm_sparse.cli import app

    for name in formats.names():
        assert name == "dense" or f"`{name}" in README, name
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"tvm-sparse {command.callback.__name__.rstrip('_')}" in README
