"""Every file under version control says in one sentence what it is."""

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")


@pytest.fixture
def tree(monkeypatch):
    """The script that lists the files."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    return importlib.import_module("make_tree")


def test_every_file_has_its_sentence(tree):
    """A Python file has it in its docstring, any other in docs/make_tree.py."""
    for name in tree.tracked():
        assert tree.sentence(tree.entry(name)).endswith((".", "?")), name


def test_every_sentence_has_its_file(tree):
    """What docs/make_tree.py speaks of is there."""
    listed = {tree.entry(name) for name in tree.tracked()}
    assert set(tree.SENTENCES) <= listed


def test_links_lead_somewhere():
    """Every relative link of README and the documentation names a file that is there, or that the build makes."""
    made = {"cli.md", "tree.md", "reference", "gallery"}
    for page in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "studies").glob("*.md")]:
        for target in re.findall(r"\]\((?!https?:|#|mailto:)([^)\s#]+)", page.read_text(encoding="utf-8")):
            there = (page.parent / target).exists() or target.split("/")[0] in made
            assert there, f"{page.name}: {target}"
