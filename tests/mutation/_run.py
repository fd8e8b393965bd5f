"""Breaks functions one at a time, each in a process of its own, and runs a row's tests there."""

import json
import os
import signal
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from _pytest.runner import runtestprotocol

from tests.mutation._breaks import NAME, Break, breaks
from tests.mutation._targets import Target, named

LONGEST = 6.0  # seconds of a processor that a test may take to be used
PATIENCE = 15.0  # as many, beyond four times those of a row's tests, until a broken function counts as endless
TOO_SLOW = {signal.SIGPROF, signal.SIGALRM}


@dataclass
class Row:
    """One row of the ledger.

    Args:
        number: of the equation.
        functions: named in it.
        tests: named in it.
    """

    number: int
    functions: list[str]
    tests: list[str]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant.

    Args:
        kind: "killed", "too slow", "survived", or "none" for what is no mutant.
        tests: the test that killed it, or all that it was shown.
    """

    kind: str
    tests: frozenset[str] = frozenset()

    def holds(self, tests: set[str]) -> bool:
        """Whether it is the same for a row with these tests, without running them again."""
        return bool(self.tests & tests) if self.kind == "killed" else tests == self.tests


@dataclass
class Outcome:
    """What became of a row's mutants.

    Args:
        mutants: how many there were.
        killed: noticed by a test.
        too_slow: of these, by not ending.
        survivors: noticed by none.
    """

    mutants: int = 0
    killed: int = 0
    too_slow: int = 0
    survivors: list[str] = field(default_factory=list)

    def add(self, what: str, verdict: Verdict) -> None:
        """Count one mutant."""
        if verdict.kind == "none":
            return
        self.mutants += 1
        self.killed += verdict.kind != "survived"
        self.too_slow += verdict.kind == "too slow"
        if verdict.kind == "survived":
            self.survivors.append(what)

    def result(self) -> dict[str, Any]:
        """The counts as JSON."""
        return {"mutants": self.mutants, "killed": self.killed, "too_slow": self.too_slow, "survivors": self.survivors}


class Runner:
    """A pytest plugin that breaks each row's functions instead of running the tests once.

    Args:
        rows: of the ledger.
        jobs: processes at a time.
        say: called with a line for each row.
        keep: called with each row's number and outcome.
    """

    def __init__(
        self, rows: list[Row], jobs: int, say: Callable[[str], None], keep: Callable[[int, Outcome], None]
    ) -> None:
        self.rows = rows
        self.jobs = jobs
        self.say = say
        self.keep = keep
        self.outcomes: dict[int, Outcome] = {}
        self.seconds: dict[str, float] = {}
        self.lines: dict[str, set[tuple[str, int]]] = {}
        self.verdicts: dict[str, Verdict] = {}
        self.running: dict[int, tuple[Path, Callable[[int, dict[str, Any]], None]]] = {}

    @pytest.hookimpl(tryfirst=True)
    def pytest_configure(self) -> None:
        """A failed example need not be made small: it is enough that one fails."""
        from hypothesis import Phase, settings  # pytest must see its plugins first

        phases = (Phase.explicit, Phase.generate)
        settings.register_profile("mutation", derandomize=True, deadline=None, database=None, phases=phases)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """In place of pytest's own loop."""
        items: dict[str, list[pytest.Item]] = defaultdict(list)
        for item in session.items:
            items[item.nodeid.split("[")[0]].append(item)
        self._survey(session.items)
        for row in self.rows:
            started = time.monotonic()
            chosen = [item for test in row.tests for item in items[test] if item.nodeid in self.seconds]
            chosen.sort(key=lambda item: self.seconds[item.nodeid])
            outcome = self.outcomes[row.number] = self._row(row, chosen)
            words = f"({row.number}): {outcome.mutants} mutants, {len(outcome.survivors)} survived"
            self.say(f"{words}, {time.monotonic() - started:.0f} s")
            for survivor in outcome.survivors:
                self.say(f"    {survivor}")
            self.keep(row.number, outcome)
        return True

    def _survey(self, items: list[pytest.Item]) -> None:
        """Run each test while nothing is broken: its seconds, and the lines it reaches. All must pass."""
        files = {str(target.module.path) for row in self.rows for target in named(row.functions)}

        def work(item: pytest.Item) -> dict[str, Any]:
            seen: set[tuple[str, int]] = set()
            sys.settrace(_tracer(files, seen))
            result = _run([item])
            sys.settrace(None)
            return result | {"lines": sorted(seen)}

        def done(item: pytest.Item, status: int, result: dict[str, Any]) -> None:
            if status in TOO_SLOW:
                self.say(f"{item.nodeid} takes too long to be used")
            elif status or result["failed"]:
                raise pytest.UsageError(f"fails unbroken: {item.nodeid}")
            else:
                self.seconds[item.nodeid] = result["seconds"]
                self.lines[item.nodeid] = {(path, line) for path, line in result["lines"]}

        for item in items:
            self._start(partial(work, item), LONGEST, partial(done, item))
        self._wait()

    def _row(self, row: Row, items: list[pytest.Item]) -> Outcome:
        """Break all functions of a row."""
        outcome = Outcome()
        patience = PATIENCE + 4.0 * sum(self.seconds[item.nodeid] for item in items)
        for target in named(row.functions):
            for broken in breaks(target.name, target.node):
                places = {(str(target.module.path), line) for line in broken.lines}
                reaching = [item for item in items if self.lines[item.nodeid] & places]
                what = f"{target.name}, {broken.what}"
                known = self.verdicts.get(what)
                if not reaching:
                    outcome.add(f"{what} (never reached)", Verdict("survived"))
                elif known and known.holds({item.nodeid for item in reaching}):
                    outcome.add(what, known)
                else:
                    done = self._judge(outcome, what, reaching, items)
                    self._start(partial(_mutant, target, broken, reaching), patience, done)
        self._wait()
        return outcome

    def _judge(
        self, outcome: Outcome, what: str, reaching: list[pytest.Item], items: list[pytest.Item]
    ) -> Callable[[int, dict[str, Any]], None]:
        def done(status: int, result: dict[str, Any]) -> None:
            tests = frozenset(item.nodeid for item in reaching)
            if status in TOO_SLOW:
                verdict = Verdict("too slow", tests)
            elif status:
                raise pytest.UsageError(f"cannot break {what}: status {status}")
            elif killer := result["failed"]:
                verdict = Verdict("killed", frozenset({killer}))
                # The test that killed one mutant will often kill the next.
                items.sort(key=lambda item: item.nodeid != killer)
            else:
                # What is not a number, or not changed by the break, is no mutant.
                verdict = Verdict("none" if result["met"] == ["reached"] else "survived", tests)
            self.verdicts[what] = verdict
            outcome.add(what, verdict)

        return done

    def _start(self, work: Callable[[], dict[str, Any]], patience: float, done: Callable[..., None]) -> None:
        while len(self.running) >= self.jobs:
            self._wait_one()
        handle, name = tempfile.mkstemp()
        pid = os.fork()
        if pid:
            os.close(handle)
            self.running[pid] = (Path(name), done)
            return
        for number in TOO_SLOW:
            signal.signal(number, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_PROF, patience)
        signal.setitimer(signal.ITIMER_REAL, 20.0 * patience)
        silence = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silence, 1)
        os.dup2(silence, 2)
        status = 1
        try:
            os.write(handle, json.dumps(work()).encode())
            status = 0
        finally:
            os._exit(status)

    def _wait_one(self) -> None:
        pid, status = os.wait()
        path, done = self.running.pop(pid)
        text = path.read_text(encoding="utf-8")
        path.unlink()
        done(
            os.waitstatus_to_exitcode(status) if not os.WIFSIGNALED(status) else os.WTERMSIG(status),
            json.loads(text or "{}"),
        )

    def _wait(self) -> None:
        while self.running:
            self._wait_one()


def _mutant(target: Target, broken: Break, items: list[pytest.Item]) -> dict[str, Any]:
    """Break a function in this process, and run tests."""
    function: Any = target.function
    function.__globals__[NAME] = broken
    function.__code__ = target.module.code(function.__qualname__, broken)
    return _run(items) | {"met": sorted(broken.met, reverse=True)}


def _tracer(files: set[str], seen: set[tuple[str, int]]) -> Callable[..., Any]:
    """A trace function that notes the lines of some files."""

    def local(frame: FrameType, event: str, _: object) -> Any:
        seen.add((frame.f_code.co_filename, frame.f_lineno))
        return local

    def trace(frame: FrameType, event: str, _: object) -> Any:
        return local if frame.f_code.co_filename in files else None

    return trace


def _run(items: list[pytest.Item]) -> dict[str, Any]:
    """Run tests until one fails: which, and the seconds they took."""
    started = time.process_time()
    failed = None
    for item, after in zip(items, [*items[1:], None], strict=True):
        if any(report.failed for report in runtestprotocol(item, log=False, nextitem=after)):
            failed = item.nodeid
            break
    return {"failed": failed, "seconds": time.process_time() - started}
