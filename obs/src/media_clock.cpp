// SPDX-License-Identifier: GPL-2.0-or-later
#include "media_clock.hpp"

#include <algorithm>

namespace face {

namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kJumpNs = 120 * kMs;  // beyond OBS's own smoothing of 70 ms
constexpr int64_t kBeginNs = 3 * kMs;
constexpr int64_t kEndNs = kMs / 2;
constexpr int64_t kSlowest = 1000;  // media nanoseconds for each nanosecond of movement

}  // namespace

void RecentLeast::Add(int64_t value) { values_[count_++ % values_.size()] = value; }

int64_t RecentLeast::least() const {
  const auto end = values_.begin() + static_cast<std::ptrdiff_t>(std::min(count_, values_.size()));
  return end == values_.begin() ? 0 : *std::min_element(values_.begin(), end);
}

void MediaClock::Reset() {
  offsets_.Clear();
  transits_.Clear();
  count_ = strange_ = 0;
  moving_ = false;
  ++generation_;
}

void MediaClock::Observe(int64_t pts_ns, int64_t published_ns, int64_t arrived_ns) {
  const int64_t offset_ns = published_ns - pts_ns;
  if (settled() && HasJumped(offset_ns)) Reset();
  offsets_.Add(offset_ns);
  transits_.Add(std::max<int64_t>(0, arrived_ns - published_ns));
  if (!settled()) {
    offset_ns_ = Target();
    ++count_;
  }
}

// A stream that was cut, or whose delay has changed, stays elsewhere; one late frame does not.
bool MediaClock::HasJumped(int64_t offset_ns) {
  const int64_t away_ns = offset_ns + transits_.least() + delay_ns_ - offset_ns_;
  strange_ = std::abs(away_ns) > kJumpNs ? strange_ + 1 : 0;
  return strange_ >= kSettle;
}

int64_t MediaClock::Target() const { return offsets_.least() + transits_.least() + delay_ns_; }

int64_t MediaClock::Wanted(int64_t span_ns) {
  if (!settled()) return 0;
  const int64_t error_ns = Target() - offset_ns_;
  moving_ = std::abs(error_ns) > (moving_ ? kEndNs : kBeginNs);
  if (!moving_) return 0;
  const int64_t most_ns = span_ns / kSlowest;
  return std::clamp(error_ns, -most_ns, most_ns);
}

void Stretch(const float *samples, size_t count, float *out, size_t made) {
  const double step = static_cast<double>(count - 1) / static_cast<double>(made - 1);
  for (size_t index = 0; index < made; ++index) {
    const double place = step * static_cast<double>(index);
    const size_t left = std::min(static_cast<size_t>(place), count - 2);
    const auto part = static_cast<float>(place - static_cast<double>(left));
    out[index] = samples[left] + part * (samples[left + 1] - samples[left]);
  }
}

}  // namespace face
