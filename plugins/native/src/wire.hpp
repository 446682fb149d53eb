// SPDX-License-Identifier: MIT
// Messages of the wire protocol (plugins/PROTOCOL.md): bytes to structures, and what a client
// sends. Knows no sockets and no threads; never throws but std::bad_alloc.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

#include "msgpack.hpp"
#include "rest_bridge/rest_bridge.h"

namespace rb {

constexpr size_t kPrefixBytes = 8;
constexpr size_t kMaxHeaderBytes = 4096;
constexpr size_t kMaxPayloadBytes = size_t{1} << 26;
constexpr size_t kMaxBodyBytes = size_t{1} << 16;
constexpr size_t kMaxSpeechBytes = size_t{1} << 22;
constexpr int64_t kMaxSidePx = 8192;
constexpr int64_t kMaxVoiceSamples = RB_VOICE_RATE_HZ;
constexpr size_t kMaxMessageBytes = kPrefixBytes + kMaxHeaderBytes + kMaxPayloadBytes;

extern const std::array<const char *, 5> kFrameTopics;  // by rb_format
extern const std::array<const char *, RB_NUM_RIG> kRigNames;
extern const std::array<const char *, RB_NUM_VISEMES> kVisemeNames;

enum class Topic { kFrame, kRig, kVoice, kEvent, kRequest, kReply };

// One message, decoded; texts and payloads are views of it.
struct Message {
  Topic topic = Topic::kFrame;
  // frame, rig, voice
  std::string_view stream, state, tier;
  int64_t epoch = 0, sequence = 0, pts_ns = 0, duration_ns = 0, captured_ns = 0, published_ns = 0;
  double level = 0;
  // frame
  rb_format format = RB_RGBA;
  uint32_t width = 0, height = 0, stride = 0;
  bool repeated = false, synthetic = false;
  // frame, voice
  int64_t sample_index = 0;
  // event, request, reply
  std::string_view kind, code, error;  // kind: of an event, or the operation
  int64_t id = 0;
  bool ok = false;
  std::string_view header;  // the msgpack map that the fields above were read from
  // pixels, float32 values, or the msgpack map
  std::string_view payload;
  MapView body;
};

// Decodes one message; on failure `error` is one sentence.
bool Decode(std::string_view data, Message *message, std::string *error);

// Copies little-endian float32 values from a payload that may lie anywhere.
void CopyFloats(std::string_view payload, size_t first, size_t count, float *out);

// A request; `body` is a packed map.
std::string EncodeRequest(int64_t id, std::string_view operation, std::string_view body);

struct Speech {
  std::string_view name;
  uint32_t rate_hz = 0, channels = 1;
  size_t count = 0;  // samples per channel
  bool is_float = false, begin = false, last = false;
  const std::string *marks = nullptr;  // names, all at the first sample
  size_t num_marks = 0;
};

std::string EncodeSpeech(const Speech &speech, const void *samples);

}  // namespace rb
