"""The whole run: train, profile, plan, prune, fine-tune, quantize, tune, build, report."""
