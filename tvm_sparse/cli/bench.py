"""The bench on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tvm_sparse.cli.show import Json, print_json, stages

app = typer.Typer(
    help="Measure against torch, ONNX Runtime, OpenVINO and MNN.", no_args_is_help=True
)

# The bench would tell, but loads torch and TVM.
NETWORKS = "bert conv1d efficientnet_b0 mobilenet_v2 mobilenet_v3 resnet18 resnet50 resnext50"
NETWORKS += " unet_sr vgg16 vit"
LAYER_SETS = "resnet50 resnext50 mobilenet_v2 vgg16 bert vit"

_Rounds = Annotated[int, typer.Option(help="Rounds in which every engine runs in turn.", min=1)]
_Threads = Annotated[str, typer.Option(help="Numbers of threads, e.g. 1,all.")]


@app.command()
def layers(
    sets: Annotated[str, typer.Option(help="Layer sets, e.g. resnet50,bert.")] = "resnet50",
    zeros: Annotated[str, typer.Option(help="Sparsities in percent.")] = "0,50,70,80,90,95",
    filters: Annotated[str, typer.Option(help="Filters that share zeros.")] = "1,4,8,16",
    threads: _Threads = "1,all",
    rounds: _Rounds = 15,
    limit: Annotated[int | None, typer.Option(help="Only the first layers of a set.")] = None,
    as_json: Json = False,
) -> None:
    """Measure layers one by one, at several sparsities and block sizes.

    Example: `tvm-sparse bench layers --sets resnet50 --zeros 80 --filters 4,8 --threads 1`
    """
    from tvm_sparse.bench.run import measure_layers

    with _rows(as_json) as rows, stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
                blocks = [_number(f, "filters") for f in filters.split(",")]
                for row in measure_layers(name, shares, blocks, number, rounds, limit=limit):
                    tell(f"{len(rows) + 1} cases: {name} {row.case} {row.scheme}, {number} threads")
                    rows.append(row)


@app.command()
def networks(
    names: Annotated[str, typer.Option(help="Networks, e.g. resnet50,vgg16.")] = "resnet50",
    schemes: Annotated[
        str, typer.Option(help="How to prune; with @DENSITY, or at each of the sparsities.")
    ] = "block_punched-8x4,one_by_n-4",
    zeros: Annotated[str, typer.Option(help="Sparsities in percent.")] = "80",
    threads: _Threads = "1,all",
    rounds: _Rounds = 15,
    size: Annotated[
        int, typer.Option(help="Height and width of the image; 224 is full size.")
    ] = 224,
    as_json: Json = False,
) -> None:
    """Measure whole networks, pruned, against dense engines.

    Example: `tvm-sparse bench networks --names resnet50 --schemes one_by_n-4 --zeros 50,80,90`
    """
    from tvm_sparse.bench.run import measure_network

    crossed = _schemes(schemes, zeros)
    with _rows(as_json) as rows, stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in names.split(","):
                rows.extend(
                    measure_network(name, crossed, number, rounds, size=size, progress=tell)
                )


@app.command()
def regret(
    sets: Annotated[str, typer.Option(help="Layer sets, e.g. resnet50,bert.")] = "resnet50",
    zeros: Annotated[str, typer.Option(help="Sparsities in percent.")] = "50,80,90",
    schemes: Annotated[
        str, typer.Option(help="How to prune, without densities.")
    ] = "unstructured,block-4x1,block-8x1,one_by_n-4,block_punched-8x4",
    threads: _Threads = "1",
    rounds: _Rounds = 15,
    limit: Annotated[int | None, typer.Option(help="Only the first layers of a set.")] = None,
    as_json: Json = False,
) -> None:
    """Measure what the cost formula's choices cost: the time beyond that of the best candidate.

    Example: `tvm-sparse bench regret --sets resnet50,bert --zeros 80,90`
    """
    from tvm_sparse.bench.regret import measure_regret

    shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
    with _rows(as_json, "regret_table") as rows, stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                rows.extend(
                    measure_regret(
                        name, shares, schemes.split(","), number, rounds, limit, progress=tell
                    )
                )


@app.command()
def latency(
    table: Annotated[Path, typer.Option(help="A folder that `profile` wrote.")],
    names: Annotated[str, typer.Option(help="Networks, e.g. resnet50,vit; none if empty.")] = "",
    schemes: Annotated[
        str, typer.Option(help="How to prune, with @DENSITY.")
    ] = "one_by_n-4@0.15,one_by_n-8@0.3",
    rounds: _Rounds = 15,
    size: Annotated[
        int, typer.Option(help="Height and width of the image; 224 is full size.")
    ] = 224,
    target: Annotated[str, typer.Option(help="The target that was profiled.")] = "x86",
    as_json: Json = False,
) -> None:
    """Compare a latency table's predictions with measurements: cells held out, whole networks.

    Example: `tvm-sparse bench latency --table logs/here --names resnet18,vit`
    """
    from tvm_sparse import targets
    from tvm_sparse.bench import latency_table
    from tvm_sparse.bench.latency import measure_latencies
    from tvm_sparse.profiling.predictor import held_out
    from tvm_sparse.profiling.read import read

    opened, wanted = read(table, target), [name for name in names.split(",") if name]
    rows: list[Any] = []
    with stages() as tell:
        tell("leaving cells out")
        accuracy = held_out(opened.cells)
        rows.extend(
            measure_latencies(
                opened, targets.load(target), wanted, schemes.split(","), rounds, size, tell
            )
        )
    if as_json:
        left_out = {what: vars(found) for what, found in accuracy.items()}
        print_json({"held_out": left_out, "networks": latency_table.to_json(rows)})
        return
    for what, found in accuracy.items():
        print(f"{what} held out: {found}")
    if rows:
        print(latency_table.markdown(rows))


@contextmanager
def _rows(as_json: bool, writer: str = "table") -> Iterator[list[Any]]:
    """Print the rows that were measured, also when the user stops the measuring early.

    `writer` is the module of `tvm_sparse.bench` that writes them.
    """
    rows: list[Any] = []
    try:
        yield rows
    except KeyboardInterrupt:
        _print_rows(rows, as_json, writer)
        raise
    _print_rows(rows, as_json, writer)


def _print_rows(rows: list[Any], as_json: bool, writer: str) -> None:
    if not rows:
        return
    table = importlib.import_module(f"tvm_sparse.bench.{writer}")
    if as_json:
        print_json(table.to_json(rows))
    else:
        print(table.markdown(rows))


def _schemes(schemes: str, zeros: str) -> list[str]:
    """Return schemes with their densities; those without one at each of the sparsities."""
    shares = [1 - _number(z, "zeros") / 100 for z in zeros.split(",")]
    return [
        text
        for scheme in schemes.split(",")
        for text in ([scheme] if "@" in scheme else [f"{scheme}@{share:.4g}" for share in shares])
    ]


def _numbers_of_threads(text: str) -> list[int]:
    from tvm_sparse.targets import native

    numbers = [
        native.cores() if part == "all" else _number(part, "threads") for part in text.split(",")
    ]
    return list(dict.fromkeys(min(number, native.cores()) for number in numbers))


def _number(text: str, option: str) -> int:
    if not text.strip().isdigit():
        raise typer.BadParameter(f"expected whole numbers, got {text!r}", param_hint=f"--{option}")
    return int(text)
