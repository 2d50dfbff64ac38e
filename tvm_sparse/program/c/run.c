// Lay a model's tensors out in memory, and call its kernels in order.
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <tvm/runtime/c_backend_api.h>

#include "program.h"

// Kernels call the runtime through these pointers; those that no kernel uses are not there.
extern __attribute__((weak)) void *__TVMBackendParallelLaunch, *__TVMBackendAllocWorkspace,
    *__TVMBackendFreeWorkspace;

static DLTensor *tensors;      // of all copies
static TVMFFIAny *arguments;  // of all calls of all copies
static int32_t argument_count;

static void connect(void) {
  if (&__TVMBackendParallelLaunch) __TVMBackendParallelLaunch = (void *)TVMBackendParallelLaunch;
  if (&__TVMBackendAllocWorkspace) __TVMBackendAllocWorkspace = (void *)TVMBackendAllocWorkspace;
  if (&__TVMBackendFreeWorkspace) __TVMBackendFreeWorkspace = (void *)TVMBackendFreeWorkspace;
}

static void place_tensors(DLTensor *placed, char *memory, const char *values) {
  for (int32_t i = 0; i < model.tensor_count; ++i) {
    const struct tensor *tensor = &model.tensors[i];
    placed[i] = (DLTensor){
        .data = (tensor->constant ? (char *)values : memory) + tensor->offset,
        .device = {kDLCPU, 0},
        .ndim = tensor->ndim,
        .dtype = tensor->dtype,
        .shape = (int64_t *)tensor->shape,
    };
  }
}

static void place_arguments(TVMFFIAny *argument, DLTensor *placed) {
  for (int32_t i = 0; i < model.call_count; ++i)
    for (int32_t j = 0; j < model.calls[i].count; ++j, ++argument) {
      argument->type_index = kTVMFFIDLTensorPtr;
      argument->v_ptr = &placed[model.calls[i].tensors[j]];
    }
}

// Each copy has constants of its own, and shares the rest.
void begin_model(int copies) {
  connect();
  for (int32_t i = 0; i < model.call_count; ++i) argument_count += model.calls[i].count;
  tensors = calloc((size_t)copies * model.tensor_count, sizeof *tensors);
  arguments = calloc((size_t)copies * argument_count, sizeof *arguments);
  if (!tensors || !arguments) fail(EXIT_FAILURE, "out of memory");
  char *memory = allocate(model.memory);
  memset(memory, 0, model.memory);
  for (int copy = 0; copy < copies; ++copy) {
    const char *values = constants;
    if (copy) values = memcpy(allocate(model.constants), constants, model.constants);
    place_tensors(tensors + (size_t)copy * model.tensor_count, memory, values);
    place_arguments(arguments + (size_t)copy * argument_count,
                    tensors + (size_t)copy * model.tensor_count);
  }
}

DLTensor *tensor_of(struct end end) { return &tensors[end.tensor]; }

// `seconds`, if any, is raised by each kernel's time.
void run_model(int copy, double *seconds) {
  TVMFFIAny *given = arguments + (size_t)copy * argument_count;
  for (int32_t i = 0; i < model.call_count; given += model.calls[i++].count) {
    double begin = seconds ? now() : 0;
    TVMFFIAny nothing = {.type_index = kTVMFFINone};
    if (model.calls[i].kernel(NULL, given, model.calls[i].count, &nothing))
      fail(EXIT_FAILURE, "kernel %s failed: %s", model.calls[i].name, raised);
    if (seconds) seconds[i] += now() - begin;
  }
}

double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + time.tv_nsec * 1e-9;
}
