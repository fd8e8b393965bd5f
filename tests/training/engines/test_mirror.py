"""The mirror of a member: at any moment a state to go on from, and one owner at a time."""

import errno
import os
import uuid

import fsspec
import numpy as np
import pytest

from speedlimits.errors import RunFolderError, SpeedLimitsError
from speedlimits.runs.member import MemberStore
from speedlimits.training.engines.mirror import Mirror, bring_in
from tests.runs.members import row, write


@pytest.fixture(params=["memory", "local"])
def url(request, tmp_path) -> str:
    """A mirror in memory, and one in a folder."""
    return f"memory://{uuid.uuid4().hex}/seed-00003" if request.param == "memory" else str(tmp_path / "mirror")


def names(url: str) -> set[str]:
    """The files of the mirror."""
    files, root = fsspec.core.url_to_fs(url)
    return {name.removeprefix(root).lstrip("/") for name in files.find(root)}


def train(folder, url: str) -> None:
    """Train from where the mirror stands, and mirror two checkpoints and the end."""
    folder.mkdir()
    mirror, store = Mirror(folder, url), MemberStore(folder)
    mirror.fetch()
    if store.finished:
        return
    store.resume()
    for last in (4, 11, 20):
        write(store, range(store.records, last + 1), {last})
        mirror.push()
    store.finish({"seed": 3, "records": store.records})
    mirror.push()


def test_the_copy_is_the_folder(url, tmp_path):
    """The mirror of a finished member is its folder, without checkpoint or owner, and is brought in whole."""
    train(tmp_path / "work", url)
    mirror = Mirror(tmp_path / "work", url)
    mirror.fetch()
    mirror.release()
    here = {str(path.relative_to(tmp_path / "work")) for path in (tmp_path / "work").rglob("*") if path.is_file()}
    assert names(url) == here
    (tmp_path / "members" / "seed-00003").mkdir(parents=True)
    bring_in(url, tmp_path / "members" / "seed-00003", lambda new: MemberStore(new).verify())
    arrived = MemberStore(tmp_path / "members" / "seed-00003").trajectory()
    assert arrived.losses.tolist() == [row(k)["loss"] for k in range(21)]
    assert len(list((tmp_path / "members").iterdir())) == 1


def test_lost_at_any_step_goes_on(url, tmp_path, monkeypatch):
    """Whichever write or removal is the last one, the next attempt ends with the same series."""
    left = [10**9]

    def counted(name):
        genuine = getattr(Mirror, name)

        def step(self, *arguments):
            left[0] -= 1
            if left[0] == 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            genuine(self, *arguments)

        monkeypatch.setattr(Mirror, name, step)

    counted("_write")
    counted("_remove")
    train(tmp_path / "whole", f"{url}-whole")
    steps = 10**9 - left[0]
    assert steps > 20
    expected = MemberStore(tmp_path / "whole").trajectory()
    for k in range(1, steps + 1):
        left[0] = k
        with pytest.raises(OSError, match="No space"):
            train(tmp_path / f"lost{k}", f"{url}-{k}")
        left[0] = 10**9
        train(tmp_path / f"again{k}", f"{url}-{k}")
        bring_in(f"{url}-{k}", tmp_path / f"in{k}", lambda new: MemberStore(new).verify())
        found = MemberStore(tmp_path / f"in{k}").trajectory()
        for field in ("losses", "weight_traces", "snapshot_records", "snapshot_distances_squared"):
            np.testing.assert_array_equal(getattr(found, field), getattr(expected, field))


def test_parts_of_a_lost_attempt_do_not_stay(url, tmp_path):
    """The mirror of a member that starts anew has no rows of the attempt before."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    lost = Mirror(tmp_path / "first", url)
    lost.fetch()
    write(MemberStore(tmp_path / "first"), range(9), {4, 8})
    lost.push()
    assert len({name for name in names(url) if "part" in name}) == 2
    mirror, store = Mirror(tmp_path / "second", url), MemberStore(tmp_path / "second")
    mirror.fetch()
    store.clear()
    write(store, range(8), {7})
    mirror.push()
    assert {name for name in names(url) if "part" in name} == {"series/part-00000000.parquet"}
    assert "member.json" not in names(url)


def test_one_owner_at_a_time(url, tmp_path):
    """An attempt that was given up for lost but still runs cannot write any more."""
    for name in ("old", "new"):
        (tmp_path / name).mkdir()
    old, new = Mirror(tmp_path / "old", url), Mirror(tmp_path / "new", url)
    old.fetch()
    write(MemberStore(tmp_path / "old"), range(5), {4})
    old.push()
    new.fetch()
    before = names(url)
    write(MemberStore(tmp_path / "old"), range(9), {8})
    with pytest.raises(SpeedLimitsError, match="another process has taken over"):
        old.push()
    assert names(url) == before
    new.push()


def test_damaged_copies_are_not_brought_in(url, tmp_path):
    """A copy with a file cut short is named, and the folder it was meant for stays as it was."""
    train(tmp_path / "work", url)
    files, root = fsspec.core.url_to_fs(url)
    part = f"{root}/series/part-00000000.parquet"
    files.pipe_file(part, files.cat_file(part)[:-9])
    (tmp_path / "seed").mkdir()
    (tmp_path / "seed" / "checkpoint.safetensors").write_bytes(b"precious")
    with pytest.raises(RunFolderError, match=r"part-00000000\.parquet is damaged"):
        bring_in(url, tmp_path / "seed", lambda new: MemberStore(new).verify())
    assert (tmp_path / "seed" / "checkpoint.safetensors").read_bytes() == b"precious"
