"""The command line: the same verbs as the Python package."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tvm_sparse.cli import bench, boards, comparison, workflow
from tvm_sparse.cli import plan as plans
from tvm_sparse.cli import quantize as quantization
from tvm_sparse.cli.show import (
    Json,
    error_console,
    print_json,
    profiling_bar,
    stages,
    told_failures,
    tuning_bar,
)
from tvm_sparse.errors import TvmSparseError

if TYPE_CHECKING:
    from tvm_sparse.tuning.progress import Progress

app = typer.Typer(
    help="Compile pruned and quantized networks to code that is as fast as their zeros promise.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
app.add_typer(bench.app, name="bench")
bench.app.command()(comparison.plans)
app.command()(boards.serve)
app.command()(boards.devices)
app.command()(plans.plan)
app.command()(workflow.run)


def main() -> None:
    """Run the command line; errors of ours end in one line and status 1."""
    try:
        app()
    except TvmSparseError as error:
        error_console.print(
            f"[bold red]error:[/] {error}", markup=True, highlight=False, soft_wrap=True
        )
        sys.exit(1)
    except KeyboardInterrupt:
        error_console.print("stopped")
        sys.exit(130)


@app.command()
def build(
    model: Annotated[Path, typer.Argument(help="An .onnx file, or a .pt2 of torch.export.save.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Where to write the file.")],
    target: Annotated[str, typer.Option(help="A target's name, or a TOML profile.")] = "x86",
    kind: Annotated[
        Literal["library", "executable"],
        typer.Option(help="For TVM's runtime, or for a machine that has none."),
    ] = "library",
    dense: Annotated[bool, typer.Option(help="Ignore the zeros, for comparison.")] = False,
    dtype: Annotated[
        Literal["float32", "float16", "bfloat16"],
        typer.Option(help="What layers compute in; float16, bfloat16 on CPUs that multiply them."),
    ] = "float32",
    database: Annotated[
        Path | None, typer.Option(help="A folder that `tune` wrote: use what was measured.")
    ] = None,
    untuned: Annotated[bool, typer.Option("--untuned", help="Use no measured records.")] = False,
    quantize: quantization.Samples = None,
    bits: quantization.Bits = None,
    calibration: quantization.Method = "minmax",
    symmetric: quantization.Symmetric = False,
    equalize: quantization.Equalize = False,
    correct_bias: quantization.CorrectBias = True,
    skip: quantization.Skip = None,
    as_json: Json = False,
) -> None:
    """Compile a model to one library that the stock TVM runtime loads, or to an executable.

    Example: `tvm-sparse build pruned.onnx -o model.so`, or
    `tvm-sparse build pruned.onnx -o model --target android --kind executable`, or, by samples
    of the shape (samples, *shape of the input), `tvm-sparse build pruned.onnx -o model.so
    --quantize samples.npy`, or `tvm-sparse build model.onnx -o model.so --bits 4`
    """
    with stages() as tell:
        from tvm_sparse.building import build as run

        records: Path | Literal[False] | None = False if untuned else database
        given = quantization.quantized(
            model,
            quantize,
            bits,
            skip,
            tell,
            method=calibration,
            symmetric=symmetric,
            equalize=equalize,
            correct_bias=correct_bias,
        )
        compiled = run(
            given, target, sparse=not dense, database=records, dtype=dtype, progress=tell
        )
        tell("linking")
        path = compiled.export(output, kind)
    report = compiled.report
    if as_json:
        print_json({"output": str(path), **json.loads(report.to_json())})
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
    strategy: Annotated[
        Literal["evolutionary", "random"], typer.Option(help="How kernels are searched for.")
    ] = "evolutionary",
    tracker: boards.Measuring = None,
    key: boards.Called = None,
    runner: boards.Runner = None,
    host: boards.Host = None,
    cpus: boards.Cpus = None,
    quantize: quantization.Samples = None,
    bits: quantization.Bits = None,
    skip: quantization.Skip = None,
    as_json: Json = False,
) -> None:
    """Measure kernels for the sparse layers of a model; Ctrl-C keeps what was found.

    Example: `tvm-sparse tune pruned.onnx --trials 64 --database logs/here`, then
    `tvm-sparse build pruned.onnx -o model.so --database logs/here`

    On this machine's GPU: `tvm-sparse tune pruned.onnx --target vulkan`

    On boards: `tvm-sparse tune pruned.onnx --target rpi4 --tracker 192.168.1.10 --key rpi4`

    Without TVM there: `tvm-sparse tune pruned.onnx --target armv7 --runner ssh --host pi@board`

    In int8: `tvm-sparse tune pruned.onnx --quantize samples.npy`, or a model that is quantized
    """
    states: list[Progress] = []
    with stages() as say:
        taken = quantization.quantized(model, quantize, bits, skip, say, **quantization.DEFAULTS)
    with tuning_bar() as tell:
        from tvm_sparse.tuning.tune import tune as run

        def note(state: Progress) -> None:
            states[:] = [state]
            tell(state)

        path = run(
            taken,
            target,
            trials=trials,
            time=time,
            database=database,
            tracker=tracker,
            key=key,
            runner=runner,
            host=host,
            cpus=boards.numbers(cpus),
            workers=workers,
            strategy=strategy,
            progress=note,
        )
    if as_json:
        print_json({"database": str(path)})
    elif not states[-1].total:
        print("nothing to tune: no sparse layer of the model has kernels to choose from")
    else:
        if states[-1].failures:
            print(f"candidates {told_failures(states[-1].failures)}")
        given = {"quantize": quantize, "bits": bits, "skip": skip, "database": path}
        options = " ".join(f"--{name} {value}" for name, value in given.items() if value)
        options = f"--target {target} {options}" if tracker or runner else options
        print(f"wrote {path}; use it with: tvm-sparse build {model} -o model.so {options}")


@app.command()
def merge(
    databases: Annotated[list[Path], typer.Argument(help="Folders that `tune` wrote.")],
    into: Annotated[Path, typer.Option(help="A folder, made when missing, or one of them.")],
    compact: Annotated[
        bool, typer.Option(help="Leave out what only a search that goes on would read.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Merge databases of one machine and version; they stay as they are.

    Example: `tvm-sparse merge logs/resnet logs/bert --into logs/all`
    """
    from tvm_sparse.tuning.merge import merge as run

    counts = run(databases, into, compact=compact)
    if as_json:
        print_json({"database": str(into), **counts})
    else:
        number = f"{counts['records']} records of {counts['tasks']} tasks"
        print(f"{into} holds {number} now, {counts['added']} of them new")


@app.command()
def profile(
    model: Annotated[Path, typer.Argument(help="An .onnx file, or a .pt2 of torch.export.save.")],
    target: Annotated[str, typer.Option(help="A target's name, or a TOML profile.")] = "x86",
    formats: Annotated[
        str | None, typer.Option(help="Formats with blocks, e.g. one_by_n-4,unstructured.")
    ] = None,
    densities: Annotated[
        str | None, typer.Option(help="Shares of weights that stay, e.g. 0.1,0.2,0.5.")
    ] = None,
    bits: Annotated[
        str, typer.Option(help="Bits to measure layers in, e.g. 32,16,8,4; 4 of linear layers.")
    ] = "32",
    time: Annotated[float | None, typer.Option(help="Seconds to go on at most.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder; by default tuning_logs/TARGET.")
    ] = None,
    tracker: boards.Measuring = None,
    key: boards.Called = None,
    runner: boards.Runner = None,
    host: boards.Host = None,
    cpus: boards.Cpus = None,
    as_json: Json = False,
) -> None:
    """Measure how long a model's layers take under sparse schemes; Ctrl-C keeps what was measured.

    Example: `tvm-sparse profile model.onnx --formats one_by_n-4,unstructured --out logs/here`

    On boards: `tvm-sparse profile model.onnx --target rpi4 --tracker 192.168.1.10 --key rpi4`

    Without TVM there: `tvm-sparse profile model.onnx --target android --runner adb`
    """
    with profiling_bar() as tell:
        from tvm_sparse.profiling.profile import profile as run

        path = out or Path("tuning_logs") / Path(target).stem
        table = run(
            model,
            target,
            schemes=None if formats is None else formats.split(","),
            densities=None if densities is None else _shares(densities),
            bits=plans.numbers(bits),
            time=time,
            database=path,
            tracker=tracker,
            key=key,
            runner=runner,
            host=host,
            cpus=boards.numbers(cpus),
            progress=tell,
        )
    if as_json:
        print_json({"table": str(path), "cells": len(table), "provenance": table.provenance})
    else:
        cells = f"{len(table)} cells, kernels timed {table.provenance['kernels']}"
        print(f"wrote {path}, {cells}; see: tvm-sparse bench latency --table {path}")


def _shares(text: str) -> list[float]:
    try:
        return [float(share) for share in text.split(",")]
    except ValueError as error:
        raise typer.BadParameter(
            f"expected shares like 0.1,0.5, got {text!r}", param_hint="--densities"
        ) from error


@app.command()
def report(
    library: Annotated[
        Path, typer.Argument(help="A library that `build` wrote, or the folder of a `run`.")
    ],
    as_json: Json = False,
) -> None:
    """Show what was found in each layer of a compiled model, what was chosen, and why.

    Of a run's folder: write its page, report.html, and its pictures.

    Example: `tvm-sparse report model.so`
    """
    if library.is_dir():
        from tvm_sparse.workflow.report import write

        print(f"wrote {write(library)}")
        return
    from tvm_sparse import artifact
    from tvm_sparse.report import Report

    description = artifact.read(library)
    found = Report.from_json(description.report)
    if as_json:
        print_json(json.loads(description.report))
        return
    for title, infos in (("inputs", description.inputs), ("outputs", description.outputs)):
        print(f"{title}: {'; '.join(map(str, infos))}")
    print(f"target: {description.target}; TVM {description.tvm_version}")
    print(found)


@app.command(name="list")
def list_(as_json: Json = False) -> None:
    """List formats, targets, pruning methods, and the networks and layers of the bench.

    Example: `tvm-sparse list`
    """
    from tvm_sparse import formats, pruning, targets

    found = {
        "formats": list(formats.names()),
        "targets": {name: targets.load(name).description for name in targets.names()},
        "pruning methods": list(pruning.methods()),
        "networks": bench.NETWORKS.split(),
        "layer sets": bench.LAYER_SETS.split(),
    }
    if as_json:
        print_json(found)
        return
    for title, names in found.items():
        print(f"{title}:")
        for name in names:
            text = f" – {names[name]}" if isinstance(names, dict) else ""
            print(f"  {name}{text}")


@app.command()
def doctor(as_json: Json = False) -> None:
    """Tell what this machine has, and what is missing for which feature.

    Example: `tvm-sparse doctor`
    """
    from tvm_sparse.doctor import examine

    checks = examine()
    if as_json:
        print_json([vars(check) for check in checks])
    else:
        for check in checks:
            print(f"{'ok     ' if check.good else 'missing'}  {check.name}: {check.detail}")
    if not all(check.good or check.optional for check in checks):
        raise typer.Exit(1)
