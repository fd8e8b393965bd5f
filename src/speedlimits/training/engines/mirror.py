"""A member's folder kept twice: a scratch folder to work in, and a copy on any file system that fsspec knows."""

import shutil
import tempfile
import uuid
from collections.abc import Callable
from pathlib import Path, PurePosixPath

import fsspec
from fsspec.implementations.local import LocalFileSystem

from speedlimits._files import sync, write_atomically
from speedlimits.errors import SpeedLimitsError
from speedlimits.runs.member import OWNER

# What makes the copy a state to go on from, or a finished member; sent when all the rest is there.
LAST = ("checkpoint.safetensors", "member.json")


class Mirror:
    """The copy of one member.

    After `fetch` it belongs to this mirror until another one fetches: an attempt that was given up for lost but still
    runs cannot write to it any more.

    Args:
        folder: the scratch folder.
        url: where the copy lies, as fsspec names it, such as ``s3://bucket/study/run/seed-00000``, or a path.
    """

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self._files, self._root = fsspec.core.url_to_fs(url)
        self._owner = uuid.uuid4().hex
        self._sent: dict[str, tuple[int, int]] = {}

    def fetch(self, *, own: bool = True) -> None:
        """Bring the copy into the scratch folder.

        Args:
            own: whether to write to the copy later.
        """
        self._files.makedirs(self._root, exist_ok=True)
        if own:
            self._write(OWNER, self._owner.encode())
        for name in self._listed():
            if PurePosixPath(name).name.startswith("."):
                # What a killed process had begun to write; owner and lock stay.
                self._remove([name] if own and name.endswith(".tmp") else [])
                continue
            path = self.folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._files.get_file(self._at(name), str(path))
            except FileNotFoundError:  # Removed in between, by an attempt that is about to lose its right to.
                continue
            self._sent[name] = _stamp(path)

    def push(self) -> None:
        """Send what has changed: after each file, the copy is a state to go on from, at worst the one before.

        Raises:
            SpeedLimitsError: if the copy belongs to another mirror by now.
            OSError: what the file system reports.
        """
        self._check_owner()
        here = {name: _stamp(self.folder / name) for name in self._names()}
        changed = [name for name in here if self._sent.get(name) != here[name]]
        gone = [name for name in self._sent if name not in here]
        # Weights before the manifest that lists them; parts that do not count any more must not lie beside new ones.
        for name in sorted((name for name in changed if name not in LAST), key=lambda name: (".json" in name, name)):
            self._send(name)
        self._remove([name for name in gone if name not in LAST])
        for name in LAST:
            if name in changed:
                self._send(name)
        self._remove([name for name in gone if name in LAST])
        self._sent = here

    def release(self) -> None:
        """Leave nothing in the copy but what belongs to the member."""
        self._check_owner()
        self._files.rm_file(self._at(OWNER))

    def _check_owner(self) -> None:
        try:
            owner = self._files.cat_file(self._at(OWNER)).decode()
        except FileNotFoundError:
            owner = None
        if owner != self._owner:
            raise SpeedLimitsError(f"another process has taken over {self._root}.")

    def _names(self) -> list[str]:
        paths = [path.relative_to(self.folder) for path in self.folder.rglob("*") if path.is_file()]
        return [str(PurePosixPath(path)) for path in paths if not path.name.startswith(".")]

    def _listed(self) -> list[str]:
        self._files.invalidate_cache()
        root = str(self._files._strip_protocol(self._root)).rstrip("/")
        return [str(found).removeprefix(root).lstrip("/") for found in self._files.find(root)]

    def _send(self, name: str) -> None:
        self._write(name, (self.folder / name).read_bytes())

    def _write(self, name: str, content: bytes) -> None:
        target = self._at(name)
        self._files.makedirs(target.rpartition("/")[0], exist_ok=True)
        if isinstance(self._files, LocalFileSystem):
            write_atomically(Path(target), lambda file: file.write(content))
            return
        temporary = f"{target.rpartition('/')[0]}/.{uuid.uuid4().hex}.tmp"
        self._files.pipe_file(temporary, content)
        self._files.mv(temporary, target)

    def _remove(self, names: list[str]) -> None:
        for name in names:
            self._files.rm_file(self._at(name))

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"


def bring_in(url: str, folder: Path, check: Callable[[Path], None]) -> None:
    """Put a copy in place of a folder, whole and on disk, or not at all.

    Args:
        url: of the copy.
        folder: whose parent exists; what is there is replaced.
        check: raises if what has arrived is not to be put there.
    """
    for left in folder.parent.glob(f".{folder.name}.*.tmp"):
        shutil.rmtree(left)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.", suffix=".tmp") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        new.mkdir()
        Mirror(new, url).fetch(own=False)
        check(new)
        for path in [*new.rglob("*"), new]:
            sync(path)
        if folder.exists():
            folder.rename(old)
        new.rename(folder)
        sync(folder.parent)


def _stamp(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size
