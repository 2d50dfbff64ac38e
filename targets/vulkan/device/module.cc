#include "module.h"

#include <tvm/ffi/error.h>

#include <cstring>

namespace tvm_sparse {

namespace ffi = tvm::ffi;

namespace {

// Reads what TVM's serializer writes: little-endian numbers, and 64-bit lengths before contents.
class Reader {
 public:
  Reader(const char* data, size_t size) : data_(data), left_(size) {}

  template <typename T>
  T Number() {
    T value;
    std::memcpy(&value, Take(sizeof(T)), sizeof(T));
    return value;
  }
  std::string Text() {
    size_t size = Number<uint64_t>();
    return std::string(Take(size), size);
  }
  template <typename Each>
  void List(Each each) {
    for (uint64_t i = 0, number = Number<uint64_t>(); i < number; ++i) each();
  }

 private:
  const char* Take(size_t size) {
    if (size > left_) {
      TVM_FFI_THROW(ValueError) << "damaged Vulkan module: its bytes end too early; build it again";
    }
    const char* taken = data_;
    data_ += size;
    left_ -= size;
    return taken;
  }
  const char* data_;
  size_t left_;
};

int LaunchIndex(const std::string& tag) {
  bool grid = tag.rfind("blockIdx.", 0) == 0;
  if (!grid && tag.rfind("threadIdx.", 0) != 0) {
    TVM_FFI_THROW(ValueError) << "Vulkan: unknown launch parameter " << tag;
  }
  return (grid ? 0 : 3) + (tag.back() - 'x');
}

void ReadInterface(Reader* reader, Kernel* kernel) {
  reader->Text();  // the name again
  reader->List([&] {
    DLDataType type = reader->Number<DLDataType>();
    ++(type.code == kDLOpaqueHandle ? kernel->buffers : kernel->scalars);
    kernel->arguments.push_back(type);
  });
  reader->List([&] { kernel->launch.push_back(LaunchIndex(reader->Text())); });
  reader->List([&] { reader->Number<int32_t>(); });
}

void ReadShader(const std::string& bytes, Kernel* kernel) {
  Reader reader(bytes.data(), bytes.size());
  kernel->flags = reader.Number<uint32_t>();
  reader.List([&] { kernel->code.push_back(reader.Number<uint32_t>()); });
}

}  // namespace

Module::Module(const ffi::Bytes& bytes) : bytes_(bytes) {
  Reader reader(bytes.data(), bytes.size());
  std::string format = reader.Text();
  if (format != "vulkan") {
    TVM_FFI_THROW(ValueError) << "expected a Vulkan module, got one of format " << format;
  }
  reader.List([&] {
    auto kernel = std::make_shared<Kernel>();
    kernel->name = reader.Text();
    ReadInterface(&reader, kernel.get());
    kernels_[kernel->name] = kernel;
  });
  reader.List([&] {
    std::string name = reader.Text();
    ReadShader(reader.Text(), kernels_.at(name).get());
  });
}

ffi::Optional<ffi::Function> Module::GetFunction(const ffi::String& name) {
  auto found = kernels_.find(std::string(name));
  if (found == kernels_.end()) return std::nullopt;
  std::shared_ptr<Kernel> kernel = found->second;
  return ffi::Function::FromPacked(
      [kernel](ffi::PackedArgs args, ffi::Any*) { kernel->Launch(args); });
}

}  // namespace tvm_sparse
