"""Files appear whole or not at all, and nothing of an attempt that was killed is left."""

import multiprocessing

from speedlimits._files import write_atomically, write_text_atomically

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
