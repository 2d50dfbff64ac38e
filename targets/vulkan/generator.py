"""TVM's code generator for Vulkan: ``target.build.vulkan``, and the operators it keeps."""

from __future__ import annotations

from typing import Any

from tvm_sparse.targets.vulkan import container, library
from tvm_sparse.targets.vulkan.spirv.intrinsics import FUNCTIONS
from tvm_sparse.targets.vulkan.spirv.kernel import Kernel, compile_kernel

# Kernels of TVM's own that take the 32 threads of a warp to run in step.
_IN_STEP = ("gpu_2d_continuous_cumsum",)


def build(mod: Any, target: Any) -> Any:
    """Return a runtime module with every kernel of an IRModule of device functions.

    Raises
    ------
    ModelError
        If a kernel needs something that SPIR-V or the target lacks.
    """
    return library.load_module(container.pack(kernels(mod, target)))


def kernels(mod: Any, target: Any) -> list[Kernel]:
    """Return the compiled device functions of an IRModule.

    Raises
    ------
    ModelError
        If a kernel needs something that SPIR-V or the target lacks.
    """
    import tvm_sparse.compat  # noqa: F401  makes our errors known to TVM
    from tvm_sparse.errors import ModelError

    features = dict(target.attrs)
    found = []
    for variable, func in mod.functions.items():
        if variable.name_hint.startswith(_IN_STEP):
            raise ModelError(
                f"TVM's kernel {variable.name_hint} is wrong on Vulkan, where the threads of a "
                "warp do not run in step: lower the model by tvm_sparse.build"
            )
        try:
            found.append(compile_kernel(func, features))
        except NotImplementedError as error:
            raise ModelError(
                f"cannot compile kernel {variable.name_hint} for Vulkan: {error}"
            ) from error
    return found


def keep_functions() -> None:
    """Have TVM leave mathematical functions to this generator, which knows their counterparts."""
    import tvm
    from tvm.ir import Op

    for name in sorted(FUNCTIONS):
        if f"tirx.{name}" in Op.list_op_names():
            tvm.ir.register_op_attr(f"tirx.{name}", "vulkan.FLowerIntrinsic", _extern)


def _extern(call: Any) -> Any:
    from tvm import tirx

    name = str(call.op.name).rsplit(".", 1)[-1]
    return tirx.call_pure_extern(str(call.ty.dtype), name, *call.args)
