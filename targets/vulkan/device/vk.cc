#include "vk.h"

#include <dlfcn.h>
#include <tvm/ffi/error.h>

#include <algorithm>
#include <vector>

namespace tvm_sparse {

#define TVM_SPARSE_DEFINE(name) PFN_vk##name vk##name = nullptr;
TVM_SPARSE_VULKAN_FUNCTIONS(TVM_SPARSE_DEFINE)
#undef TVM_SPARSE_DEFINE

namespace {

const char* Meaning(VkResult result) {
  switch (result) {
    case VK_ERROR_OUT_OF_HOST_MEMORY:
      return "the host is out of memory";
    case VK_ERROR_OUT_OF_DEVICE_MEMORY:
      return "the device is out of memory: free tensors or build for a smaller batch";
    case VK_ERROR_DEVICE_LOST:
      return "the device was lost (a crash of its driver, or a kernel that ran too long): "
             "start the process again";
    case VK_ERROR_TOO_MANY_OBJECTS:
      return "the driver allows no more allocations";
    case VK_ERROR_FEATURE_NOT_PRESENT:
      return "the device lacks a feature";
    case VK_ERROR_INITIALIZATION_FAILED:
      return "the driver could not start";
    default:
      return "unexpected result";
  }
}

PFN_vkGetInstanceProcAddr FindLoader() {
  for (const char* name : {"libvulkan.so.1", "libvulkan.so", "libvulkan.1.dylib"}) {
    if (void* library = dlopen(name, RTLD_NOW | RTLD_LOCAL)) {
      return reinterpret_cast<PFN_vkGetInstanceProcAddr>(dlsym(library, "vkGetInstanceProcAddr"));
    }
  }
  return nullptr;
}

VkInstance Create(PFN_vkGetInstanceProcAddr get) {
  auto create = reinterpret_cast<PFN_vkCreateInstance>(get(nullptr, "vkCreateInstance"));
  VkApplicationInfo application{VK_STRUCTURE_TYPE_APPLICATION_INFO};
  application.pApplicationName = "tvm_sparse";
  application.apiVersion = VK_API_VERSION_1_3;
  VkInstanceCreateInfo info{VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO};
  info.pApplicationInfo = &application;
  VkInstance instance = VK_NULL_HANDLE;
  return create && create(&info, nullptr, &instance) == VK_SUCCESS ? instance : VK_NULL_HANDLE;
}

int Rank(VkPhysicalDevice device) {
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(device, &properties);
  switch (properties.deviceType) {
    case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU:
      return 0;
    case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU:
      return 1;
    case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU:
      return 2;
    default:
      return 3;
  }
}

bool Usable(VkPhysicalDevice device) {
  VkPhysicalDeviceProperties properties;
  vkGetPhysicalDeviceProperties(device, &properties);
  return properties.apiVersion >= VK_API_VERSION_1_1;
}

std::vector<VkPhysicalDevice>* Find() {
  auto* found = new std::vector<VkPhysicalDevice>();
  PFN_vkGetInstanceProcAddr get = FindLoader();
  VkInstance instance = get ? Create(get) : VK_NULL_HANDLE;
  if (!instance) return found;
#define TVM_SPARSE_FIND(name) vk##name = reinterpret_cast<PFN_vk##name>(get(instance, "vk" #name));
  TVM_SPARSE_VULKAN_FUNCTIONS(TVM_SPARSE_FIND)
#undef TVM_SPARSE_FIND
  uint32_t number = 0;
  if (vkEnumeratePhysicalDevices(instance, &number, nullptr) != VK_SUCCESS) return found;
  found->resize(number);
  if (vkEnumeratePhysicalDevices(instance, &number, found->data()) < 0) number = 0;
  found->resize(number);
  found->erase(std::remove_if(found->begin(), found->end(),
                              [](VkPhysicalDevice device) { return !Usable(device); }),
               found->end());
  std::stable_sort(found->begin(), found->end(), [](VkPhysicalDevice a, VkPhysicalDevice b) {
    return Rank(a) < Rank(b);
  });
  return found;
}

}  // namespace

void Check(VkResult result, const char* what) {
  if (result == VK_SUCCESS) return;
  TVM_FFI_THROW(RuntimeError) << "Vulkan: " << what << ": " << Meaning(result) << " (VkResult "
                              << static_cast<int>(result) << ")";
}

const Instance& Instance::Get() {
  // Lives as long as the process: modules may be released while Python is shutting down.
  static std::vector<VkPhysicalDevice>* devices = Find();
  static Instance instance{devices->data(), static_cast<int>(devices->size())};
  return instance;
}

}  // namespace tvm_sparse
