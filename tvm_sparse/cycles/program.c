/* Calls kernels on an emulated CPU, without a C library or TVM's runtime.

   The file "calls" in the working directory says which: it is mapped to CALLS, and pointers in it
   are already right. What is written to tensors that lie in it stands in the file afterwards; the
   others share one anonymous region. */
#include <stddef.h>
#include <stdint.h>

typedef struct {
  int (*function)(void *self, const void *arguments, int32_t number, void *result);
  const void *arguments;
  int64_t number;
} Call;

typedef struct {
  int64_t bytes, tensors, calls;
  Call call[];
} Calls;

typedef struct {
  void *barrier;
  int32_t tasks;
} Team;

#define CALLS ((Calls *)0x10000000000)
#define TENSORS ((char *)0x20000000000)
#define WORKSPACE ((char *)0x30000000000)
#define WORKSPACE_BYTES ((size_t)1 << 32)

static size_t used, live;

static long system_call(long number, long a, long b, long c, long d, long e, long f) {
  register long x8 __asm__("x8") = number, x0 __asm__("x0") = a, x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c, x3 __asm__("x3") = d, x4 __asm__("x4") = e;
  register long x5 __asm__("x5") = f;
  __asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                   : "memory");
  return x0;
}

static void finish(int status) { system_call(94, status, 0, 0, 0, 0, 0); }

static void map(void *at, size_t bytes, long file) {
  long flags = file < 0 ? 0x4032 : 0x11; /* fixed: private, anonymous, not reserved; or shared */
  if (system_call(222, (long)at, bytes, 3, flags, file, 0) != (long)at) finish(2);
}

static int launch(int (*part)(int, Team *, void *), void *data, int tasks) {
  Team team = {0, 1};
  return part(0, &team, data);
}

static int barrier(int task, Team *team) { return 0; }

static void *allocate(int type, int id, uint64_t bytes, int code, int bits) {
  void *found = WORKSPACE + used;
  used += (bytes + 63) & ~(size_t)63;
  live++;
  return used > WORKSPACE_BYTES ? 0 : found;
}

static int release(int type, int id, void *pointer) {
  if (--live == 0) used = 0;
  return 0;
}

void TVMFFIErrorSetRaisedFromCStrParts(const char *kind, const char **parts, int32_t number) {
  finish(3);
}

__attribute__((weak)) extern void *__TVMBackendParallelLaunch, *__TVMBackendParallelBarrier;
__attribute__((weak)) extern void *__TVMBackendAllocWorkspace, *__TVMBackendFreeWorkspace;

static void bind(void **place, void *function) {
  if (place) *place = function;
}

void *memset(void *to, int value, size_t bytes) {
  char *at = to;
  for (size_t i = 0; i < bytes; i++) at[i] = value;
  return to;
}

void *memcpy(void *to, const void *from, size_t bytes) {
  char *at = to;
  for (size_t i = 0; i < bytes; i++) at[i] = ((const char *)from)[i];
  return to;
}

void _start(void) {
  long file = system_call(56, -100, (long)"calls", 2, 0, 0, 0);
  if (file < 0) finish(1);
  map(CALLS, 4096, file);
  size_t bytes = CALLS->bytes;
  map(CALLS, bytes, file);
  map(TENSORS, CALLS->tensors, -1);
  map(WORKSPACE, WORKSPACE_BYTES, -1);
  bind(&__TVMBackendParallelLaunch, launch);
  bind(&__TVMBackendParallelBarrier, barrier);
  bind(&__TVMBackendAllocWorkspace, allocate);
  bind(&__TVMBackendFreeWorkspace, release);
  for (int64_t i = 0; i < CALLS->calls; i++) {
    int64_t result[2] = {0, 0};
    Call call = CALLS->call[i];
    if (call.function(0, call.arguments, call.number, result)) finish(4);
  }
  finish(0);
}
