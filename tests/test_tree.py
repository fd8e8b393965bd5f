"""Every file says what it is."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="not a git checkout")
def test_every_file_has_its_sentence():
    """docs/tree.md lists every file with one sentence, as docs/make_tree.py writes it."""
    process = subprocess.run(
        [sys.executable, str(ROOT / "docs" / "make_tree.py"), "--check"], capture_output=True, text=True, check=False
    )
    assert process.returncode == 0, process.stderr
