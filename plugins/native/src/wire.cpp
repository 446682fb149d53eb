// SPDX-License-Identifier: MIT
#include "wire.hpp"

#include <cmath>
#include <cstring>

namespace rb {

const std::array<const char *, 5> kFrameTopics = {"RGBA", "BGRA", "JPEG", "PNG_", "WEBP"};

const std::array<const char *, RB_NUM_RIG> kRigNames = {"headYaw",
                                                        "headPitch",
                                                        "headRoll",
                                                        "headX",
                                                        "headY",
                                                        "headZ",
                                                        "eyeBlinkLeft",
                                                        "eyeLookDownLeft",
                                                        "eyeLookInLeft",
                                                        "eyeLookOutLeft",
                                                        "eyeLookUpLeft",
                                                        "eyeSquintLeft",
                                                        "eyeWideLeft",
                                                        "eyeBlinkRight",
                                                        "eyeLookDownRight",
                                                        "eyeLookInRight",
                                                        "eyeLookOutRight",
                                                        "eyeLookUpRight",
                                                        "eyeSquintRight",
                                                        "eyeWideRight",
                                                        "jawForward",
                                                        "jawLeft",
                                                        "jawRight",
                                                        "jawOpen",
                                                        "mouthClose",
                                                        "mouthFunnel",
                                                        "mouthPucker",
                                                        "mouthLeft",
                                                        "mouthRight",
                                                        "mouthSmileLeft",
                                                        "mouthSmileRight",
                                                        "mouthFrownLeft",
                                                        "mouthFrownRight",
                                                        "mouthDimpleLeft",
                                                        "mouthDimpleRight",
                                                        "mouthStretchLeft",
                                                        "mouthStretchRight",
                                                        "mouthRollLower",
                                                        "mouthRollUpper",
                                                        "mouthShrugLower",
                                                        "mouthShrugUpper",
                                                        "mouthPressLeft",
                                                        "mouthPressRight",
                                                        "mouthLowerDownLeft",
                                                        "mouthLowerDownRight",
                                                        "mouthUpperUpLeft",
                                                        "mouthUpperUpRight",
                                                        "browDownLeft",
                                                        "browDownRight",
                                                        "browInnerUp",
                                                        "browOuterUpLeft",
                                                        "browOuterUpRight",
                                                        "cheekPuff",
                                                        "cheekSquintLeft",
                                                        "cheekSquintRight",
                                                        "noseSneerLeft",
                                                        "noseSneerRight",
                                                        "tongueOut"};

const std::array<const char *, RB_NUM_VISEMES> kVisemeNames = {
    "sil", "PP", "FF", "TH", "DD", "kk", "CH", "SS", "nn", "RR", "aa", "E", "ih", "oh", "ou"};

namespace {

constexpr std::array<std::string_view, 5> kFormatNames = {"rgba8", "bgra8", "jpeg", "png", "webp"};

// Reads fields of a header; remembers the first failure.
class Fields {
 public:
  Fields(const MapView &map, std::string *error) : map_(map), error_(error) {}

  std::string_view Text(std::string_view key) {
    const Value *value = Get(key);
    if (value != nullptr && value->kind == Kind::kText) return value->span;
    Fail(key, "must be a text");
    return {};
  }

  int64_t Int(std::string_view key, int64_t low = 0, int64_t high = INT64_MAX) {
    const Value *value = Get(key);
    const bool fits = value != nullptr && value->kind == Kind::kUint &&
                      value->natural <= static_cast<uint64_t>(high) && value->integer >= low;
    if (fits) return value->integer;
    Fail(key, "must be an integer in its range");
    return low;
  }

  double Number(std::string_view key) {
    const Value *value = Get(key);
    double number = NAN;
    if (value != nullptr && value->kind == Kind::kNumber) number = value->number;
    if (value != nullptr && value->kind == Kind::kInt) number = static_cast<double>(value->integer);
    if (value != nullptr && value->kind == Kind::kUint)
      number = static_cast<double>(value->natural);
    if (std::fabs(number) < 1e12) return number;
    Fail(key, "must be a finite number");
    return 0;
  }

  bool Bool(std::string_view key) {
    const Value *value = Get(key);
    if (value != nullptr && value->kind == Kind::kBool) return value->truth;
    Fail(key, "must be true or false");
    return false;
  }

  void Expect(std::string_view key, std::string_view wanted) {
    if (Text(key) != wanted) Fail(key, "has a value that this version does not know");
  }

  void Fail(std::string_view key, const char *reason) {
    if (!ok_) return;
    ok_ = false;
    *error_ = "Header field \"" + std::string(key) + "\" " + reason + ".";
  }

  bool ok() const { return ok_; }

 private:
  const Value *Get(std::string_view key) { return map_.Find(key); }

  const MapView &map_;
  std::string *error_;
  bool ok_ = true;
};

void ReadStamp(Fields *fields, Message *message) {
  message->stream = fields->Text("stream");
  message->epoch = fields->Int("epoch");
  message->sequence = fields->Int("seq");
  message->pts_ns = fields->Int("pts");
  message->duration_ns = fields->Int("dur");
  message->captured_ns = fields->Int("cap");
  message->published_ns = fields->Int("pub");
  message->state = fields->Text("state");
  message->level = fields->Number("level");
}

void ReadFrame(Fields *fields, Message *message) {
  fields->Expect("fmt", kFormatNames[static_cast<size_t>(message->format)]);
  message->width = static_cast<uint32_t>(fields->Int("w", 1, kMaxSidePx));
  message->height = static_cast<uint32_t>(fields->Int("h", 1, kMaxSidePx));
  const bool is_raw = message->format == RB_RGBA || message->format == RB_BGRA;
  message->stride = static_cast<uint32_t>(
      is_raw ? fields->Int("stride", int64_t{4} * message->width, kMaxSidePx * 4)
             : fields->Int("stride", 0, 0));
  const uint64_t wanted = uint64_t{message->stride} * message->height;
  if (is_raw && wanted != message->payload.size()) {
    fields->Fail("stride", "times the height is not the payload's length");
  }
  const int64_t size = fields->Int("size", 1, kMaxPayloadBytes);
  if (static_cast<uint64_t>(size) != message->payload.size()) {
    fields->Fail("size", "is not the payload's length");
  }
  ReadStamp(fields, message);
  message->sample_index = fields->Int("index");
  fields->Int("drop");
  message->repeated = fields->Bool("rep");
  message->tier = fields->Text("tier");
  fields->Text("model");
  fields->Text("avatar");
  message->synthetic = fields->Bool("syn");
}

void CheckFloats(Fields *fields, const Message &message, size_t count) {
  if (message.payload.size() != count * sizeof(float)) {
    fields->Fail("n", "is not the payload's number of float32 values");
    return;
  }
  for (size_t index = 0; index < count; ++index) {
    float value;
    CopyFloats(message.payload, index, 1, &value);
    if (!std::isfinite(value)) {
      fields->Fail("n", "counts values that are not finite");
      return;
    }
  }
}

void ReadRig(Fields *fields, Message *message) {
  fields->Expect("set", "pose6-arkit52-viseme15");
  fields->Int("n", RB_NUM_RIG, RB_NUM_RIG);
  fields->Int("v", RB_NUM_VISEMES, RB_NUM_VISEMES);
  CheckFloats(fields, *message, RB_NUM_RIG + RB_NUM_VISEMES);
  ReadStamp(fields, message);
}

void ReadVoice(Fields *fields, Message *message) {
  fields->Expect("fmt", "f32le");
  fields->Int("rate", RB_VOICE_RATE_HZ, RB_VOICE_RATE_HZ);
  fields->Int("ch", 1, 1);
  CheckFloats(fields, *message, static_cast<size_t>(fields->Int("n", 0, kMaxVoiceSamples)));
  ReadStamp(fields, message);
  message->sample_index = fields->Int("index");
}

void ReadEvent(Fields *fields, Message *message) {
  message->kind = fields->Text("kind");
  message->stream = fields->Text("stream");
  message->epoch = fields->Int("epoch");
  message->sequence = fields->Int("seq");
  message->published_ns = fields->Int("pub");
}

void ReadRequest(Fields *fields, Message *message) {
  message->id = fields->Int("id");
  message->kind = fields->Text("op");
}

void ReadReply(Fields *fields, Message *message) {
  ReadRequest(fields, message);
  message->ok = fields->Bool("ok");
  message->code = fields->Text("code");
  message->error = fields->Text("error");
}

bool FindTopic(std::string_view name, Message *message) {
  for (size_t index = 0; index < kFrameTopics.size(); ++index) {
    if (name == kFrameTopics[index]) {
      message->topic = Topic::kFrame;
      message->format = static_cast<rb_format>(index);
      return true;
    }
  }
  constexpr std::array<std::pair<std::string_view, Topic>, 5> kOthers = {{{"RIG_", Topic::kRig},
                                                                          {"VOIC", Topic::kVoice},
                                                                          {"EVNT", Topic::kEvent},
                                                                          {"RQST", Topic::kRequest},
                                                                          {"RPLY", Topic::kReply}}};
  for (const auto &[known, topic] : kOthers) {
    if (name == known) {
      message->topic = topic;
      return true;
    }
  }
  return false;
}

std::string Join(std::string_view topic, std::string_view header, std::string_view payload) {
  std::string data;
  data.reserve(kPrefixBytes + header.size() + payload.size());
  data.append(topic);
  data.push_back(RB_PROTOCOL_MAJOR);
  data.push_back(0);
  data.push_back(static_cast<char>(header.size() & 0xff));
  data.push_back(static_cast<char>(header.size() >> 8));
  data.append(header);
  data.append(payload);
  return data;
}

}  // namespace

bool Decode(std::string_view data, Message *message, std::string *error) {
  *message = Message();
  if (data.size() < kPrefixBytes) {
    *error = "The message is shorter than its prefix of 8 bytes.";
    return false;
  }
  if (!FindTopic(data.substr(0, 4), message)) {
    *error = "The message has an unknown topic; is this a rest_bridge socket?";
    return false;
  }
  if (data[4] != RB_PROTOCOL_MAJOR) {
    *error = "The message is of another major version; update the older of the two sides.";
    return false;
  }
  const size_t header_bytes =
      static_cast<uint8_t>(data[6]) | static_cast<size_t>(static_cast<uint8_t>(data[7])) << 8;
  MapView header;
  if (header_bytes > kMaxHeaderBytes || header_bytes > data.size() - kPrefixBytes ||
      !header.Parse(data.substr(kPrefixBytes, header_bytes))) {
    *error = "The header is no msgpack map within the limits.";
    return false;
  }
  message->header = data.substr(kPrefixBytes, header_bytes);
  message->payload = data.substr(kPrefixBytes + header_bytes);
  Fields fields(header, error);
  switch (message->topic) {
    case Topic::kFrame:
      ReadFrame(&fields, message);
      return fields.ok();
    case Topic::kRig:
      ReadRig(&fields, message);
      return fields.ok();
    case Topic::kVoice:
      ReadVoice(&fields, message);
      return fields.ok();
    case Topic::kEvent:
      ReadEvent(&fields, message);
      break;
    case Topic::kRequest:
      ReadRequest(&fields, message);
      break;
    case Topic::kReply:
      ReadReply(&fields, message);
      break;
  }
  if (!fields.ok()) return false;
  if (message->payload.size() > kMaxBodyBytes || !message->body.Parse(message->payload)) {
    *error = "The body is no msgpack map within the limits.";
    return false;
  }
  return true;
}

void CopyFloats(std::string_view payload, size_t first, size_t count, float *out) {
  for (size_t index = 0; index < count; ++index) {
    const auto *bytes = reinterpret_cast<const uint8_t *>(payload.data()) + (first + index) * 4;
    const uint32_t bits = static_cast<uint32_t>(bytes[0]) | static_cast<uint32_t>(bytes[1]) << 8 |
                          static_cast<uint32_t>(bytes[2]) << 16 |
                          static_cast<uint32_t>(bytes[3]) << 24;
    std::memcpy(out + index, &bits, sizeof bits);
  }
}

std::string EncodeRequest(int64_t id, std::string_view operation, std::string_view body) {
  Writer header;
  header.Map(2);
  header.Text("id");
  header.Int(id);
  header.Text("op");
  header.Text(operation);
  return Join("RQST", header.data(), body);
}

std::string EncodeSpeech(const Speech &speech, const void *samples) {
  Writer header;
  header.Map(7u + (speech.begin ? 1u : 0u) + (speech.num_marks > 0 ? 1u : 0u));
  header.Text("fmt");
  header.Text(speech.is_float ? "f32le" : "s16le");
  header.Text("rate");
  header.Int(speech.rate_hz);
  header.Text("ch");
  header.Int(speech.channels);
  header.Text("n");
  header.Int(static_cast<int64_t>(speech.count));
  header.Text("utt");
  header.Text(speech.name);
  header.Text("last");
  header.Bool(speech.last);
  header.Text("flush");
  header.Bool(false);
  if (speech.begin) {
    header.Text("begin");
    header.Bool(true);
  }
  if (speech.num_marks > 0) {
    header.Text("marks");
    header.Array(static_cast<uint32_t>(speech.num_marks));
    for (size_t mark = 0; mark < speech.num_marks; ++mark) {
      header.Array(2);
      header.Int(0);
      header.Text(speech.marks[mark]);
    }
  }
  // Samples travel little-endian.
  const size_t width = speech.is_float ? 4 : 2;
  std::string payload(speech.count * speech.channels * width, '\0');
  const auto *bytes = static_cast<const uint8_t *>(samples);
  const uint16_t probe = 1;
  const bool is_little = *reinterpret_cast<const uint8_t *>(&probe) == 1;
  for (size_t index = 0; index < payload.size(); ++index) {
    const size_t within = index % width;
    payload[index] =
        static_cast<char>(bytes[is_little ? index : index - within + (width - 1 - within)]);
  }
  return Join("PCM_", header.data(), payload);
}

}  // namespace rb
