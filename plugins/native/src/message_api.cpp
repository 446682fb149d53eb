// SPDX-License-Identifier: MIT
// Single messages for programs with a transport of their own, and for tests on golden bytes.
#include <cstring>
#include <memory>
#include <string>

#include "client.hpp"
#include "map.hpp"

namespace {

// What rb_message.owner points at: the bytes and views of them.
struct Owned {
  std::string bytes;
  rb::Message message;
  rb::MapView header_view;
  rb_map header, body;
};

// Pushed speech, which no client receives: prefix, header and the samples' number are checked.
bool DecodePushed(std::string_view data, rb::Message *message, std::string *error) {
  *error = "The speech is damaged or of another version.";
  if (data.size() < rb::kPrefixBytes || data[4] != RB_PROTOCOL_MAJOR) return false;
  const size_t length =
      static_cast<uint8_t>(data[6]) | static_cast<size_t>(static_cast<uint8_t>(data[7])) << 8;
  if (length > rb::kMaxHeaderBytes || length > data.size() - rb::kPrefixBytes) return false;
  message->header = data.substr(rb::kPrefixBytes, length);
  message->payload = data.substr(rb::kPrefixBytes + length);
  rb::MapView header;
  if (!header.Parse(message->header)) return false;
  const auto number = [&header](const char *key) {
    const rb::Value *value = header.Find(key);
    return value != nullptr && value->kind == rb::Kind::kUint ? value->natural : 0;
  };
  const rb::Value *format = header.Find("fmt");
  if (format == nullptr || (format->span != "s16le" && format->span != "f32le")) return false;
  const uint64_t width = format->span == "s16le" ? 2 : 4;
  const uint64_t channels = number("ch");
  if (channels < 1 || channels > 2 || number("rate") < 8000 || number("rate") > 192000) {
    return false;
  }
  return number("n") <= rb::kMaxSpeechBytes &&
         number("n") * channels * width == message->payload.size();
}

}  // namespace

namespace rb {

Failure DecodeMessage(const void *data, size_t size, rb_message *message) {
  auto owned = std::make_unique<Owned>();
  owned->bytes.assign(static_cast<const char *>(data), size);
  const std::string_view view = owned->bytes;
  std::string error;
  const bool pushed = view.substr(0, 4) == "PCM_";
  const bool ok =
      pushed ? DecodePushed(view, &owned->message, &error) : Decode(view, &owned->message, &error);
  if (!ok || !owned->header_view.Parse(owned->message.header)) return {RB_PROTOCOL, error};
  std::memcpy(message->topic, view.data(), 4);
  owned->header.view = &owned->header_view;
  owned->body.view = &owned->message.body;
  const bool has_body =
      !pushed && (owned->message.topic == Topic::kEvent ||
                  owned->message.topic == Topic::kRequest || owned->message.topic == Topic::kReply);
  message->header = &owned->header;
  message->body = has_body ? &owned->body : nullptr;
  message->payload = reinterpret_cast<const uint8_t *>(owned->message.payload.data());
  message->size = owned->message.payload.size();
  message->owner = owned.release();
  return {};
}

}  // namespace rb

extern "C" void rb_message_release(rb_message *message) {
  if (message == nullptr) return;
  delete static_cast<Owned *>(message->owner);
  *message = rb_message{};
}
