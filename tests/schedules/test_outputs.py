from __future__ import annotations

import tvm
from tvm import relax, te, tirx

from tvm_sparse.schedules import outputs

GPU = tvm.target.Target({"kind": "vulkan", "max_threads_per_block": 256})


def depthwise() -> tirx.PrimFunc:
    """A padded depthwise convolution with bias, as Relax lowers and fuses it."""
    x, w, b = (
        relax.Var(name, relax.TensorType(shape, "float32"))
        for name, shape in (("x", (1, 8, 9, 9)), ("w", (8, 1, 3, 3)), ("b", (1, 8, 1, 1)))
    )
    builder = relax.BlockBuilder()
    with builder.function("main", [x, w, b]):
        with builder.dataflow():
            y = builder.emit(relax.op.nn.conv2d(x, w, padding=1, groups=8))
            out = builder.emit_output(relax.op.add(y, b))
        builder.emit_func_output(out)
    t = relax.transform
    passes = [t.LegalizeOps(), t.AnnotateTIROpPattern(), t.FuseOps(), t.FuseTIR()]
    mod = tvm.transform.Sequential(passes)(builder.get())
    (func,) = (f for _, f in mod.functions_items() if isinstance(f, tirx.PrimFunc))
    return func.with_attr("global_symbol", "main")


def test_every_output_of_a_depthwise_convolution_is_one_threads() -> None:
    sch = outputs.rule(depthwise(), GPU, False)
    assert sch is not None
    text = sch.mod.script()
    assert text.count('thread="threadIdx.x"') == 1
    assert text.count("sblock_alloc_buffer") == 1 and 'scope="local"' in text


def test_sums_of_many_terms_are_left_to_many_threads() -> None:
    x = te.placeholder((64, 4096), "float32", "x")
    k = te.reduce_axis((0, 4096), "k")
    y = te.compute((64,), lambda i: te.sum(x[i, k], k), name="y")
    func = te.create_prim_func([x, y])
    assert outputs.rule(func, GPU, False) is None
