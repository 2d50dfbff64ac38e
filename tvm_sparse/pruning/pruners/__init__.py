"""Pruning algorithms, one a file: ``prune(model, schemes, …)`` changes a torch model in place."""
