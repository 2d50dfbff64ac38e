"""Tuning: MetaSchedule's search, with XGBoost, over our kernels.

A model's layers become tasks (`extract`, `task`), a task's kernels spaces of decisions (`space`,
`spaces`, and one file a family of kernels), and these MetaSchedule's own (`sampling`); `candidate`
makes and runs the kernel of a sample, `records` tells which one to use, `folder` keeps them.
"""
