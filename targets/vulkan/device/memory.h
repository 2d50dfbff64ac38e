// Device memory: few large allocations of the driver's, cut into buffers.
#pragma once

#include <map>
#include <memory>
#include <vector>

#include "vk.h"

namespace tvm_sparse {

struct Arena;

// What a tensor's data pointer points to: a part of an arena.
struct Buffer {
  VkBuffer handle;
  VkDeviceSize offset;
  VkDeviceSize size;
  Arena* arena;
};

// One allocation of the driver's; `holes` maps the offset of each free part to its size.
struct Arena {
  VkBuffer handle;
  VkDeviceMemory memory;
  VkDeviceSize size;
  std::map<VkDeviceSize, VkDeviceSize> holes;

  void Take(VkDeviceSize offset, VkDeviceSize size);
  void Give(VkDeviceSize offset, VkDeviceSize size);
  bool Empty() const { return holes.size() == 1 && holes.begin()->second == size; }
};

// Memory that the host reads and writes, mapped as long as it lives.
struct Staging {
  VkBuffer handle;
  char* data;
  VkDeviceSize size;
};

class Memory {
 public:
  Memory(VkPhysicalDevice physical, VkDevice device, VkDeviceSize alignment);

  // A free part of an arena, or of a new one; null when the driver has no memory left.
  Buffer* Allocate(VkDeviceSize size);
  // Commands that were recorded before may still use it: all later ones wait for them.
  void Free(Buffer* buffer);
  // Give arenas without buffers back to the driver; nothing may be running.
  void ReleaseEmpty();
  Staging AllocateStaging(VkDeviceSize size);

  VkDeviceSize Total() const { return total_; }
  VkDeviceSize Used() const { return used_; }

 private:
  Arena* NewArena(VkDeviceSize size);
  VkResult NewBuffer(VkDeviceSize size, VkBuffer* buffer);
  VkResult Bind(VkBuffer buffer, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags liked,
                VkDeviceMemory* memory);

  VkDevice device_;
  VkDeviceSize alignment_;
  VkPhysicalDeviceMemoryProperties properties_;
  std::vector<std::unique_ptr<Arena>> arenas_;
  VkDeviceSize total_ = 0;
  VkDeviceSize used_ = 0;
};

}  // namespace tvm_sparse
