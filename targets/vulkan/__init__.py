"""The Vulkan target: a device and a code generator for TVM wheels that were built without them.

`device/` is the device in C++, `library` compiles and loads it, `spirv/` and `generator` turn TVM's
device functions into SPIR-V, `container` packs them as TVM's own Vulkan runtime does, and
`register` makes all of it known to TVM.
"""
