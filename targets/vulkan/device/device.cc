#include "device.h"

#include <tvm/ffi/error.h>

#include <algorithm>
#include <memory>
#include <unordered_map>
#include <vector>

namespace tvm_sparse {

Device& Device::Get(int index) {
  static auto* mutex = new std::mutex();
  static auto* opened = new std::unordered_map<int, Device*>();
  std::lock_guard<std::mutex> lock(*mutex);
  auto found = opened->find(index);
  if (found != opened->end()) return *found->second;
  const Instance& instance = Instance::Get();
  if (index < 0 || index >= instance.number) {
    TVM_FFI_THROW(RuntimeError)
        << "Vulkan: there is no device " << index << ", drivers offer " << instance.number
        << ": install a driver (Debian: mesa-vulkan-drivers), or name a device below that number";
  }
  return *((*opened)[index] = new Device(instance.devices[index]));
}

int& Device::Current() {
  static thread_local int current = 0;
  return current;
}

Device::Device(VkPhysicalDevice physical) {
  vkGetPhysicalDeviceProperties(physical, &properties);
  ReadFeatures(physical);
  uint32_t family = FindQueue(physical);
  float priority = 1;
  VkDeviceQueueCreateInfo queue_info{VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO};
  queue_info.queueFamilyIndex = family;
  queue_info.queueCount = 1;
  queue_info.pQueuePriorities = &priority;
  VkDeviceCreateInfo info{VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO};
  info.pNext = &features_;
  info.queueCreateInfoCount = 1;
  info.pQueueCreateInfos = &queue_info;
  Check(vkCreateDevice(physical, &info, nullptr, &handle), "opening a device");
  VkQueue queue;
  vkGetDeviceQueue(handle, family, 0, &queue);
  const VkPhysicalDeviceLimits& limits = properties.limits;
  memory = new Memory(physical, handle, limits.minStorageBufferOffsetAlignment);
  pipelines = new Pipelines(handle, limits);
  descriptors = new Descriptors(handle);
  stream = new Stream(handle, queue, family, memory);
}

void Device::ReadFeatures(VkPhysicalDevice physical) {
  void** next = &features_.pNext;
  VkPhysicalDeviceSubgroupProperties subgroup{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES};
  VkPhysicalDeviceProperties2 all{VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2, &subgroup};
  vkGetPhysicalDeviceProperties2(physical, &all);
  subgroup_size = std::max(subgroup.subgroupSize, 1u);
  if (subgroup.supportedStages & VK_SHADER_STAGE_COMPUTE_BIT) {
    subgroup_operations = subgroup.supportedOperations;
  }
  if (properties.apiVersion >= VK_API_VERSION_1_2) {
    *next = &features11_;
    features11_.pNext = &features12_;
    next = &features12_.pNext;
  }
  if (properties.apiVersion >= VK_API_VERSION_1_3) *next = &features13_;
  vkGetPhysicalDeviceFeatures2(physical, &features_);
  features_.features.robustBufferAccess = VK_FALSE;  // costs a comparison an access
}

uint32_t Device::FindQueue(VkPhysicalDevice physical) {
  uint32_t number = 0;
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &number, nullptr);
  std::vector<VkQueueFamilyProperties> families(number);
  vkGetPhysicalDeviceQueueFamilyProperties(physical, &number, families.data());
  for (uint32_t i = 0; i < number; ++i) {
    if (families[i].queueFlags & VK_QUEUE_COMPUTE_BIT) {
      timestamp_bits = families[i].timestampValidBits;
      return i;
    }
  }
  TVM_FFI_THROW(RuntimeError) << "Vulkan: " << properties.deviceName << " cannot compute";
  TVM_FFI_UNREACHABLE();
}

Buffer* Device::Allocate(size_t size) {
  std::lock_guard<std::recursive_mutex> lock(mutex);
  if (Buffer* buffer = memory->Allocate(size)) return buffer;
  stream->Wait();
  descriptors->Forget();  // they name arenas
  memory->ReleaseEmpty();
  if (Buffer* buffer = memory->Allocate(size)) return buffer;
  TVM_FFI_THROW(RuntimeError) << "Vulkan: out of memory on " << properties.deviceName << ": "
                              << size << " bytes were asked for while " << memory->Used()
                              << " are in use: free tensors or build for a smaller batch";
  TVM_FFI_UNREACHABLE();
}

void Device::Launch(const Pipeline& pipeline, const VkDescriptorBufferInfo* buffers,
                    uint32_t number, const void* scalars, uint32_t scalar_bytes,
                    const uint32_t groups[3]) {
  if (descriptors->Full()) {
    stream->Wait();
    descriptors->Forget();
  }
  VkDescriptorSet set = descriptors->Find(pipeline.set, buffers, number);
  stream->Launch(pipeline, set, scalars, scalar_bytes, groups);
}

bool Device::Supports(const std::string& name) const {
  const auto& core = features_.features;
  if (name == "supports_float16") return features12_.shaderFloat16;
  if (name == "supports_float32") return true;
  if (name == "supports_float64") return core.shaderFloat64;
  if (name == "supports_int8") return features12_.shaderInt8;
  if (name == "supports_int16") return core.shaderInt16;
  if (name == "supports_int32") return true;
  if (name == "supports_int64") return core.shaderInt64;
  if (name == "supports_8bit_buffer") return features12_.storageBuffer8BitAccess;
  if (name == "supports_16bit_buffer") return features11_.storageBuffer16BitAccess;
  if (name == "supports_storage_buffer_storage_class") return true;
  if (name == "supports_integer_dot_product") return features13_.shaderIntegerDotProduct;
  return false;
}

}  // namespace tvm_sparse
