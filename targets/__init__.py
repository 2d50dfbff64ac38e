"""Device profiles: one TOML file a target, and the loader that checks them."""

from tvm_sparse.targets.profile import Target, load, load_here, names

__all__ = ["Target", "load", "load_here", "names"]
