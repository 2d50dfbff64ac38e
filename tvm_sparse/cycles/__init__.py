"""Modelled cycles of ARM kernels, where no board is at hand.

A program that calls the kernels runs under qemu's user mode, and a plugin counts how often each
block of instructions is executed. llvm-mca tells from LLVM's model of a core how many cycles a
block takes when it follows itself. The sum of their products ranks kernels.

The model knows the core's pipelines and nothing else: every load hits the first cache, every branch
is foretold, blocks do not overlap, one thread runs. Times under emulation mean nothing and are
never taken.
"""
