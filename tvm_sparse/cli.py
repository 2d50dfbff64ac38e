"""The command line: the same verbs as the Python package."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from tvm_sparse.errors import TvmSparseError

app = typer.Typer(
    help="Compile pruned and quantized networks to code that is as fast as their zeros promise.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
bench_app = typer.Typer(
    help="Measure against torch, ONNX Runtime, OpenVINO and MNN.", no_args_is_help=True
)
app.add_typer(bench_app, name="bench")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
_Rounds = Annotated[int, typer.Option(help="Rounds in which every engine runs in turn.", min=1)]
_Threads = Annotated[str, typer.Option(help="Numbers of threads, e.g. 1,all.")]
_error = Console(stderr=True)
# The bench would tell, but loads torch and TVM.
_NETWORKS = "bert conv1d efficientnet_b0 mobilenet_v2 mobilenet_v3 resnet18 resnet50 resnext50"
_NETWORKS += " unet_sr vgg16 vit"
_LAYER_SETS = "resnet50 resnext50 mobilenet_v2 vgg16 bert vit"


def main() -> None:
    """Run the command line; errors of ours end in one line and status 1."""
    try:
        app()
    except TvmSparseError as error:
        _error.print(f"[bold red]error:[/] {error}", markup=True, highlight=False, soft_wrap=True)
        sys.exit(1)
    except KeyboardInterrupt:
        _error.print("stopped")
        sys.exit(130)


@app.command()
def build(
    model: Annotated[Path, typer.Argument(help="An .onnx file, or a .pt2 of torch.export.save.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the library.")],
    target: Annotated[str, typer.Option(help="A target's name, or a TOML profile.")] = "x86",
    dense: Annotated[bool, typer.Option(help="Ignore the zeros, for comparison.")] = False,
    database: Annotated[
        Path | None, typer.Option(help="A folder that `tune` wrote: use what was measured.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Compile a model to one library that the stock TVM runtime loads.

    Example: `tvm-sparse build pruned.onnx -o model.so`
    """
    with _stages() as tell:
        from tvm_sparse.building import build as run

        compiled = run(model, target, sparse=not dense, database=database, progress=tell)
        tell("linking")
        path = compiled.export(output)
    report = compiled.report
    if as_json:
        _print_json({"output": str(path), **json.loads(report.to_json())})
    else:
        print(report)
        print(f"wrote {path}, {path.stat().st_size / 1e6:.1f} MB")


@app.command()
def tune(
    model: Annotated[Path, typer.Argument(help="An .onnx file, or a .pt2 of torch.export.save.")],
    target: Annotated[str, typer.Option(help="A target's name, or a TOML profile.")] = "x86",
    trials: Annotated[int, typer.Option(help="Kernels to measure a kind of layer.", min=1)] = 64,
    time: Annotated[float | None, typer.Option(help="Seconds to search at most.")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that compile.", min=1)] = None,
    database: Annotated[
        Path | None, typer.Option(help="A folder; by default tuning_logs/TARGET.")
    ] = None,
    as_json: _Json = False,
) -> None:
    """Measure kernels for the sparse layers of a model; Ctrl-C keeps what was found.

    Example: `tvm-sparse tune pruned.onnx --trials 64 --database logs/here`, then
    `tvm-sparse build pruned.onnx -o model.so --database logs/here`
    """
    with _tuning_bar() as tell:
        from tvm_sparse.tuning.tune import tune as run

        path = run(
            model,
            target,
            trials=trials,
            time=time,
            database=database,
            workers=workers,
            progress=tell,
        )
    if as_json:
        _print_json({"database": str(path)})
    else:
        print(f"wrote {path}; use it with: tvm-sparse build {model} -o model.so --database {path}")


@app.command()
def report(
    library: Annotated[Path, typer.Argument(help="A library that `build` wrote.")],
    as_json: _Json = False,
) -> None:
    """Show what was found in each layer of a compiled model, what was chosen, and why.

    Example: `tvm-sparse report model.so`
    """
    from tvm_sparse import artifact
    from tvm_sparse.report import Report

    description = artifact.read(library)
    found = Report.from_json(description.report)
    if as_json:
        _print_json(json.loads(description.report))
        return
    for title, infos in (("inputs", description.inputs), ("outputs", description.outputs)):
        print(f"{title}: {'; '.join(map(str, infos))}")
    print(f"target: {description.target}; TVM {description.tvm_version}")
    print(found)


@app.command(name="list")
def list_(as_json: _Json = False) -> None:
    """List formats, targets, pruning methods, and the networks and layers of the bench.

    Example: `tvm-sparse list`
    """
    from tvm_sparse import formats, pruning, targets

    found = {
        "formats": list(formats.names()),
        "targets": {name: targets.load(name).description for name in targets.names()},
        "pruning methods": list(pruning.methods()),
        "networks": _NETWORKS.split(),
        "layer sets": _LAYER_SETS.split(),
    }
    if as_json:
        _print_json(found)
        return
    for title, names in found.items():
        print(f"{title}:")
        for name in names:
            text = f" – {names[name]}" if isinstance(names, dict) else ""
            print(f"  {name}{text}")


@app.command()
def doctor(as_json: _Json = False) -> None:
    """Tell what this machine has, and what is missing for which feature.

    Example: `tvm-sparse doctor`
    """
    from tvm_sparse.doctor import examine

    checks = examine()
    if as_json:
        _print_json([vars(check) for check in checks])
    else:
        for check in checks:
            print(f"{'ok     ' if check.good else 'missing'}  {check.name}: {check.detail}")
    if not all(check.good or check.optional for check in checks):
        raise typer.Exit(1)


@bench_app.command()
def layers(
    sets: Annotated[str, typer.Option(help="Layer sets, e.g. resnet50,bert.")] = "resnet50",
    zeros: Annotated[str, typer.Option(help="Sparsities in percent.")] = "0,50,70,80,90,95",
    filters: Annotated[str, typer.Option(help="Filters that share zeros.")] = "1,4,8,16",
    threads: _Threads = "1,all",
    rounds: _Rounds = 15,
    limit: Annotated[int | None, typer.Option(help="Only the first layers of a set.")] = None,
    as_json: _Json = False,
) -> None:
    """Measure layers one by one, at several sparsities and block sizes.

    Example: `tvm-sparse bench layers --sets resnet50 --zeros 80 --filters 4,8 --threads 1`
    """
    from tvm_sparse.bench.run import measure_layers

    with _rows(as_json) as rows, _stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
                blocks = [_number(f, "filters") for f in filters.split(",")]
                for row in measure_layers(name, shares, blocks, number, rounds, limit=limit):
                    tell(f"{len(rows) + 1} cases: {name} {row.case} {row.scheme}, {number} threads")
                    rows.append(row)


@bench_app.command()
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
    as_json: _Json = False,
) -> None:
    """Measure whole networks, pruned, against dense engines.

    Example: `tvm-sparse bench networks --names resnet50 --schemes one_by_n-4 --zeros 50,80,90`
    """
    from tvm_sparse.bench.run import measure_network

    crossed = _schemes(schemes, zeros)
    with _rows(as_json) as rows, _stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in names.split(","):
                rows.extend(
                    measure_network(name, crossed, number, rounds, size=size, progress=tell)
                )


@bench_app.command()
def regret(
    sets: Annotated[str, typer.Option(help="Layer sets, e.g. resnet50,bert.")] = "resnet50",
    zeros: Annotated[str, typer.Option(help="Sparsities in percent.")] = "50,80,90",
    schemes: Annotated[
        str, typer.Option(help="How to prune, without densities.")
    ] = "unstructured,block-4x1,block-8x1,one_by_n-4,block_punched-8x4",
    threads: _Threads = "1",
    rounds: _Rounds = 15,
    limit: Annotated[int | None, typer.Option(help="Only the first layers of a set.")] = None,
    as_json: _Json = False,
) -> None:
    """Measure what the cost formula's choices cost: the time beyond that of the best candidate.

    Example: `tvm-sparse bench regret --sets resnet50,bert --zeros 80,90`
    """
    from tvm_sparse.bench.regret import measure_regret

    shares = [_number(z, "zeros") / 100 for z in zeros.split(",")]
    with _rows(as_json, "regret_table") as rows, _stages() as tell:
        for number in _numbers_of_threads(threads):
            for name in sets.split(","):
                rows.extend(
                    measure_regret(
                        name, shares, schemes.split(","), number, rounds, limit, progress=tell
                    )
                )


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
        _print_json(table.to_json(rows))
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


def _print_json(content: Any) -> None:
    print(json.dumps(content, indent=2, ensure_ascii=False))


@contextmanager
def _stages() -> Iterator[Callable[[str], None]]:
    """Show the running stage on stderr: a spinner for people, nothing in a pipe."""
    with _error.status("starting") as status:
        yield lambda text: status.update(text)


@contextmanager
def _tuning_bar() -> Iterator[Callable[[Any], None]]:
    """Show on stderr how many candidates were measured, the best times, and the time left."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
    from rich.progress import TimeRemainingColumn as TimeLeft

    columns = (BarColumn(), MofNCompleteColumn(), TimeLeft(), TextColumn("{task.description}"))
    with Progress(*columns, console=_error, transient=True) as bar:
        shown = bar.add_task("importing", total=None)

        def tell(state: Any) -> None:
            best = f"{state.milliseconds:.3g} of {state.default:.3g} ms"
            failed = f", {state.failed} failed" if state.failed else ""
            text = f"{best}{failed}: {state.stage}"
            bar.update(shown, completed=state.done, total=state.total, description=text)

        yield tell


if __name__ == "__main__":
    main()
