// Recording and submission: commands are collected in batches, which run one after the other.
#pragma once

#include <array>
#include <cstdint>

#include "memory.h"
#include "pipeline.h"
#include "vk.h"

namespace tvm_sparse {

class Stream {
 public:
  Stream(VkDevice device, VkQueue queue, uint32_t family, Memory* memory);

  // Record one dispatch of (x, y, z) workgroups.
  void Launch(const Pipeline& pipeline, VkDescriptorSet set, const void* scalars,
              uint32_t scalar_bytes, const uint32_t groups[3]);
  void Copy(const Buffer& from, VkDeviceSize from_offset, const Buffer& to, VkDeviceSize to_offset,
            VkDeviceSize size);
  // Returns when the source may change; the copy itself runs in order with other commands.
  void Upload(const char* from, const Buffer& to, VkDeviceSize offset, VkDeviceSize size);
  // Returns when the data is there.
  void Download(const Buffer& from, VkDeviceSize offset, char* to, VkDeviceSize size);
  // Record the device's clock into a query.
  void Timestamp(VkQueryPool pool, uint32_t query);
  // Hand what was recorded to the queue.
  void Submit();
  // Submit, and wait until nothing is running.
  void Wait();

 private:
  static constexpr int kBatches = 3, kCommands = 48;
  static constexpr VkDeviceSize kStaging = VkDeviceSize(4) << 20;
  struct Batch {
    VkCommandBuffer commands;
    VkFence fence;
    Staging staging;
    VkDeviceSize staged = 0;
    int recorded = 0;
    bool open = false, running = false;
  };

  Batch& Open();
  // A batch that has room for one more command, which will see the results of all before it.
  Batch& Next();
  void Finish(Batch* batch);
  void CopyRegion(VkCommandBuffer commands, VkBuffer from, VkDeviceSize from_offset, VkBuffer to,
                  VkDeviceSize to_offset, VkDeviceSize size);

  VkDevice device_;
  VkQueue queue_;
  Memory* memory_;
  std::array<Batch, kBatches> batches_;
  int current_ = 0;
};

}  // namespace tvm_sparse
