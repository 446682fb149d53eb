// SPDX-License-Identifier: MIT
// The library against sockets in this process that send golden messages: delivery, garbage, slow
// reading, restart of the daemon, requests, speech, keys.
#include <zmq.h>

#include <atomic>
#include <cstring>
#include <thread>
#include <vector>

#include "check.hpp"
#include "msgpack.hpp"
#include "rest_bridge/rest_bridge.h"

namespace {

namespace fs = std::filesystem;

struct Server {
  void *context = zmq_ctx_new();
  std::vector<void *> sockets;

  void *Bind(int type, std::string *endpoint, const char *secret_key = nullptr) {
    void *socket = zmq_socket(context, type);
    sockets.push_back(socket);
    const int zero = 0, one = 1;
    zmq_setsockopt(socket, ZMQ_LINGER, &zero, sizeof zero);
    if (secret_key != nullptr) {
      zmq_setsockopt(socket, ZMQ_CURVE_SERVER, &one, sizeof one);
      zmq_setsockopt(socket, ZMQ_CURVE_SECRETKEY, secret_key, 41);
    }
    CHECK(zmq_bind(socket, endpoint->empty() ? "tcp://127.0.0.1:*" : endpoint->c_str()) == 0);
    char bound[64];
    size_t size = sizeof bound;
    zmq_getsockopt(socket, ZMQ_LAST_ENDPOINT, bound, &size);
    *endpoint = bound;
    return socket;
  }

  ~Server() {
    for (void *socket : sockets) zmq_close(socket);
    zmq_ctx_term(context);
  }
};

void Send(void *socket, const std::string &data) {
  CHECK(zmq_send(socket, data.data(), data.size(), 0) >= 0);
}

void AwaitSubscriptions(void *socket, int count) {
  const int timeout = 5000;
  zmq_setsockopt(socket, ZMQ_RCVTIMEO, &timeout, sizeof timeout);
  char topic[16];
  for (int index = 0; index < count; ++index) CHECK(zmq_recv(socket, topic, sizeof topic, 0) == 5);
}

struct Endpoints {
  std::string frames, events, control, speech;

  rb_options Options() const {
    rb_options options;
    rb_options_init(&options);
    options.frames = frames.c_str();
    options.events = events.c_str();
    options.control = control.c_str();
    options.speech = speech.c_str();
    return options;
  }
};

void StreamSurvivesGarbageAndARestart(const fs::path &folder) {
  const std::string frame_data = ReadFile(folder / "wire/frame_rgba8.bin");
  Endpoints at;
  auto server = std::make_unique<Server>();
  void *frames = server->Bind(ZMQ_XPUB, &at.frames);
  void *events = server->Bind(ZMQ_XPUB, &at.events);
  rb_options options = at.Options();
  options.control = "";
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  rb_frame frame{};
  CHECK(rb_frame_latest(client, &frame) == RB_EMPTY);
  CHECK(rb_frame_at(client, 0, &frame) == RB_EMPTY);
  rb_frame_release(&frame);  // harmless
  AwaitSubscriptions(frames, 1);
  AwaitSubscriptions(events, 3);
  Send(frames, "RGBA is not all it takes");
  Send(frames, std::string("RGBA\x01\x00\xff\xff", 8));
  Send(frames, frame_data.substr(0, frame_data.size() - 1));
  for (const int flags : {ZMQ_SNDMORE, ZMQ_SNDMORE, 0}) {  // frames, but in one message
    CHECK(zmq_send(frames, frame_data.data(), frame_data.size(), flags) >= 0);
  }
  Send(frames, frame_data);
  CHECK(rb_frame_wait(client, 5000, &frame) == RB_OK);
  CHECK(frame.sequence == 12345 && frame.width == 4 && frame.data[5] == 5 && frame.synthetic == 1);
  uint8_t rgba[32];
  CHECK(rb_frame_decode(&frame, rgba, 16) == RB_OK && std::memcmp(rgba, frame.data, 32) == 0);
  rb_frame again{};
  CHECK(rb_frame_at(client, frame.pts_ns, &again) == RB_OK && again.sequence == 12345);
  rb_frame_release(&again);
  for (const char *name : {"rig", "voice", "event_hello", "event_speech_mark"}) {
    Send(events, ReadFile(folder / "wire" / (std::string(name) + ".bin")));
  }
  rb_event event{};
  CHECK(rb_event_next(client, 5000, &event) == RB_OK && std::strcmp(event.kind, "hello") == 0);
  CHECK(rb_map_int(event.body, "width", 0) == 512);
  CHECK(rb_map_number(event.body, "fps", 0) == 25.0);
  CHECK(rb_map_number(event.body, "width", 0) == 512.0);
  CHECK(rb_map_number(event.body, "none", 1.5) == 1.5);
  CHECK(std::strstr(rb_map_json(event.body), "\"height\":512") != nullptr);
  rb_event_release(&event);
  CHECK(rb_event_next(client, 5000, &event) == RB_OK && std::strcmp(event.kind, "speech") == 0);
  CHECK(std::strcmp(rb_map_text(event.body, "mark", ""), "bow") == 0);
  CHECK(std::strcmp(rb_map_text(event.body, "width", "none"), "none") == 0);
  rb_event_release(&event);
  CHECK(rb_event_next(client, 1, &event) == RB_EMPTY);
  rb_rig rig{};
  CHECK(rb_rig_latest(client, &rig) == RB_OK && rig.values[57] == 57.0f / 64);
  CHECK(rb_rig_at(client, 0, &rig) == RB_OK);
  float samples[8];
  int64_t pts = 0;
  CHECK(rb_voice_available(client) == 6);
  CHECK(rb_voice_read(client, samples, 8, &pts) == 6 && samples[3] == 1.0f && samples[7] == 0.0f);
  CHECK(pts == 493800000000);
  rb_status status{};
  rb_client_status(client, &status);
  CHECK(status.connected == 1 && status.frames == 1 && status.refused == 4 && status.streams == 1);
  CHECK(std::strcmp(status.stream, "3f9c1a7e5b2d4c60") == 0);
  CHECK(std::strcmp(status.server, "rest_bridge 0.1.0") == 0);
  // The daemon goes and comes back on the same port, as another stream.
  server.reset();
  server = std::make_unique<Server>();
  frames = server->Bind(ZMQ_XPUB, &at.frames);
  AwaitSubscriptions(frames, 1);
  std::string other = frame_data;
  other.replace(other.find("3f9c1a7e5b2d4c60"), 4, "0000");
  Send(frames, other);
  CHECK(rb_frame_wait(client, 5000, &again) == RB_OK);
  rb_client_status(client, &status);
  CHECK(status.streams == 2 && status.frames == 2 && status.frames_lost == 0);
  rb_client_close(client);
  CHECK(frame.data[5] == 5 && again.data[5] == 5);  // frames outlive the client
  rb_frame_release(&again);
  rb_frame_release(&frame);
}

void AReaderThatSleptSeesTheNewestFrame(const fs::path &folder) {
  const std::string frame_data = ReadFile(folder / "wire/frame_rgba8.bin");
  const size_t place = frame_data.find("\xa3seq\xcd") + 5;
  Endpoints at;
  Server server;
  void *frames = server.Bind(ZMQ_XPUB, &at.frames);
  rb_options options = at.Options();
  options.events = "";
  options.control = "";
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  AwaitSubscriptions(frames, 1);
  for (int sequence = 1000; sequence < 1300; ++sequence) {
    std::string data = frame_data;
    data[place] = static_cast<char>(sequence >> 8);
    data[place + 1] = static_cast<char>(sequence & 0xff);
    Send(frames, data);
  }
  rb_frame frame{};
  int64_t last = 0;
  for (int round = 0; round < 500 && last < 1299; ++round) {
    if (rb_frame_wait(client, 100, &frame) != RB_OK) continue;
    CHECK(frame.sequence > last);
    last = frame.sequence;
    rb_frame_release(&frame);
  }
  CHECK(last == 1299);
  rb_client_close(client);
}

// After a pause the past is passed over where something newer comes, and shown where nothing does.
void ThePastIsHeldBackAfterASleep(const fs::path &folder) {
  const std::string frame_data = ReadFile(folder / "wire/frame_rgba8.bin");
  const size_t published = frame_data.find("\xa3pub\xcf") + 5;
  const size_t sequence = frame_data.find("\xa3seq\xcd") + 5;
  Endpoints at;
  Server server;
  void *frames = server.Bind(ZMQ_XPUB, &at.frames);
  rb_options options = at.Options();
  options.events = "";
  options.control = "";
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  AwaitSubscriptions(frames, 1);
  const auto made = [&](int number) {
    std::string data = frame_data;
    const int64_t now_ns = rb_now_ns();
    for (size_t byte = 0; byte < 8; ++byte) {
      data[published + byte] = static_cast<char>(now_ns >> (56 - 8 * byte) & 0xff);
    }
    data[sequence] = static_cast<char>(number >> 8);
    data[sequence + 1] = static_cast<char>(number & 0xff);
    return data;
  };
  rb_frame frame{};
  Send(frames, made(1001));
  CHECK(rb_frame_wait(client, 5000, &frame) == RB_OK && frame.sequence == 1001);
  rb_frame_release(&frame);
  const std::string second = made(1002), third = made(1003);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  Send(frames, second);
  CHECK(rb_frame_wait(client, 50, &frame) == RB_TIMEOUT);
  Send(frames, made(1004));
  CHECK(rb_frame_wait(client, 5000, &frame) == RB_OK && frame.sequence == 1004);
  rb_frame_release(&frame);
  std::this_thread::sleep_for(std::chrono::milliseconds(400));
  Send(frames, third);
  CHECK(rb_frame_wait(client, 5000, &frame) == RB_OK && frame.sequence == 1003);
  rb_frame_release(&frame);
  rb_client_close(client);
}

void RequestsAreAnsweredOrSaidNoTo(const fs::path &folder) {
  Endpoints at;
  Server server;
  void *control = server.Bind(ZMQ_ROUTER, &at.control);
  std::thread daemon([&] {
    for (int request = 0; request < 3; ++request) {
      char envelope[64], data[4096];
      const int who = zmq_recv(control, envelope, sizeof envelope, 0);
      const int size = zmq_recv(control, data, sizeof data, 0);
      CHECK(who > 0 && size > 8);
      std::string reply =
          ReadFile(folder / (request == 1 ? "wire/reply_error.bin" : "wire/reply_ok.bin"));
      const std::string id = "\xa2id";
      reply[reply.find(id) + 3] = static_cast<char>(request + 1);
      for (const std::string &message : {ReadFile(folder / "wire/event_stats.bin"), reply}) {
        if (request == 2 && message == reply) continue;  // the third one is never answered
        zmq_send(control, envelope, static_cast<size_t>(who), ZMQ_SNDMORE);
        zmq_send(control, message.data(), message.size(), 0);
      }
    }
  });
  rb_options options = at.Options();
  options.frames = options.events = "";
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  rb_map *arguments = rb_map_new();
  rb_map_set_bool(arguments, "on", 1);
  rb_map_set_text(arguments, "text", "a \"b\"");
  rb_map_set_number(arguments, "x", 0.5);
  CHECK(std::strcmp(rb_map_json(arguments), "{\"on\":true,\"text\":\"a \\\"b\\\"\",\"x\":0.5}") ==
        0);
  rb_map *reply = nullptr;
  CHECK(rb_request(client, "mute", arguments, 5000, &reply) == RB_OK);
  CHECK(rb_map_bool(reply, "muted", 0) == 1);
  rb_map_free(reply);
  rb_map_free(arguments);
  CHECK(rb_request(client, "fly", nullptr, 5000, &reply) == RB_REFUSED);
  CHECK(std::strcmp(rb_last_error(), "There is no \"fly\".") == 0 && reply == nullptr);
  CHECK(rb_request(client, "status", nullptr, 50, nullptr) == RB_TIMEOUT);
  daemon.join();
  rb_client_close(client);
}

void SpeechLeavesInPiecesAndWaitsForNobody() {
  Endpoints at;
  Server server;
  void *pull = server.Bind(ZMQ_PULL, &at.speech);
  rb_options options = at.Options();
  options.frames = options.events = options.control = "";
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  rb_speech *line = nullptr;
  CHECK(rb_speech_open(client, "a", 7000, 1, &line) == RB_ARGUMENT && line == nullptr);
  CHECK(rb_speech_open(client, nullptr, 16000, 1, &line) == RB_OK);
  const std::vector<int16_t> pcm(40000, 1000);
  size_t sent = 0;
  CHECK(rb_speech_mark(line, "here") == RB_OK);
  CHECK(rb_speech_push_s16(line, pcm.data(), pcm.size(), 5000, &sent) == RB_OK && sent == 40000);
  CHECK(rb_speech_end(line, 5000) == RB_OK);
  std::vector<char> data(100000);
  const int expected[] = {16000, 16000, 8000, 0};
  for (int piece = 0; piece < 4; ++piece) {
    const int size = zmq_recv(pull, data.data(), data.size(), 0);
    const size_t end = 8 + static_cast<uint8_t>(data[6]) + 256u * static_cast<uint8_t>(data[7]);
    rb::MapView header;
    CHECK(std::memcmp(data.data(), "PCM_", 4) == 0);
    CHECK(header.Parse({data.data() + 8, end - 8}));
    CHECK(header.Find("n")->integer == expected[piece]);
    CHECK(static_cast<size_t>(size) == end + static_cast<size_t>(expected[piece]) * 2);
    CHECK((header.Find("begin") != nullptr) == (piece == 0));
    CHECK((header.Find("marks") != nullptr) == (piece == 0));
    CHECK(header.Find("last")->truth == (piece == 3));
  }
  rb_client_close(client);
  // Nobody listens: it says so after the time that was given.
  options.speech = "tcp://127.0.0.1:9";
  CHECK(rb_client_open(&options, &client) == RB_OK);
  CHECK(rb_speech_open(client, "b", 16000, 1, &line) == RB_OK);
  CHECK(rb_speech_push_s16(line, pcm.data(), 100, 50, &sent) == RB_TIMEOUT && sent == 0);
  CHECK(rb_speech_end(line, 10) == RB_TIMEOUT);
  rb_client_close(client);
}

void KeysOpenAndOtherKeysDoNot(const fs::path &folder) {
  if (zmq_has("curve") == 0) return;
  char server_public[41], server_secret[41], mine_public[41], mine_secret[41];
  CHECK(zmq_curve_keypair(server_public, server_secret) == 0);
  CHECK(zmq_curve_keypair(mine_public, mine_secret) == 0);
  Endpoints at;
  Server server;
  void *frames = server.Bind(ZMQ_XPUB, &at.frames, server_secret);
  rb_options options = at.Options();
  options.events = options.control = "";
  rb_client *plain = nullptr;
  CHECK(rb_client_open(&options, &plain) == RB_OK);
  options.server_key = server_public;
  options.public_key = mine_public;
  options.secret_key = mine_secret;
  rb_client *client = nullptr;
  CHECK(rb_client_open(&options, &client) == RB_OK);
  AwaitSubscriptions(frames, 1);
  Send(frames, ReadFile(folder / "wire/frame_rgba8.bin"));
  rb_frame frame{};
  CHECK(rb_frame_wait(client, 5000, &frame) == RB_OK);
  rb_frame_release(&frame);
  CHECK(rb_frame_wait(plain, 50, &frame) == RB_TIMEOUT);
  options.secret_key = "too short";
  rb_client *wrong = nullptr;
  CHECK(rb_client_open(&options, &wrong) == RB_SYSTEM && wrong == nullptr);
  rb_client_close(plain);
  rb_client_close(client);
}

void SingleMessagesAreDecoded(const fs::path &folder) {
  int count = 0;
  for (const char *part : {"wire", "speech"}) {
    for (const auto &entry : fs::directory_iterator(folder / part)) {
      if (entry.path().extension() != ".bin") continue;
      const std::string data = ReadFile(entry.path());
      rb_message message = {};
      CHECK(rb_message_decode(data.data(), data.size(), &message) == RB_OK);
      CHECK(data.substr(0, 4) == message.topic);
      CHECK(rb_map_json(message.header)[0] == '{');
      CHECK(data.size() > message.size);
      rb_message_release(&message);
      rb_message_release(&message);
      for (size_t length = 0; length < data.size(); length += 7) {
        CHECK(rb_message_decode(data.data(), length, &message) == RB_PROTOCOL);
      }
      ++count;
    }
  }
  CHECK(count >= 25);
  std::string error = ReadFile(folder / "wire/event_speech_mark.bin");
  rb_message message = {};
  CHECK(rb_message_decode(error.data(), error.size(), &message) == RB_OK);
  CHECK(std::strcmp(rb_map_text(message.header, "kind", ""), "speech") == 0);
  CHECK(rb_map_int(message.body, "position", 0) == 1250000000);
  rb_message_release(&message);
  error[4] = 2;
  CHECK(rb_message_decode(error.data(), error.size(), &message) == RB_PROTOCOL);
  CHECK(std::strstr(rb_last_error(), "version") != nullptr);
}

void WrongArgumentsAreSentences() {
  rb_options options;
  rb_options_init(&options);
  rb_client *client = nullptr;
  options.history_frames = 0;
  CHECK(rb_client_open(&options, &client) == RB_ARGUMENT);
  CHECK(std::strstr(rb_last_error(), "history_frames") != nullptr);
  rb_options_init(&options);
  options.frames = "nonsense";
  CHECK(rb_client_open(&options, &client) == RB_SYSTEM && client == nullptr);
  CHECK(rb_client_open(nullptr, &client) == RB_ARGUMENT);
  CHECK(rb_frame_wait(nullptr, 1, nullptr) == RB_ARGUMENT);
  CHECK(rb_voice_read(nullptr, nullptr, 1, nullptr) == 0);
  CHECK(std::strcmp(rb_rig_name(57), "tongueOut") == 0 && rb_rig_name(58) == nullptr);
  CHECK(std::strcmp(rb_viseme_name(14), "ou") == 0 && rb_viseme_name(15) == nullptr);
  rb_client_close(nullptr);
}

}  // namespace

int main(int count, char **arguments) {
  CHECK(count == 2);
  const fs::path folder = arguments[1];
  StreamSurvivesGarbageAndARestart(folder);
  AReaderThatSleptSeesTheNewestFrame(folder);
  ThePastIsHeldBackAfterASleep(folder);
  RequestsAreAnsweredOrSaidNoTo(folder);
  SpeechLeavesInPiecesAndWaitsForNobody();
  KeysOpenAndOtherKeysDoNot(folder);
  SingleMessagesAreDecoded(folder);
  WrongArgumentsAreSentences();
  std::puts("the library and a server in this process agree");
  return 0;
}
