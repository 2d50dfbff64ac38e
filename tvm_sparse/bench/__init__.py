"""Measure our kernels and models against dense engines, in one process, interleaved."""
