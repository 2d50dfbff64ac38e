"""Boards: serve one, list them, run compiled models and candidates on them, by TVM's RPC."""
