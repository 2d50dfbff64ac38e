// The device's own clock, for TVM's time_evaluator.
#include <tvm/ffi/function.h>
#include <tvm/ffi/reflection/registry.h>
// The wheel's tensor.h needs headers that the wheel lacks, and timer.h uses nothing of it.
#define TVM_RUNTIME_TENSOR_H_
#include <tvm/runtime/timer.h>

#include <chrono>

#include "device.h"

namespace tvm_sparse {

namespace ffi = tvm::ffi;

namespace {

class Timer final : public tvm::runtime::TimerNode {
 public:
  explicit Timer(DLDevice dev) : device_(Device::Get(dev.device_id)) {
    if (!device_.timestamp_bits) return;
    VkQueryPoolCreateInfo info{VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO};
    info.queryType = VK_QUERY_TYPE_TIMESTAMP;
    info.queryCount = 2;
    Check(vkCreateQueryPool(device_.handle, &info, nullptr, &pool_), "creating a timer");
  }

  ~Timer() {
    if (!pool_) return;
    std::lock_guard<std::recursive_mutex> lock(device_.mutex);
    try {
      device_.stream->Wait();
    } catch (const ffi::Error&) {
      return;
    }
    vkDestroyQueryPool(device_.handle, pool_, nullptr);
  }

  void Start() final { Mark(0); }
  void Stop() final { Mark(1); }

  int64_t SyncAndGetElapsedNanos() final {
    if (!pool_) return std::chrono::nanoseconds(times_[1] - times_[0]).count();
    std::lock_guard<std::recursive_mutex> lock(device_.mutex);
    device_.stream->Wait();
    uint64_t ticks[2];
    Check(vkGetQueryPoolResults(device_.handle, pool_, 0, 2, sizeof(ticks), ticks, sizeof(ticks[0]),
                                VK_QUERY_RESULT_64_BIT | VK_QUERY_RESULT_WAIT_BIT),
          "reading a timer");
    uint64_t valid = ~uint64_t(0) >> (64 - device_.timestamp_bits);
    double period = device_.properties.limits.timestampPeriod;
    return static_cast<int64_t>(static_cast<double>((ticks[1] - ticks[0]) & valid) * period);
  }

  TVM_FFI_DECLARE_OBJECT_INFO_FINAL("tvm_sparse.vulkan.Timer", Timer, tvm::runtime::TimerNode);

 private:
  void Mark(uint32_t query) {
    std::lock_guard<std::recursive_mutex> lock(device_.mutex);
    if (pool_) {
      device_.stream->Timestamp(pool_, query);
    } else {
      device_.stream->Wait();
      times_[query] = std::chrono::steady_clock::now();
    }
  }

  Device& device_;
  VkQueryPool pool_ = VK_NULL_HANDLE;
  std::chrono::steady_clock::time_point times_[2];
};

}  // namespace

TVM_FFI_STATIC_INIT_BLOCK() {
  ffi::reflection::GlobalDef().def("tvm_sparse.vulkan.timer", [](DLDevice dev) {
    return tvm::runtime::Timer(ffi::make_object<Timer>(dev));
  });
}

}  // namespace tvm_sparse
