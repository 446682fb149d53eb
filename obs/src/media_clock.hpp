// SPDX-License-Identifier: GPL-2.0-or-later
// From the daemon's media clock to the clock that OBS stamps by. Picture and voice go through the
// same mapping, which is what keeps them together. Knows neither OBS nor sockets.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace face {

// The least of the newest values: what was published or sent without waiting for anything.
class RecentLeast {
 public:
  void Add(int64_t value);
  void Clear() { count_ = 0; }
  int64_t least() const;

 private:
  std::array<int64_t, 128> values_{};  // five seconds at 25 frames per second
  size_t count_ = 0;
};

class MediaClock {
 public:
  // delay_ns: how long everything is held back, so that what comes a little late is still in time.
  explicit MediaClock(int64_t delay_ns) : delay_ns_(delay_ns) {}

  // A frame came: its media time, when it was published and when it came, both by OBS's clock.
  void Observe(int64_t pts_ns, int64_t published_ns, int64_t arrived_ns);
  void Reset();
  bool ready() const { return count_ > 0; }
  // Enough frames were seen for the voice to begin; until then the mapping may move freely.
  bool settled() const { return count_ >= kSettle; }
  int64_t ToObs(int64_t pts_ns) const { return pts_ns + offset_ns_; }
  // By how much the mapping should move while `span_ns` of media passes: at most a thousandth.
  int64_t Wanted(int64_t span_ns);
  void Move(int64_t by_ns) { offset_ns_ += by_ns; }
  // Grows when the mapping was begun anew: what was stamped before does not continue.
  uint64_t generation() const { return generation_; }

 private:
  static constexpr uint32_t kSettle = 12;
  int64_t Target() const;
  bool HasJumped(int64_t offset_ns);

  const int64_t delay_ns_;
  RecentLeast offsets_, transits_;
  int64_t offset_ns_ = 0;
  uint32_t count_ = 0, strange_ = 0;
  bool moving_ = false;
  uint64_t generation_ = 0;
};

// Makes `made` samples of `count` by straight lines between them; both at least 2.
void Stretch(const float *samples, size_t count, float *out, size_t made);

}  // namespace face
