"""`speedlimits serve`: a run or study folder in the browser while it trains."""

import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from speedlimits.cli.text import say
from speedlimits.runs.identity import MARKS


@dataclass(frozen=True)
class ServeCommand:
    """Show a run or study in the browser while it trains: progress, T/T_SL so far, curves that are renewed.

    For this machine only (127.0.0.1), and read-only. Ctrl-C ends it; the training goes on.
    """

    directory: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="DIR")]
    """Folder of a run or of a study; it may be one that is about to begin."""
    port: Annotated[int, tyro.conf.arg(metavar="N")] = 8765
    """Port to listen at; 0 takes any that is free."""

    def __call__(self) -> None:
        """Serve until interrupted."""
        if not 0 <= self.port <= 65535:
            raise ValueError(f"`port` must be from 0 to 65535; port = {self.port}.")
        if not self.directory.is_dir():
            raise ValueError(f"`directory` must be a folder; {self.directory} is none.")
        if (self.directory / MARKS["recording"]).exists():
            raise ValueError(f"`directory` must be a run or a study; {self.directory} holds a recording.")
        # Late: it need not be installed.
        import uvicorn

        from speedlimits.report.serving import HOST, application

        with listening(HOST, self.port) as door:
            say(f"Serving {self.directory} at http://{HOST}:{door.getsockname()[1]}/ (Ctrl-C ends it)", flush=True)
            config = uvicorn.Config(
                application(self.directory),
                log_level="warning",
                access_log=False,
                lifespan="off",
                ws="none",
                http="h11",
                timeout_graceful_shutdown=1,
                server_header=False,
            )
            # It hands an interrupt on when it has closed its connections.
            uvicorn.Server(config).run(sockets=[door])


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens, opened here so that a port in use is one line.

    Args:
        host: address.
        port: or 0 for any.

    Returns:
        The socket.

    Raises:
        OSError: naming the port, if it is taken or not ours to take.
    """
    door = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port that was left a moment ago is free.
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind((host, port))
        door.listen()
    except OSError as error:
        door.close()
        reason = f"port {port} cannot be listened at: {error.strerror}; --port takes another"
        raise OSError(error.errno, reason) from None
    return door
