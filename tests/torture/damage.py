"""Damage every kind of file, finished or not: it is refused in one line, or the numbers are the same."""

import itertools
import os
import random
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from speedlimits.errors import SpeedLimitsError
from speedlimits.runs import KernelRecord, Run, load_run
from tests.torture._campaign import Tally
from tests.torture._folders import KINDS, command, make, numbers, resume

TRIES = 390
SHARE = 8
DAMAGES = ("truncate", "zero", "flip", "delete", "swap", "stale", "foreign")
# Drawn or made anew, or only words: no number is read from them.
UNREAD = (".html", ".png", ".log")


@dataclass(frozen=True)
class Try:
    """One damage.

    Args:
        kind: of the folder.
        state: of the folder.
        file: its name in the folder.
        damage: what is done to it.
    """

    kind: str
    state: str
    file: str
    damage: str


def run(tries: int, seed: int, folder: Path) -> Tally:
    """Damage files one at a time.

    Args:
        tries: how many; all combinations come up before one comes up twice.
        seed: of the order, and of the places of damage.
        folder: to work in.

    Returns:
        How each ended.
    """
    places = make(folder / "made")
    expected = {kind: numbers(kind, places[f"{kind}-finished"]) for kind in KINDS}
    rng, tally = random.Random(seed), Tally()
    matrix = [
        Try(kind, state, file, damage)
        for kind in KINDS
        for state in ("finished", "unfinished")
        for file in _files(places[f"{kind}-{state}"])
        for damage in DAMAGES
    ]
    rng.shuffle(matrix)
    for each in itertools.islice(itertools.cycle(matrix), tries):
        copy = folder / "copy"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(places[f"{each.kind}-{each.state}"], copy)
        if not _damage(each, copy, places, rng):
            tally.add("nothing to swap it with")
            continue
        for ending, failure in _outcomes(each, copy, expected[each.kind]):
            tally.add(ending, failure and f"{each}: {failure}")
    return tally


def _files(folder: Path) -> list[str]:
    """One of each kind of file; of members, those of one that has ended and of one that has not."""
    found: dict[str, str] = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        name = path.relative_to(folder).as_posix()
        # Of a study, those of the run that is trained first.
        if path.suffix in UNREAD or path.name == ".lock" or name.startswith("small/"):
            continue
        ended = any((parent / "member.json").exists() for parent in path.parents)
        kind = re.sub(r"seed-\d+", f"ended {ended}", re.sub(r"\d{8}", "number", name))
        found.setdefault(kind, name)
    return list(found.values())


def _damage(each: Try, copy: Path, places: dict[str, Path], rng: random.Random) -> bool:
    """Damage a file; False where the damage would change nothing."""
    path = copy / each.file
    before = path.read_bytes()
    after = _damaged(each, before, places, rng)
    if after == before:
        return False
    if after is None:
        path.unlink()
    else:
        path.write_bytes(after)
    return True


def _damaged(each: Try, before: bytes, places: dict[str, Path], rng: random.Random) -> bytes | None:
    if each.damage == "delete":
        return None
    if each.damage == "truncate":
        return before[: rng.randrange(len(before))]
    if each.damage == "zero":
        start = rng.randrange(len(before))
        return before[:start] + bytes(min(64, len(before) - start)) + before[start + 64 :]
    if each.damage == "flip":
        place = rng.randrange(len(before))
        return before[:place] + bytes([before[place] ^ (1 << rng.randrange(8))]) + before[place + 1 :]
    if each.damage == "foreign":
        return rng.choice([b"hello\n", b"{}", b"[]", b'{"schema": 1}', os.urandom(len(before))])
    others = _others(each, places)
    return next((other for other in others if other != before), before)


def _others(each: Try, places: dict[str, Path]) -> Iterator[bytes]:
    """What the file is swapped with.

    Yields:
        Contents, the likeliest slip first.
    """
    if each.damage == "stale":
        names, states = [each.file], ("older", "unfinished", "foreign")
    else:
        sibling = each.file.translate(str.maketrans("01", "10")) if "seed-" in each.file else each.file
        member = each.file.replace("seed-00000", "seed-x").replace("seed-00001", "seed-00000")
        names = [member.replace("seed-x", "seed-00001"), each.file, sibling]
        names += [each.file.replace("large/", "small/")] if "large/" in each.file else []
        states = (each.state, "foreign")
    for state in states:
        for name in names:
            path = places[f"{each.kind}-{state}"] / name
            if path.is_file():
                yield path.read_bytes()


def _outcomes(each: Try, copy: Path, expected: str) -> Iterator[tuple[str, str | None]]:
    """Run the commands that read the folder.

    Yields:
        How each ended, and what was wrong with that.
    """
    if each.state == "finished":
        yield _read(each, copy, expected)
        yield _verified(each, copy)
    try:
        resume(each.kind, copy)
        same = numbers(each.kind, copy) == expected
    except SpeedLimitsError as error:
        yield "resume refused", "several lines" if len(str(error).splitlines()) != 1 else None
    # Whatever else is raised is a finding.
    except Exception as error:
        yield "resume failed", f"resume raises {type(error).__name__}: {error}"
    else:
        yield "resume gives the same numbers", None if same else "resume gives other numbers"


def _read(each: Try, copy: Path, expected: str) -> tuple[str, str | None]:
    arguments = ("figure1", copy, "--no-kernel") if each.kind == "study" else ("show", copy, "--json")
    if each.kind != "study":
        code, _, error = command(*arguments)
        if code:
            good = code == 1 and len(error.splitlines()) == 1 and "unexpected" not in error
            return "show refused", None if good else f"show ends with {code}: {error}"
    try:
        found = numbers(each.kind, copy)
        if each.file.endswith("kernel.npz") and isinstance(loaded := load_run(copy), Run):
            KernelRecord.of_run(loaded)
    except SpeedLimitsError as error:
        return "reading refused", "several lines" if len(str(error).splitlines()) != 1 else None
    except Exception as error:
        return "reading failed", f"reading raises {type(error).__name__}: {error}"
    return "reading gives the same numbers", None if found == expected else "reading gives other numbers"


def _verified(each: Try, copy: Path) -> tuple[str, str | None]:
    code, out, error = command("verify", copy)
    if code:
        good = code == 1 and out.strip() and len(error.splitlines()) == 1 and "unexpected" not in error
        return "verify finds it", None if good or not (copy / "config.toml").exists() else f"verify: {out}{error}"
    # A kernel can be found anew, from the run; its archive has bits that mean nothing.
    harmless = each.file.endswith("kernel.npz") or (each.damage == "delete" and each.file == "manifest.json")
    # The list of an earlier study of the same runs is the same list.
    harmless = harmless or (each.damage == "stale" and each.file == "study.toml")
    return "verify finds nothing", None if harmless or "unfinished" in out else f"verify finds nothing: {out}"
