// The part of Vulkan's C interface (vulkan_core.h, Khronos, Apache-2.0) that the device uses, so that
// no headers need to be installed. Names, numbers and layouts are those of the standard.
#pragma once

#include <cstddef>
#include <cstdint>

extern "C" {

#define VK_TRUE 1u
#define VK_FALSE 0u
#define VK_NULL_HANDLE nullptr
#define VK_WHOLE_SIZE (~0ull)
#define VK_MAX_MEMORY_HEAPS 16U
#define VK_MAX_MEMORY_TYPES 32U
#define VK_MAX_PHYSICAL_DEVICE_NAME_SIZE 256U
#define VK_UUID_SIZE 16U
#define VK_API_VERSION_1_1 ((1u << 22) | (1u << 12))
#define VK_API_VERSION_1_2 ((1u << 22) | (2u << 12))
#define VK_API_VERSION_1_3 ((1u << 22) | (3u << 12))
#define VK_VERSION_MAJOR(version) ((version) >> 22)
#define VK_VERSION_MINOR(version) (((version) >> 12) & 0x3ffu)
#define VK_VERSION_PATCH(version) ((version) & 0xfffu)

typedef uint32_t VkBool32;
typedef uint64_t VkDeviceSize;
typedef uint32_t VkFlags;
    typedef VkFlags VkAccessFlags, VkBufferCreateFlags, VkBufferUsageFlags,
    VkCommandBufferResetFlags, VkCommandBufferUsageFlags, VkCommandPoolCreateFlags,
    VkDependencyFlags, VkDescriptorPoolCreateFlags, VkDescriptorPoolResetFlags,
    VkDescriptorSetLayoutCreateFlags, VkDeviceCreateFlags, VkDeviceQueueCreateFlags,
    VkFenceCreateFlags, VkInstanceCreateFlags, VkMemoryHeapFlags, VkMemoryMapFlags,
    VkMemoryPropertyFlags, VkPipelineCacheCreateFlags, VkPipelineCreateFlags,
    VkPipelineLayoutCreateFlags, VkPipelineShaderStageCreateFlags, VkPipelineStageFlags,
    VkQueryPipelineStatisticFlags, VkQueryPoolCreateFlags, VkQueryResultFlags, VkQueueFlags,
    VkSampleCountFlags, VkShaderModuleCreateFlags, VkShaderStageFlags, VkSubgroupFeatureFlags;

typedef struct VkBuffer_T* VkBuffer;
typedef struct VkBufferView_T* VkBufferView;
typedef struct VkCommandBuffer_T* VkCommandBuffer;
typedef struct VkCommandPool_T* VkCommandPool;
typedef struct VkDescriptorPool_T* VkDescriptorPool;
typedef struct VkDescriptorSet_T* VkDescriptorSet;
typedef struct VkDescriptorSetLayout_T* VkDescriptorSetLayout;
typedef struct VkDevice_T* VkDevice;
typedef struct VkDeviceMemory_T* VkDeviceMemory;
typedef struct VkFence_T* VkFence;
typedef struct VkInstance_T* VkInstance;
typedef struct VkPhysicalDevice_T* VkPhysicalDevice;
typedef struct VkPipeline_T* VkPipeline;
typedef struct VkPipelineCache_T* VkPipelineCache;
typedef struct VkPipelineLayout_T* VkPipelineLayout;
typedef struct VkQueryPool_T* VkQueryPool;
typedef struct VkQueue_T* VkQueue;
typedef struct VkSampler_T* VkSampler;
typedef struct VkSemaphore_T* VkSemaphore;
typedef struct VkShaderModule_T* VkShaderModule;

enum VkAccessFlagBits {
  VK_ACCESS_SHADER_READ_BIT = 0x00000020, VK_ACCESS_SHADER_WRITE_BIT = 0x00000040,
  VK_ACCESS_TRANSFER_READ_BIT = 0x00000800, VK_ACCESS_TRANSFER_WRITE_BIT = 0x00001000,
  VK_ACCESS_HOST_READ_BIT = 0x00002000, VK_ACCESS_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkBufferUsageFlagBits {
  VK_BUFFER_USAGE_TRANSFER_SRC_BIT = 0x00000001, VK_BUFFER_USAGE_TRANSFER_DST_BIT = 0x00000002,
  VK_BUFFER_USAGE_STORAGE_BUFFER_BIT = 0x00000020, VK_BUFFER_USAGE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkCommandBufferLevel {
  VK_COMMAND_BUFFER_LEVEL_PRIMARY = 0, VK_COMMAND_BUFFER_LEVEL_MAX_ENUM = 0x7FFFFFFF
};
enum VkCommandBufferUsageFlagBits {
  VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT = 0x00000001,
  VK_COMMAND_BUFFER_USAGE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkCommandPoolCreateFlagBits {
  VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT = 0x00000002,
  VK_COMMAND_POOL_CREATE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkDescriptorType {
  VK_DESCRIPTOR_TYPE_STORAGE_BUFFER = 7, VK_DESCRIPTOR_TYPE_MAX_ENUM = 0x7FFFFFFF
};
enum VkMemoryHeapFlagBits {
  VK_MEMORY_HEAP_DEVICE_LOCAL_BIT = 0x00000001, VK_MEMORY_HEAP_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkMemoryPropertyFlagBits {
  VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT = 0x00000001,
  VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT = 0x00000002,
  VK_MEMORY_PROPERTY_HOST_COHERENT_BIT = 0x00000004,
  VK_MEMORY_PROPERTY_HOST_CACHED_BIT = 0x00000008,
  VK_MEMORY_PROPERTY_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkPhysicalDeviceType {
  VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU = 1, VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU = 2,
  VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU = 3, VK_PHYSICAL_DEVICE_TYPE_MAX_ENUM = 0x7FFFFFFF
};
enum VkPipelineBindPoint {
  VK_PIPELINE_BIND_POINT_COMPUTE = 1, VK_PIPELINE_BIND_POINT_MAX_ENUM = 0x7FFFFFFF
};
enum VkPipelineStageFlagBits {
  VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT = 0x00000800, VK_PIPELINE_STAGE_TRANSFER_BIT = 0x00001000,
  VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT = 0x00002000, VK_PIPELINE_STAGE_HOST_BIT = 0x00004000,
  VK_PIPELINE_STAGE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkQueryResultFlagBits {
  VK_QUERY_RESULT_64_BIT = 0x00000001, VK_QUERY_RESULT_WAIT_BIT = 0x00000002,
  VK_QUERY_RESULT_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkQueryType { VK_QUERY_TYPE_TIMESTAMP = 2, VK_QUERY_TYPE_MAX_ENUM = 0x7FFFFFFF };
enum VkQueueFlagBits {
  VK_QUEUE_COMPUTE_BIT = 0x00000002, VK_QUEUE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkResult {
  VK_ERROR_TOO_MANY_OBJECTS = -10, VK_ERROR_FEATURE_NOT_PRESENT = -8, VK_ERROR_DEVICE_LOST = -4,
  VK_ERROR_INITIALIZATION_FAILED = -3, VK_ERROR_OUT_OF_DEVICE_MEMORY = -2,
  VK_ERROR_OUT_OF_HOST_MEMORY = -1, VK_SUCCESS = 0, VK_RESULT_MAX_ENUM = 0x7FFFFFFF
};
enum VkShaderStageFlagBits {
  VK_SHADER_STAGE_COMPUTE_BIT = 0x00000020, VK_SHADER_STAGE_FLAG_BITS_MAX_ENUM = 0x7FFFFFFF
};
enum VkSharingMode { VK_SHARING_MODE_MAX_ENUM = 0x7FFFFFFF };
enum VkStructureType {
  VK_STRUCTURE_TYPE_APPLICATION_INFO = 0, VK_STRUCTURE_TYPE_INSTANCE_CREATE_INFO = 1,
  VK_STRUCTURE_TYPE_DEVICE_QUEUE_CREATE_INFO = 2, VK_STRUCTURE_TYPE_DEVICE_CREATE_INFO = 3,
  VK_STRUCTURE_TYPE_SUBMIT_INFO = 4, VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO = 5,
  VK_STRUCTURE_TYPE_FENCE_CREATE_INFO = 8, VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO = 11,
  VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO = 12, VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO = 16,
  VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO = 17,
  VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO = 18,
  VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO = 29,
  VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO = 30,
  VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO = 32,
  VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO = 33,
  VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO = 34, VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET = 35,
  VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO = 39,
  VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO = 40,
  VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO = 42, VK_STRUCTURE_TYPE_MEMORY_BARRIER = 46,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_1_FEATURES = 49,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_2_FEATURES = 51,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_1_3_FEATURES = 53,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2 = 1000059000,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_PROPERTIES_2 = 1000059001,
  VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES = 1000094000,
  VK_STRUCTURE_TYPE_MAX_ENUM = 0x7FFFFFFF
};

}  // extern "C"
