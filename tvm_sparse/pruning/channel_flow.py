"""Follow channels through a model, traced with torch.fx: which layers' filters may be reordered.

Whatever is not known to treat channels alike fixes their order: the model's inputs and outputs,
convolutions in groups, reshapes. Tensors that are added up or multiplied share one order.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm

from tvm_sparse.errors import PruningError
from tvm_sparse.pruning.channel_orders import Order, unite

_FOLLOW_NOTHING = (
    nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish,
    nn.Hardswish, nn.Hardsigmoid, nn.Hardtanh, nn.Sigmoid, nn.Tanh, nn.Softplus,
    nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Identity,
)  # fmt: skip
_POOLS = (
    nn.MaxPool1d, nn.MaxPool2d, nn.AvgPool1d, nn.AvgPool2d, nn.AdaptiveAvgPool1d,
    nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool1d, nn.AdaptiveMaxPool2d, nn.Upsample,
)  # fmt: skip
_NAMES = {
    "relu", "relu_", "relu6", "leaky_relu", "elu", "gelu", "silu", "mish", "hardswish",
    "hardsigmoid", "hardtanh", "sigmoid", "tanh", "dropout", "contiguous", "clone", "clamp",
}  # fmt: skip
_POOL_NAMES = {
    "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "adaptive_avg_pool1d",
    "adaptive_avg_pool2d", "adaptive_max_pool2d", "interpolate",
}  # fmt: skip
_JOINS = {"add", "iadd", "add_", "sub", "isub", "sub_", "mul", "imul", "mul_"}
_SIZES = {"size", "dim", "getattr"}


@dataclass(frozen=True)
class _Channels:
    """Where the channels of a tensor are: ``"second"`` (maps follow), ``"last"``, or ``"flat"``."""

    order: Order
    place: str


def find(model: nn.Module) -> list[Order]:
    """Return the orders of a model's channels that may be changed.

    Raises
    ------
    PruningError
        If torch.fx cannot trace the model.
    """
    try:
        graph = fx.Tracer().trace(model)
    except Exception as error:  # whatever the model's own code raises
        raise PruningError(
            f"torch.fx cannot trace the model: {str(error).strip().splitlines()[0]}; "
            "use method magnitude, which keeps the order of filters"
        ) from error
    walk = _Walk(model)
    for node in graph.nodes:
        walk.visit(node)
    roots = {id(order.root()): order.root() for order in walk.orders}
    shared = _shared(model) | {
        node.target.rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"
    }
    return [
        order
        for order in roots.values()
        if not order.fixed and shared.isdisjoint(order.writers + order.readers + order.between)
    ]


class _Walk:
    """Follows channels through a graph."""

    def __init__(self, model: nn.Module) -> None:
        self.modules = dict(model.named_modules())
        self.orders: list[Order] = []
        self.seen: dict[fx.Node, _Channels | None] = {}
        self.called: set[str] = set()

    def visit(self, node: fx.Node) -> None:
        """Note where a node's channels come from."""
        if node.op == "call_module":
            self.seen[node] = self._module(node)
        elif node.op in ("call_function", "call_method"):
            self.seen[node] = self._function(node)
        else:  # inputs, parameters, the output
            self.seen[node] = self._unknown(node)

    def _inputs(self, node: fx.Node) -> list[_Channels | None]:
        return [self.seen[source] for source in node.all_input_nodes]

    def _unknown(self, node: fx.Node) -> _Channels | None:
        """Fix the order of all channels that a node reads; of what it writes nothing is known."""
        for channels in self._inputs(node):
            if channels:
                channels.order.root().fixed = True
        return None

    def _first(self, node: fx.Node, *places: str) -> _Channels | None:
        """Return the channels of the only tensor read, if they are at one of these places."""
        found = self._inputs(node)
        known = found[0] if len(found) == 1 else None
        return known if known and known.place in places else None

    def _module(self, node: fx.Node) -> _Channels | None:
        name = str(node.target)
        module = self.modules[name]
        again = name in self.called
        self.called.add(name)
        if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Linear):
            return self._layer(node, name, module, again)
        if isinstance(module, _FOLLOW_NOTHING):
            return self._pass(node, "second", "last", "flat")
        if isinstance(module, _POOLS):
            return self._pass(node, "second")
        if isinstance(module, nn.Flatten) and (module.start_dim, module.end_dim) == (1, -1):
            return self._flat(node)
        places = _norm_places(module)
        found = self._first(node, *places) if places else None
        if found is None or found.order.root().size != _features(module):
            return self._unknown(node)
        return self._between(found, name, again)

    def _between(self, found: _Channels, name: str, again: bool) -> _Channels:
        found.order.root().between.append(name)
        if again:
            self._fix(name)
        return found

    def _layer(
        self, node: fx.Node, name: str, module: nn.Conv1d | nn.Conv2d | nn.Linear, again: bool
    ) -> _Channels | None:
        linear = isinstance(module, nn.Linear)
        found = self._first(node, *(("last", "flat") if linear else ("second",)))
        groups = 1 if isinstance(module, nn.Linear) else module.groups
        if groups > 1 and found and groups == len(module.weight) == found.order.root().size:
            return self._between(found, name, again)
        width = module.weight.shape[1]
        if found and groups == 1 and not again and width % found.order.root().size == 0:
            found.order.root().readers.append(name)
        else:
            self._unknown(node)
        if again:
            self._fix(name)
            return None
        order = Order(len(module.weight), [name], fixed=groups > 1)
        self.orders.append(order)
        return _Channels(order, "last" if linear else "second")

    def _fix(self, name: str) -> None:
        """Fix the orders that a module takes part in, because it is called again."""
        for order in self.orders:
            root = order.root()
            if name in root.writers + root.readers + root.between:
                root.fixed = True

    def _function(self, node: fx.Node) -> _Channels | None:
        name = getattr(node.target, "__name__", str(node.target))
        if name in _SIZES:
            return None
        if name in _NAMES:
            return self._pass(node, "second", "last", "flat")
        if name in _POOL_NAMES:
            return self._pass(node, "second")
        if name in _JOINS:
            return self._join(node)
        if name == "flatten" and _arguments(node) in ((1,), (1, -1)):
            return self._flat(node)
        if name == "mean" and _over_maps(node):
            found = self._first(node, "second")
            keeps = len(_arguments(node)) > 1
            place = "second" if keeps else "flat"
            return _Channels(found.order, place) if found else self._unknown(node)
        return self._unknown(node)

    def _pass(self, node: fx.Node, *places: str) -> _Channels | None:
        return self._first(node, *places) or self._unknown(node)

    def _flat(self, node: fx.Node) -> _Channels | None:
        found = self._first(node, "second", "flat")
        return _Channels(found.order, "flat") if found else self._unknown(node)

    def _join(self, node: fx.Node) -> _Channels | None:
        found = self._inputs(node)
        known = [channels for channels in found if channels]
        places = {channels.place for channels in known}
        sizes = {channels.order.root().size for channels in known}
        if len(known) < len(found) or len(places) != 1 or len(sizes) != 1:
            return self._unknown(node)
        first = known[0].order.root()
        for channels in known[1:]:
            unite(first, channels.order.root())
        return known[0]


def _shared(model: nn.Module) -> set[str]:
    """Return the modules that share a parameter with another one."""
    found = list(model.named_parameters(remove_duplicate=False))
    number = Counter(id(parameter) for _, parameter in found)
    return {name.rpartition(".")[0] for name, parameter in found if number[id(parameter)] > 1}


def _norm_places(module: nn.Module) -> tuple[str, ...]:
    """Return where a module with a parameter a channel expects the channels."""
    if isinstance(module, _BatchNorm):
        return ("second", "flat", "last")
    if isinstance(module, nn.PReLU) and module.num_parameters > 1:
        return ("second", "flat")
    return ("last",) if isinstance(module, nn.LayerNorm) else ()


def _features(module: nn.Module) -> int:
    if isinstance(module, nn.LayerNorm):
        return module.normalized_shape[0] if len(module.normalized_shape) == 1 else -1
    return int(getattr(module, "num_features", getattr(module, "num_parameters", -1)))


def _arguments(node: fx.Node) -> tuple[Any, ...]:
    """Return the arguments after the tensor, however they are given."""
    return (*node.args[1:], *node.kwargs.values())


def _over_maps(node: fx.Node) -> bool:
    dims, *keeps = _arguments(node) or ((),)
    over = tuple(dims) if isinstance(dims, tuple | list) else ()
    return over in ((2, 3), (-2, -1), (-1, -2)) and keeps in ([], [True])
