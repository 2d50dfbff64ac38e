"""Images and their classes: scikit-learn's digits, CIFAR-10, or folders of images."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from tvm_sparse.errors import ConfigError
from tvm_sparse.workflow import config

Batch = tuple[Tensor, Tensor]
_MEAN, _DEVIATION = 0.45, 0.25  # of photographs, about
_TOGETHER = 256  # images that are looked at together where nothing is learnt


@dataclass(frozen=True)
class Shuffled:
    """Batches of a data set of torch, in an order that is drawn anew each time."""

    data: Any
    batch: int
    generator: torch.Generator

    def __len__(self) -> int:
        """Return the number of batches."""
        return int(-(-len(self.data) // self.batch))

    def __iter__(self) -> Iterator[Batch]:
        """Yield images and their classes."""
        if isinstance(self.data, torch.utils.data.TensorDataset):
            order = torch.randperm(len(self.data), generator=self.generator)
            return _rows(self.data, order, self.batch)
        loader = torch.utils.data.DataLoader(
            self.data, self.batch, shuffle=True, generator=self.generator
        )
        return iter(loader)

    def __contains__(self, batch: object) -> bool:
        """Batches are drawn, none is known before."""
        return False


@dataclass(frozen=True, kw_only=True)
class Images:
    """A data set in two parts.

    Parameters
    ----------
    train, test : data sets of torch
        Images (channels, size, size) of about mean 0 and deviation 1, and their classes.
    classes, channels, size : int
    """

    train: Any
    test: Any
    classes: int
    channels: int
    size: int

    def shuffled(self, batch: int, seed: int) -> Shuffled:
        """Return batches of the training images, in another order each time."""
        return Shuffled(self.train, batch, torch.Generator().manual_seed(seed))

    def tested(self) -> Iterator[Batch]:
        """Yield the images that are kept for the test."""
        if isinstance(self.test, torch.utils.data.TensorDataset):
            yield from _rows(self.test, torch.arange(len(self.test)), _TOGETHER)
        else:
            yield from torch.utils.data.DataLoader(self.test, _TOGETHER)

    def sample(self, number: int, seed: int = 0) -> Batch:
        """Return some training images and their classes, drawn at random."""
        return next(iter(self.shuffled(number, seed)))

    @property
    def example(self) -> Tensor:
        """One image, (1, channels, size, size)."""
        image: Tensor = self.test[0][0]
        return image[None]


def load(wanted: config.Data) -> Images:
    """Load a data set.

    Raises
    ------
    ConfigError
        If it is unknown, is not there, or needs a package that is missing; the message says which.
    """
    known = {"digits": _digits, "cifar10": _cifar10, "folder": _folder}
    if wanted.name not in known:
        raise ConfigError(f"unknown data {wanted.name!r}; expected one of {', '.join(known)}")
    return known[wanted.name](wanted)


def _digits(wanted: config.Data) -> Images:
    """Return the 1797 digits of 8×8 pixels, a fifth of them for the test."""
    _need("sklearn", "scikit-learn", wanted)
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    loaded = load_digits()
    images = torch.from_numpy(loaded.images.astype(np.float32))[:, None]
    images = (images - images.mean()) / images.std()
    images = nn.functional.interpolate(images, size=(wanted.size, wanted.size), mode="bilinear")
    labels = torch.from_numpy(loaded.target.astype(np.int64))
    parts = train_test_split(images, labels, test_size=0.2, random_state=0, stratify=labels)
    pairs = [torch.utils.data.TensorDataset(parts[at], parts[at + 2]) for at in (0, 1)]
    return Images(train=pairs[0], test=pairs[1], classes=10, channels=1, size=wanted.size)


def _cifar10(wanted: config.Data) -> Images:
    datasets, change = _torchvision(wanted)
    found = _there(wanted)
    try:
        parts = [datasets.CIFAR10(found, train, change) for train in (True, False)]
    except RuntimeError as error:
        raise ConfigError(
            f"no CIFAR-10 in {found}: expected the folder cifar-10-batches-py; get it with "
            f'python -c "import torchvision; torchvision.datasets.CIFAR10({str(found)!r}, '
            'download=True)"'
        ) from error
    return Images(train=parts[0], test=parts[1], classes=10, channels=3, size=wanted.size)


def _folder(wanted: config.Data) -> Images:
    datasets, change = _torchvision(wanted)
    found = _there(wanted)
    for part in ("train", "val"):
        if not (found / part).is_dir():
            raise ConfigError(
                f"no folder {found / part}: expected {found}/train and {found}/val with a folder "
                "of images for each class, as ImageNet has them"
            )
    train, test = (datasets.ImageFolder(found / part, change) for part in ("train", "val"))
    return Images(train=train, test=test, classes=len(train.classes), channels=3, size=wanted.size)


def _torchvision(wanted: config.Data) -> tuple[Any, Any]:
    """Return torchvision's data sets, and what turns an image into a tensor."""
    _need("torchvision", "torchvision", wanted)
    try:
        from torchvision import datasets, transforms
    except (ImportError, OSError, RuntimeError) as error:  # built for another torch
        raise ConfigError(
            f"data {wanted.name!r} needs torchvision, which cannot be imported: {error}; install "
            f"the build that belongs to torch {torch.__version__}"
        ) from error
    steps = [
        transforms.Resize(wanted.size),
        transforms.CenterCrop(wanted.size),
        transforms.ToTensor(),
        transforms.Normalize([_MEAN] * 3, [_DEVIATION] * 3),
    ]
    return datasets, transforms.Compose(steps)


def _there(wanted: config.Data) -> Path:
    if not wanted.path or not Path(wanted.path).is_dir():
        raise ConfigError(
            f"data {wanted.name!r}: expected the folder of the images as path, got {wanted.path!r}"
        )
    return Path(wanted.path)


def _need(module: str, package: str, wanted: config.Data) -> None:
    if find_spec(module) is None:
        raise ConfigError(f"data {wanted.name!r} needs {package}: pip install {package}")


def _rows(data: torch.utils.data.TensorDataset, order: Tensor, batch: int) -> Iterator[Batch]:
    images, labels = data.tensors
    for rows in torch.split(order, batch):
        yield images[rows], labels[rows]
