"""From TVM's device functions to SPIR-V, in plain Python."""
