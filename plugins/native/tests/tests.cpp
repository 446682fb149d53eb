// SPDX-License-Identifier: MIT
// Golden messages, damaged messages, msgpack's corners, voice ring and history.
#include <zmq.h>

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include "check.hpp"
#include "streams.hpp"

namespace {

namespace fs = std::filesystem;

std::string g_error;

bool Decodes(std::string_view data) {
  rb::Message message;
  return rb::Decode(data, &message, &g_error);
}

rb::Message Golden(const fs::path &folder, const char *name, std::string *data) {
  *data = ReadFile(folder / "wire" / (std::string(name) + ".bin"));
  rb::Message message;
  if (!rb::Decode(*data, &message, &g_error))
    std::fprintf(stderr, "%s: %s\n", name, g_error.c_str());
  CHECK(g_error.empty());
  return message;
}

void CheckStamp(const rb::Message &message) {
  CHECK(message.stream == "3f9c1a7e5b2d4c60");
  CHECK(message.epoch == 2);
  CHECK(message.sequence == 12345);
  CHECK(message.pts_ns == 493800000000);
  CHECK(message.duration_ns == 40000000);
  CHECK(message.captured_ns == 86400123456789);
  CHECK(message.published_ns == 86400234567890);
  CHECK(message.state == "speaking");
  CHECK(message.level == 0.125);
}

void GoldenFrames(const fs::path &folder) {
  std::string data;
  for (const char *name : {"frame_rgba8", "frame_bgra8"}) {
    const rb::Message frame = Golden(folder, name, &data);
    CheckStamp(frame);
    CHECK(frame.topic == rb::Topic::kFrame);
    CHECK(frame.width == 4 && frame.height == 2 && frame.stride == 16);
    CHECK(frame.payload.size() == 32);
    const bool swapped = frame.format == RB_BGRA;
    for (int index = 0; index < 32; ++index) {
      const int within = index % 4;
      const int value = swapped && within < 3 ? index - within + 2 - within : index;
      CHECK(frame.payload[static_cast<size_t>(index)] == value);
    }
    CHECK(frame.sample_index == 23702400);
    CHECK(!frame.repeated && frame.synthetic);
    CHECK(frame.tier == "nano");
  }
  const std::pair<const char *, rb_format> files[] = {
      {"frame_jpeg", RB_JPEG}, {"frame_png", RB_PNG}, {"frame_webp", RB_WEBP}};
  for (const auto &[name, format] : files) {
    const rb::Message frame = Golden(folder, name, &data);
    CHECK(frame.format == format && frame.stride == 0 && !frame.payload.empty());
  }
}

void GoldenRigAndVoice(const fs::path &folder) {
  std::string data;
  const rb::Message rig = Golden(folder, "rig", &data);
  CheckStamp(rig);
  float values[RB_NUM_RIG + RB_NUM_VISEMES];
  rb::CopyFloats(rig.payload, 0, RB_NUM_RIG + RB_NUM_VISEMES, values);
  for (int index = 0; index < RB_NUM_RIG; ++index)
    CHECK(values[index] == static_cast<float>(index) / 64);
  CHECK(values[RB_NUM_RIG + 10] == 1.0f && values[RB_NUM_RIG + 9] == 0.0f);
  const rb::Message voice = Golden(folder, "voice", &data);
  CheckStamp(voice);
  rb::CopyFloats(voice.payload, 0, 6, values);
  const float expected[] = {0.0f, 0.5f, -0.5f, 1.0f, -1.0f, 0.25f};
  CHECK(std::memcmp(values, expected, sizeof expected) == 0);
}

void GoldenEventsAndControl(const fs::path &folder) {
  std::string data;
  const rb::Message hello = Golden(folder, "event_hello", &data);
  CHECK(hello.kind == "hello" && hello.sequence == 7 && hello.epoch == 2);
  CHECK(hello.body.Find("width")->natural == 512);
  CHECK(hello.body.Find("fps")->number == 25.0);
  for (const char *event : {"started", "mark", "underrun", "finished", "refused"}) {
    const rb::Message speech =
        Golden(folder, (std::string("event_speech_") + event).c_str(), &data);
    CHECK(speech.kind == "speech");
    CHECK(speech.body.Find("event")->span == event);
    CHECK(speech.body.Find("position")->integer == 1250000000);
  }
  const rb::Message reply = Golden(folder, "reply_error", &data);
  CHECK(reply.id == 3 && !reply.ok && reply.code == "unknown_operation");
  const rb::Message flush = Golden(folder, "request_flush", &data);
  CHECK(flush.kind == "flush" && flush.id == 4);
  std::string json;
  rb::AppendJson(*flush.body.Find("utterances"), &json);
  CHECK(json == "[\"line-7\",\"Grüße\"]");
  for (const auto &entry : fs::directory_iterator(folder / "wire")) {
    if (entry.path().extension() == ".bin") CHECK(Decodes(ReadFile(entry.path())));
  }
}

void Encoders(const fs::path &folder) {
  rb::Writer body;
  body.Map(1);
  body.Text("t0");
  body.Int(1000);
  CHECK(rb::EncodeRequest(1, "ping", body.data()) == ReadFile(folder / "wire/request_ping.bin"));
  const int16_t ramp[] = {-32767, -16384, 0, 16384, 32767};
  rb::Speech speech;
  speech.name = "greeting-1";
  speech.rate_hz = 16000;
  speech.count = 5;
  CHECK(rb::EncodeSpeech(speech, ramp) == ReadFile(folder / "speech/pcm_s16_mono.bin"));
  const float stereo[] = {-1, 1, -0.5f, 0.5f, 0, -0.0f, 0.5f, -0.5f, 1, -1};
  speech.name = "grüße";
  speech.rate_hz = 44100;
  speech.channels = 2;
  speech.is_float = true;
  speech.last = true;
  CHECK(rb::EncodeSpeech(speech, stereo) == ReadFile(folder / "speech/pcm_f32_stereo.bin"));
}

void DamagedMessagesAreRefused(const fs::path &folder) {
  for (const auto &entry : fs::directory_iterator(folder / "wire")) {
    if (entry.path().extension() != ".bin") continue;
    const std::string data = ReadFile(entry.path());
    for (size_t length = 0; length < data.size(); ++length) CHECK(!Decodes(data.substr(0, length)));
    std::string other = data;
    other[4] = 2;
    CHECK(!Decodes(other));
    other = data;
    other[5] = 99;  // a newer minor version
    CHECK(Decodes(other));
    CHECK(!Decodes(data + "x") || data.substr(0, 4) == "JPEG");
  }
  std::mt19937 source(1);
  const std::string seed = ReadFile(folder / "wire/event_hello.bin");
  for (int round = 0; round < 20000; ++round) {
    std::string data = seed;
    for (int change = 0; change < 3; ++change) {
      data[source() % data.size()] = static_cast<char>(source());
    }
    Decodes(data);
  }
}

void MsgpackLimits() {
  rb::MapView map;
  CHECK(map.Parse(std::string_view("\x80", 1)));
  CHECK(!map.Parse(""));
  CHECK(!map.Parse(std::string_view("\x80\x80", 2)));      // something behind it
  CHECK(!map.Parse(std::string_view("\x81\x01\x02", 3)));  // a key that is no text
  CHECK(
      map.Parse(std::string_view("\x81\xc4\x01"
                                 "a\x02",
                                 5)));  // bytes as a key: ignored
  CHECK(map.pairs().empty());
  CHECK(!map.Parse(std::string_view("\x81\xa1\xff\x02", 4)));      // no UTF-8
  CHECK(!map.Parse(std::string_view("\xdf\xff\xff\xff\xff", 5)));  // 4 billion pairs
  CHECK(
      !map.Parse(std::string_view("\x81\xa1"
                                  "a\xd6\xff\0\0\0\0",
                                  9)));  // an extension type
  std::string deep =
      "\x81\xa1"
      "a";
  deep.append(5000, '\x91');
  CHECK(!map.Parse(deep));
  CHECK(
      map.Parse(std::string_view("\x82\xa1"
                                 "a\x01\xa1"
                                 "a\x02",
                                 7)));
  CHECK(map.Find("a")->natural == 2);  // of equal keys the last one
  rb::Writer writer;
  const int64_t values[] = {0,         127,       128, 255, 256, 65535,    65536,
                            1LL << 32, INT64_MAX, -1,  -32, -33, INT64_MIN};
  writer.Array(13);
  for (const int64_t value : values) writer.Int(value);
  rb::Reader reader(writer.data());
  rb::Value array;
  CHECK(reader.Read(&array) && array.count == 13);
  rb::Reader items(array.span);
  for (const int64_t value : values) {
    rb::Value item;
    CHECK(items.Read(&item) && item.integer == value);
  }
}

std::string Samples(int64_t first, size_t count) {
  std::string payload;
  for (size_t index = 0; index < count; ++index) {
    const auto value = static_cast<float>(first + static_cast<int64_t>(index));
    payload.append(reinterpret_cast<const char *>(&value), sizeof value);
  }
  return payload;
}

void VoiceKeepsItsOrderAndItsTimes() {
  rb::VoiceRing ring(5000);
  std::vector<float> out(3000);
  int64_t pts = 0;
  CHECK(ring.Read(out.data(), 10, &pts) == 0 && pts == -1 && out[0] == 0.0f);
  ring.Put(Samples(48000, 1920), 48000);
  ring.Put(Samples(49920, 1920), 49920);
  CHECK(ring.Read(out.data(), 3000, &pts) == 3000);
  CHECK(pts == 1000000000 && out[0] == 48000.0f && out[2999] == 50999.0f);
  // A lost message becomes silence, so that the times stay right.
  ring.Put(Samples(53760, 1920), 53760);
  CHECK(ring.Read(out.data(), 840 + 1920 + 10, &pts) == 840 + 1920 + 10);
  CHECK(out[839] == 51839.0f && out[840] == 0.0f && out[840 + 1920] == 53760.0f);
  // Too much: the oldest are lost and counted.
  ring.Put(Samples(55680, 4800), 55680);
  CHECK(ring.available() == 5000 && ring.lost() == 1710);
  ring.Skip(100);
  CHECK(ring.Read(out.data(), 200, &pts) == 100 && out[99] == 60479.0f && out[100] == 0.0f);
  ring.Put(Samples(0, 100), 0);  // back in time: a new stream
  CHECK(ring.Read(out.data(), 200, &pts) == 100 && pts == 0);
  ring.Put(Samples(int64_t{48000} * 3600 * 24 * 365, 10), int64_t{48000} * 3600 * 24 * 365);
  CHECK(ring.Read(out.data(), 10, &pts) == 10);
  CHECK(pts == int64_t{3600} * 24 * 365 * 1000000000);
}

void FramesArePickedByTime() {
  rb::History history(4);
  CHECK(!history.Latest(std::chrono::milliseconds(1)) && !history.At(0));
  for (int index = 0; index < 6; ++index) {
    auto packet = std::make_shared<rb::Packet>();
    packet->message.pts_ns = index * 40;
    history.Put(packet);
  }
  CHECK(history.At(165)->message.pts_ns == 160);
  CHECK(history.At(0)->message.pts_ns == 80);  // the oldest that is kept
  CHECK(history.At(1000)->message.pts_ns == 200);
  CHECK(history.Latest(std::chrono::milliseconds(0))->message.pts_ns == 200);
  CHECK(!history.Latest(std::chrono::milliseconds(0)));
  history.Clear();
  CHECK(history.At(0)->message.pts_ns == 200);  // stays until there is a newer one
}

}  // namespace

int main(int count, char **arguments) {
  CHECK(count == 2);
  const fs::path folder = arguments[1];
  GoldenFrames(folder);
  GoldenRigAndVoice(folder);
  GoldenEventsAndControl(folder);
  Encoders(folder);
  DamagedMessagesAreRefused(folder);
  MsgpackLimits();
  VoiceKeepsItsOrderAndItsTimes();
  FramesArePickedByTime();
  std::puts("all golden messages decoded, all damaged ones refused");
  return 0;
}
