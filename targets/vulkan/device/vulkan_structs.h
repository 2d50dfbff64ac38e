// The part of Vulkan's C interface (vulkan_core.h, Khronos, Apache-2.0) that the device uses, so that
// no headers need to be installed. Names, numbers and layouts are those of the standard.
#pragma once

#include "vulkan_types.h"

extern "C" {

struct VkAllocationCallbacks;
struct VkBufferMemoryBarrier;
struct VkCommandBufferInheritanceInfo;
struct VkCopyDescriptorSet;
struct VkDescriptorImageInfo;
struct VkImageMemoryBarrier;
struct VkSpecializationInfo;

struct VkApplicationInfo {
  VkStructureType sType; const void* pNext; const char* pApplicationName;
  uint32_t applicationVersion; const char* pEngineName;
  uint32_t engineVersion, apiVersion;
};
struct VkBufferCopy { VkDeviceSize srcOffset, dstOffset, size; };
struct VkBufferCreateInfo {
  VkStructureType sType; const void* pNext; VkBufferCreateFlags flags; VkDeviceSize size;
  VkBufferUsageFlags usage; VkSharingMode sharingMode; uint32_t queueFamilyIndexCount;
  const uint32_t* pQueueFamilyIndices;
};
struct VkCommandBufferAllocateInfo {
  VkStructureType sType; const void* pNext; VkCommandPool commandPool; VkCommandBufferLevel level;
  uint32_t commandBufferCount;
};
struct VkCommandBufferBeginInfo {
  VkStructureType sType; const void* pNext; VkCommandBufferUsageFlags flags;
  const VkCommandBufferInheritanceInfo* pInheritanceInfo;
};
struct VkCommandPoolCreateInfo {
  VkStructureType sType; const void* pNext; VkCommandPoolCreateFlags flags;
  uint32_t queueFamilyIndex;
};
struct VkPipelineShaderStageCreateInfo {
  VkStructureType sType; const void* pNext; VkPipelineShaderStageCreateFlags flags;
  VkShaderStageFlagBits stage; VkShaderModule module; const char* pName;
  const VkSpecializationInfo* pSpecializationInfo;
};
struct VkComputePipelineCreateInfo {
  VkStructureType sType; const void* pNext; VkPipelineCreateFlags flags;
  VkPipelineShaderStageCreateInfo stage; VkPipelineLayout layout; VkPipeline basePipelineHandle;
  int32_t basePipelineIndex;
};
struct VkDescriptorBufferInfo { VkBuffer buffer; VkDeviceSize offset, range; };
struct VkDescriptorPoolSize { VkDescriptorType type; uint32_t descriptorCount; };
struct VkDescriptorPoolCreateInfo {
  VkStructureType sType; const void* pNext; VkDescriptorPoolCreateFlags flags;
  uint32_t maxSets, poolSizeCount; const VkDescriptorPoolSize* pPoolSizes;
};
struct VkDescriptorSetAllocateInfo {
  VkStructureType sType; const void* pNext; VkDescriptorPool descriptorPool;
  uint32_t descriptorSetCount; const VkDescriptorSetLayout* pSetLayouts;
};
struct VkDescriptorSetLayoutBinding {
  uint32_t binding; VkDescriptorType descriptorType; uint32_t descriptorCount;
  VkShaderStageFlags stageFlags; const VkSampler* pImmutableSamplers;
};
struct VkDescriptorSetLayoutCreateInfo {
  VkStructureType sType; const void* pNext; VkDescriptorSetLayoutCreateFlags flags;
  uint32_t bindingCount; const VkDescriptorSetLayoutBinding* pBindings;
};
struct VkDeviceQueueCreateInfo {
  VkStructureType sType; const void* pNext; VkDeviceQueueCreateFlags flags;
  uint32_t queueFamilyIndex, queueCount; const float* pQueuePriorities;
};
struct VkPhysicalDeviceFeatures {
  VkBool32 robustBufferAccess, fullDrawIndexUint32, imageCubeArray, independentBlend,
    geometryShader, tessellationShader, sampleRateShading, dualSrcBlend, logicOp, multiDrawIndirect,
    drawIndirectFirstInstance, depthClamp, depthBiasClamp, fillModeNonSolid, depthBounds, wideLines,
    largePoints, alphaToOne, multiViewport, samplerAnisotropy, textureCompressionETC2,
    textureCompressionASTC_LDR, textureCompressionBC, occlusionQueryPrecise, pipelineStatisticsQuery,
    vertexPipelineStoresAndAtomics, fragmentStoresAndAtomics, shaderTessellationAndGeometryPointSize,
    shaderImageGatherExtended, shaderStorageImageExtendedFormats, shaderStorageImageMultisample,
    shaderStorageImageReadWithoutFormat, shaderStorageImageWriteWithoutFormat,
    shaderUniformBufferArrayDynamicIndexing, shaderSampledImageArrayDynamicIndexing,
    shaderStorageBufferArrayDynamicIndexing, shaderStorageImageArrayDynamicIndexing,
    shaderClipDistance, shaderCullDistance, shaderFloat64, shaderInt64, shaderInt16,
    shaderResourceResidency, shaderResourceMinLod, sparseBinding, sparseResidencyBuffer,
    sparseResidencyImage2D, sparseResidencyImage3D, sparseResidency2Samples, sparseResidency4Samples,
    sparseResidency8Samples, sparseResidency16Samples, sparseResidencyAliased,
    variableMultisampleRate, inheritedQueries;
};
struct VkDeviceCreateInfo {
  VkStructureType sType; const void* pNext; VkDeviceCreateFlags flags;
  uint32_t queueCreateInfoCount; const VkDeviceQueueCreateInfo* pQueueCreateInfos;
  uint32_t enabledLayerCount; const char*const* ppEnabledLayerNames;
  uint32_t enabledExtensionCount; const char*const* ppEnabledExtensionNames;
  const VkPhysicalDeviceFeatures* pEnabledFeatures;
};
struct VkExtent3D { uint32_t width, height, depth; };
struct VkFenceCreateInfo { VkStructureType sType; const void* pNext; VkFenceCreateFlags flags; };
struct VkInstanceCreateInfo {
  VkStructureType sType; const void* pNext; VkInstanceCreateFlags flags;
  const VkApplicationInfo* pApplicationInfo; uint32_t enabledLayerCount;
  const char*const* ppEnabledLayerNames; uint32_t enabledExtensionCount;
  const char*const* ppEnabledExtensionNames;
};
struct VkMemoryAllocateInfo {
  VkStructureType sType; const void* pNext; VkDeviceSize allocationSize; uint32_t memoryTypeIndex;
};
struct VkMemoryBarrier {
  VkStructureType sType; const void* pNext;
  VkAccessFlags srcAccessMask, dstAccessMask;
};
struct VkMemoryHeap { VkDeviceSize size; VkMemoryHeapFlags flags; };
struct VkMemoryRequirements { VkDeviceSize size, alignment; uint32_t memoryTypeBits; };
struct VkMemoryType { VkMemoryPropertyFlags propertyFlags; uint32_t heapIndex; };
struct VkPhysicalDeviceFeatures2 {
  VkStructureType sType; void* pNext; VkPhysicalDeviceFeatures features;
};
struct VkPhysicalDeviceLimits {
  uint32_t maxImageDimension1D, maxImageDimension2D, maxImageDimension3D, maxImageDimensionCube,
    maxImageArrayLayers, maxTexelBufferElements, maxUniformBufferRange, maxStorageBufferRange,
    maxPushConstantsSize, maxMemoryAllocationCount, maxSamplerAllocationCount;
  VkDeviceSize bufferImageGranularity, sparseAddressSpaceSize;
  uint32_t maxBoundDescriptorSets, maxPerStageDescriptorSamplers,
    maxPerStageDescriptorUniformBuffers, maxPerStageDescriptorStorageBuffers,
    maxPerStageDescriptorSampledImages, maxPerStageDescriptorStorageImages,
    maxPerStageDescriptorInputAttachments, maxPerStageResources, maxDescriptorSetSamplers,
    maxDescriptorSetUniformBuffers, maxDescriptorSetUniformBuffersDynamic,
    maxDescriptorSetStorageBuffers, maxDescriptorSetStorageBuffersDynamic,
    maxDescriptorSetSampledImages, maxDescriptorSetStorageImages, maxDescriptorSetInputAttachments,
    maxVertexInputAttributes, maxVertexInputBindings, maxVertexInputAttributeOffset,
    maxVertexInputBindingStride, maxVertexOutputComponents, maxTessellationGenerationLevel,
    maxTessellationPatchSize, maxTessellationControlPerVertexInputComponents,
    maxTessellationControlPerVertexOutputComponents, maxTessellationControlPerPatchOutputComponents,
    maxTessellationControlTotalOutputComponents, maxTessellationEvaluationInputComponents,
    maxTessellationEvaluationOutputComponents, maxGeometryShaderInvocations,
    maxGeometryInputComponents, maxGeometryOutputComponents, maxGeometryOutputVertices,
    maxGeometryTotalOutputComponents, maxFragmentInputComponents, maxFragmentOutputAttachments,
    maxFragmentDualSrcAttachments, maxFragmentCombinedOutputResources, maxComputeSharedMemorySize,
    maxComputeWorkGroupCount[3], maxComputeWorkGroupInvocations, maxComputeWorkGroupSize[3],
    subPixelPrecisionBits, subTexelPrecisionBits, mipmapPrecisionBits, maxDrawIndexedIndexValue,
    maxDrawIndirectCount;
  float maxSamplerLodBias, maxSamplerAnisotropy;
  uint32_t maxViewports, maxViewportDimensions[2]; float viewportBoundsRange[2];
  uint32_t viewportSubPixelBits; size_t minMemoryMapAlignment;
  VkDeviceSize minTexelBufferOffsetAlignment, minUniformBufferOffsetAlignment,
    minStorageBufferOffsetAlignment;
  int32_t minTexelOffset; uint32_t maxTexelOffset; int32_t minTexelGatherOffset;
  uint32_t maxTexelGatherOffset;
  float minInterpolationOffset, maxInterpolationOffset;
  uint32_t subPixelInterpolationOffsetBits, maxFramebufferWidth, maxFramebufferHeight,
    maxFramebufferLayers;
  VkSampleCountFlags framebufferColorSampleCounts, framebufferDepthSampleCounts,
    framebufferStencilSampleCounts, framebufferNoAttachmentsSampleCounts;
  uint32_t maxColorAttachments;
  VkSampleCountFlags sampledImageColorSampleCounts, sampledImageIntegerSampleCounts,
    sampledImageDepthSampleCounts, sampledImageStencilSampleCounts, storageImageSampleCounts;
  uint32_t maxSampleMaskWords; VkBool32 timestampComputeAndGraphics; float timestampPeriod;
  uint32_t maxClipDistances, maxCullDistances, maxCombinedClipAndCullDistances,
    discreteQueuePriorities;
  float pointSizeRange[2], lineWidthRange[2], pointSizeGranularity, lineWidthGranularity;
  VkBool32 strictLines, standardSampleLocations;
  VkDeviceSize optimalBufferCopyOffsetAlignment, optimalBufferCopyRowPitchAlignment,
    nonCoherentAtomSize;
};
struct VkPhysicalDeviceMemoryProperties {
  uint32_t memoryTypeCount; VkMemoryType memoryTypes[VK_MAX_MEMORY_TYPES];
  uint32_t memoryHeapCount; VkMemoryHeap memoryHeaps[VK_MAX_MEMORY_HEAPS];
};
struct VkPhysicalDeviceSparseProperties {
  VkBool32 residencyStandard2DBlockShape, residencyStandard2DMultisampleBlockShape,
    residencyStandard3DBlockShape, residencyAlignedMipSize, residencyNonResidentStrict;
};
struct VkPhysicalDeviceProperties {
  uint32_t apiVersion, driverVersion, vendorID, deviceID; VkPhysicalDeviceType deviceType;
  char deviceName[VK_MAX_PHYSICAL_DEVICE_NAME_SIZE]; uint8_t pipelineCacheUUID[VK_UUID_SIZE];
  VkPhysicalDeviceLimits limits; VkPhysicalDeviceSparseProperties sparseProperties;
};
struct VkPhysicalDeviceProperties2 {
  VkStructureType sType; void* pNext; VkPhysicalDeviceProperties properties;
};
struct VkPhysicalDeviceSubgroupProperties {
  VkStructureType sType; void* pNext; uint32_t subgroupSize; VkShaderStageFlags supportedStages;
  VkSubgroupFeatureFlags supportedOperations; VkBool32 quadOperationsInAllStages;
};
struct VkPhysicalDeviceVulkan11Features {
  VkStructureType sType; void* pNext;
  VkBool32 storageBuffer16BitAccess, uniformAndStorageBuffer16BitAccess, storagePushConstant16,
    storageInputOutput16, multiview, multiviewGeometryShader, multiviewTessellationShader,
    variablePointersStorageBuffer, variablePointers, protectedMemory, samplerYcbcrConversion,
    shaderDrawParameters;
};
struct VkPhysicalDeviceVulkan12Features {
  VkStructureType sType; void* pNext;
  VkBool32 samplerMirrorClampToEdge, drawIndirectCount, storageBuffer8BitAccess,
    uniformAndStorageBuffer8BitAccess, storagePushConstant8, shaderBufferInt64Atomics,
    shaderSharedInt64Atomics, shaderFloat16, shaderInt8, descriptorIndexing,
    shaderInputAttachmentArrayDynamicIndexing, shaderUniformTexelBufferArrayDynamicIndexing,
    shaderStorageTexelBufferArrayDynamicIndexing, shaderUniformBufferArrayNonUniformIndexing,
    shaderSampledImageArrayNonUniformIndexing, shaderStorageBufferArrayNonUniformIndexing,
    shaderStorageImageArrayNonUniformIndexing, shaderInputAttachmentArrayNonUniformIndexing,
    shaderUniformTexelBufferArrayNonUniformIndexing, shaderStorageTexelBufferArrayNonUniformIndexing,
    descriptorBindingUniformBufferUpdateAfterBind, descriptorBindingSampledImageUpdateAfterBind,
    descriptorBindingStorageImageUpdateAfterBind, descriptorBindingStorageBufferUpdateAfterBind,
    descriptorBindingUniformTexelBufferUpdateAfterBind,
    descriptorBindingStorageTexelBufferUpdateAfterBind, descriptorBindingUpdateUnusedWhilePending,
    descriptorBindingPartiallyBound, descriptorBindingVariableDescriptorCount,
    runtimeDescriptorArray, samplerFilterMinmax, scalarBlockLayout, imagelessFramebuffer,
    uniformBufferStandardLayout, shaderSubgroupExtendedTypes, separateDepthStencilLayouts,
    hostQueryReset, timelineSemaphore, bufferDeviceAddress, bufferDeviceAddressCaptureReplay,
    bufferDeviceAddressMultiDevice, vulkanMemoryModel, vulkanMemoryModelDeviceScope,
    vulkanMemoryModelAvailabilityVisibilityChains, shaderOutputViewportIndex, shaderOutputLayer,
    subgroupBroadcastDynamicId;
};
struct VkPhysicalDeviceVulkan13Features {
  VkStructureType sType; void* pNext;
  VkBool32 robustImageAccess, inlineUniformBlock,
    descriptorBindingInlineUniformBlockUpdateAfterBind, pipelineCreationCacheControl, privateData,
    shaderDemoteToHelperInvocation, shaderTerminateInvocation, subgroupSizeControl,
    computeFullSubgroups, synchronization2, textureCompressionASTC_HDR,
    shaderZeroInitializeWorkgroupMemory, dynamicRendering, shaderIntegerDotProduct, maintenance4;
};
struct VkPipelineCacheCreateInfo {
  VkStructureType sType; const void* pNext; VkPipelineCacheCreateFlags flags;
  size_t initialDataSize; const void* pInitialData;
};
struct VkPushConstantRange { VkShaderStageFlags stageFlags; uint32_t offset, size; };
struct VkPipelineLayoutCreateInfo {
  VkStructureType sType; const void* pNext; VkPipelineLayoutCreateFlags flags;
  uint32_t setLayoutCount; const VkDescriptorSetLayout* pSetLayouts;
  uint32_t pushConstantRangeCount; const VkPushConstantRange* pPushConstantRanges;
};
struct VkQueryPoolCreateInfo {
  VkStructureType sType; const void* pNext; VkQueryPoolCreateFlags flags; VkQueryType queryType;
  uint32_t queryCount; VkQueryPipelineStatisticFlags pipelineStatistics;
};
struct VkQueueFamilyProperties {
  VkQueueFlags queueFlags;
  uint32_t queueCount, timestampValidBits; VkExtent3D minImageTransferGranularity;
};
struct VkShaderModuleCreateInfo {
  VkStructureType sType; const void* pNext; VkShaderModuleCreateFlags flags; size_t codeSize;
  const uint32_t* pCode;
};
struct VkSubmitInfo {
  VkStructureType sType; const void* pNext; uint32_t waitSemaphoreCount;
  const VkSemaphore* pWaitSemaphores; const VkPipelineStageFlags* pWaitDstStageMask;
  uint32_t commandBufferCount; const VkCommandBuffer* pCommandBuffers;
  uint32_t signalSemaphoreCount; const VkSemaphore* pSignalSemaphores;
};
struct VkWriteDescriptorSet {
  VkStructureType sType; const void* pNext; VkDescriptorSet dstSet;
  uint32_t dstBinding, dstArrayElement, descriptorCount; VkDescriptorType descriptorType;
  const VkDescriptorImageInfo* pImageInfo; const VkDescriptorBufferInfo* pBufferInfo;
  const VkBufferView* pTexelBufferView;
};

}  // extern "C"
