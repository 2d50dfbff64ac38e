#include "stream.h"

#include <algorithm>
#include <cstring>

namespace tvm_sparse {

Stream::Stream(VkDevice device, VkQueue queue, uint32_t family, Memory* memory)
    : device_(device), queue_(queue), memory_(memory) {
  VkCommandPoolCreateInfo pool_info{VK_STRUCTURE_TYPE_COMMAND_POOL_CREATE_INFO};
  pool_info.flags = VK_COMMAND_POOL_CREATE_RESET_COMMAND_BUFFER_BIT;
  pool_info.queueFamilyIndex = family;
  VkCommandPool pool;
  Check(vkCreateCommandPool(device, &pool_info, nullptr, &pool), "creating a command pool");
  for (Batch& batch : batches_) {
    VkCommandBufferAllocateInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_ALLOCATE_INFO};
    info.commandPool = pool;
    info.level = VK_COMMAND_BUFFER_LEVEL_PRIMARY;
    info.commandBufferCount = 1;
    Check(vkAllocateCommandBuffers(device, &info, &batch.commands), "allocating commands");
    VkFenceCreateInfo fence{VK_STRUCTURE_TYPE_FENCE_CREATE_INFO};
    Check(vkCreateFence(device, &fence, nullptr, &batch.fence), "creating a fence");
    batch.staging = memory_->AllocateStaging(kStaging);
  }
}

void Stream::Launch(const Pipeline& pipeline, VkDescriptorSet set, const void* scalars,
                    uint32_t scalar_bytes, const uint32_t groups[3]) {
  VkCommandBuffer commands = Next().commands;
  vkCmdBindPipeline(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.handle);
  vkCmdBindDescriptorSets(commands, VK_PIPELINE_BIND_POINT_COMPUTE, pipeline.layout, 0, 1, &set, 0,
                          nullptr);
  if (scalar_bytes) {
    vkCmdPushConstants(commands, pipeline.layout, VK_SHADER_STAGE_COMPUTE_BIT, 0, scalar_bytes,
                       scalars);
  }
  vkCmdDispatch(commands, groups[0], groups[1], groups[2]);
}

void Stream::Copy(const Buffer& from, VkDeviceSize from_offset, const Buffer& to,
                  VkDeviceSize to_offset, VkDeviceSize size) {
  if (!size) return;
  CopyRegion(Next().commands, from.handle, from.offset + from_offset, to.handle,
             to.offset + to_offset, size);
}

void Stream::Upload(const char* from, const Buffer& to, VkDeviceSize offset, VkDeviceSize size) {
  while (size) {
    if (Open().staged == kStaging) Submit();
    Batch& batch = Next();
    VkDeviceSize part = std::min(size, kStaging - batch.staged);
    std::memcpy(batch.staging.data + batch.staged, from, part);
    CopyRegion(batch.commands, batch.staging.handle, batch.staged, to.handle, to.offset + offset,
               part);
    batch.staged = std::min(kStaging, (batch.staged + part + 63) / 64 * 64);
    from += part;
    offset += part;
    size -= part;
  }
}

void Stream::Download(const Buffer& from, VkDeviceSize offset, char* to, VkDeviceSize size) {
  while (size) {
    if (Open().staged == kStaging) Submit();
    Batch& batch = Next();
    VkDeviceSize part = std::min(size, kStaging - batch.staged);
    CopyRegion(batch.commands, from.handle, from.offset + offset, batch.staging.handle,
               batch.staged, part);
    const char* data = batch.staging.data + batch.staged;
    Wait();
    std::memcpy(to, data, part);
    to += part;
    offset += part;
    size -= part;
  }
}

void Stream::Timestamp(VkQueryPool pool, uint32_t query) {
  VkCommandBuffer commands = Next().commands;
  vkCmdResetQueryPool(commands, pool, query, 1);
  vkCmdWriteTimestamp(commands, VK_PIPELINE_STAGE_BOTTOM_OF_PIPE_BIT, pool, query);
}

void Stream::Submit() {
  Batch& batch = batches_[current_];
  if (!batch.open) return;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_HOST_READ_BIT;
  vkCmdPipelineBarrier(batch.commands, VK_PIPELINE_STAGE_TRANSFER_BIT, VK_PIPELINE_STAGE_HOST_BIT,
                       0, 1, &barrier, 0, nullptr, 0, nullptr);
  batch.open = false;
  Check(vkEndCommandBuffer(batch.commands), "recording commands");
  VkSubmitInfo info{VK_STRUCTURE_TYPE_SUBMIT_INFO};
  info.commandBufferCount = 1;
  info.pCommandBuffers = &batch.commands;
  Check(vkQueueSubmit(queue_, 1, &info, batch.fence), "submitting commands");
  batch.running = true;
  current_ = (current_ + 1) % kBatches;
}

void Stream::Wait() {
  Submit();
  for (int i = 0; i < kBatches; ++i) Finish(&batches_[(current_ + i) % kBatches]);
}

Stream::Batch& Stream::Open() {
  Batch& batch = batches_[current_];
  if (batch.open) return batch;
  Finish(&batch);
  VkCommandBufferBeginInfo info{VK_STRUCTURE_TYPE_COMMAND_BUFFER_BEGIN_INFO};
  info.flags = VK_COMMAND_BUFFER_USAGE_ONE_TIME_SUBMIT_BIT;
  Check(vkBeginCommandBuffer(batch.commands, &info), "recording commands");
  batch.open = true;
  return batch;
}

Stream::Batch& Stream::Next() {
  if (Open().recorded == kCommands) Submit();
  Batch& batch = Open();
  ++batch.recorded;
  VkMemoryBarrier barrier{VK_STRUCTURE_TYPE_MEMORY_BARRIER};
  barrier.srcAccessMask = VK_ACCESS_SHADER_WRITE_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  barrier.dstAccessMask = VK_ACCESS_SHADER_READ_BIT | VK_ACCESS_SHADER_WRITE_BIT |
                          VK_ACCESS_TRANSFER_READ_BIT | VK_ACCESS_TRANSFER_WRITE_BIT;
  VkPipelineStageFlags stages =
      VK_PIPELINE_STAGE_COMPUTE_SHADER_BIT | VK_PIPELINE_STAGE_TRANSFER_BIT;
  vkCmdPipelineBarrier(batch.commands, stages, stages, 0, 1, &barrier, 0, nullptr, 0, nullptr);
  return batch;
}

void Stream::Finish(Batch* batch) {
  if (!batch->running) return;
  Check(vkWaitForFences(device_, 1, &batch->fence, VK_TRUE, UINT64_MAX), "waiting for kernels");
  Check(vkResetFences(device_, 1, &batch->fence), "resetting a fence");
  Check(vkResetCommandBuffer(batch->commands, 0), "resetting commands");
  batch->running = false;
  batch->recorded = 0;
  batch->staged = 0;
}

void Stream::CopyRegion(VkCommandBuffer commands, VkBuffer from, VkDeviceSize from_offset,
                        VkBuffer to, VkDeviceSize to_offset, VkDeviceSize size) {
  VkBufferCopy region{from_offset, to_offset, size};
  vkCmdCopyBuffer(commands, from, to, 1, &region);
}

}  // namespace tvm_sparse
