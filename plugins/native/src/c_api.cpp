// SPDX-License-Identifier: MIT
// The C interface: arguments checked, exceptions kept inside, failures as results and sentences.
#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string>
#include <vector>

#include "client.hpp"
#include "map.hpp"
#include "rest_bridge/rest_bridge.h"

#ifdef RB_WITH_JPEG
#include "jpeg.hpp"
#endif

using rb::Client;
using rb::Failure;
using rb::Message;
using rb::Milliseconds;
using rb::PacketPtr;

struct rb_client : Client {
  using Client::Client;
};

struct rb_speech {
  Client *client;
  std::string name;
  uint32_t rate_hz, channels;
  bool begun = false;
  std::vector<std::string> marks;
};

namespace {

constexpr size_t kMaxName = 128;
constexpr size_t kMaxMarks = 32;
constexpr const char *kVersion = "1.0.0";

std::string &LastError() {
  thread_local std::string text;
  return text;
}

rb_result Report(const Failure &failure) {
  if (failure.result != RB_OK) LastError() = failure.text;
  return failure.result;
}

rb_result Wrong(const char *text) { return Report({RB_ARGUMENT, text}); }

// Runs what may throw; nothing but memory can be short.
template <typename Body>
rb_result Guard(Body body) {
  try {
    return body();
  } catch (const std::exception &error) {
    return Report({RB_SYSTEM, error.what()});
  }
}

void FillFrame(const PacketPtr &packet, rb_frame *frame) {
  const Message &message = packet->message;
  frame->sequence = message.sequence;
  frame->epoch = message.epoch;
  frame->pts_ns = message.pts_ns;
  frame->duration_ns = message.duration_ns;
  frame->captured_ns = message.captured_ns;
  frame->published_ns = message.published_ns;
  frame->sample_index = message.sample_index;
  frame->level = message.level;
  frame->format = message.format;
  frame->width = message.width;
  frame->height = message.height;
  frame->stride = message.stride;
  frame->data = reinterpret_cast<const uint8_t *>(message.payload.data());
  frame->size = message.payload.size();
  frame->repeated = message.repeated ? 1 : 0;
  frame->synthetic = message.synthetic ? 1 : 0;
  frame->owner = new PacketPtr(packet);
}

rb_result HandFrame(const PacketPtr &packet, rb_result otherwise, rb_frame *frame) {
  if (!packet) return otherwise;
  FillFrame(packet, frame);
  return RB_OK;
}

rb_result HandRig(const PacketPtr &packet, rb_rig *rig) {
  if (!packet) return RB_EMPTY;
  const Message &message = packet->message;
  rig->sequence = message.sequence;
  rig->epoch = message.epoch;
  rig->pts_ns = message.pts_ns;
  rig->level = message.level;
  rb::CopyFloats(message.payload, 0, RB_NUM_RIG, rig->values);
  rb::CopyFloats(message.payload, RB_NUM_RIG, RB_NUM_VISEMES, rig->visemes);
  return RB_OK;
}

bool IsName(const char *text) {
  return text != nullptr && std::strlen(text) <= kMaxName && rb::IsUtf8(text);
}

// Sends what is pushed in pieces of a second, so that a flush finds little on its way.
rb_result Push(rb_speech *speech, const void *samples, size_t count, bool is_float,
               uint32_t timeout_ms, size_t *sent) {
  if (sent != nullptr) *sent = 0;
  if (speech == nullptr || (samples == nullptr && count > 0)) return Wrong("No line or samples.");
  return Guard([&] {
    const size_t width = (is_float ? sizeof(float) : sizeof(int16_t)) * speech->channels;
    for (size_t done = 0; done < count;) {
      const size_t piece = std::min<size_t>(count - done, speech->rate_hz);
      rb::Speech message;
      message.name = speech->name;
      message.rate_hz = speech->rate_hz;
      message.channels = speech->channels;
      message.count = piece;
      message.is_float = is_float;
      message.begin = !speech->begun;
      message.marks = speech->marks.data();
      message.num_marks = speech->marks.size();
      const auto *bytes = static_cast<const uint8_t *>(samples) + done * width;
      const Failure failure =
          speech->client->SendSpeech(rb::EncodeSpeech(message, bytes), Milliseconds(timeout_ms));
      if (failure.result != RB_OK) return Report(failure);
      speech->begun = true;
      speech->marks.clear();
      done += piece;
      if (sent != nullptr) *sent = done;
    }
    return RB_OK;
  });
}

}  // namespace

extern "C" {

const char *rb_last_error(void) { return LastError().c_str(); }
const char *rb_version(void) { return kVersion; }
int64_t rb_now_ns(void) { return rb::NowNs(); }

void rb_options_init(rb_options *options) {
  if (options == nullptr) return;
  *options = rb_options{};
  options->struct_size = sizeof *options;
  options->frames = "tcp://127.0.0.1:5570";
  options->events = "tcp://127.0.0.1:5571";
  options->control = "tcp://127.0.0.1:5572";
  options->speech = "tcp://127.0.0.1:5573";
  options->format = RB_RGBA;
  options->voice = 1;
  options->rig = 1;
  options->history_frames = 8;
  options->voice_buffer_ms = 2000;
}

rb_result rb_client_open(const rb_options *options, rb_client **client) {
  if (options == nullptr || client == nullptr) return Wrong("No options or no place for a client.");
  *client = nullptr;
  if (options->struct_size != sizeof *options) {
    return Wrong("The options were not made by rb_options_init of this version.");
  }
  if (options->format < RB_RGBA || options->format > RB_WEBP) return Wrong("No such format.");
  if (options->history_frames < 1 || options->history_frames > 64) {
    return Wrong("history_frames must be 1..64.");
  }
  if (options->voice_buffer_ms < 100 || options->voice_buffer_ms > 10000) {
    return Wrong("voice_buffer_ms must be 100..10000.");
  }
  return Guard([&] {
    const auto text = [](const char *value) { return std::string(value == nullptr ? "" : value); };
    rb::Settings settings;
    settings.frames = text(options->frames);
    settings.events = text(options->events);
    settings.control = text(options->control);
    settings.speech = text(options->speech);
    settings.format = options->format;
    settings.voice = options->voice != 0;
    settings.rig = options->rig != 0;
    settings.history_frames = options->history_frames;
    settings.voice_samples = size_t{options->voice_buffer_ms} * (RB_VOICE_RATE_HZ / 1000);
    settings.server_key = text(options->server_key);
    settings.public_key = text(options->public_key);
    settings.secret_key = text(options->secret_key);
    auto made = std::make_unique<rb_client>(std::move(settings));
    const Failure failure = made->Start();
    if (failure.result == RB_OK) *client = made.release();
    return Report(failure);
  });
}

void rb_client_close(rb_client *client) { delete client; }

void rb_client_status(rb_client *client, rb_status *status) {
  if (client != nullptr && status != nullptr) client->Status(status);
}

size_t rb_client_refusal(rb_client *client, char *text, size_t size) {
  if (client == nullptr || (text == nullptr && size > 0)) return 0;
  const std::string refusal = client->Refusal();
  const size_t length = size == 0 ? 0 : std::min(refusal.size(), size - 1);
  if (size > 0) {
    std::memcpy(text, refusal.data(), length);
    text[length] = '\0';
  }
  return refusal.size();
}

rb_result rb_message_decode(const void *data, size_t size, rb_message *message) {
  if (data == nullptr || message == nullptr) return Wrong("No bytes or no place for a message.");
  *message = rb_message{};
  return Guard([&] { return Report(rb::DecodeMessage(data, size, message)); });
}

void rb_client_cancel(rb_client *client) {
  if (client != nullptr) client->Cancel();
}

rb_result rb_frame_latest(rb_client *client, rb_frame *frame) {
  if (client == nullptr || frame == nullptr) return Wrong("No client or no place for a frame.");
  return Guard([&] { return HandFrame(client->frames.Latest(Milliseconds(0)), RB_EMPTY, frame); });
}

rb_result rb_frame_wait(rb_client *client, uint32_t timeout_ms, rb_frame *frame) {
  if (client == nullptr || frame == nullptr) return Wrong("No client or no place for a frame.");
  return Guard([&] {
    const PacketPtr packet = client->frames.Latest(Milliseconds(timeout_ms));
    if (!packet) LastError() = "No frame came in time; is the daemon running?";
    return HandFrame(packet, RB_TIMEOUT, frame);
  });
}

rb_result rb_frame_at(rb_client *client, int64_t media_ns, rb_frame *frame) {
  if (client == nullptr || frame == nullptr) return Wrong("No client or no place for a frame.");
  return Guard([&] { return HandFrame(client->frames.At(media_ns), RB_EMPTY, frame); });
}

void rb_frame_release(rb_frame *frame) {
  if (frame == nullptr) return;
  delete static_cast<PacketPtr *>(frame->owner);
  *frame = rb_frame{};
}

rb_result rb_frame_decode(const rb_frame *frame, uint8_t *rgba, size_t stride) {
  if (frame == nullptr || frame->data == nullptr || rgba == nullptr) return Wrong("No frame.");
  if (stride < size_t{frame->width} * 4) return Wrong("The stride is less than the width.");
  if (frame->format == RB_RGBA || frame->format == RB_BGRA) {
    for (uint32_t row = 0; row < frame->height; ++row) {
      const uint8_t *from = frame->data + size_t{row} * frame->stride;
      uint8_t *to = rgba + row * stride;
      std::memcpy(to, from, size_t{frame->width} * 4);
      if (frame->format == RB_BGRA) {
        for (uint32_t column = 0; column < frame->width; ++column) {
          std::swap(to[column * 4], to[column * 4 + 2]);
        }
      }
    }
    return RB_OK;
  }
#ifdef RB_WITH_JPEG
  if (frame->format == RB_JPEG) {
    return Guard([&] {
      std::string error;
      if (rb::DecodeJpeg(frame->data, frame->size, frame->width, frame->height, rgba, stride,
                         &error)) {
        return RB_OK;
      }
      return Report({RB_PROTOCOL, error});
    });
  }
#endif
  return Wrong("This library was built without a decoder for this format.");
}

rb_result rb_rig_latest(rb_client *client, rb_rig *rig) {
  if (client == nullptr || rig == nullptr) return Wrong("No client or no place for a rig.");
  return Guard([&] { return HandRig(client->rigs.Latest(Milliseconds(0)), rig); });
}

rb_result rb_rig_at(rb_client *client, int64_t media_ns, rb_rig *rig) {
  if (client == nullptr || rig == nullptr) return Wrong("No client or no place for a rig.");
  return Guard([&] { return HandRig(client->rigs.At(media_ns), rig); });
}

const char *rb_rig_name(uint32_t index) {
  return index < rb::kRigNames.size() ? rb::kRigNames[index] : nullptr;
}

const char *rb_viseme_name(uint32_t index) {
  return index < rb::kVisemeNames.size() ? rb::kVisemeNames[index] : nullptr;
}

size_t rb_voice_read(rb_client *client, float *samples, size_t count, int64_t *pts_ns) {
  if (pts_ns != nullptr) *pts_ns = -1;
  if (client == nullptr || samples == nullptr) return 0;
  return client->voice.Read(samples, count, pts_ns);
}

size_t rb_voice_available(rb_client *client) {
  return client == nullptr ? 0 : client->voice.available();
}

void rb_voice_skip(rb_client *client, size_t keep) {
  if (client != nullptr) client->voice.Skip(keep);
}

rb_result rb_event_next(rb_client *client, uint32_t timeout_ms, rb_event *event) {
  if (client == nullptr || event == nullptr) return Wrong("No client or no place for an event.");
  return Guard([&] {
    PacketPtr packet = client->events.Next(Milliseconds(timeout_ms));
    if (!packet) return RB_EMPTY;
    auto map = std::make_unique<rb_map>();
    const Message &message = packet->message;
    rb::CopyName(message.kind, event->kind);
    event->sequence = message.sequence;
    event->epoch = message.epoch;
    event->published_ns = message.published_ns;
    map->packet = std::move(packet);
    map->view = &map->packet->message.body;
    event->owner = map.get();
    event->body = map.release();
    return RB_OK;
  });
}

void rb_event_release(rb_event *event) {
  if (event == nullptr) return;
  delete static_cast<rb_map *>(event->owner);
  *event = rb_event{};
}

rb_result rb_request(rb_client *client, const char *operation, const rb_map *arguments,
                     uint32_t timeout_ms, rb_map **reply) {
  if (reply != nullptr) *reply = nullptr;
  if (client == nullptr || !IsName(operation)) return Wrong("No client or operation.");
  return Guard([&] {
    const rb_map nothing;
    const std::string body = (arguments == nullptr ? nothing : *arguments).Pack();
    if (body.size() > rb::kMaxBodyBytes) return Wrong("The arguments are too long.");
    PacketPtr packet;
    const Failure failure = client->Request(operation, body, Milliseconds(timeout_ms), &packet);
    if (failure.result == RB_OK && reply != nullptr) {
      *reply = new rb_map;
      (*reply)->view = &packet->message.body;
      (*reply)->packet = std::move(packet);
    }
    return Report(failure);
  });
}

rb_result rb_clock_offset(rb_client *client, uint32_t exchanges, int64_t *offset_ns) {
  if (client == nullptr || offset_ns == nullptr || exchanges == 0) {
    return Wrong("No client, no place for the offset, or no exchanges.");
  }
  return Guard([&] { return Report(client->ClockOffset(exchanges, offset_ns)); });
}

rb_result rb_speech_open(rb_client *client, const char *name, uint32_t rate_hz, uint32_t channels,
                         rb_speech **speech) {
  if (client == nullptr || speech == nullptr) return Wrong("No client or no place for a line.");
  *speech = nullptr;
  if (name != nullptr && (!IsName(name) || *name == '\0')) {
    return Wrong("A line's name must be UTF-8 of at most 128 bytes.");
  }
  if (rate_hz < 8000 || rate_hz > 192000) return Wrong("rate_hz must be 8000..192000.");
  if (channels < 1 || channels > 2) return Wrong("channels must be 1 or 2.");
  return Guard([&] {
    const std::string called = name == nullptr ? client->NewLineName() : name;
    *speech = new rb_speech{client, called, rate_hz, channels, false, {}};
    return RB_OK;
  });
}

const char *rb_speech_name(const rb_speech *speech) {
  return speech == nullptr ? "" : speech->name.c_str();
}

rb_result rb_speech_push_s16(rb_speech *speech, const int16_t *samples, size_t count,
                             uint32_t timeout_ms, size_t *sent) {
  return Push(speech, samples, count, false, timeout_ms, sent);
}

rb_result rb_speech_push_f32(rb_speech *speech, const float *samples, size_t count,
                             uint32_t timeout_ms, size_t *sent) {
  return Push(speech, samples, count, true, timeout_ms, sent);
}

rb_result rb_speech_mark(rb_speech *speech, const char *name) {
  if (speech == nullptr || !IsName(name)) return Wrong("No line, or no name of up to 128 bytes.");
  if (speech->marks.size() >= kMaxMarks)
    return Wrong("32 marks stand here already; push some speech.");
  return Guard([&] {
    speech->marks.emplace_back(name);
    return RB_OK;
  });
}

rb_result rb_speech_end(rb_speech *speech, uint32_t timeout_ms) {
  if (speech == nullptr) return Wrong("No line.");
  const std::unique_ptr<rb_speech> owned(speech);
  return Guard([&] {
    rb::Speech message;
    message.name = owned->name;
    message.rate_hz = owned->rate_hz;
    message.channels = owned->channels;
    message.begin = !owned->begun;
    message.last = true;
    message.marks = owned->marks.data();
    message.num_marks = owned->marks.size();
    return Report(
        owned->client->SendSpeech(rb::EncodeSpeech(message, nullptr), Milliseconds(timeout_ms)));
  });
}

rb_result rb_flush(rb_client *client, const char *const *names, size_t count, uint32_t timeout_ms) {
  return Guard([&] {
    rb_map arguments;
    if (names != nullptr) rb_map_set_texts(&arguments, "utterances", names, count);
    return rb_request(client, "flush", &arguments, timeout_ms, nullptr);
  });
}

}  // extern "C"
