"""The bench on the command line."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from tvm_sparse.cli.show import Json, print_json, stages, tuning_bar

app = typer.Typer(
    help="Measure against torch, ONNX Runtime, OpenVINO and MNN.", no_args_is_help=True
)

# The bench would tell, but loads torch and TVM.
NETWORKS = "bert conv1d efficientnet_b0 mobilenet_v2 mobilenet_v3 resnet18 resnet50 resnext50"
NETWORKS += " unet_sr vgg16 vit"
LAYER_SETS = "resnet50 resnext50 mobilenet_v2 vgg16 bert vit"

_Rounds = Annotated[int, typer.Option(help="Rounds in which every engine runs in turn.", min=1)]
_Threads = Annotated[str, typer.Option(help="Numbers of threads, e.g. 1,all.")]
_Sets = Annotated[str, typer.Option(help="Layer sets, e.g. resnet50,bert.")]
_Names = Annotated[str, typer.Option(help="Networks, e.g. resnet50,vit.")]
_Schemes = Annotated[
    str, typer.Option(help="How to prune; with @DENSITY, or at each of the sparsities.")
]
_Zeros = Annotated[str, typer.Option(help="Sparsities in percent.")]
_Limit = Annotated[int | None, typer.Option(help="Only the first layers of a set.")]
_Target = Annotated[str, typer.Option(help="This machine, e.g. x86 or vulkan.")]
_Int8 = Annotated[bool, typer.Option("--int8", help="Quantized to int8.")]
_Size = Annotated[int, typer.Option(help="Height and width of the image; 224 is full size.")]


@app.command()
def layers(
    sets: _Sets = "resnet50",
    zeros: _Zeros = "0,50,70,80,90,95",
    filters: Annotated[str, typer.Option(help="Filters that share zeros.")] = "1,4,8,16",
    schemes: Annotated[
        str,
        typer.Option(help="Other ways to prune than blocks of filters; with @DENSITY, or at each."),
    ] = "",
    threads: _Threads = "1,all",
    rounds: _Rounds = 15,
    limit: _Limit = None,
    as_json: Json = False,
) -> None:
    """Measure layers one by one, at several sparsities and block sizes, or in other schemes.

    Example: `tvm-sparse bench layers --sets resnet50 --zeros 80 --filters 4,8 --threads 1`;
    N:M: `tvm-sparse bench layers --sets bert --schemes nm-2x4@0.5,nm-1x4@0.25 --threads 1`
    """
    from tvm_sparse.bench.run import measure_layers

    crossed = _schemes(schemes, zeros) if schemes else []
    with _rows(as_json) as rows, stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
                blocks = [_number(f, "filters") for f in filters.split(",")]
                for row in measure_layers(
                    name, shares, blocks, number, rounds, limit=limit, schemes=crossed
                ):
                    tell(f"{len(rows) + 1} cases: {name} {row.case} {row.scheme}, {number} threads")
                    rows.append(row)


@app.command()
def networks(
    names: _Names = "resnet50",
    schemes: _Schemes = "block_punched-8x4,one_by_n-4",
    zeros: _Zeros = "80",
    threads: _Threads = "1,all",
    rounds: _Rounds = 15,
    size: _Size = 224,
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
    sets: _Sets = "resnet50",
    zeros: _Zeros = "50,80,90",
    schemes: Annotated[
        str, typer.Option(help="How to prune, without densities.")
    ] = "unstructured,block-4x1,block-8x1,one_by_n-4,block_punched-8x4",
    threads: _Threads = "1",
    rounds: _Rounds = 15,
    limit: _Limit = None,
    int8: _Int8 = False,
    as_json: Json = False,
) -> None:
    """Measure what the cost formula's choices cost: the time beyond that of the best candidate.

    Example: `tvm-sparse bench regret --sets resnet50,bert --zeros 80,90`; of integer kernels:
    `tvm-sparse bench regret --int8 --sets bert --schemes block_punched-4x4,block_punched-8x4`
    """
    from tvm_sparse.bench.integer_regret import measure_integer_regret
    from tvm_sparse.bench.regret import measure_regret

    measure = measure_integer_regret if int8 else measure_regret
    shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
    with _rows(as_json, "regret_table") as rows, stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                rows.extend(
                    measure(name, shares, schemes.split(","), number, rounds, limit, progress=tell)
                )


@app.command()
def ranking(
    database: Annotated[Path, typer.Argument(help="A folder that `tune` wrote.")],
    target: Annotated[str, typer.Option(help="What it was tuned for.")] = "x86",
    as_json: Json = False,
) -> None:
    """Hold out each layer of a database, and tell how well the cost model orders its kernels.

    Example: `tvm-sparse tune pruned.onnx --strategy random --database logs/random`, then
    `tvm-sparse bench ranking logs/random`
    """
    from tvm_sparse import targets
    from tvm_sparse.bench.ranking import measure_ranking

    with _rows(as_json, "ranking_table") as rows, stages() as tell:
        rows.extend(measure_ranking(database, targets.load(target), progress=tell))


@app.command()
def tune(
    database: Annotated[Path, typer.Argument(help="A folder, made when missing.")],
    sets: _Sets = "",
    names: _Names = "",
    schemes: _Schemes = "block_punched-8x4,one_by_n-4",
    zeros: _Zeros = "80",
    trials: Annotated[int, typer.Option(help="Kernels to measure a kind of layer.", min=1)] = 64,
    time: Annotated[float | None, typer.Option(help="Seconds to search at most.")] = None,
    limit: _Limit = None,
    size: _Size = 224,
    target: _Target = "x86",
) -> None:
    """Tune the layers of the bench; `merge --compact` makes a database to be packaged of it.

    Example: `tvm-sparse bench tune logs/bench --names resnet50,bert --schemes one_by_n-4 --zeros
    80,90`
    """
    from tvm_sparse import targets
    from tvm_sparse.bench.tasks import tasks
    from tvm_sparse.tuning.tune import tune_tasks

    profile = targets.load_here(target)
    with stages() as tell:
        found = tasks(
            _named(sets), _named(names), _schemes(schemes, zeros), profile, limit, size, tell
        )
    with tuning_bar() as show:
        tune_tasks(found, profile, database, trials, time, tell=show)
    print(f"wrote {database}: {len(found)} kinds of layers")


@app.command()
def spaces(
    names: _Names = "resnet50",
    schemes: _Schemes = "one_by_n-4",
    zeros: _Zeros = "80",
    samples: Annotated[int, typer.Option(help="Kernels to build from each space.", min=1)] = 1,
    size: _Size = 224,
    target: _Target = "x86",
    int8: _Int8 = False,
    as_json: Json = False,
) -> None:
    """Draw samples from the design spaces of tuning, and tell which share are valid kernels.

    Example: `tvm-sparse bench spaces --names bert --schemes nm-2x4@0.5 --samples 4`
    """
    from tvm_sparse.bench.spaces import survey_network

    with _rows(as_json, "spaces_table") as rows, stages() as tell:
        for name in names.split(","):
            for scheme in _schemes(schemes, zeros):
                rows.extend(survey_network(name, scheme, samples, size, target, int8, tell))


@app.command()
def integers(
    names: _Names = "",
    sets: _Sets = "",
    schemes: _Schemes = "block_punched-4x4",
    zeros: _Zeros = "80",
    threads: _Threads = "1",
    rounds: _Rounds = 15,
    limit: _Limit = None,
    size: _Size = 224,
    as_json: Json = False,
) -> None:
    """Measure layers and networks in int8, against ours in float32 and other engines in int8.

    Example: `tvm-sparse bench integers --names resnet50 --sets resnet50 --zeros 80,90`
    """
    from tvm_sparse.bench.integers import measure_layers, measure_network

    crossed = _schemes(schemes, zeros)
    with _rows(as_json, "integers_table") as rows, stages() as tell:
        for name in _named(sets):
            tell(f"layers of {name}")
            rows.extend(measure_layers(name, crossed, rounds, limit))
        for number in _numbers_of_threads(threads):
            for name in _named(names):
                tell(f"{name}, {number} threads")
                rows.extend(measure_network(name, crossed, number, rounds, size))


@app.command()
def precisions(
    layers: Annotated[
        str, typer.Option(help="Linear layers: filters x channels @ rows.")
    ] = "4096x4096@1,1024x1024@1,4096x4096@8",
    weights: Annotated[str, typer.Option(help="Precisions to compare.")] = "bfloat16,int4",
    schemes: Annotated[str, typer.Option(help="How to prune, with @DENSITY.")] = "dense@1",
    rounds: _Rounds = 15,
    as_json: Json = False,
) -> None:
    """Measure linear layers whose weights have few bits, against ours in float32.

    Example: `tvm-sparse bench precisions --layers 4096x4096@1 --weights float16,int4-32 --schemes
    dense@1,one_by_n-32@0.2`
    """
    from tvm_sparse.bench.precisions import measure

    with _rows(as_json, "precisions_table") as rows, stages() as tell:
        tell("measuring")
        rows.extend(measure(_named(layers), schemes.split(","), _named(weights), rounds))


@app.command()
def latency(
    table: Annotated[Path, typer.Option(help="A folder that `profile` wrote.")],
    names: _Names = "",
    schemes: Annotated[
        str, typer.Option(help="How to prune, with @DENSITY.")
    ] = "one_by_n-4@0.15,one_by_n-8@0.3",
    rounds: _Rounds = 15,
    size: _Size = 224,
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

    opened, wanted = read(table, target), _named(names)
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


@app.command()
def cycles(
    sets: _Sets = "",
    names: _Names = "",
    schemes: _Schemes = "one_by_n-4",
    zeros: _Zeros = "80",
    target_names: Annotated[
        str, typer.Option("--targets", help="Profiles of ARM boards: rpi3, rpi4, rpi5.")
    ] = "rpi4,rpi5",
    int8: Annotated[
        bool, typer.Option("--int8", help="Layers in int8, over ours in float32 on their zeros.")
    ] = False,
    limit: _Limit = None,
    size: _Size = 224,
    as_json: Json = False,
) -> None:
    """Model cycles on ARM cores without a board: instructions counted by qemu, costs by llvm-mca.

    Example: `tvm-sparse bench cycles --sets mobilenet_v2 --names mobilenet_v2 --zeros 40,80,90`
    """
    from tvm_sparse.bench.cycles import model_layers, model_network
    from tvm_sparse.bench.integer_cycles import model_integers

    crossed, boards = _schemes(schemes, zeros), target_names.split(",")
    if int8:
        if names:
            raise typer.BadParameter("--int8 models sets of layers: expected --sets, got --names")
        with _rows(as_json, "integer_cycles_table") as rows, stages() as tell:
            for name in _named(sets):
                rows.extend(model_integers(name, crossed, boards, limit, tell))
        return
    with _rows(as_json, "cycles_table") as rows, stages() as tell:
        for name in _named(sets):
            rows.extend(model_layers(name, crossed, boards, limit, tell))
        for name in _named(names):
            rows.extend(model_network(name, crossed, boards, size, tell))


@app.command()
def tiles(
    sets: _Sets = "bert,resnet50",
    target: Annotated[str, typer.Option(help="A profile of a CPU with AMX.")] = "x86-amx",
    limit: _Limit = None,
    as_json: Json = False,
) -> None:
    """Model from which sparsity on skipping zeros beats dense tiles of AMX; nothing is measured.

    Example: `tvm-sparse bench tiles --sets bert`
    """
    from tvm_sparse import targets
    from tvm_sparse.bench.tiles import model_layers

    profile = targets.load(target)
    if not profile.tile_cycles:
        raise typer.BadParameter(f"{target} has no tiles: expected a profile such as x86-amx")
    with _rows(as_json, "tiles_table") as rows, stages() as tell:
        for name in _named(sets):
            tell(f"layers of {name}")
            rows.extend(model_layers(name, profile, limit))


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


def _named(text: str) -> list[str]:
    """Return the names of a list, none if it is empty."""
    return [name for name in text.split(",") if name]


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
