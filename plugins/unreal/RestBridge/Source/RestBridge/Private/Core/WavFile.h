// SPDX-License-Identifier: MIT
// A .wav as text-to-speech programs and services make it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace RestBridgeCore {

struct Wav {
  uint32_t rate_hz = 0, channels = 0;
  const uint8_t *pcm = nullptr;  // 16-bit little-endian, within the bytes that were given
  size_t num_samples = 0;        // per channel
};

// False with one sentence in `error` if it is no 16-bit PCM of one or two channels. Lengths that a
// streaming program could not know (0, 0xffffffff) reach to the end of the bytes.
bool ParseWav(const uint8_t *data, size_t size, Wav *wav, std::string *error);

}  // namespace RestBridgeCore
