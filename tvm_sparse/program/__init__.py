"""Compiled models as static executables, for machines that TVM's runtime does not exist for."""
