// Memory: aligned, and kernels' workspaces, which each thread keeps for the next kernel.
#include <stdlib.h>

#include "program.h"

struct block {
  struct block *next;
  uint64_t bytes;
  int used;
} __attribute__((aligned(ALIGNMENT)));

static _Thread_local struct block *blocks;

void *allocate(uint64_t bytes) {
  void *found;
  if (bytes > SIZE_MAX - ALIGNMENT || posix_memalign(&found, ALIGNMENT, bytes ? bytes : 1))
    fail(EXIT_FAILURE, "out of memory: %llu bytes are needed", (unsigned long long)bytes);
  return found;
}

void *TVMBackendAllocWorkspace(int device_type, int device, uint64_t bytes, int code, int bits) {
  (void)device_type, (void)device, (void)code, (void)bits;
  struct block *block = blocks;
  while (block && (block->used || block->bytes < bytes)) block = block->next;
  if (!block) {
    block = allocate(sizeof *block + bytes);
    *block = (struct block){.next = blocks, .bytes = bytes};
    blocks = block;
  }
  block->used = 1;
  return block + 1;
}

int TVMBackendFreeWorkspace(int device_type, int device, void *data) {
  (void)device_type, (void)device;
  ((struct block *)data)[-1].used = 0;
  return 0;
}
