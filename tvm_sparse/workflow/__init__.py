"""The whole run: train or load, profile, plan, prune, fine-tune, tune, build, verify, report."""
