// SPDX-License-Identifier: MIT
// What to think of the connection, and what to do again when a daemon comes back.
#pragma once

#include <cstdint>
#include <string>

namespace RestBridgeCore {

enum class LinkState {
  kWaiting,  // nothing was heard yet
  kLive,
  kLost  // it was live; the last picture stays, and the library tries to connect again
};

// What a tick has brought.
struct LinkNews {
  bool came = false;        // live now, not before
  bool went = false;        // lost now
  bool new_stream = false;  // another daemon, or the same one started again
  bool new_epoch = false;   // flushed: what is queued is void
};

// Follows the library's status; used by one thread.
class Link {
 public:
  LinkNews Update(bool connected, const char *stream, int64_t epoch);
  LinkState state() const { return state_; }

 private:
  LinkState state_ = LinkState::kWaiting;
  std::string stream_;
  int64_t epoch_ = -1;
};

// When to try something again: after half a second, then ever slower up to every eight.
class Backoff {
 public:
  bool IsDue(int64_t now_ns) const { return now_ns >= due_ns_; }
  void Fail(int64_t now_ns) {
    due_ns_ = now_ns + wait_ns_;
    wait_ns_ = wait_ns_ * 2 > kLongestNs ? kLongestNs : wait_ns_ * 2;
  }
  void Reset() {
    due_ns_ = 0;
    wait_ns_ = kFirstNs;
  }

 private:
  static constexpr int64_t kFirstNs = 500'000'000;
  static constexpr int64_t kLongestNs = 8'000'000'000;
  int64_t due_ns_ = 0;
  int64_t wait_ns_ = kFirstNs;
};

}  // namespace RestBridgeCore
