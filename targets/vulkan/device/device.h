// A logical device: its features, its memory, its stream, and what was made on it.
#pragma once

#include <mutex>
#include <string>

#include "memory.h"
#include "pipeline.h"
#include "stream.h"
#include "vk.h"

namespace tvm_sparse {

class Device {
 public:
  // Opened when first asked for; lives as long as the process. Throws a RuntimeError if there is
  // no such device.
  static Device& Get(int index);
  // Of the calling thread, as TVM sets it before it launches kernels.
  static int& Current();

  Buffer* Allocate(size_t size);
  void Launch(const Pipeline& pipeline, const VkDescriptorBufferInfo* buffers, uint32_t number,
              const void* scalars, uint32_t scalar_bytes, const uint32_t groups[3]);
  // Whether the device has what a target's attribute of this name promises, e.g. supports_int8.
  bool Supports(const std::string& name) const;

  // Held by whoever uses what follows.
  std::recursive_mutex mutex;
  VkPhysicalDeviceProperties properties;
  uint32_t subgroup_size = 1;
  uint32_t subgroup_operations = 0;  // bits, of what kernels may use
  uint32_t timestamp_bits = 0;
  VkDevice handle = VK_NULL_HANDLE;
  Memory* memory = nullptr;
  Pipelines* pipelines = nullptr;
  Descriptors* descriptors = nullptr;
  Stream* stream = nullptr;

 private:
  explicit Device(VkPhysicalDevice physical);
  void ReadFeatures(VkPhysicalDevice physical);
  uint32_t FindQueue(VkPhysicalDevice physical);

  VkPhysicalDeviceFeatures2 features_{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2};
  VkPhysicalDeviceVulkan11Features features11_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES};
  VkPhysicalDeviceVulkan12Features features12_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES};
  VkPhysicalDeviceVulkan13Features features13_{
      VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES};
};

}  // namespace tvm_sparse
