// Vulkan's functions, found at run time, so that nothing here is linked to a loader.
#pragma once

#include "vulkan_functions.h"

namespace tvm_sparse {

#define TVM_SPARSE_VULKAN_FUNCTIONS(F) \
  F(AllocateCommandBuffers)            \
  F(AllocateDescriptorSets)            \
  F(AllocateMemory)                    \
  F(BeginCommandBuffer)                \
  F(BindBufferMemory)                  \
  F(CmdBindDescriptorSets)             \
  F(CmdBindPipeline)                   \
  F(CmdCopyBuffer)                     \
  F(CmdDispatch)                       \
  F(CmdPipelineBarrier)                \
  F(CmdPushConstants)                  \
  F(CmdResetQueryPool)                 \
  F(CmdWriteTimestamp)                 \
  F(CreateBuffer)                      \
  F(CreateCommandPool)                 \
  F(CreateComputePipelines)            \
  F(CreateDescriptorPool)              \
  F(CreateDescriptorSetLayout)         \
  F(CreateDevice)                      \
  F(CreateFence)                       \
  F(CreatePipelineCache)               \
  F(CreatePipelineLayout)              \
  F(CreateQueryPool)                   \
  F(CreateShaderModule)                \
  F(DestroyBuffer)                     \
  F(DestroyPipeline)                   \
  F(DestroyQueryPool)                  \
  F(DestroyShaderModule)               \
  F(EndCommandBuffer)                  \
  F(EnumeratePhysicalDevices)          \
  F(FreeMemory)                        \
  F(GetBufferMemoryRequirements)       \
  F(GetDeviceQueue)                    \
  F(GetPhysicalDeviceFeatures2)        \
  F(GetPhysicalDeviceMemoryProperties) \
  F(GetPhysicalDeviceProperties)       \
  F(GetPhysicalDeviceProperties2)      \
  F(GetPhysicalDeviceQueueFamilyProperties) \
  F(GetQueryPoolResults)               \
  F(MapMemory)                         \
  F(QueueSubmit)                       \
  F(ResetCommandBuffer)                \
  F(ResetDescriptorPool)               \
  F(ResetFences)                       \
  F(UpdateDescriptorSets)              \
  F(WaitForFences)

#define TVM_SPARSE_DECLARE(name) extern PFN_vk##name vk##name;
TVM_SPARSE_VULKAN_FUNCTIONS(TVM_SPARSE_DECLARE)
#undef TVM_SPARSE_DECLARE

// Throw a RuntimeError that says what failed and what can be done about it.
void Check(VkResult result, const char* what);

// The devices that can compute, the fastest kind first; empty without a loader or a driver.
struct Instance {
  VkPhysicalDevice* devices;
  int number;
  static const Instance& Get();
};

}  // namespace tvm_sparse
