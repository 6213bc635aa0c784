// Collectives of NCCL: one process drives all devices. Rows are named nccl-VERSION, as in the carried-over tables, and count bytes as NCCL does.
#include "cuda/link_work.hpp"

#ifdef MOEPLAN_WITH_NCCL
#include <fmt/format.h>
#include <nccl.h>

#include <algorithm>
#include <chrono>
#include <stdexcept>

#include "cuda/kernels.hpp"

namespace moeplan::bench {
namespace {

void check_nccl(ncclResult_t status, const char* call, int line) {
  if (status != ncclSuccess) throw std::runtime_error(fmt::format("{} at collective_work.cpp:{}: {}", call, line, ncclGetErrorString(status)));
}
#define MOEPLAN_NCCL(call) check_nccl((call), #call, __LINE__)

/// Sets the device for a scope and puts the old one back.
class AtDevice {
 public:
  explicit AtDevice(int device) {
    MOEPLAN_CUDA(cudaGetDevice(&before_));
    MOEPLAN_CUDA(cudaSetDevice(device));
  }
  ~AtDevice() { cudaSetDevice(before_); }
  AtDevice(const AtDevice&) = delete;
  AtDevice& operator=(const AtDevice&) = delete;

 private:
  int before_ = 0;
};

class CollectiveWork final : public Work {
 public:
  explicit CollectiveWork(const Case& c) : op_(c.text("op")), ranks_(static_cast<int>(c.integer("ranks"))), bytes_(static_cast<std::size_t>(c.integer("bytes"))) {
    const std::size_t quantum = 2 * static_cast<std::size_t>(ranks_);
    if (bytes_ < quantum) throw Unsupported("messages smaller than an element per rank");
    bytes_ = bytes_ / quantum * quantum;
    communicators_.resize(static_cast<std::size_t>(ranks_));
    MOEPLAN_NCCL(ncclCommInitAll(communicators_.data(), ranks_, nullptr));
    for (int rank = 0; rank < ranks_; ++rank) {
      const AtDevice at(rank);
      streams_.push_back(std::make_unique<Stream>());
      from_.emplace_back(bytes_);
      to_.emplace_back(bytes_);
      launch_fill_random(from_.back().data(), bytes_, static_cast<std::uint64_t>(rank) + 1, *streams_.back());
      streams_.back()->wait();
    }
    const AtDevice at(0);
    start_ = std::make_unique<Event>();
    end_ = std::make_unique<Event>();
  }
  ~CollectiveWork() override {
    for (const ncclComm_t communicator : communicators_) ncclCommDestroy(communicator);
  }

  Sample run(int calls) override {
    enqueue();  // the ranks meet: what follows starts together
    {
      const AtDevice at(0);
      start_->record(*streams_[0]);
    }
    for (int i = 0; i < calls; ++i) enqueue();
    double seconds = 0;
    {
      const AtDevice at(0);
      end_->record(*streams_[0]);
      seconds = end_->since(*start_);
    }
    for (int rank = 0; rank < ranks_; ++rank) {
      const AtDevice at(rank);
      streams_[static_cast<std::size_t>(rank)]->wait();
    }
    return {seconds, false};
  }
  std::string framework() const override { return "nccl-" + nccl_version(); }

 private:
  void enqueue() {
    MOEPLAN_NCCL(ncclGroupStart());
    for (int rank = 0; rank < ranks_; ++rank) enqueue_rank(static_cast<std::size_t>(rank));
    MOEPLAN_NCCL(ncclGroupEnd());
  }
  void enqueue_rank(std::size_t rank) {
    const std::size_t elements = bytes_ / 2, share = elements / static_cast<std::size_t>(ranks_);
    const std::byte* from = from_[rank].data();
    std::byte* to = to_[rank].data();
    const ncclComm_t c = communicators_[rank];
    const cudaStream_t stream = *streams_[rank];
    if (op_ == "all_reduce") MOEPLAN_NCCL(ncclAllReduce(from, to, elements, ncclBfloat16, ncclSum, c, stream));
    else if (op_ == "all_gather") MOEPLAN_NCCL(ncclAllGather(from, to, share, ncclBfloat16, c, stream));
    else if (op_ == "reduce_scatter") MOEPLAN_NCCL(ncclReduceScatter(from, to, share, ncclBfloat16, ncclSum, c, stream));
    else {
      for (int other = 0; other < ranks_; ++other) {
        const std::size_t at = static_cast<std::size_t>(other) * share * 2;
        MOEPLAN_NCCL(ncclSend(from + at, share, ncclBfloat16, other, c, stream));
        MOEPLAN_NCCL(ncclRecv(to + at, share, ncclBfloat16, other, c, stream));
      }
    }
  }
  std::string op_;
  int ranks_;
  std::size_t bytes_;
  std::vector<ncclComm_t> communicators_;
  std::vector<std::unique_ptr<Stream>> streams_;
  std::vector<DeviceBuffer> from_, to_;
  std::unique_ptr<Event> start_, end_;
};

}  // namespace

std::unique_ptr<Work> make_collective_work(const Case& c) { return std::make_unique<CollectiveWork>(c); }
bool has_nccl() { return true; }
std::string nccl_version() {
  int v = 0;
  MOEPLAN_NCCL(ncclGetVersion(&v));
  return fmt::format("{}.{}.{}", v / 10000, v / 100 % 100, v % 100);
}

}  // namespace moeplan::bench
#else
namespace moeplan::bench {

std::unique_ptr<Work> make_collective_work(const Case&) { throw Unsupported("built without NCCL"); }
bool has_nccl() { return false; }
std::string nccl_version() { return ""; }

}  // namespace moeplan::bench
#endif
