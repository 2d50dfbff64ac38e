"""Relax passes, one a file; `pipeline` is the one ordered list.

The folder's name is historical: Relay, TVM's first graph language, left TVM in 0.20. Every pass
here rewrites Relax or TIR and is an ordinary `tvm.transform` pass.
"""
