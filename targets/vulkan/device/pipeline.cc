#include "pipeline.h"

#include <tvm/ffi/error.h>

#include <cstring>

namespace tvm_sparse {

Pipelines::Pipelines(VkDevice device, const VkPhysicalDeviceLimits& limits)
    : device_(device), limits_(limits) {
  VkPipelineCacheCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO};
  Check(vkCreatePipelineCache(device, &info, nullptr, &cache_), "creating a pipeline cache");
}

Pipeline Pipelines::Create(const char* name, const std::vector<uint32_t>& code,
                           const Interface& kernel) {
  CheckLimits(name, kernel);
  VkShaderModuleCreateInfo shader{VK_STRUCTURE_TYPE_SHADER_MODULE_CREATE_INFO};
  shader.codeSize = code.size() * sizeof(uint32_t);
  shader.pCode = code.data();
  VkShaderModule module;
  Check(vkCreateShaderModule(device_, &shader, nullptr, &module), "creating a shader");
  VkComputePipelineCreateInfo info{VK_STRUCTURE_TYPE_COMPUTE_PIPELINE_CREATE_INFO};
  info.stage.sType = VK_STRUCTURE_TYPE_PIPELINE_SHADER_STAGE_CREATE_INFO;
  info.stage.stage = VK_SHADER_STAGE_COMPUTE_BIT;
  info.stage.module = module;
  info.stage.pName = name;
  info.layout = Layout(kernel.buffers, kernel.scalar_bytes);
  VkPipeline handle;
  VkResult result = vkCreateComputePipelines(device_, cache_, 1, &info, nullptr, &handle);
  vkDestroyShaderModule(device_, module, nullptr);
  Check(result, "compiling a shader");
  return {handle, info.layout, SetLayout(kernel.buffers)};
}

void Pipelines::Destroy(const Pipeline& pipeline) {
  vkDestroyPipeline(device_, pipeline.handle, nullptr);
}

void Pipelines::CheckLimits(const char* name, const Interface& kernel) const {
  auto check = [name](const char* what, uint64_t needed, uint64_t most) {
    if (needed > most) {
      TVM_FFI_THROW(RuntimeError) << "Vulkan: kernel " << name << " needs " << needed << " " << what
                                  << ", and the device allows " << most
                                  << ": build for a target that states the device's limits";
    }
  };
  check("buffers", kernel.buffers, limits_.maxPerStageDescriptorStorageBuffers);
  check("bytes of scalars", kernel.scalar_bytes, limits_.maxPushConstantsSize);
  uint64_t threads = 1;
  for (int i = 0; i < 3; ++i) {
    check("threads in one dimension", kernel.threads[i], limits_.maxComputeWorkGroupSize[i]);
    threads *= kernel.threads[i];
  }
  check("threads in a workgroup", threads, limits_.maxComputeWorkGroupInvocations);
}

VkDescriptorSetLayout Pipelines::SetLayout(uint32_t buffers) {
  auto found = sets_.find(buffers);
  if (found != sets_.end()) return found->second;
  std::vector<VkDescriptorSetLayoutBinding> bindings(buffers);
  for (uint32_t i = 0; i < buffers; ++i) {
    bindings[i] = {i, VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, 1, VK_SHADER_STAGE_COMPUTE_BIT, nullptr};
  }
  VkDescriptorSetLayoutCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_LAYOUT_CREATE_INFO};
  info.bindingCount = buffers;
  info.pBindings = bindings.data();
  VkDescriptorSetLayout layout;
  Check(vkCreateDescriptorSetLayout(device_, &info, nullptr, &layout), "creating a set layout");
  return sets_[buffers] = layout;
}

VkPipelineLayout Pipelines::Layout(uint32_t buffers, uint32_t scalar_bytes) {
  auto key = std::make_pair(buffers, scalar_bytes);
  auto found = layouts_.find(key);
  if (found != layouts_.end()) return found->second;
  VkDescriptorSetLayout set = SetLayout(buffers);
  VkPushConstantRange range{VK_SHADER_STAGE_COMPUTE_BIT, 0, scalar_bytes};
  VkPipelineLayoutCreateInfo info{VK_STRUCTURE_TYPE_PIPELINE_LAYOUT_CREATE_INFO};
  info.setLayoutCount = 1;
  info.pSetLayouts = &set;
  info.pushConstantRangeCount = scalar_bytes ? 1 : 0;
  info.pPushConstantRanges = &range;
  VkPipelineLayout layout;
  Check(vkCreatePipelineLayout(device_, &info, nullptr, &layout), "creating a pipeline layout");
  return layouts_[key] = layout;
}

namespace {

uint64_t Hash(VkDescriptorSetLayout layout, const VkDescriptorBufferInfo* buffers, uint32_t number) {
  uint64_t hash = 14695981039346656037ull;
  auto mix = [&hash](uint64_t value) { hash = (hash ^ value ^ (value >> 29)) * 1099511628211ull; };
  mix(reinterpret_cast<uint64_t>(layout));
  for (uint32_t i = 0; i < number; ++i) {
    mix(reinterpret_cast<uint64_t>(buffers[i].buffer));
    mix(buffers[i].offset);
    mix(buffers[i].range);
  }
  return hash;
}

}  // namespace

VkDescriptorSet Descriptors::Find(VkDescriptorSetLayout layout,
                                  const VkDescriptorBufferInfo* buffers, uint32_t number) {
  uint64_t hash = Hash(layout, buffers, number);
  size_t bytes = number * sizeof(VkDescriptorBufferInfo);
  auto range = sets_.equal_range(hash);
  for (auto it = range.first; it != range.second; ++it) {
    const Entry& entry = it->second;
    if (entry.layout == layout && !std::memcmp(entry.buffers.data(), buffers, bytes)) {
      return entry.set;
    }
  }
  Entry entry{layout, {buffers, buffers + number}, Allocate(layout)};
  std::vector<VkWriteDescriptorSet> writes(number);
  for (uint32_t i = 0; i < number; ++i) {
    writes[i] = {VK_STRUCTURE_TYPE_WRITE_DESCRIPTOR_SET};
    writes[i].dstSet = entry.set;
    writes[i].dstBinding = i;
    writes[i].descriptorCount = 1;
    writes[i].descriptorType = VK_DESCRIPTOR_TYPE_STORAGE_BUFFER;
    writes[i].pBufferInfo = &buffers[i];
  }
  vkUpdateDescriptorSets(device_, number, writes.data(), 0, nullptr);
  return sets_.emplace(hash, std::move(entry))->second.set;
}

void Descriptors::Forget() {
  sets_.clear();
  for (VkDescriptorPool pool : pools_) vkResetDescriptorPool(device_, pool, 0);
  pool_ = 0;
}

VkDescriptorSet Descriptors::Allocate(VkDescriptorSetLayout layout) {
  VkDescriptorSetAllocateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_SET_ALLOCATE_INFO};
  info.descriptorSetCount = 1;
  info.pSetLayouts = &layout;
  for (bool fresh = false;; ++pool_) {
    if (pool_ == pools_.size()) {
      NewPool();
      fresh = true;
    }
    info.descriptorPool = pools_[pool_];
    VkDescriptorSet set;
    VkResult result = vkAllocateDescriptorSets(device_, &info, &set);
    if (result == VK_SUCCESS) return set;
    if (fresh) Check(result, "allocating descriptors");
  }
}

void Descriptors::NewPool() {
  VkDescriptorPoolSize size{VK_DESCRIPTOR_TYPE_STORAGE_BUFFER, kBuffersInPool};
  VkDescriptorPoolCreateInfo info{VK_STRUCTURE_TYPE_DESCRIPTOR_POOL_CREATE_INFO};
  info.maxSets = kSetsInPool;
  info.poolSizeCount = 1;
  info.pPoolSizes = &size;
  VkDescriptorPool pool;
  Check(vkCreateDescriptorPool(device_, &info, nullptr, &pool), "creating a descriptor pool");
  pools_.push_back(pool);
}

}  // namespace tvm_sparse
