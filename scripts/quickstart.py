"""Train a small ResNet on handwritten digits, prune it, compile it, and show what that gains.

The digits are scikit-learn's: 1797 images of 8×8 pixels, here enlarged to 32×32. At the end a
fresh process, which never imports tvm_sparse, runs the exported file with the stock TVM runtime.

Example: python scripts/quickstart.py --output .cache/quickstart
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from rich.table import Table
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import Tensor, nn

import tvm_sparse as ts
from tvm_sparse.bench import rivals
from tvm_sparse.bench.networks.resnet import BasicBlock, ResNet
from tvm_sparse.bench.run import runner
from tvm_sparse.bench.timing import Times, interleaved
from tvm_sparse.pruning.masks import Masks

_console = Console(width=100)


@dataclass(frozen=True, kw_only=True)
class Digits:
    """Images (n, 1, size, size) of mean 0 and deviation 1, and labels (n,), in two parts."""

    train: tuple[Tensor, Tensor]
    test: tuple[Tensor, Tensor]


def digits(size: int) -> Digits:
    """Load scikit-learn's digits, a fifth of them kept for the test, enlarged to size × size."""
    loaded = load_digits()
    images = torch.from_numpy(loaded.images.astype(np.float32))[:, None]
    images = (images - images.mean()) / images.std()
    images = nn.functional.interpolate(images, size=(size, size), mode="bilinear")
    labels = torch.from_numpy(loaded.target.astype(np.int64))
    split = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    return Digits(train=(split[0], split[2]), test=(split[1], split[3]))


def train(model: nn.Module, data: Digits, epochs: int, rate: float, title: str) -> None:
    """Train with SGD and a one-cycle learning rate; weights that are zero stay zero."""
    images, labels = data.train
    masks = Masks(model)
    optimizer = torch.optim.SGD(model.parameters(), rate, 0.9, weight_decay=1e-4, nesterov=True)
    steps = epochs * -(-len(images) // 64)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps)
    model.train()
    with Progress(console=_console, transient=True) as bar:
        task = bar.add_task(title, total=steps)
        for _ in range(epochs):
            for batch in torch.split(torch.randperm(len(images)), 64):
                loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
                optimizer.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
                masks.apply()
                schedule.step()
                bar.advance(task)
    model.eval()


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Return the share of right predictions."""
    return float((predictions == labels).float().mean())


def predict(model: nn.Module, images: Tensor) -> Tensor:
    """Return torch's predicted labels."""
    with torch.inference_mode():
        labels: Tensor = model(images).argmax(1)
    return labels


def predict_one_by_one(compiled: ts.Compiled, images: Tensor) -> Tensor:
    """Return the labels that a model compiled for one image predicts."""
    return torch.cat([compiled(image[None]).argmax(1) for image in images])


def measure(model: nn.Module, dense: ts.Compiled, sparse: ts.Compiled, x: Tensor) -> list[Times]:
    """Time the three in turns, on one thread: torch dense, ours dense, ours sparse."""
    ts.set_threads(1)
    calls = {
        "torch": rivals.prepare("torch", model, x, 1),
        "dense": runner(dense, x),
        "sparse": runner(sparse, x),
    }
    return list(interleaved(calls, rounds=25, least=0.005).values())


def show(accuracies: list[float], times: list[Times], nbytes: list[int]) -> None:
    """Print the one table."""
    table = Table(title="Digits, one image, one thread")
    for title in ("", "accuracy", "latency", "× torch", "weights"):
        table.add_column(title, justify="left" if not title else "right")
    names = ["torch, dense", "tvm_sparse, dense", "tvm_sparse, sparse"]
    for name, share, time_, size in zip(names, accuracies, times, nbytes, strict=True):
        latency = f"{time_.median * 1e3:.3f} ms ±{time_.spread:.0%}"
        gain = f"{time_.ratio(times[0]):.2f}"
        table.add_row(name, f"{share:.1%}", latency, gain, f"{size / 1e6:.2f} MB")
    _console.print(table)


def confirm(library: Path, images: Tensor, predictions: Tensor) -> None:
    """Run the library in a fresh process with the stock TVM runtime; compare every prediction."""
    case = library.with_suffix(".npz")
    np.savez(case, images=images.numpy(), predictions=predictions.numpy())
    script = Path(__file__).with_name("run_exported.py")
    environment = {**os.environ, "TVM_DEVICE_BACKEND_AUTOLOAD": "0"}
    command = [sys.executable, str(script), str(library), str(case)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"the exported library does not behave: {done.stderr}{done.stdout}")
    _console.print(done.stdout.strip())


def run(output: Path, scheme: str, epochs: int, tune_epochs: int, size: int, width: int) -> None:
    """Do all of it."""
    torch.manual_seed(0)
    output.mkdir(parents=True, exist_ok=True)
    data, start = digits(size), time.perf_counter()
    images, labels = data.test
    model = ResNet(BasicBlock, (1, 1, 1), 10, width=width, small=True, channels=1)
    train(model, data, epochs, 0.1, "training")
    _console.print(f"trained {epochs} epochs in {time.perf_counter() - start:.0f} s")
    x = images[:1]
    dense_accuracy = accuracy(predict(model, images), labels)
    dense = ts.build(model, example_inputs=(x,), sparse=False)
    own_dense_accuracy = accuracy(predict_one_by_one(dense, images), labels)

    ts.prune(model, scheme)
    _console.print(f"pruned {scheme}: accuracy {accuracy(predict(model, images), labels):.1%}")
    train(model, data, tune_epochs, 0.02, "fine-tuning")
    sparse = ts.build(model, example_inputs=(x,))
    print(sparse.report)
    predictions = predict_one_by_one(sparse, images)
    library = sparse.export(output / "digits.so")

    rows = [report.rows for report in (dense.report, sparse.report)]
    nbytes = [sum(row.dense_nbytes for row in rows[0])]
    nbytes += [sum(row.nbytes for row in report) for report in rows]
    accuracies = [dense_accuracy, own_dense_accuracy, accuracy(predictions, labels)]
    show(accuracies, measure(model, dense, sparse, x), nbytes)
    _console.print(f"exported to {library} ({library.stat().st_size / 1e6:.2f} MB)")
    confirm(library, images, predictions)


def main() -> None:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path(".cache/quickstart"))
    parser.add_argument("--scheme", default="block_punched-8x4@0.25")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--fine-tune-epochs", type=int, default=3)
    parser.add_argument("--size", type=int, default=32, help="pixels an image is enlarged to")
    parser.add_argument("--width", type=int, default=64, help="filters of the first stage")
    given = parser.parse_args()
    run(given.output, given.scheme, given.epochs, given.fine_tune_epochs, given.size, given.width)


if __name__ == "__main__":
    main()
