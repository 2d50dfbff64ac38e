"""Tuned records and latency tables that are packaged, one folder a target."""
