"""A run or study folder over HTTP while it trains: an ASGI application that reads, never writes, and knows no paths.

An address names a page, not a file: which run of a study is meant is a number. So no request can ask for anything else
on the disk, and links that lead out of the folder are refused. Only a browser on this machine is answered, under this
machine's own name: a foreign site whose name was made to point here is not.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from speedlimits._files import read_file
from speedlimits.errors import RunFolderError
from speedlimits.report.pages.live import run_page, study_page
from speedlimits.report.writing import PAGE
from speedlimits.runs.so_far import check_within, run_names, run_so_far

HOST = "127.0.0.1"
NAMES = {HOST, "localhost"}
HEADERS = {
    "content-type": "text/html; charset=utf-8",
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    # Whatever a page holds, it can ask nobody else for anything.
    "content-security-policy": "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
    "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
}
Send = Callable[[dict[str, Any]], Awaitable[None]]


def application(folder: Path) -> Callable[..., Awaitable[None]]:
    """The pages of a folder, for any ASGI server.

    Args:
        folder: of a run or a study; it may still be empty.

    Returns:
        The application.
    """

    async def answer(scope: Mapping[str, Any], receive: Any, send: Send) -> None:
        if scope["type"] != "http":
            return
        # Files are read in a thread, so that a slow disk holds up no other request.
        status, body = await asyncio.to_thread(respond, folder, scope)
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        headers.append((b"content-length", str(len(body)).encode()))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return answer


def respond(folder: Path, scope: Mapping[str, Any]) -> tuple[int, bytes]:
    """Answer one request.

    Args:
        folder: of a run or a study.
        scope: of the request, as ASGI has it.

    Returns:
        Status and body.
    """
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1").rpartition(":")[0]
    if host not in NAMES:
        return 403, b"This server answers to this machine only."
    if scope["method"] not in {"GET", "HEAD"}:
        return 405, b"This server only shows."
    try:
        body = page(folder, scope["path"], fragment=scope["query_string"] == b"fragment")
    except RunFolderError as error:
        # What is written at this moment is whole a moment later: the page asks again.
        return 503, str(error).encode()
    except OSError as error:
        return 503, (error.strerror or "a file cannot be read").encode()
    return (404, b"There is no such page.") if body is None else (200, body)


def page(folder: Path, path: str, *, fragment: bool = False) -> bytes | None:
    """The page at an address.

    Args:
        folder: of a run or a study.
        path: ``/``, ``/report``, and for the k-th run of a study ``/run/k/`` and ``/run/k/report``.
        fragment: only what changes.

    Returns:
        The HTML; None where there is none.

    Raises:
        RunFolderError: if what is there is damaged, or leads out of the folder.
        OSError: what the disk reports.
    """
    asked = re.fullmatch(r"/(?:run/(\d{1,6})/)?(report)?", path)
    if asked is None:
        return None
    names = run_names(folder)
    place, above = folder, ""
    if asked[1] is not None:
        if int(asked[1]) >= len(names):
            return None
        place, above = folder / names[int(asked[1])], "/"
    elif names and not asked[2]:
        runs = [run_so_far(folder / name, folder) for name in names]
        return study_page(folder.resolve().name, runs, fragment=fragment).encode()
    check_within(place / PAGE, folder)
    written = (place / PAGE).is_file()
    if asked[2]:
        return read_file(place / PAGE) if written else None
    run = run_so_far(place, folder)
    return run_page(run, fragment=fragment, report=written and run.ended, above=above).encode()
