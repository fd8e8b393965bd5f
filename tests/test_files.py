"""Files appear whole or not at all, and nothing of an attempt that was killed is left."""

import multiprocessing

import pytest

from speedlimits._files import resolved, write_atomically, write_text_atomically
from speedlimits.cli.main import main

FORK = multiprocessing.get_context("fork")


def _write_for_ever(path, begun):
    def write(file):
        file.write(b"half")
        file.flush()
        begun.set()
        multiprocessing.Event().wait()

    write_atomically(path, write)


def test_what_a_killed_process_had_begun_goes_with_the_next_write(tmp_path):
    """While it writes, its file is left alone; the next write after its death removes it."""
    path, begun = tmp_path / "page.html", FORK.Event()
    process = FORK.Process(target=_write_for_ever, args=(path, begun))
    process.start()
    assert begun.wait(30)
    write_text_atomically(path, "whole")
    (half,) = set(tmp_path.iterdir()) - {path}
    assert half.read_bytes() == b"half"
    process.kill()
    process.join()
    write_text_atomically(path, "whole again")
    assert list(tmp_path.iterdir()) == [path]
    assert path.read_text() == "whole again"


def test_files_of_other_names_are_left(tmp_path):
    """What may be another program's, or the beginning of another file of ours, is not touched."""
    others = {".page.html.tmp", ".page.html.short.tmp", ".other.html.12345678.tmp", "page.html.12345678.tmp"}
    for name in others:
        (tmp_path / name).write_text("mine")
    (tmp_path / ".page.html.folder_1.tmp").mkdir()
    write_text_atomically(tmp_path / "page.html", "whole")
    assert {path.name for path in tmp_path.iterdir()} == {*others, ".page.html.folder_1.tmp", "page.html"}


@pytest.mark.usefixtures("as_user")
def test_links_in_a_circle_are_named_not_followed(tmp_path, capsys):
    """A link to itself is no folder for a run and no file of a problem: one line, of the command that was to use it."""
    loop = tmp_path / "loop.py"
    loop.symlink_to(loop)
    assert resolved(loop) == loop
    for options in (["--out", str(loop)], ["--out", str(tmp_path / "out"), "--problem", f"{loop}:build"]):
        assert main(["run", "--samples", "6", *options]) in {1, 2}
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        assert "unexpected" not in error
        assert str(loop) in error
