#include <tvm/ffi/error.h>

#include <algorithm>
#include <cstring>

#include "module.h"

namespace tvm_sparse {

namespace ffi = tvm::ffi;

namespace {

constexpr uint32_t kMostBuffers = 64, kMostScalarBytes = 256;

void WriteScalar(const ffi::AnyView& value, DLDataType type, char* slot) {
  if (type.code == kDLFloat && type.bits == 32) {
    float number = static_cast<float>(value.cast<double>());
    std::memcpy(slot, &number, sizeof(number));
  } else if (type.code == kDLFloat && type.bits == 64) {
    double number = value.cast<double>();
    std::memcpy(slot, &number, sizeof(number));
  } else {
    int64_t number = value.cast<int64_t>();
    std::memcpy(slot, &number, sizeof(number));
  }
}

}  // namespace

Kernel::~Kernel() {
  for (auto& [index, pipeline] : pipelines_) {
    Device& device = Device::Get(index);
    std::lock_guard<std::recursive_mutex> lock(device.mutex);
    try {
      device.stream->Wait();
    } catch (const ffi::Error&) {
      continue;  // a lost device has nothing left to destroy
    }
    device.pipelines->Destroy(pipeline);
  }
}

void Kernel::Launch(ffi::PackedArgs args) {
  int index = Device::Current();
  Device& device = Device::Get(index);
  std::lock_guard<std::recursive_mutex> lock(device.mutex);
  uint32_t sizes[6] = {1, 1, 1, 1, 1, 1};
  for (size_t i = 0; i < launch.size(); ++i) {
    int64_t size = args[static_cast<int>(arguments.size() + i)].cast<int64_t>();
    if (size == 0) return;
    sizes[launch[i]] = static_cast<uint32_t>(size);
  }
  if (buffers > kMostBuffers || scalars * 8 > kMostScalarBytes) {
    TVM_FFI_THROW(RuntimeError) << "Vulkan: kernel " << name << " has " << buffers
                                << " buffers and " << scalars << " scalars; at most "
                                << kMostBuffers << " and " << kMostScalarBytes / 8 << " are allowed";
  }
  const Pipeline& pipeline = On(index, device, sizes + 3);
  VkDescriptorBufferInfo infos[kMostBuffers];
  char bytes[kMostScalarBytes + 16];
  Read(args, device, infos, bytes);
  LaunchGrid(device, pipeline, infos, bytes, sizes);
}

const Pipeline& Kernel::On(int index, Device& device, const uint32_t threads[3]) {
  auto found = pipelines_.find(index);
  if (found != pipelines_.end()) return found->second;
  Interface interface{buffers, scalars * 8, {threads[0], threads[1], threads[2]}};
  if (flags & kSplitGrid) interface.scalar_bytes += 12;
  return pipelines_[index] = device.pipelines->Create(name.c_str(), code, interface);
}

void Kernel::Read(ffi::PackedArgs args, Device& device, VkDescriptorBufferInfo* infos,
                  char* bytes) const {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].code != kDLOpaqueHandle) {
      WriteScalar(args[static_cast<int>(i)], arguments[i], bytes);
      bytes += 8;
      continue;
    }
    auto* buffer = static_cast<Buffer*>(args[static_cast<int>(i)].cast<void*>());
    if (buffer->size > device.properties.limits.maxStorageBufferRange) {
      TVM_FFI_THROW(RuntimeError)
          << "Vulkan: kernel " << name << " reads or writes a tensor of " << buffer->size
          << " bytes, and kernels on " << device.properties.deviceName << " reach "
          << device.properties.limits.maxStorageBufferRange << ": use smaller tensors";
    }
    *infos++ = {buffer->handle, buffer->offset, buffer->size};
  }
}

void Kernel::LaunchGrid(Device& device, const Pipeline& pipeline,
                        const VkDescriptorBufferInfo* infos, char* bytes,
                        const uint32_t grid[3]) const {
  const uint32_t* most = device.properties.limits.maxComputeWorkGroupCount;
  bool split = flags & kSplitGrid;
  uint32_t scalar_bytes = scalars * 8 + (split ? 12 : 0);
  if (!split && (grid[0] > most[0] || grid[1] > most[1] || grid[2] > most[2])) {
    TVM_FFI_THROW(RuntimeError) << "Vulkan: kernel " << name << " has a grid of " << grid[0] << " × "
                                << grid[1] << " × " << grid[2] << ", and the device allows "
                                << most[0] << " × " << most[1] << " × " << most[2];
  }
  uint32_t base[3];
  for (base[2] = 0; base[2] < grid[2]; base[2] += most[2]) {
    for (base[1] = 0; base[1] < grid[1]; base[1] += most[1]) {
      for (base[0] = 0; base[0] < grid[0]; base[0] += most[0]) {
        uint32_t part[3];
        for (int i = 0; i < 3; ++i) part[i] = std::min(most[i], grid[i] - base[i]);
        if (split) std::memcpy(bytes + scalars * 8, base, sizeof(base));
        device.Launch(pipeline, infos, buffers, bytes, scalar_bytes, part);
        if (most[0] >= grid[0] - base[0]) break;
      }
      if (most[1] >= grid[1] - base[1]) break;
    }
    if (most[2] >= grid[2] - base[2]) break;
  }
}

}  // namespace tvm_sparse
