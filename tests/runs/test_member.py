"""One member on disk: whole files, bit for bit, and every damage named."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
from safetensors.numpy import load_file, save_file

from speedlimits.errors import RunFolderError
from speedlimits.runs.member import MemberStore
from tests.runs.members import POINTS, row, write


@pytest.fixture
def finished(tmp_path) -> MemberStore:
    store = MemberStore(tmp_path)
    write(store, range(21), {4, 5, 20})
    store.finish({"seed": 3, "records": store.records})
    return store


def test_series_and_distances_come_back_bit_for_bit(finished):
    """Parts are merged into one at the end; distances are those of the kept weights, in manifest order."""
    run = finished.trajectory()
    assert [part.name for part in (finished.folder / "series").iterdir()] == ["part-00000000.parquet"]
    assert run.losses.tolist() == [row(k)["loss"] for k in range(21)]
    assert run.gradient_norms_squared.tolist() == [row(k)["gradient_norm_squared"] for k in range(21)]
    np.testing.assert_array_equal(run.weight_traces[7], row(7)["weight_trace"].reshape(2, 3))
    expected = np.sum((POINTS[[0, 10, 20], None] - POINTS[None, [0, 10, 20]]) ** 2, axis=2)
    np.testing.assert_allclose(run.snapshot_distances_squared, expected, rtol=1e-14)
    assert run.snapshot_records.tolist() == [0, 10, 20]
    np.testing.assert_array_equal(finished.weights(10)["a"], POINTS[10][:3].reshape(3, 1))


def test_interrupted_writing_continues_to_the_same_bytes(finished, tmp_path):
    """Killed between any two files, a store that goes on ends with the same series, row for row."""
    broken = MemberStore(tmp_path / "broken")
    write(broken, range(13), {4, 9})
    # Here the process dies: rows 10 to 12 were never written, the weights of record 10 were.
    again = MemberStore(broken.folder)
    state = again.resume()
    assert state is not None
    assert state["step"] == 9
    write(again, range(10, 21), {20})
    again.finish({"seed": 3, "records": again.records})
    for field in ("times", "losses", "weight_traces", "snapshot_records", "snapshot_distances_squared"):
        np.testing.assert_array_equal(getattr(again.trajectory(), field), getattr(finished.trajectory(), field))


def test_part_without_its_checkpoint_is_written_again(tmp_path):
    """A kill between a part and its checkpoint leaves rows the checkpoint does not count: they are dropped."""
    store = MemberStore(tmp_path)
    write(store, range(10), {4, 9})
    saved = (tmp_path / "checkpoint.safetensors").read_bytes()
    write(store, range(10, 15), {14})
    (tmp_path / "checkpoint.safetensors").write_bytes(saved)
    again = MemberStore(tmp_path)
    assert again.resume() is not None
    assert again.records == 10
    assert len(list((tmp_path / "series").iterdir())) == 2


STATE = ["checkpoint.safetensors", "series/part-00000000.parquet", "snapshots/00000000.safetensors"]


@pytest.mark.parametrize("victim", [*STATE, "snapshots/manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "missing"])
def test_damaged_state_starts_the_member_anew(tmp_path, victim, damage):
    """Without a whole state there is nothing to go on from; the same seed gives the same numbers again."""
    store = MemberStore(tmp_path)
    write(store, range(10), {4, 9})
    path = tmp_path / victim
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[: 100 if damage == "truncated" else 0])
    again = MemberStore(tmp_path)
    assert again.resume() is None
    assert again.records == 0
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("victim", STATE)
def test_a_flipped_bit_starts_the_member_anew(tmp_path, victim):
    """A flipped bit, with which every format can still be read, is found by its checksum."""
    store = MemberStore(tmp_path)
    write(store, range(1000), set())
    assert store.full
    store.checkpoint({"step": np.arange(1000)})
    content = bytearray((tmp_path / victim).read_bytes())
    content[-20 if victim.endswith("safetensors") else len(content) // 2] ^= 1
    (tmp_path / victim).write_bytes(content)
    assert MemberStore(tmp_path).resume() is None


def test_what_a_killed_process_had_begun_is_removed(tmp_path):
    """Half-written files under temporary names do not pile up from one resumption to the next."""
    store = MemberStore(tmp_path)
    write(store, range(10), {4, 9})
    for folder in (tmp_path, tmp_path / "series"):
        (folder / ".part.x.tmp").write_bytes(b"half")
    assert MemberStore(tmp_path).resume() is not None
    assert not list(tmp_path.rglob(".*.tmp"))


@pytest.mark.parametrize("victim", ["series/part-00000000.parquet", "snapshots/00000010.safetensors", "member.json"])
def test_verify_reads_everything(finished, victim):
    """A finished member passes; with any file cut short it does not."""
    finished.verify()
    path = finished.folder / victim
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(RunFolderError, match=victim.split("/")[-1].replace(".", r"\.")):
        finished.verify()


@pytest.mark.parametrize("victim", ["series/part-00000000.parquet", "distances.safetensors", "member.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_damaged_files_are_named(finished, victim, damage):
    """Reading names the file that is truncated or missing."""
    path = finished.folder / victim
    if damage == "truncated":
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    else:
        path.unlink()
    with pytest.raises(RunFolderError, match=r"part|distances\.safetensors|member\.json"):
        finished.trajectory()


@pytest.mark.parametrize("killed_at", ["merged", "removed one"])
def test_killed_while_parts_are_merged(tmp_path, killed_at):
    """Parts that the merged one holds already are passed over: the member goes on from its last checkpoint and ends."""
    store = MemberStore(tmp_path)
    write(store, range(21), {4, 5, 20})
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    store.finish({"seed": 3, "records": store.records})
    expected = store.trajectory()
    (tmp_path / "member.json").unlink()
    left = sorted(path for path in before if "series" in path.parts)[1 if killed_at == "merged" else 2 :]
    for path in [*left, tmp_path / "checkpoint.safetensors"]:
        path.write_bytes(before[path])
    again = MemberStore(tmp_path)
    assert again.resume() is not None
    assert again.records == 21
    again.finish({"seed": 3, "records": again.records})
    assert len(list((tmp_path / "series").iterdir())) == 1
    np.testing.assert_array_equal(again.trajectory().weight_traces, expected.weight_traces)


def test_a_part_that_is_missing_is_named(tmp_path):
    """A missing part of an unfinished member is noticed from the part after it."""
    store = MemberStore(tmp_path)
    write(store, range(21), {4, 5, 20})
    (tmp_path / "series" / "part-00000005.parquet").unlink()
    with pytest.raises(RunFolderError, match=r"part-00000006\.parquet must begin at row 5"):
        store.finish({"seed": 3, "records": 21})


def test_swapped_weights_are_found_out(finished):
    """Weights whose hash is not the manifest's are refused; so are records that kept none."""
    path = finished.folder / "snapshots" / "00000010.safetensors"
    arrays = load_file(path)
    arrays["a"][0] += 1
    save_file(arrays, path)
    with pytest.raises(RunFolderError, match=r"00000010\.safetensors is damaged: its SHA-256"):
        finished.weights(10)
    with pytest.raises(RunFolderError, match=r"`record` must be one of \[0, 10, 20\] .*record = 11"):
        finished.weights(11)


def test_formats_are_open(finished):
    """Other tools read the parts and the manifest: plain Parquet columns, plain JSON."""
    table = pq.read_table(finished.folder / "series" / "part-00000000.parquet")
    assert table.column("record").to_pylist() == list(range(21))
    manifest = json.loads((finished.folder / "snapshots" / "manifest.json").read_text())
    assert [entry["record"] for entry in manifest["snapshots"]] == [0, 10, 20]
