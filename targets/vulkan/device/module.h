// Compiled kernels, in the bytes that TVM's own Vulkan runtime writes and reads.
#pragma once

#include <tvm/ffi/container/map.h>
#include <tvm/ffi/extra/module.h>
#include <tvm/ffi/function.h>

#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "device.h"

namespace tvm_sparse {

// One kernel: SPIR-V, and how it is called.
struct Kernel {
  // Bit 1 of a shader's flags: the first workgroup's index follows the scalars, as three uint32,
  // so that grids larger than the device's limit can be launched in parts.
  static constexpr uint32_t kSplitGrid = 2;

  std::string name;
  std::vector<uint32_t> code;
  uint32_t flags = 0;
  std::vector<DLDataType> arguments;
  // For each launch parameter: 0 to 2 for the grid's x, y, z, and 3 to 5 for the workgroup's.
  std::vector<int> launch;
  uint32_t buffers = 0, scalars = 0;

  ~Kernel();
  void Launch(tvm::ffi::PackedArgs args);

 private:
  const Pipeline& On(int index, Device& device, const uint32_t threads[3]);
  void Read(tvm::ffi::PackedArgs args, Device& device, VkDescriptorBufferInfo* buffers,
            char* scalars) const;
  void LaunchGrid(Device& device, const Pipeline& pipeline, const VkDescriptorBufferInfo* buffers,
                  char* scalars, const uint32_t grid[3]) const;

  std::unordered_map<int, Pipeline> pipelines_;
};

class Module final : public tvm::ffi::ModuleObj {
 public:
  explicit Module(const tvm::ffi::Bytes& bytes);

  const char* kind() const final { return "vulkan"; }
  int GetPropertyMask() const final {
    return tvm::ffi::Module::kBinarySerializable | tvm::ffi::Module::kRunnable;
  }
  tvm::ffi::Bytes SaveToBytes() const final { return bytes_; }
  tvm::ffi::Optional<tvm::ffi::Function> GetFunction(const tvm::ffi::String& name) final;

 private:
  tvm::ffi::Bytes bytes_;
  std::unordered_map<std::string, std::shared_ptr<Kernel>> kernels_;
};

}  // namespace tvm_sparse
