// SPDX-License-Identifier: MIT
#include "WavFile.h"

#include <algorithm>
#include <cstring>

namespace RestBridgeCore {

namespace {

uint32_t Little(const uint8_t *data, size_t count) {
  uint32_t value = 0;
  for (size_t index = count; index-- > 0;) value = value << 8 | data[index];
  return value;
}

bool Is(const uint8_t *data, const char *name) { return std::memcmp(data, name, 4) == 0; }

}  // namespace

bool ParseWav(const uint8_t *data, size_t size, Wav *wav, std::string *error) {
  *error = "These bytes are no .wav file.";
  if (data == nullptr || size < 12 || !Is(data, "RIFF") || !Is(data + 8, "WAVE")) return false;
  for (size_t at = 12; at + 8 <= size;) {
    const uint8_t *chunk = data + at;
    const size_t left = size - at - 8;
    const size_t length = Little(chunk + 4, 4);
    if (Is(chunk, "fmt ") && length >= 16 && left >= 16) {
      const uint32_t coding = Little(chunk + 8, 2);
      wav->channels = Little(chunk + 10, 2);
      wav->rate_hz = Little(chunk + 12, 4);
      // 0xfffe is the extensible form; its sub-format is PCM for 16 bits in practice.
      if ((coding != 1 && coding != 0xfffe) || Little(chunk + 22, 2) != 16 || wav->channels < 1 ||
          wav->channels > 2) {
        *error = "The sound must be 16-bit PCM with one or two channels.";
        return false;
      }
    } else if (Is(chunk, "data")) {
      if (wav->channels == 0) return false;
      const size_t bytes = length == 0 ? left : std::min(length, left);
      wav->pcm = chunk + 8;
      wav->num_samples = bytes / (2 * wav->channels);
      error->clear();
      return true;
    }
    if (length > left) break;
    at += 8 + length + (length & 1);
  }
  return false;
}

}  // namespace RestBridgeCore
