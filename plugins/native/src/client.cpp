// SPDX-License-Identifier: MIT
#include "client.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <random>

namespace rb {

namespace {

constexpr const char *kWake = "inproc://wake";
constexpr int64_t kSilenceNs = 3'000'000'000;
constexpr int kSpeechHighWaterMark = 8;
constexpr size_t kMostAtOnce = 64;
constexpr int64_t kOldNs = 80'000'000;
constexpr int64_t kGapNs = 250'000'000;      // without a frame: this process slept, or the network
constexpr int64_t kCatchUpNs = 300'000'000;  // for so long after it old frames are held back
constexpr long kCancelMs = 50;

Failure Error(rb_result result, std::string text) { return {result, std::move(text)}; }

Failure ZmqError(const char *what) {
  return Error(RB_SYSTEM, std::string(what) + ": " + zmq_strerror(zmq_errno()));
}

// Takes the next message whole: one of several parts, which the protocol does not have, is taken
// to its end and said in `error`. False if nothing is there.
bool Take(void *socket, Packet *packet, std::string *error) {
  if (zmq_msg_recv(packet->raw(), socket, ZMQ_DONTWAIT) < 0) return false;
  error->clear();
  if (zmq_msg_more(packet->raw()) == 0) return true;
  *error = "The message has several parts.";
  for (bool more = true; more;) {  // all parts of a message are there when the first is
    Packet rest;
    if (zmq_msg_recv(rest.raw(), socket, ZMQ_DONTWAIT) < 0) break;
    more = zmq_msg_more(rest.raw()) != 0;
  }
  return true;
}

}  // namespace

int64_t NowNs() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::nanoseconds>(now).count();
}

void CopyName(std::string_view text, char *out) {
  const size_t length = std::min<size_t>(text.size(), RB_NAME_BYTES - 1);
  std::memcpy(out, text.data(), length);
  out[length] = '\0';
}

bool Socket::Open(void *context, int type, const Settings &settings) {
  raw_ = zmq_socket(context, type);
  if (raw_ == nullptr) return false;
  const int64_t most = static_cast<int64_t>(kMaxMessageBytes);
  // A lost daemon is tried again after 0.1 s, then ever slower up to every two seconds; a dead
  // connection is noticed within six.
  bool ok = Set(ZMQ_LINGER, 0) && Set(ZMQ_RECONNECT_IVL, 100) && Set(ZMQ_RECONNECT_IVL_MAX, 2000) &&
            Set(ZMQ_HEARTBEAT_IVL, 2000) && Set(ZMQ_HEARTBEAT_TIMEOUT, 6000) &&
            zmq_setsockopt(raw_, ZMQ_MAXMSGSIZE, &most, sizeof most) == 0;
  if (ok && !settings.server_key.empty()) {
    const auto set = [this](int option, const std::string &key) {
      return zmq_setsockopt(raw_, option, key.c_str(), key.size() + 1) == 0;
    };
    ok = set(ZMQ_CURVE_SERVERKEY, settings.server_key) &&
         set(ZMQ_CURVE_PUBLICKEY, settings.public_key) &&
         set(ZMQ_CURVE_SECRETKEY, settings.secret_key);
  }
  return ok;
}

void Socket::Close() {
  if (raw_ != nullptr) zmq_close(raw_);
  raw_ = nullptr;
}

Client::Client(Settings settings)
    : frames(settings.history_frames),
      rigs(std::max<size_t>(settings.history_frames, 2)),
      voice(settings.voice_samples),
      settings_(std::move(settings)) {}

Client::~Client() {
  frames.Close();
  events.Close();
  if (thread_.joinable()) {
    zmq_send(wake_sender_.raw(), "", 0, 0);
    thread_.join();
  }
  for (Socket *socket : {&frames_socket_, &events_socket_, &wake_receiver_, &wake_sender_,
                         &control_socket_, &speech_socket_}) {
    socket->Close();
  }
  if (context_ != nullptr) zmq_ctx_term(context_);
}

Failure Client::Start() {
  context_ = zmq_ctx_new();
  if (context_ == nullptr) return ZmqError("No ZeroMQ context");
  const auto subscribe = [this](Socket *socket, const std::string &endpoint,
                                const std::vector<const char *> &topics) {
    bool ok = socket->Open(context_, ZMQ_SUB, settings_);
    for (const char *topic : topics) {
      ok = ok && zmq_setsockopt(socket->raw(), ZMQ_SUBSCRIBE, topic, std::strlen(topic)) == 0;
    }
    return ok && socket->Connect(endpoint);
  };
  if (!settings_.frames.empty() &&
      !subscribe(&frames_socket_, settings_.frames,
                 {kFrameTopics[static_cast<size_t>(settings_.format)]})) {
    return ZmqError("The frames address cannot be used");
  }
  if (!settings_.events.empty()) {
    std::vector<const char *> topics = {"EVNT"};
    if (settings_.voice) topics.push_back("VOIC");
    if (settings_.rig) topics.push_back("RIG_");
    if (!subscribe(&events_socket_, settings_.events, topics)) {
      return ZmqError("The events address cannot be used");
    }
  }
  if (!settings_.control.empty() && !(control_socket_.Open(context_, ZMQ_DEALER, settings_) &&
                                      control_socket_.Connect(settings_.control))) {
    return ZmqError("The control address cannot be used");
  }
  const Settings plain;
  if (!wake_receiver_.Open(context_, ZMQ_PAIR, plain) ||
      zmq_bind(wake_receiver_.raw(), kWake) != 0 || !wake_sender_.Open(context_, ZMQ_PAIR, plain) ||
      !wake_sender_.Connect(kWake)) {
    return ZmqError("No wake-up socket");
  }
  // The sockets belong to the thread from here on; its start is the barrier that ZeroMQ asks for.
  thread_ = std::thread([this] { Receive(); });
  return {};
}

void Client::Receive() {
  std::vector<zmq_pollitem_t> items = {{wake_receiver_.raw(), 0, ZMQ_POLLIN, 0}};
  for (Socket *socket : {&frames_socket_, &events_socket_}) {
    if (*socket) items.push_back({socket->raw(), 0, ZMQ_POLLIN, 0});
  }
  while (true) {
    if (zmq_poll(items.data(), static_cast<int>(items.size()), PatienceMs()) < 0) {
      if (zmq_errno() == EINTR) continue;
      return;
    }
    if (items[0].revents != 0) return;
    for (size_t index = 1; index < items.size(); ++index) {
      if (items[index].revents != 0) Drain(items[index].socket);
    }
    if (held_ && NowNs() >= caught_up_ns_) {  // nothing newer came: this is how the stream is
      held_ = false;
      frames.Refresh();
    }
  }
}

// How long to wait for something newer than what is held; for ever where nothing is.
long Client::PatienceMs() const {
  if (!held_) return -1;
  return static_cast<long>(std::max<int64_t>(0, (caught_up_ns_ - NowNs()) / 1'000'000 + 1));
}

// Takes all that is there.
void Client::Drain(void *socket) {
  std::vector<PacketPtr> packets;
  while (packets.size() < kMostAtOnce) {
    auto packet = std::make_shared<Packet>();
    std::string error;
    if (!Take(socket, packet.get(), &error)) break;
    if (!error.empty() || !Decode(packet->view(), &packet->message, &error)) {
      Refuse(error.c_str());
      continue;
    }
    packets.push_back(std::move(packet));
  }
  const size_t count = packets.size();
  for (size_t index = 0; index < count; ++index) {
    const bool last = index + 1 == count;
    const bool fresh = last && !IsPast(packets[index]->message);
    Sort(std::move(packets[index]), fresh);
  }
}

// Where this process slept, ZeroMQ and the kernel kept frames for it, and newer ones are on their
// way behind them: nobody is shown the past.
bool Client::IsPast(const Message &message) {
  if (message.topic != Topic::kFrame) return false;
  const int64_t now_ns = NowNs();
  if (now_ns - frame_heard_ns_ > kGapNs) caught_up_ns_ = now_ns + kCatchUpNs;
  frame_heard_ns_ = now_ns;
  held_ = IsOld(message) && now_ns < caught_up_ns_;
  return held_;
}

// The clocks may be those of two computers: the quickest message so far says how they differ.
bool Client::IsOld(const Message &message) {
  const int64_t age_ns = NowNs() - message.published_ns;
  if (message.stream != clock_stream_) {
    clock_stream_ = std::string(message.stream);
    least_age_ns_ = age_ns;
  }
  least_age_ns_ = std::min(least_age_ns_, age_ns);
  return age_ns - least_age_ns_ > kOldNs;
}

void Client::Sort(PacketPtr packet, bool fresh) {
  const Message &message = packet->message;
  if (message.topic != Topic::kRequest && message.topic != Topic::kReply) NoteStream(message);
  switch (message.topic) {
    case Topic::kFrame: {
      {
        const std::lock_guard<std::mutex> lock(status_mutex_);
        ++status_.frames;
        if (last_sequence_ >= 0 && message.sequence > last_sequence_ + 1) {
          status_.frames_lost += static_cast<uint64_t>(message.sequence - last_sequence_ - 1);
        }
        last_sequence_ = message.sequence;
        status_.width_px = message.width;
        status_.height_px = message.height;
        CopyName(message.tier, status_.tier);
      }
      frames.Put(std::move(packet), fresh);
      return;
    }
    case Topic::kRig:
      rigs.Put(std::move(packet));
      return;
    case Topic::kVoice:
      voice.Put(message.payload, message.sample_index);
      return;
    case Topic::kEvent:
      if (message.kind == "hello") NoteHello(message);
      events.Put(std::move(packet));
      return;
    case Topic::kRequest:
    case Topic::kReply:
      break;
  }
  Refuse("Requests and replies do not belong on this socket.");
}

void Client::Refuse(const char *why) {
  const std::lock_guard<std::mutex> lock(status_mutex_);
  ++status_.refused;
  refusal_ = why;
}

std::string Client::Refusal() {
  const std::lock_guard<std::mutex> lock(status_mutex_);
  return refusal_;
}

void Client::NoteStream(const Message &message) {
  bool is_new = false;
  bool is_other_stream = false;
  {
    const std::lock_guard<std::mutex> lock(status_mutex_);
    heard_ns_ = NowNs();
    is_other_stream = message.stream != stream_;
    // Of an older epoch only stragglers come: the two sockets are not in step.
    is_new = is_other_stream || message.epoch > epoch_;
    if (is_new) {
      if (is_other_stream) {
        ++status_.streams;
        last_sequence_ = -1;
      }
      stream_ = std::string(message.stream);
      epoch_ = message.epoch;
      status_.epoch = epoch_;
      CopyName(message.stream, status_.stream);
    }
    if (message.topic != Topic::kEvent) CopyName(message.state, status_.state);
  }
  if (is_new) {
    frames.Clear();
    rigs.Clear();
    voice.Clear();
  }
}

void Client::NoteHello(const Message &message) {
  const auto number = [&message](const char *key) {
    const Value *value = message.body.Find(key);
    if (value == nullptr) return 0.0;
    if (value->kind == Kind::kUint) return static_cast<double>(value->natural);
    return value->kind == Kind::kNumber ? value->number : 0.0;
  };
  const Value *server = message.body.Find("server");
  const std::lock_guard<std::mutex> lock(status_mutex_);
  status_.fps = number("fps");
  if (status_.frames == 0) {
    status_.width_px = static_cast<uint32_t>(std::clamp(number("width"), 0.0, 8192.0));
    status_.height_px = static_cast<uint32_t>(std::clamp(number("height"), 0.0, 8192.0));
  }
  if (server != nullptr && server->kind == Kind::kText) CopyName(server->span, status_.server);
}

void Client::Status(rb_status *status) {
  const uint64_t voice_lost = voice.lost();
  const uint64_t events_lost = events.lost();
  const std::lock_guard<std::mutex> lock(status_mutex_);
  *status = status_;
  status->connected = heard_ns_ != 0 && NowNs() - heard_ns_ < kSilenceNs;
  status->voice_lost_samples = voice_lost;
  status->events_lost = events_lost;
}

Failure Client::Request(std::string_view operation, std::string_view body, Milliseconds timeout,
                        PacketPtr *reply) {
  const std::lock_guard<std::mutex> lock(control_mutex_);
  if (!control_socket_) return Error(RB_ARGUMENT, "This client was opened without control.");
  const int64_t id = next_request_++;
  const std::string request = EncodeRequest(id, operation, body);
  const auto end = std::chrono::steady_clock::now() + timeout;
  if (zmq_send(control_socket_.raw(), request.data(), request.size(), ZMQ_DONTWAIT) < 0) {
    return Error(RB_TIMEOUT, "The daemon takes no requests; is it running?");
  }
  while (true) {
    const auto left =
        std::chrono::duration_cast<Milliseconds>(end - std::chrono::steady_clock::now()).count();
    zmq_pollitem_t item = {control_socket_.raw(), 0, ZMQ_POLLIN, 0};
    if (cancelled_) return Error(RB_TIMEOUT, "The client is being closed.");
    if (left <= 0) return Error(RB_TIMEOUT, "The daemon did not answer in time; is it running?");
    if (zmq_poll(&item, 1, std::min<long>(static_cast<long>(left), kCancelMs)) == 0) continue;
    auto packet = std::make_shared<Packet>();
    std::string error;
    if (!Take(control_socket_.raw(), packet.get(), &error)) continue;
    if (!error.empty() || !Decode(packet->view(), &packet->message, &error)) {
      return Error(RB_PROTOCOL, error);
    }
    const Message &message = packet->message;
    // Progress of slow requests and late replies to older ones pass by.
    if (message.topic != Topic::kReply || message.id != id) continue;
    if (!message.ok) return Error(RB_REFUSED, std::string(message.error));
    *reply = std::move(packet);
    return {};
  }
}

Failure Client::ClockOffset(uint32_t exchanges, int64_t *offset_ns) {
  int64_t best = INT64_MAX;
  for (uint32_t exchange = 0; exchange < exchanges; ++exchange) {
    Writer body;
    const int64_t t0 = NowNs();
    body.Map(1);
    body.Text("t0");
    body.Int(t0);
    PacketPtr reply;
    Failure failure = Request("ping", body.data(), Milliseconds(2000), &reply);
    if (failure.result != RB_OK) return failure;
    const int64_t t3 = NowNs();
    const Value *t1 = reply->message.body.Find("t1");
    const Value *t2 = reply->message.body.Find("t2");
    if (t1 == nullptr || t2 == nullptr) return Error(RB_PROTOCOL, "The ping's reply has no times.");
    if (t3 - t0 < best) {
      best = t3 - t0;
      *offset_ns = ((t1->integer - t0) + (t2->integer - t3)) / 2;
    }
  }
  return {};
}

Failure Client::SendSpeech(const std::string &message, Milliseconds timeout) {
  const std::lock_guard<std::mutex> lock(speech_mutex_);
  if (!speech_socket_) {
    if (settings_.speech.empty()) {
      return Error(RB_ARGUMENT, "This client was opened without speech.");
    }
    if (!speech_socket_.Open(context_, ZMQ_PUSH, settings_) ||
        !speech_socket_.Set(ZMQ_IMMEDIATE, 1) ||
        !speech_socket_.Set(ZMQ_SNDHWM, kSpeechHighWaterMark) ||
        !speech_socket_.Set(ZMQ_LINGER, 500) || !speech_socket_.Connect(settings_.speech)) {
      speech_socket_.Close();
      return ZmqError("The speech address cannot be used");
    }
  }
  speech_socket_.Set(ZMQ_SNDTIMEO, static_cast<int>(timeout.count()));
  if (zmq_send(speech_socket_.raw(), message.data(), message.size(), 0) < 0) {
    return Error(
        RB_TIMEOUT,
        "The daemon took no speech in time: either it does not run with --audio push, or a "
        "minute of speech waits there.");
  }
  return {};
}

std::string Client::NewLineName() {
  static const uint32_t salt = std::random_device{}();
  return "line-" + std::to_string(salt) + "-" + std::to_string(next_line_++);
}

}  // namespace rb
