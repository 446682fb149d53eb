// SPDX-License-Identifier: MIT
#include "VoiceSchedule.h"

#include <algorithm>

namespace RestBridgeCore {

namespace {

// In two steps: the product of a day's samples and 1e9 would not fit.
int64_t ToNs(int64_t samples) {
  return samples / kVoiceRateHz * 1'000'000'000 +
         samples % kVoiceRateHz * 1'000'000'000 / kVoiceRateHz;
}

size_t ToSamples(int64_t ns) { return static_cast<size_t>(ns * kVoiceRateHz / 1'000'000'000); }

}  // namespace

VoiceSchedule::VoiceSchedule(const VoiceSettings &settings) : settings_(settings) {}

void VoiceSchedule::Restart() {
  const std::lock_guard<std::mutex> lock(mutex_);
  restart_ = true;
  last_heard_ns_ = -1;
  for (Piece &piece : pieces_) piece.pts_ns = -1;
}

void VoiceSchedule::Fill(VoiceReader &reader, float *samples, size_t count, int64_t now_ns) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (restart_) playing_ = false;
    restart_ = false;
  }
  const size_t cushion = ToSamples(settings_.cushion_ns);
  size_t waiting = reader.Available();
  if (!playing_ && waiting >= std::max(cushion, count)) playing_ = true;
  if (playing_ && waiting > ToSamples(settings_.longest_ns)) {
    const size_t keep = std::max(cushion, count);
    reader.Skip(keep);
    const std::lock_guard<std::mutex> lock(mutex_);
    counts_.skipped_samples += waiting - std::min(keep, waiting);
  }
  size_t voiced = 0;
  int64_t pts_ns = -1;
  if (playing_) {
    voiced = reader.Read(samples, count, &pts_ns);
  } else {
    std::fill_n(samples, count, 0.0f);
  }
  if (playing_ && voiced < count) {
    playing_ = false;
    const std::lock_guard<std::mutex> lock(mutex_);
    ++counts_.underruns;
  }
  Note(count, voiced, pts_ns, now_ns);
}

void VoiceSchedule::Note(size_t count, size_t voiced, int64_t pts_ns, int64_t now_ns) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto add = [this](size_t size, int64_t pts) {
    if (size == 0) return;
    pieces_[next_piece_] = {position_, static_cast<int64_t>(size), pts};
    next_piece_ = (next_piece_ + 1) % kPieces;
    position_ += static_cast<int64_t>(size);
  };
  // The device asks when it has room: what it gets now is heard after the output delay. Single
  // calls come early or late, so the estimate follows slowly, and jumps only after a pause.
  const int64_t measured_ns = now_ns + settings_.output_delay_ns - ToNs(position_);
  const int64_t error_ns = measured_ns - zero_ns_;
  if (zero_ns_ < 0 || error_ns > kJumpNs || error_ns < -kJumpNs) {
    zero_ns_ = measured_ns;
  } else {
    zero_ns_ += error_ns / kSlowness;
  }
  add(voiced, pts_ns);
  add(count - voiced, -1);
}

int64_t VoiceSchedule::HeardNs(int64_t now_ns) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (zero_ns_ < 0 || restart_) return -1;
  const int64_t played_ns = now_ns - zero_ns_;
  for (const Piece &piece : pieces_) {
    const int64_t into_ns = played_ns - ToNs(piece.begin);
    if (piece.count == 0 || into_ns < 0 || into_ns >= ToNs(piece.count)) continue;
    if (piece.pts_ns < 0) break;
    last_heard_ns_ = std::max(last_heard_ns_, piece.pts_ns + into_ns);
    return last_heard_ns_;
  }
  last_heard_ns_ = -1;
  return -1;
}

VoiceCounts VoiceSchedule::counts() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return counts_;
}

}  // namespace RestBridgeCore
