// SPDX-License-Identifier: MIT
// Between the daemon's voice and an audio device: when to begin, what to leave out, and which
// instant of the media clock is being heard.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <mutex>

namespace RestBridgeCore {

constexpr int64_t kVoiceRateHz = 48000;

// Where samples come from: the native library, or a test.
class VoiceReader {
 public:
  virtual ~VoiceReader() = default;
  virtual size_t Available() = 0;
  // Copies up to `count` samples, silence behind them; returns how many are voice. `pts_ns`: media
  // time of the first one, or -1.
  virtual size_t Read(float *samples, size_t count, int64_t *pts_ns) = 0;
  virtual void Skip(size_t keep) = 0;  // forgets all but the newest
};

struct VoiceSettings {
  int64_t cushion_ns = 60'000'000;        // waits before playing begins
  int64_t longest_ns = 400'000'000;       // beyond it something was late: cut to the cushion
  int64_t output_delay_ns = 100'000'000;  // from Fill() to the ear
};

struct VoiceCounts {
  uint64_t underruns = 0;        // the voice ran dry
  uint64_t skipped_samples = 0;  // left out to catch up
};

// Fill() on the audio thread, everything else on any. The lock is held for the time of a few
// assignments; the samples are copied outside it.
class VoiceSchedule {
 public:
  explicit VoiceSchedule(const VoiceSettings &settings);

  // Writes `count` samples, silence where there are none.
  void Fill(VoiceReader &reader, float *samples, size_t count, int64_t now_ns);
  // Media time that is heard now; -1 while the voice is silent or nothing was played yet. Never
  // goes back within one stretch of voice.
  int64_t HeardNs(int64_t now_ns) const;
  // What was queued is void: another epoch or stream.
  void Restart();
  VoiceCounts counts() const;

 private:
  struct Piece {
    int64_t begin = 0, count = 0;  // position at the device, samples
    int64_t pts_ns = -1;           // media time of its first sample; -1: silence
  };
  static constexpr size_t kPieces = 64;
  static constexpr int64_t kJumpNs = 60'000'000;
  static constexpr int64_t kSlowness = 16;

  void Note(size_t count, size_t voiced, int64_t pts_ns, int64_t now_ns);

  const VoiceSettings settings_;
  bool playing_ = false;  // audio thread only

  mutable std::mutex mutex_;  // guards what follows
  bool restart_ = false;
  std::array<Piece, kPieces> pieces_{};
  size_t next_piece_ = 0;
  int64_t position_ = 0;  // samples that were handed out
  int64_t zero_ns_ = -1;  // when the device began with its sample 0, estimated
  mutable int64_t last_heard_ns_ = -1;
  VoiceCounts counts_;
};

}  // namespace RestBridgeCore
