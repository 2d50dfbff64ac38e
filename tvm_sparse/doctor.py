"""Look at this machine: what is here, and what is missing for which feature."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from tvm_sparse import targets
from tvm_sparse.errors import TvmSparseError
from tvm_sparse.targets import Target, native

_OPTIONAL = {
    "torch": "to build torch modules",
    "onnx": "to build ONNX models",
    "onnxruntime": "to be measured against it",
    "openvino": "to be measured against it",
    "xgboost-cpu": "to tune",
    "ziglang": "to link for ARM, and to link executables",
    "matplotlib": "to draw a run's report",
    "torchvision": "to run on CIFAR-10 or on folders of images",
}
_RECORDS = "tuned records"


@dataclass(frozen=True, kw_only=True)
class Check:
    """One finding.

    Parameters
    ----------
    name, detail : str
    good : bool
    optional : bool
        Whether the package works without it.
    """

    name: str
    detail: str
    good: bool
    optional: bool = False


def examine() -> list[Check]:
    """Return what was found on this machine."""
    profile = targets.load("x86")
    lacking = profile.missing()
    cpu = f"{native.cpu_name()}, {native.cores()} cores, {profile.bits}-bit vectors"
    checks = [
        Check(name="cpu", detail=cpu, good=not lacking),
        _package("apache-tvm", "0.27.", "pip install 'apache-tvm==0.27.*'"),
        _package("apache-tvm-ffi", "0.1.14", "pip install 'apache-tvm-ffi>=0.1.14.post0,<0.1.15'"),
    ]
    compiler = next((c for c in ("g++", "clang++", "c++", "gcc", "cc") if shutil.which(c)), None)
    detail = compiler or "none; export needs one to link: apt-get install g++"
    checks.append(Check(name="C++ compiler", detail=detail, good=compiler is not None))
    for name, purpose in _OPTIONAL.items():
        try:
            checks.append(Check(name=name, detail=version(name), good=True, optional=True))
        except PackageNotFoundError:
            detail = f"needed {purpose}: pip install {name}"
            checks.append(Check(name=name, detail=detail, good=False, optional=True))
    return [*checks, _vulkan(), _records(profile)]


def _vulkan() -> Check:
    """Look for a GPU: its loader, its driver, and what compiles the device."""
    try:
        import tvm

        from tvm_sparse.targets.vulkan import describe

        describe.demand()
        detail, good = str(tvm.device("vulkan").device_name), True
    except (ImportError, OSError, TvmSparseError) as error:
        detail, good = f"none: {error}", False
    return Check(name="Vulkan", detail=detail, good=good, optional=True)


def _records(profile: Target) -> Check:
    """Look for packaged records of this machine."""
    try:
        from tvm_sparse.tuning import packaged, records

        path = packaged.find(profile)
        number = 0 if path is None else len(records.read(path))
        detail = packaged.remark(profile) or "none are packaged; `tvm-sparse tune` measures"
    except (ImportError, OSError) as error:  # TVM is missing or broken
        return Check(name=_RECORDS, detail=f"unknown: {error}", good=False, optional=True)
    if path is not None:
        detail = f"{path}, {number} kind{'s' if number != 1 else ''} of layer"
    return Check(name=_RECORDS, detail=detail, good=path is not None, optional=True)


def _package(name: str, expected: str, remedy: str) -> Check:
    try:
        found = version(name)
    except PackageNotFoundError:
        return Check(name=name, detail=f"not installed: {remedy}", good=False)
    good = found.startswith(expected)
    return Check(
        name=name, detail=found if good else f"{found}, expected {expected}*: {remedy}", good=good
    )
