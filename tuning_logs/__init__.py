"""Tuned records and latency tables, one folder a target; none are packaged yet."""
