"""CIFAR-10: both layouts give the same images, the genuine ones in original order, and no file is ever executed."""

import http.server
import pickle
import struct
import threading
from pathlib import Path

import numpy as np
import pytest

from speedlimits.data import cifar10 as module
from speedlimits.data.cifar10 import cifar10, download
from speedlimits.data.cifar10_files import read
from speedlimits.data.python2_pickle import load
from speedlimits.errors import DataError


def batch(samples: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 256, (samples, 3072), dtype=np.uint8), rng.integers(0, 10, samples)


def binary(pixels: np.ndarray, labels: np.ndarray) -> bytes:
    return np.concatenate([labels[:, None].astype(np.uint8), pixels], axis=1).tobytes()


def python2(
    pixels: np.ndarray,
    labels: np.ndarray,
    *,
    code: bytes = b"u1",
    state: bytes | None = None,
    shape: tuple[int, int] | None = None,
) -> bytes:
    """The stream of Python 2's cPickle, protocol 2, byte for byte as in the genuine batches: strings are BINSTRING."""

    def text(value: bytes) -> bytes:
        return b"U" + bytes([len(value)]) + value

    def integer(value: int) -> bytes:
        return b"J" + struct.pack("<i", value)

    raw = pixels.tobytes()
    dtype = b"cnumpy\ndtype\n" + text(code) + integer(0) + integer(1) + b"\x87R"
    genuine = text(b"|") + b"NNN" + integer(-1) + integer(-1) + integer(0)
    dtype += b"(" + integer(3) + (genuine if state is None else state) + b"tb"
    rows, columns = pixels.shape if shape is None else shape
    array = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n" + integer(0) + b"\x85" + text(b"b") + b"\x87R"
    array += b"(" + integer(1) + integer(rows) + integer(columns) + b"\x86" + dtype + b"\x89"
    array += b"T" + struct.pack("<I", len(raw)) + raw + b"tb"
    listed = b"](" + b"".join(integer(int(label)) for label in labels) + b"e"
    return b"\x80\x02}(" + text(b"data") + array + text(b"labels") + listed + b"u."


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    """An empty folder for the files, named in the environment."""
    monkeypatch.setenv("SPEEDLIMITS_DATA", str(tmp_path))
    (tmp_path / "cifar10").mkdir()
    return tmp_path / "cifar10"


@pytest.fixture
def genuine(monkeypatch) -> Path:
    """Real files: those the environment names, or those in a folder shared/data beside the checkout."""
    beside = Path(__file__).parents[3] / "shared" / "data"
    if not (beside / "cifar10" / "data_batch_1.bin").exists():
        pytest.skip("no genuine CIFAR-10 files in shared/data beside the checkout")
    monkeypatch.setenv("SPEEDLIMITS_DATA", str(beside))
    return beside / "cifar10"


@pytest.mark.parametrize(
    ("samples", "counts"),
    [
        (500, [51, 65, 43, 47, 50, 40, 53, 50, 45, 56]),
        (5000, [505, 460, 519, 486, 519, 488, 519, 486, 520, 498]),
    ],
)
def test_genuine_images_in_original_order(genuine, samples, counts):
    """The first n labels have the published class counts, and begin 6 9 9 4; the test labels begin 3 8 8 0."""
    data = cifar10(samples)
    assert np.bincount(data.labels).tolist() == counts
    assert data.labels[:10].tolist() == [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]
    assert data.test_labels[:10].tolist() == [3, 8, 8, 0, 6, 6, 1, 6, 3, 1]
    assert data.inputs.shape == (samples, 3, 32, 32)


def test_part_of_the_test_set_is_not_called_the_test_set(genuine):
    """The first thousand test images are not called the test set."""
    if (genuine / "test_batch.bin").exists():
        pytest.skip("the whole test set lies there")
    assert cifar10(1).held_out == "the first 1,000 of 10,000 test images"


def test_genuine_pickle_is_read(genuine):
    """The class names of the python version, a pickle of Python 2, are read without its executing anything."""
    names = load((genuine / "batches.meta").read_bytes())[b"label_names"]
    assert names[:3] == [b"airplane", b"automobile", b"bird"]


def test_both_layouts_are_the_same_images(folder):
    """A python batch and the binary one with the same content give equal data sets."""
    pixels, labels = batch(12)
    (folder / "data_batch_1").write_bytes(python2(pixels, labels))
    (folder / "test_batch_first3.bin").write_bytes(binary(*batch(3, 1)))
    old = cifar10(10)
    (folder / "data_batch_1.bin").write_bytes(binary(pixels, labels))
    new = cifar10(10)
    np.testing.assert_array_equal(old.inputs, new.inputs)
    np.testing.assert_array_equal(old.labels, labels[:10])


def test_channels_are_planes(folder):
    """The first 1,024 pixel bytes are the red plane, row by row."""
    pixels, labels = batch(1)
    (folder / "x.bin").write_bytes(binary(pixels, labels))
    images, _ = read(folder / "x.bin")
    assert images[0, 0, 1, 2] == pixels[0, 32 + 2]
    assert images[0, 2, 0, 0] == pixels[0, 2 * 1024]


def test_images_go_on_in_the_next_batch(folder):
    """Image 10,001 is the first of the second batch; unpacked archives keep their own folder."""
    inner = folder / "cifar-10-batches-py"
    inner.mkdir()
    first, second = batch(10_000), batch(5, 1)
    (inner / "data_batch_1").write_bytes(python2(*first))
    (inner / "data_batch_2").write_bytes(python2(*second))
    (inner / "test_batch").write_bytes(python2(*batch(10_000, 2)))
    data = cifar10(10_001)
    assert data.labels[-1] == second[1][0]
    assert data.held_out == "the test set, 10,000 images"
    with pytest.raises(DataError, match=r"`samples` must be at most the 10005 images"):
        cifar10(10_006)


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "numpy.load", "builtins.getattr"])
def test_malicious_pickle_executes_nothing(folder, name):
    """A batch that asks for any other function is refused by that function's name before it is called."""
    module_name, function = name.split(".")
    mark = folder / "executed"
    command = f"touch {mark}".encode()
    (folder / "data_batch_1").write_bytes(
        b"\x80\x02c" + f"{module_name}\n{function}\n".encode() + b"U" + bytes([len(command)]) + command + b"\x85R."
    )
    (folder / "test_batch").write_bytes(python2(*batch(2)))
    with pytest.raises(DataError, match=rf"it asks for {name}, which is not allowed"):
        cifar10(1)
    assert not mark.exists()


def number(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


# A field of objects in a dtype whose flags say that it has none: NumPy would follow the bytes as addresses.
FIELD = b"U\x01|N(U\x01at}U\x01acnumpy\ndtype\n(U\x02O8" + number(0) + number(1) + b"tR" + number(0) + b"\x86s"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"code": b"O8"}, "an array of something else than bytes"),
        ({"code": b"V8"}, "an array of something else than bytes"),
        ({"state": FIELD + number(8) + number(1) + number(1)}, "an array of something else than bytes"),
        ({"state": b"U\x01|NNN" + number(8) + number(1) + number(1)}, "a dtype that is not uint8"),
        ({"state": b"U\x01|NNN" + number(-8) + number(1) + number(0)}, "a dtype that is not uint8"),
        ({"state": b"U\x01|NNN" + number(2**31 - 1) + number(1) + number(0)}, "a dtype that is not uint8"),
        ({"shape": (-1, 3072)}, "an array of another form than rows of bytes"),
        ({"shape": (2**31 - 1, 2**31 - 1)}, r"shape \(2147483647, 2147483647\) in 6144 bytes"),
        ({"shape": (3, 3072)}, r"shape \(3, 3072\) in 6144 bytes"),
    ],
)
def test_crafted_arrays_are_refused_before_numpy_sees_them(folder, changes, message):
    """A dtype of objects, with fields, sizes or flags of its own, or a shape beyond the bytes ends in one line."""
    (folder / "batch").write_bytes(python2(*batch(2), **changes))
    with pytest.raises(DataError, match=message) as found:
        read(folder / "batch")
    assert "\n" not in str(found.value)


def test_any_changed_byte_is_read_or_refused(folder):
    """A batch with one byte changed is either read as images or refused as data: nothing else is raised."""
    content, rng = python2(*batch(1)), np.random.default_rng(0)
    refused = []
    # All but most of the image, which may be anything.
    for place in [place for place in range(len(content)) if not 230 < place < 3250]:
        changed = bytearray(content)
        changed[place] = rng.integers(256)
        (folder / "batch").write_bytes(changed)
        try:
            read(folder / "batch")
        except DataError as error:
            refused.append(str(error))
    assert len(refused) > 100
    assert not [message for message in refused if "\n" in message]


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("data_batch_1.bin", b"\1" * 5000, "5000 bytes are no whole number of 3073-byte records"),
        ("data_batch_1.bin", b"", "labels must lie in 0…9"),
        ("data_batch_1.bin", b"\x0b" * 3073, "labels must lie in 0…9"),
        ("data_batch_1", python2(*batch(2))[:-100], "is damaged or no batch of CIFAR-10"),
        ("data_batch_1", pickle.dumps([1, 2]), "is damaged or no batch of CIFAR-10"),
        ("data_batch_2", b"", "data_batch_1.bin and data_batch_1 are missing there"),
    ],
)
def test_damaged_files_are_named(folder, name, content, message):
    """The path and what is wrong with it stand in the error."""
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=message) as found:
        cifar10(1)
    assert str(folder) in str(found.value)


@pytest.mark.parametrize("samples", [0, 50_001])
def test_sample_numbers_out_of_range_are_named(samples):
    """The rule gives the range, before any file is looked for."""
    with pytest.raises(ValueError, match=rf"`samples` must lie in 1…50000 for cifar10; samples = {samples}\."):
        cifar10(samples)


@pytest.fixture
def server(tmp_path):
    """A mirror on this machine.

    Yields:
        The folder it serves, and its address.
    """
    root = tmp_path / "mirror"
    root.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *arguments):
            super().__init__(*arguments, directory=str(root))

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        yield root, f"http://127.0.0.1:{web.server_port}/"
        web.shutdown()


def test_corrupted_download_is_not_kept(server, tmp_path):
    """An archive with another hash is refused with the mirror's name, and nothing of it stays on disk."""
    root, address = server
    (root / module.ARCHIVE).write_bytes(b"not the archive")
    with pytest.raises(DataError, match=rf"could not be downloaded \({address}: ValueError\).*SPEEDLIMITS_DATA"):
        download(tmp_path / "cache", (address,))
    assert not [path for path in (tmp_path / "cache").rglob("*") if path.is_file()]


def test_second_mirror_serves_when_the_first_fails(server, tmp_path, monkeypatch):
    """A missing file at one mirror leads to the next; the archive is unpacked, and not fetched again."""
    import hashlib
    import io
    import tarfile

    root, address = server
    buffer, content = io.BytesIO(), python2(*batch(2))
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        entry = tarfile.TarInfo("cifar-10-batches-py/data_batch_1")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    (root / module.ARCHIVE).write_bytes(buffer.getvalue())
    monkeypatch.setattr(module, "SHA256", hashlib.sha256(buffer.getvalue()).hexdigest())
    download(tmp_path / "cache", (address + "nothing/", address))
    assert (tmp_path / "cache" / "cifar-10-batches-py" / "data_batch_1").read_bytes() == content
    (root / module.ARCHIVE).unlink()
    download(tmp_path / "cache", (address,))
