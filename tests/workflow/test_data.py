from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch

from tvm_sparse.errors import ConfigError
from tvm_sparse.workflow import config, data, models


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A stand-in for torchvision, with its data sets and without images."""

    class Folder(list[Any]):
        def __init__(self, path: Path, change: Any) -> None:
            super().__init__([(torch.zeros(3, 8, 8), 0)] * 4)
            self.classes = [one.name for one in path.iterdir()]

    def missing(*args: Any) -> None:
        raise RuntimeError("Dataset not found or corrupted.")

    module: Any = ModuleType("torchvision")
    module.__spec__ = ModuleSpec("torchvision", None)
    module.datasets = SimpleNamespace(ImageFolder=Folder, CIFAR10=missing)
    names = ("Resize", "CenterCrop", "ToTensor", "Normalize", "Compose")
    module.transforms = SimpleNamespace(**{name: lambda *args: args for name in names})
    monkeypatch.setitem(sys.modules, "torchvision", module)
    yield


def test_digits_are_images_of_a_size_with_a_fifth_for_the_test() -> None:
    found = data.load(config.Data(size=16))
    assert (len(found.train), len(found.test), found.classes) == (1437, 360, 10)
    assert found.example.shape == (1, 1, 16, 16)
    images, labels = found.sample(32)
    assert images.shape == (32, 1, 16, 16) and labels.shape == (32,)
    assert sum(len(labels) for _, labels in found.tested()) == 360


def test_folders_of_images_have_a_class_a_folder(torchvision: None, tmp_path: Path) -> None:
    for part in ("train", "val"):
        for name in ("cat", "dog"):
            (tmp_path / part / name).mkdir(parents=True)
    found = data.load(config.Data(name="folder", path=str(tmp_path), size=8))
    assert (found.classes, found.channels, len(found.shuffled(3, 0))) == (2, 3, 2)
    images, labels = found.sample(3)
    assert images.shape == (3, 3, 8, 8) and labels.tolist() == [0, 0, 0]


def test_data_that_are_not_there_say_how_to_get_them(torchvision: None, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no CIFAR-10 in .*download=True"):
        data.load(config.Data(name="cifar10", path=str(tmp_path)))
    with pytest.raises(ConfigError, match="with a folder of images for each class"):
        data.load(config.Data(name="folder", path=str(tmp_path)))
    with pytest.raises(ConfigError, match="expected the folder of the images as path"):
        data.load(config.Data(name="folder"))
    with pytest.raises(ConfigError, match="expected one of digits, cifar10, folder"):
        data.load(config.Data(name="mnist"))


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(data, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"'cifar10' needs torchvision: pip install torchvision"):
        data.load(config.Data(name="cifar10", path="."))


@pytest.mark.parametrize("name", models.SMALL)
def test_small_networks_answer_with_their_classes(name: str) -> None:
    images = data.load(config.Data(size=8))
    model = models.make(config.Model(name=name, width=8), images)
    assert model(images.example).shape == (1, 10)


def test_networks_and_weights_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    images = data.load(config.Data(size=8))
    with pytest.raises(ConfigError, match="unknown network 'vgg99'; expected one of resnet8"):
        models.make(config.Model(name="vgg99"), images)
    with pytest.raises(ConfigError, match="takes images of 3 channels, 1 came"):
        models.make(config.Model(name="resnet18"), images)
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pt")
    with pytest.raises(ConfigError, match=r"cannot load the weights .*state dictionary"):
        models.make(config.Model(weights=str(tmp_path / "other.pt")), images)
