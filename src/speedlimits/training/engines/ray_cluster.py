"""How a Ray cluster is joined, or one is started that only this machine can reach."""

import contextlib
import logging
import os
import socket
import tempfile
from collections.abc import Iterator
from typing import Any

import ray
from ray._private import ray_constants

from speedlimits.errors import SpeedLimitsError

# Seconds to find out that nobody listens at an address; Ray itself would try for minutes.
CONNECT = 10.0
MODE = "RAY_AUTH_MODE"


def connect(address: str | None, cpus: int) -> None:
    """Join a cluster, or start one on this machine that listens on loopback only and asks for a token.

    Args:
        address: as of `RayEngine`.
        cpus: of a cluster that is started.

    Raises:
        SpeedLimitsError: if no cluster answers there, or it asks for no token.
    """
    # In an empty folder, tasks do not find modules in the folder where the command was given.
    with tempfile.TemporaryDirectory() as empty:
        options = {
            "logging_level": logging.ERROR,
            "log_to_driver": False,
            "runtime_env": {"working_dir": empty},
        }
        if address is None:
            address = os.environ.get("RAY_ADDRESS") or "auto"
            try:
                _join(address, options)
            except ConnectionError:
                if address != "auto":
                    raise
                address = "local"
        elif address != "local":
            _join(address, options)
        if address == "local":
            with _loopback():
                ray.init(address="local", num_cpus=cpus, include_dashboard=False, **options)
    _check_token(address)


def _check_token(address: str) -> None:
    """Leave a cluster in which anyone who reaches its ports may run code, unless the user has said that it is meant."""
    # Ray says here what it has chosen by itself.
    if os.environ.get(MODE, "").lower() in {"token", "disabled"}:
        return
    ray.shutdown()
    raise SpeedLimitsError(
        f"`address` must be a cluster that asks for a token ({MODE}=token), or {MODE} be disabled, which trusts "
        f"everyone on its network; address = {address!r}."
    )


@contextlib.contextmanager
def _loopback() -> Iterator[None]:
    """Have what Ray starts listen on loopback, as it does by itself where a firewall would ask."""
    before = ray_constants.ENABLE_RAY_CLUSTER
    ray_constants.ENABLE_RAY_CLUSTER = False
    try:
        yield
    finally:
        ray_constants.ENABLE_RAY_CLUSTER = before


def _join(address: str, options: dict[str, Any]) -> None:
    if address != "auto":
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), timeout=CONNECT).close()
        except (OSError, ValueError, OverflowError) as error:
            raise SpeedLimitsError(
                f"`address` must be HOST:PORT of a running Ray cluster; address = {address!r} ({error})."
            ) from None
    try:
        ray.init(address=address, **options)
    except ConnectionError as error:
        if address == "auto":
            raise
        raise SpeedLimitsError(
            f"`address` must be HOST:PORT of a running Ray cluster that takes us; address = {address!r} ({error}; "
            f"{MODE} and RAY_AUTH_TOKEN must be those of the cluster)."
        ) from None
