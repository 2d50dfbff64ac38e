"""A device profile: what schedules and the cost model need to know about a target."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field, fields, replace
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tvm_sparse import dot
from tvm_sparse.dot import PLAIN, Dot
from tvm_sparse.errors import TargetError
from tvm_sparse.limits import Limits
from tvm_sparse.targets import native

if TYPE_CHECKING:
    from tvm.target import Target as TvmTarget

_FOLDER = Path(__file__).parent
# Where each field of Target stands in the TOML file.
_PLACES = {
    "bits": "vector",
    "registers": "vector",
    "permute": "vector",
    "by_element": "vector",
    "tile_cycles": "vector",
    "l1": "cache",
    "l2": "cache",
    "line": "cache",
    "fma_per_cycle": "rates",
    "loads_per_cycle": "rates",
    "tap": "rates",
    "list_load": "rates",
    "ghz": "rates",
    "gbytes": "rates",
    "cores": "cpu",
    "in_order": "cpu",
    "needs": "cpu",
}


@dataclass(frozen=True, kw_only=True)
class Target:
    """A device that networks are compiled for.

    Parameters
    ----------
    name, description : str
    tvm : dict
        The target as TVM takes it, e.g. ``{"kind": "llvm", "mcpu": "cortex-a72"}``; the value
        ``"native"`` of ``mcpu``, or of a GPU's ``device``, stands for the machine at hand.
    bits, registers : int
        Width in bits, and number, of the vector registers.
    permute : str
        LLVM's intrinsic that takes a vector of floats and one of lane numbers, of which it ignores
        all but the lowest bits, and returns the floats of these lanes; empty if there is none.
    by_element : int
        Weights of a vector that multiply-adds take one by one; what is left over is broadcast,
        which takes as long as a multiply-add. 0 where broadcasting takes nothing but loads.
    tile_cycles : float
        Cycles after which a core starts the next product of two tiles of AMX; 0 without AMX.
    l1, l2, line : int
        Bytes of a core's data caches and of a cache line.
    fma_per_cycle, loads_per_cycle : float
        Vector fused multiply-adds, and vector loads from L1, that a core starts each cycle.
    tap : float
        Cycles that a tap takes at least besides its multiply-adds; 0 if the cost formula's own
        constants hold.
    list_load : float
        Cycles of a load unit that a load takes in lists of single weights.
    ghz, gbytes : float
        Clock under vector load (GHz), and memory bandwidth of one core (GB/s).
    cores : int
    in_order : bool
        Whether a core executes instructions in the order in which they stand.
    needs : tuple of str
        CPU feature flags without which compiled code cannot run.
    """

    name: str
    description: str = ""
    tvm: dict[str, Any] = field(default_factory=lambda: {"kind": "llvm"}, hash=False)
    bits: int = 128
    registers: int = 16
    permute: str = ""
    by_element: int = 0
    tile_cycles: float = 0.0
    l1: int = 32 << 10
    l2: int = 256 << 10
    line: int = 64
    fma_per_cycle: float = 2.0
    loads_per_cycle: float = 2.0
    tap: float = 0.0
    list_load: float = 1.9
    ghz: float = 3.0
    gbytes: float = 12.0
    cores: int = 1
    in_order: bool = False
    needs: tuple[str, ...] = ()

    @property
    def lanes(self) -> int:
        """Floats in a vector register."""
        return self.bits // 32

    @property
    def has_halves(self) -> bool:
        """Whether it multiplies and adds halves, as many as fit into a CPU's register."""
        if self.is_gpu:
            known = self._gpu_attributes()
            return all(known.get(name) for name in ("supports_float16", "supports_16bit_buffer"))
        return "+fullfp16" in self.tvm.get("mattr", ())

    @property
    def dot(self) -> Dot:
        """How it multiplies words of four bytes; imports TVM, which knows what CPUs have."""
        return PLAIN if self.is_gpu else _dot(self)

    @property
    def has_fma(self) -> bool:
        """Whether a CPU has fused multiply-adds of floats; imports TVM as `dot` does."""
        return not self.is_gpu and _has_fma(self)

    @property
    def has_matrices(self) -> bool:
        """Whether a CPU multiplies matrices of 2 × 8 bytes; imports TVM as `dot` does."""
        return not self.is_gpu and "i8mm" in _features(self)

    @property
    def in_halves(self) -> Target:
        """The profile of a machine for which a half is what a float is for this one."""
        return replace(
            self,
            bits=2 * self.bits,
            by_element=2 * self.by_element,
            l1=2 * self.l1,
            l2=2 * self.l2,
            line=2 * self.line,
            gbytes=2 * self.gbytes,
        )

    @property
    def is_native(self) -> bool:
        """Whether the profile stands for the machine at hand."""
        return "native" in (self.tvm.get("mcpu"), self.tvm.get("device"))

    @property
    def is_gpu(self) -> bool:
        """Whether kernels run on a GPU; what is said of vectors and caches means nothing then."""
        return self.tvm.get("kind") != "llvm"

    @cached_property
    def limits(self) -> Limits:
        """What a GPU lets a workgroup have; imports TVM."""
        return Limits.of(self.to_tvm().attrs)

    @property
    def triple(self) -> str:
        """LLVM's name of the machine, e.g. ``aarch64-linux-gnu``; empty for the one at hand."""
        return str(self.tvm.get("mtriple", ""))

    def missing(self) -> list[str]:
        """Return the CPU flags that the target needs and this machine lacks."""
        flags = native.cpu_flags()
        return [need for need in self.needs if need not in flags]

    def to_tvm(self) -> TvmTarget:
        """Return the TVM target; imports TVM."""
        from tvm.target import Target as TvmTarget
        from tvm.target.codegen import llvm_get_system_cpu

        host = {"kind": "llvm", "num-cores": self.cores, "mcpu": llvm_get_system_cpu()}
        try:
            if self.is_gpu:
                return TvmTarget(self._gpu_attributes(), host=host)
            own = {"mcpu": host["mcpu"]} if self.is_native else {}
            return TvmTarget({"num-cores": self.cores, **self.tvm, **own})
        except (ValueError, TypeError, RuntimeError) as error:
            raise TargetError(
                f"TVM does not accept the [tvm] table of target {self.name!r}: {error}"
            ) from error

    def _gpu_attributes(self) -> dict[str, Any]:
        if self.tvm["kind"] != "vulkan":
            return self.tvm
        from tvm_sparse.targets.vulkan import describe

        return describe.attributes(self.tvm)


@cache
def _dot(target: Target) -> Dot:
    return dot.of_features(_features(target))


@cache
def _has_fma(target: Target) -> bool:
    features = _features(target)
    return bool(features & {"fma", "vfp4"}) or {"neon", "aclass"} & features == {"neon"}


@cache
def _features(target: Target) -> frozenset[str]:
    """Return a CPU's features, as LLVM names them."""
    from tvm.target.codegen import llvm_get_cpu_features

    return frozenset(llvm_get_cpu_features(target.to_tvm()))


def names() -> tuple[str, ...]:
    """Return the names of the packaged targets, sorted."""
    return tuple(sorted(path.stem for path in _FOLDER.glob("*.toml")))


def load(target: str | Path | Target | TvmTarget) -> Target:
    """Return the profile of a target.

    Parameters
    ----------
    target : str, path, Target or tvm.target.Target
        A packaged profile's name (`names`), the path of a TOML profile, or a target itself.

    Raises
    ------
    TargetError
        If there is no such profile, or it is invalid.
    """
    if isinstance(target, Target):
        return target
    if not isinstance(target, (str, Path)):
        return _from_tvm(target)
    path = _FOLDER / f"{target}.toml"
    if not path.is_file():
        path = Path(target)
    if path.suffix != ".toml" or not path.is_file():
        raise TargetError(
            f"unknown target {str(target)!r}; expected one of {', '.join(names())}, "
            "or the path of a TOML profile"
        )
    return _read(path)


def load_here(target: str | Path | Target | TvmTarget) -> Target:
    """Return the profile of a target that kernels can be run and measured for on this machine.

    Raises
    ------
    TargetError
        As `load` raises; or if this CPU, or GPU, lacks what the target needs, or there is none.
    """
    profile = load(target)
    if profile.is_gpu:
        _demand_gpu(profile)
    if profile.missing():
        raise TargetError(
            f"cannot run kernels for {profile.name!r}: this CPU lacks "
            f"{', '.join(profile.missing())}; measure on a machine that has them"
        )
    return profile


def _demand_gpu(profile: Target) -> None:
    """Raise unless kernels for a GPU can run on the first one of this machine."""
    from tvm_sparse.targets.vulkan import describe

    kind = profile.tvm["kind"]
    if kind != "vulkan":
        raise TargetError(
            f"kernels for {profile.name!r} are not measured: tune and profile know CPUs, and GPUs "
            f"through Vulkan; build compiles for {kind} without them"
        )
    describe.demand()
    here = Limits.of(describe.attributes({"device": "native"}))
    excess = here.beyond(profile.limits.threads, profile.limits.shared)
    if excess:
        raise TargetError(
            f"cannot run kernels for {profile.name!r}: one that uses all that the profile allows "
            f"{excess} on this machine's GPU; measure on a machine with such a GPU"
        )


@cache
def _read(path: Path) -> Target:
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise TargetError(f"cannot read the target profile {path}: {error}") from error
    _check_names(path, tables)
    if tables["tvm"].get("mcpu") == "native":
        tables = {**native.profile(), **tables}
    values = {
        name: tables[table][name]
        for name, table in _PLACES.items()
        if name in tables.get(table, {})
    }
    _check_values(path, values)
    values["needs"] = tuple(values.get("needs", ()))
    return Target(
        name=path.stem, description=tables.get("description", ""), tvm=tables["tvm"], **values
    )


def _check_names(path: Path, tables: dict[str, Any]) -> None:
    known = {
        table: {n for n, t in _PLACES.items() if t == table} for table in set(_PLACES.values())
    }
    if not isinstance(tables.get("tvm"), dict) or "kind" not in tables["tvm"]:
        raise TargetError(f'{path}: expected a table [tvm] with at least kind = "llvm"')
    for table, content in tables.items():
        if table in {"tvm", "description"}:
            continue
        unknown = set(content) - known[table] if table in known else {table}
        if unknown:
            raise TargetError(
                f"{path}: unknown {', '.join(sorted(unknown))}; a profile has the tables "
                + "; ".join(f"[{t}] {', '.join(sorted(n))}" for t, n in sorted(known.items()))
            )


def _check_values(path: Path, values: dict[str, Any]) -> None:
    kinds = {f.name: f.type for f in fields(Target)}
    for name, value in values.items():
        if name == "needs":
            good = isinstance(value, list) and all(isinstance(flag, str) for flag in value)
        elif kinds[name] in ("str", "bool"):
            good = isinstance(value, str if kinds[name] == "str" else bool)
        else:
            allowed = (int,) if kinds[name] == "int" else (int, float)
            good = isinstance(value, allowed) and not isinstance(value, bool) and value > 0
        if not good:
            plain = kinds[name] in ("str", "bool")
            kind = kinds[name] if plain else f"positive {kinds[name]}"
            raise TargetError(f"{path}: {name} must be a {kind}, got {value!r}")


def _from_tvm(target: TvmTarget) -> Target:
    """Return a bare TVM target as the nearest packaged profile, with its own attributes."""
    from tvm.target.codegen import llvm_get_cpu_features

    if target.kind.name == "vulkan":
        return Target(name="vulkan", tvm={"kind": "vulkan", **dict(target.attrs)})
    if target.kind.name != "llvm":
        raise TargetError(
            f"expected a target of kind llvm or vulkan, got {target.kind.name!r}; "
            f"packaged targets: {', '.join(names())}"
        )
    attrs = {key: value for key, value in target.attrs.items() if key != "feature"}
    features = set(llvm_get_cpu_features(target))
    wide = "x86-avx512" if "avx512f" in features else "x86-avx2" if "avx2" in features else ""
    wide = "x86-amx" if {"amx-int8", "amx-bf16"} <= features else wide
    profile = load(wide) if wide else Target(name="generic")
    return replace(
        profile,
        name=str(attrs.get("mcpu", "generic")),
        tvm={"kind": "llvm", **attrs},
        cores=int(attrs.get("num-cores", native.cores())),
    )
