// Pipelines, their layouts, and descriptor sets: made once, then found again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <unordered_map>
#include <utility>
#include <vector>

#include "vk.h"

namespace tvm_sparse {

// A kernel's interface: how many buffers, how many bytes of scalars, its threads in a workgroup.
struct Interface {
  uint32_t buffers;
  uint32_t scalar_bytes;
  uint32_t threads[3];
};

struct Pipeline {
  VkPipeline handle;
  VkPipelineLayout layout;
  VkDescriptorSetLayout set;
};

class Pipelines {
 public:
  Pipelines(VkDevice device, const VkPhysicalDeviceLimits& limits);

  // Throws a RuntimeError if the kernel exceeds a limit of the device, naming both.
  Pipeline Create(const char* name, const std::vector<uint32_t>& code, const Interface& kernel);
  void Destroy(const Pipeline& pipeline);

 private:
  void CheckLimits(const char* name, const Interface& kernel) const;
  VkDescriptorSetLayout SetLayout(uint32_t buffers);
  VkPipelineLayout Layout(uint32_t buffers, uint32_t scalar_bytes);

  VkDevice device_;
  VkPhysicalDeviceLimits limits_;
  VkPipelineCache cache_;
  std::map<uint32_t, VkDescriptorSetLayout> sets_;
  std::map<std::pair<uint32_t, uint32_t>, VkPipelineLayout> layouts_;
};

// A descriptor set for each combination of buffers that a kernel was launched with.
class Descriptors {
 public:
  explicit Descriptors(VkDevice device) : device_(device) {}

  VkDescriptorSet Find(VkDescriptorSetLayout layout, const VkDescriptorBufferInfo* buffers,
                       uint32_t number);
  // Whether so many were made that they should be forgotten when nothing is running.
  bool Full() const { return sets_.size() >= kMost; }
  // Nothing may be running.
  void Forget();

 private:
  static constexpr size_t kMost = 16384;
  static constexpr uint32_t kSetsInPool = 512, kBuffersInPool = 4096;
  struct Entry {
    VkDescriptorSetLayout layout;
    std::vector<VkDescriptorBufferInfo> buffers;
    VkDescriptorSet set;
  };

  VkDescriptorSet Allocate(VkDescriptorSetLayout layout);
  void NewPool();

  VkDevice device_;
  std::unordered_multimap<uint64_t, Entry> sets_;
  std::vector<VkDescriptorPool> pools_;
  size_t pool_ = 0;
};

}  // namespace tvm_sparse
