// A compiled model as tables, and what runs it. The tables are generated; they end in `model`.
#ifndef TVM_SPARSE_PROGRAM_H_
#define TVM_SPARSE_PROGRAM_H_

#include <stddef.h>
#include <tvm/ffi/c_api.h>

enum { ALIGNMENT = 64 };                   // bytes; kernels ask for it
enum { EXIT_WRONG_USE = 2, EXIT_CPU = 3 };  // exit codes beside 0 and 1

// A tensor: at an offset in bytes of the model's memory, or of its constants.
struct tensor {
  DLDataType dtype;
  int32_t ndim;
  const int64_t *shape;
  int constant;
  uint64_t offset;
};

typedef int kernel_function(void *, const TVMFFIAny *, int32_t, TVMFFIAny *);

// A kernel, and which tensors it is called with.
struct call {
  const char *name;
  kernel_function *kernel;
  int32_t count;
  const int32_t *tensors;
};

// An input or an output.
struct end {
  const char *name;
  int32_t tensor;
};

struct model {
  const char *target, *needs;
  int threads;
  uint64_t memory, constants;  // bytes
  const struct tensor *tensors;
  int32_t tensor_count, call_count, input_count, output_count;
  const struct call *calls;
  const struct end *inputs, *outputs;
};

extern const struct model model;
extern const char constants[];

// fail.c: say what is wrong, and end.
_Noreturn void fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));
void tell_missing_features(void);
extern char raised[];

// memory.c
void *allocate(uint64_t bytes);

// npy.c
uint64_t size_of(const DLTensor *tensor);
const char *dtype_name(DLDataType dtype);
const char *shape_text(int32_t ndim, const int64_t *shape);  // e.g. (1, 3)
void read_npy(const char *path, const char *name, DLTensor *tensor);
void write_npy(const char *path, const DLTensor *tensor);

// run.c
void begin_model(int copies);
DLTensor *tensor_of(struct end end);
void run_model(int copy, double *seconds);
double now(void);

// threads.c
void begin_threads(int threads, const int *cpus, int cpu_count);

#endif
