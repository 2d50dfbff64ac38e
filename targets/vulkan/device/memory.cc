#include "memory.h"

#include <algorithm>

namespace tvm_sparse {

namespace {

constexpr VkDeviceSize kArena = VkDeviceSize(64) << 20;

VkDeviceSize RoundUp(VkDeviceSize size, VkDeviceSize unit) { return (size + unit - 1) / unit * unit; }

}  // namespace

void Arena::Take(VkDeviceSize offset, VkDeviceSize taken) {
  auto hole = holes.find(offset);
  VkDeviceSize left = hole->second - taken;
  holes.erase(hole);
  if (left) holes[offset + taken] = left;
}

void Arena::Give(VkDeviceSize offset, VkDeviceSize given) {
  auto next = holes.lower_bound(offset);
  if (next != holes.end() && offset + given == next->first) {
    given += next->second;
    next = holes.erase(next);
  }
  if (next != holes.begin()) {
    auto before = std::prev(next);
    if (before->first + before->second == offset) {
      before->second += given;
      return;
    }
  }
  holes[offset] = given;
}

Memory::Memory(VkPhysicalDevice physical, VkDevice device, VkDeviceSize alignment)
    : device_(device), alignment_(std::max<VkDeviceSize>(alignment, 64)) {
  vkGetPhysicalDeviceMemoryProperties(physical, &properties_);
  for (uint32_t i = 0; i < properties_.memoryHeapCount; ++i) {
    if (properties_.memoryHeaps[i].flags & VK_MEMORY_HEAP_DEVICE_LOCAL_BIT) {
      total_ += properties_.memoryHeaps[i].size;
    }
  }
}

Buffer* Memory::Allocate(VkDeviceSize size) {
  VkDeviceSize taken = RoundUp(std::max<VkDeviceSize>(size, 1), alignment_);
  Arena* best = nullptr;
  VkDeviceSize offset = 0, smallest = ~VkDeviceSize(0);
  for (auto& arena : arenas_) {
    for (auto& [start, length] : arena->holes) {
      if (length >= taken && length < smallest) {
        best = arena.get();
        offset = start;
        smallest = length;
      }
    }
  }
  if (!best) {
    best = NewArena(std::max(taken, kArena));
    if (!best && taken < kArena) best = NewArena(taken);
    if (!best) return nullptr;
    offset = 0;
  }
  best->Take(offset, taken);
  used_ += taken;
  return new Buffer{best->handle, offset, taken, best};
}

void Memory::Free(Buffer* buffer) {
  buffer->arena->Give(buffer->offset, buffer->size);
  used_ -= buffer->size;
  delete buffer;
}

void Memory::ReleaseEmpty() {
  auto empty = std::stable_partition(arenas_.begin(), arenas_.end(),
                                     [](const auto& arena) { return !arena->Empty(); });
  for (auto it = empty; it != arenas_.end(); ++it) {
    vkDestroyBuffer(device_, (*it)->handle, nullptr);
    vkFreeMemory(device_, (*it)->memory, nullptr);
  }
  arenas_.erase(empty, arenas_.end());
}

Staging Memory::AllocateStaging(VkDeviceSize size) {
  Staging staging{VK_NULL_HANDLE, nullptr, size};
  VkDeviceMemory memory;
  Check(NewBuffer(size, &staging.handle), "creating a buffer to copy through");
  Check(Bind(staging.handle,
             VK_MEMORY_PROPERTY_HOST_VISIBLE_BIT | VK_MEMORY_PROPERTY_HOST_COHERENT_BIT,
             VK_MEMORY_PROPERTY_HOST_CACHED_BIT, &memory),
        "allocating memory to copy through");
  void* data;
  Check(vkMapMemory(device_, memory, 0, VK_WHOLE_SIZE, 0, &data), "mapping memory");
  staging.data = static_cast<char*>(data);
  return staging;
}

Arena* Memory::NewArena(VkDeviceSize size) {
  auto arena = std::make_unique<Arena>();
  arena->size = size;
  if (NewBuffer(size, &arena->handle) != VK_SUCCESS) return nullptr;
  if (Bind(arena->handle, 0, VK_MEMORY_PROPERTY_DEVICE_LOCAL_BIT, &arena->memory) != VK_SUCCESS) {
    vkDestroyBuffer(device_, arena->handle, nullptr);
    return nullptr;
  }
  arena->holes[0] = size;
  arenas_.push_back(std::move(arena));
  return arenas_.back().get();
}

VkResult Memory::NewBuffer(VkDeviceSize size, VkBuffer* buffer) {
  VkBufferCreateInfo info{VK_STRUCTURE_TYPE_BUFFER_CREATE_INFO};
  info.size = size;
  info.usage = VK_BUFFER_USAGE_STORAGE_BUFFER_BIT | VK_BUFFER_USAGE_TRANSFER_SRC_BIT |
               VK_BUFFER_USAGE_TRANSFER_DST_BIT;
  return vkCreateBuffer(device_, &info, nullptr, buffer);
}

VkResult Memory::Bind(VkBuffer buffer, VkMemoryPropertyFlags wanted, VkMemoryPropertyFlags liked,
                      VkDeviceMemory* memory) {
  VkMemoryRequirements needs;
  vkGetBufferMemoryRequirements(device_, buffer, &needs);
  VkResult result = VK_ERROR_OUT_OF_DEVICE_MEMORY;
  for (VkMemoryPropertyFlags flags : {wanted | liked, wanted}) {
    for (uint32_t type = 0; type < properties_.memoryTypeCount; ++type) {
      bool fits = needs.memoryTypeBits >> type & 1;
      if (!fits || (properties_.memoryTypes[type].propertyFlags & flags) != flags) continue;
      VkMemoryAllocateInfo info{VK_STRUCTURE_TYPE_MEMORY_ALLOCATE_INFO};
      info.allocationSize = needs.size;
      info.memoryTypeIndex = type;
      result = vkAllocateMemory(device_, &info, nullptr, memory);
      if (result == VK_SUCCESS) return vkBindBufferMemory(device_, buffer, *memory, 0);
    }
  }
  return result;
}

}  // namespace tvm_sparse
