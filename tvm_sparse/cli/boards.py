"""Boards on the command line: serve one, list a tracker's."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Annotated, Literal

import typer

from tvm_sparse.cli.show import Json, print_json

Tracker = Annotated[str, typer.Option(help="The tracker, as HOST or HOST:PORT (9190).")]
Measuring = Annotated[
    str | None, typer.Option(help="Measure on boards of this tracker, HOST or HOST:PORT (9190).")
]
Called = Annotated[str | None, typer.Option(help="What the boards are called there.")]
Runner = Annotated[
    Literal["ssh", "adb", "cycles"] | None,
    typer.Option(help="Measure on a machine without TVM; or model the cycles of an ARM core."),
]
Host = Annotated[
    str | None, typer.Option(help="For ssh, e.g. pi@192.168.1.20; for adb, a serial number.")
]
Cpus = Annotated[str | None, typer.Option(help="CPUs that threads are pinned to there, e.g. 4,5.")]


def numbers(cpus: str | None) -> list[int]:
    """Return the CPUs of a list like 4,5."""
    try:
        return [int(cpu) for cpu in cpus.split(",")] if cpus else []
    except ValueError as error:
        raise typer.BadParameter(
            f"expected CPUs like 4,5, got {cpus!r}", param_hint="--cpus"
        ) from error


def serve(
    key: Annotated[str, typer.Option(help="What boards of this kind are called, e.g. rpi4.")],
    tracker: Tracker,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "0.0.0.0",
    port: Annotated[int, typer.Option(help="The first of a hundred ports that are tried.")] = 9090,
) -> None:
    """Offer this board to a tracker, until Ctrl-C; crashes of what runs on it are survived.

    Example: `tvm-sparse serve --key rpi4 --tracker 192.168.1.10:9190`
    """
    from tvm_sparse.rpc.address import Address
    from tvm_sparse.rpc.serve import serve as run

    logging.basicConfig(level=logging.INFO, format="%(message)s")
    run(Address.parse(tracker), key, host, port)


def devices(tracker: Tracker = "127.0.0.1", as_json: Json = False) -> None:
    """List the boards that a tracker knows.

    Example: `tvm-sparse devices --tracker 192.168.1.10`
    """
    from tvm_sparse.rpc.address import Address
    from tvm_sparse.rpc.tracker import boards

    found = boards(Address.parse(tracker))
    if as_json:
        print_json([asdict(one) for one in found])
        return
    for one in found:
        state = f"{one.free} of {len(one.addresses)} free, {one.waiting} waiting"
        print(f"{one.key}: {state}: {', '.join(one.addresses)}")
    if not found:
        print(f"no boards; on a board, run: tvm-sparse serve --key NAME --tracker {tracker}")
