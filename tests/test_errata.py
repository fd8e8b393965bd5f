"""The page of errata: on every panel random draws agree with the correction and refute what is printed."""

import importlib
import re
from pathlib import Path

import numpy as np
import pytest

DOCS = Path(__file__).parents[1] / "docs"

pytestmark = pytest.mark.skipif(not DOCS.exists(), reason="not a source checkout")


@pytest.fixture(autouse=True)
def _scripts(monkeypatch):
    monkeypatch.syspath_prepend(str(DOCS))


@pytest.mark.parametrize("topic", ["regression", "kernel", "entropy"])
def test_draws_agree_with_the_correction_alone(topic):
    """Brute force is within 4 standard errors of the correction everywhere, and far from the print somewhere."""
    panels = importlib.import_module(f"errata.{topic}").panels(20, np.random.default_rng(1))
    for panel in panels:
        assert panel.misses(panel.corrected).max() < 4, panel.title
        assert panel.misses(panel.printed).max() > 10, panel.title


def test_every_panel_is_explained():
    """The page has a picture of each topic, and a section for every equation in it."""
    figures = importlib.import_module("make_errata_figures")
    page = (DOCS / "errata.md").read_text()
    headings = " ".join(re.findall(r"^### .*", page, flags=re.MULTILINE))
    for name, topic in figures.TOPICS.items():
        assert f"errata/{name}.png" in page
        assert (DOCS / "errata" / f"{name}.png").exists()
        for panel in topic.panels(2, np.random.default_rng(0)):
            for number in re.findall(r"\(\d+\)", panel.title):
                assert number in headings


def test_figures_are_drawn(tmp_path, monkeypatch):
    """The script writes one picture for each topic."""
    figures = importlib.import_module("make_errata_figures")
    monkeypatch.setattr(figures, "DRAWS", 3)
    monkeypatch.setattr("sys.argv", ["make_errata_figures.py", "--out", str(tmp_path)])
    figures.main()
    assert {path.name for path in tmp_path.iterdir()} == {f"{name}.png" for name in figures.TOPICS}
