#include "cuda/link_work.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace moeplan::bench {
namespace {

constexpr std::size_t kRotation = std::size_t{256} << 20;  // operands rotate over at least this much
constexpr int kMostSets = 64;

/// Page-locked host memory.
class PinnedBuffer {
 public:
  explicit PinnedBuffer(std::size_t bytes) {
    void* memory = nullptr;
    MOEPLAN_CUDA(cudaMallocHost(&memory, bytes));
    data_.reset(static_cast<std::byte*>(memory));
    // Not zeros: links may compress them.
    for (std::size_t i = 0; i < bytes; ++i) data_.get()[i] = static_cast<std::byte>((i * 2654435761U) >> 13);
  }
  [[nodiscard]] std::byte* data() const { return data_.get(); }

 private:
  struct Free {
    void operator()(std::byte* p) const { cudaFreeHost(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
};

class OnDevice {
 public:
  explicit OnDevice(int device) {
    MOEPLAN_CUDA(cudaGetDevice(&before_));
    MOEPLAN_CUDA(cudaSetDevice(device));
  }
  ~OnDevice() { cudaSetDevice(before_); }
  OnDevice(const OnDevice&) = delete;
  OnDevice& operator=(const OnDevice&) = delete;

 private:
  int before_ = 0;
};

int sets_for(std::size_t bytes) { return static_cast<int>(std::clamp<std::size_t>(kRotation / bytes, 1, kMostSets)); }

class HostLinkWork final : public Work {
 public:
  explicit HostLinkWork(const Case& c)
      : op_(c.text("op")), bytes_(static_cast<std::size_t>(c.integer("bytes"))), sets_(sets_for(bytes_)), up_(bytes_ * static_cast<std::size_t>(sets_)),
        down_(bytes_ * static_cast<std::size_t>(sets_)), device_up_(bytes_ * static_cast<std::size_t>(sets_)), device_down_(bytes_ * static_cast<std::size_t>(sets_)) {}

  Sample run(int calls) override {
    start_.record(first_);
    joined_.record(first_);
    MOEPLAN_CUDA(cudaStreamWaitEvent(second_, joined_, 0));
    for (int i = 0; i < calls; ++i) {
      const std::size_t at = static_cast<std::size_t>(next_++ % static_cast<unsigned>(sets_)) * bytes_;
      if (op_ != "d2h") MOEPLAN_CUDA(cudaMemcpyAsync(device_up_.data() + at, up_.data() + at, bytes_, cudaMemcpyHostToDevice, first_));
      if (op_ != "h2d") MOEPLAN_CUDA(cudaMemcpyAsync(down_.data() + at, device_down_.data() + at, bytes_, cudaMemcpyDeviceToHost, second_));
    }
    joined_.record(second_);
    MOEPLAN_CUDA(cudaStreamWaitEvent(first_, joined_, 0));
    end_.record(first_);
    return {end_.since(start_), false};
  }
  std::string framework() const override { return fmt::format("cuda-{}/memcpy-pinned", CUDART_VERSION / 1000); }

 private:
  /// An event that streams wait for.
  struct Join {
    Join() { MOEPLAN_CUDA(cudaEventCreateWithFlags(&event, cudaEventDisableTiming)); }
    ~Join() { cudaEventDestroy(event); }
    Join(const Join&) = delete;
    Join& operator=(const Join&) = delete;
    void record(cudaStream_t stream) const { MOEPLAN_CUDA(cudaEventRecord(event, stream)); }
    operator cudaEvent_t() const { return event; }  // NOLINT: stands for its handle
    cudaEvent_t event = nullptr;
  };
  std::string op_;
  std::size_t bytes_;
  int sets_;
  unsigned next_ = 0;
  PinnedBuffer up_, down_;
  DeviceBuffer device_up_, device_down_;
  Stream first_, second_;
  Event start_, end_;
  Join joined_;
};

class PeerWork final : public Work {
 public:
  PeerWork(int from, int to, std::size_t bytes) : from_(from), to_(to), bytes_(bytes), sets_(sets_for(bytes)) {
    int direct = 0;
    MOEPLAN_CUDA(cudaDeviceCanAccessPeer(&direct, to, from));
    direct_ = direct != 0;
    const std::size_t whole = bytes * static_cast<std::size_t>(sets_);
    {
      const OnDevice at(to);
      target_ = DeviceBuffer(whole);
      if (direct_) enable_peer(from);
    }
    const OnDevice at(from);
    source_ = DeviceBuffer(whole);
    if (direct_) enable_peer(to);
    stream_ = std::make_unique<Stream>();
    start_ = std::make_unique<Event>();
    end_ = std::make_unique<Event>();
    MOEPLAN_CUDA(cudaMemset(source_.data(), 0x5b, whole));
  }
  Sample run(int calls) override {
    const OnDevice at(from_);
    start_->record(*stream_);
    for (int i = 0; i < calls; ++i) {
      const std::size_t place = static_cast<std::size_t>(next_++ % static_cast<unsigned>(sets_)) * bytes_;
      MOEPLAN_CUDA(cudaMemcpyPeerAsync(target_.data() + place, to_, source_.data() + place, from_, bytes_, *stream_));
    }
    end_->record(*stream_);
    return {end_->since(*start_), false};
  }
  std::string framework() const override { return fmt::format("cuda-{}/memcpy-peer{}", CUDART_VERSION / 1000, direct_ ? "" : "-through-host"); }

 private:
  static void enable_peer(int other) {
    const cudaError_t status = cudaDeviceEnablePeerAccess(other, 0);
    if (status == cudaErrorPeerAccessAlreadyEnabled) cudaGetLastError();
    else MOEPLAN_CUDA(status);
  }
  int from_, to_;
  std::size_t bytes_;
  int sets_;
  bool direct_ = false;
  unsigned next_ = 0;
  DeviceBuffer target_, source_;
  std::unique_ptr<Stream> stream_;
  std::unique_ptr<Event> start_, end_;
};

}  // namespace

std::unique_ptr<Work> make_link_work(const Case& c) {
  if (c.text("op") == "peer") return std::make_unique<PeerWork>(static_cast<int>(c.integer("from")), static_cast<int>(c.integer("to")), static_cast<std::size_t>(c.integer("bytes")));
  return std::make_unique<HostLinkWork>(c);
}

}  // namespace moeplan::bench
