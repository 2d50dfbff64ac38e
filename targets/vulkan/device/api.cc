// What TVM asks a device for; registered under names of ours, which Python forwards TVM's to.
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
#include <tvm/runtime/device_api.h>

#include <string>

#include "device.h"
#include "module.h"

namespace tvm_sparse {

namespace ffi = tvm::ffi;
using tvm::runtime::DeviceAttrKind;

namespace {

std::string Version(uint32_t version) {
  return std::to_string(VK_VERSION_MAJOR(version)) + "." +
         std::to_string(VK_VERSION_MINOR(version)) + "." +
         std::to_string(VK_VERSION_PATCH(version));
}

class Api final : public tvm::runtime::DeviceAPI {
 public:
  void SetDevice(DLDevice dev) final { Device::Current() = dev.device_id; }

  void GetAttr(DLDevice dev, DeviceAttrKind kind, ffi::Any* value) final {
    namespace attr = tvm::runtime;
    if (kind == attr::kExist) {
      *value = static_cast<int>(dev.device_id >= 0 && dev.device_id < Instance::Get().number);
      return;
    }
    Device& device = Device::Get(dev.device_id);
    const VkPhysicalDeviceLimits& limits = device.properties.limits;
    std::lock_guard<std::recursive_mutex> lock(device.mutex);
    if (kind == attr::kMaxThreadsPerBlock) {
      *value = static_cast<int64_t>(limits.maxComputeWorkGroupInvocations);
    } else if (kind == attr::kWarpSize) {
      *value = static_cast<int64_t>(device.subgroup_size);
    } else if (kind == attr::kMaxSharedMemoryPerBlock) {
      *value = static_cast<int64_t>(limits.maxComputeSharedMemorySize);
    } else if (kind == attr::kDeviceName) {
      *value = ffi::String(device.properties.deviceName);
    } else if (kind == attr::kMaxThreadDimensions) {
      const uint32_t* size = limits.maxComputeWorkGroupSize;
      *value = ffi::String("[" + std::to_string(size[0]) + ", " + std::to_string(size[1]) + ", " +
                           std::to_string(size[2]) + "]");
    } else if (kind == attr::kApiVersion) {
      *value = ffi::String(Version(device.properties.apiVersion));
    } else if (kind == attr::kDriverVersion) {
      *value = static_cast<int64_t>(device.properties.driverVersion);
    } else if (kind == attr::kTotalGlobalMemory) {
      *value = static_cast<int64_t>(device.memory->Total());
    } else if (kind == attr::kAvailableGlobalMemory) {
      *value = static_cast<int64_t>(device.memory->Total() - device.memory->Used());
    }
  }

  void* AllocDataSpace(DLDevice dev, size_t size, size_t, DLDataType) final {
    return Device::Get(dev.device_id).Allocate(size);
  }

  void FreeDataSpace(DLDevice dev, void* data) final {
    Device& device = Device::Get(dev.device_id);
    std::lock_guard<std::recursive_mutex> lock(device.mutex);
    device.memory->Free(static_cast<Buffer*>(data));
  }

  void StreamSync(DLDevice dev, TVMStreamHandle) final {
    Device& device = Device::Get(dev.device_id);
    std::lock_guard<std::recursive_mutex> lock(device.mutex);
    device.stream->Wait();
  }

 protected:
  void CopyDataFromTo(const void* from, size_t from_offset, void* to, size_t to_offset, size_t size,
                      DLDevice dev_from, DLDevice dev_to, DLDataType, TVMStreamHandle) final {
    bool from_device = dev_from.device_type == kDLVulkan, to_device = dev_to.device_type == kDLVulkan;
    if (from_device && to_device && dev_from.device_id != dev_to.device_id) {
      std::string through(size, 0);
      DLDevice host{kDLCPU, 0};
      CopyDataFromTo(from, from_offset, through.data(), 0, size, dev_from, host, {}, nullptr);
      CopyDataFromTo(through.data(), 0, to, to_offset, size, host, dev_to, {}, nullptr);
      return;
    }
    Device& device = Device::Get(from_device ? dev_from.device_id : dev_to.device_id);
    std::lock_guard<std::recursive_mutex> lock(device.mutex);
    auto* source = static_cast<const Buffer*>(from);
    auto* target = static_cast<const Buffer*>(to);
    if (from_device && to_device) {
      device.stream->Copy(*source, from_offset, *target, to_offset, size);
    } else if (from_device) {
      device.stream->Download(*source, from_offset, static_cast<char*>(to) + to_offset, size);
    } else {
      device.stream->Upload(static_cast<const char*>(from) + from_offset, *target, to_offset, size);
    }
  }
};

void* Global() {
  static auto* api = new Api();
  return static_cast<tvm::runtime::DeviceAPI*>(api);
}

ffi::Module Load(const ffi::Bytes& bytes) { return ffi::Module(ffi::make_object<Module>(bytes)); }

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::reflection::GlobalDef()
      .def("tvm_sparse.vulkan.device_api", Global)
      .def("tvm_sparse.vulkan.load_module", Load)
      .def("tvm_sparse.vulkan.supports", [](DLDevice dev, ffi::String name) -> ffi::Any {
        const Device& device = Device::Get(dev.device_id);
        if (std::string(name) == "supported_subgroup_operations") {
          return static_cast<int64_t>(device.subgroup_operations);
        }
        return device.Supports(std::string(name));
      });
}

}  // namespace tvm_sparse
