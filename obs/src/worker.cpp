// SPDX-License-Identifier: GPL-2.0-or-later
#include "worker.hpp"

#include <util/platform.h>
#include <util/threading.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <utility>

#include "addresses.hpp"
#include "log.hpp"

namespace face {

namespace {

constexpr int64_t kWatchNs = 100'000'000;
constexpr int64_t kPatienceNs = 5'000'000'000;
// A daemon's name comes on another socket than its pictures, a little before or after the first.
constexpr int64_t kNameNs = 1'000'000'000;
// ZeroMQ connects again by itself, but gives up for good where something else than ZeroMQ has
// answered: a silent connection is made anew, ever more seldom.
constexpr int64_t kFirstRenewalNs = 6'000'000'000;
constexpr int64_t kMostRenewalNs = 40'000'000'000;
constexpr int64_t kLateEveryNs = 60'000'000'000;
constexpr uint64_t kManyLate = 25;  // a second of 60

struct Client {  // an owned rb_client
  rb_client *raw = nullptr;
  ~Client() { rb_client_close(raw); }
};

std::string Text(const char *format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  return text;
}

}  // namespace

// Parts are destroyed in the opposite order: the player, the requests, then the client.
struct Worker::Connection {
  Addresses addresses;
  Client client;
  std::unique_ptr<Remote> remote;
  std::unique_ptr<Player> player;
  int64_t begun_ns = 0, watched_ns = 0, late_told_ns = 0, quiet_since_ns = 0;
  int64_t shown_since_ns = 0;  // 0: no pictures come
  uint64_t streams = 0, refused = 0, late = 0;
  bool paused = false;
};

Worker::Worker(obs_source_t *source, Settings settings)
    : source_(source), settings_(std::move(settings)), thread_([this] { Run(); }) {}

Worker::~Worker() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  {
    const std::lock_guard<std::mutex> lock(remote_mutex_);
    remote_ = nullptr;
  }
  thread_.join();
}

void Worker::Update(const Settings &settings) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    settings_ = settings;
  }
  changed_.notify_all();
}

void Worker::SetShown(bool shown) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    shown_ = shown;
  }
  changed_.notify_all();
}

// Only the graphics thread may ask: OBS frees what it answers from, when its settings change,
// after that thread has ended.
void Worker::Tick() {
  obs_video_info info;
  if (!obs_get_video_info(&info) || info.fps_num == 0) return;
  tick_ns_ = int64_t{1'000'000'000} * info.fps_den / info.fps_num;
}

template <typename Order>
void Worker::Give(Order order) {
  const std::lock_guard<std::mutex> lock(remote_mutex_);
  if (remote_ != nullptr) order(remote_);
}

void Worker::Express(const std::string &name) {
  Give([&name](Remote *remote) { remote->Express(name); });
}

void Worker::ToggleMute() {
  Give([](Remote *remote) { remote->ToggleMute(); });
}

void Worker::NextAvatar() {
  Give([](Remote *remote) { remote->NextAvatar(); });
}

std::vector<Avatar> Worker::avatars() {
  std::vector<Avatar> found;
  Give([&found](Remote *remote) { found = remote->avatars(); });
  return found;
}

std::string Worker::status() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return status_;
}

void Worker::Say(int level, const std::string &text) {
  FACE_LOG(level, "'%s': %s", obs_source_get_name(source_), text.c_str());
  const std::lock_guard<std::mutex> lock(mutex_);
  status_ = text;
}

void Worker::Run() {
  os_set_thread_name("rest-bridge");
  std::unique_lock<std::mutex> lock(mutex_);
  Settings before = settings_;
  renew_ns_ = kFirstRenewalNs;
  while (!stop_) {
    const Settings settings = settings_;
    if (!settings.SameConnection(before)) {  // other settings: tell what becomes of them
      state_ = State::kNew;
      refused_here_ = false;
      renew_ns_ = kFirstRenewalNs;
    }
    before = settings;
    if (settings.hidden == "disconnect" && !shown_) {
      changed_.wait(lock);
      continue;
    }
    lock.unlock();
    {
      const std::unique_ptr<Connection> connection = Connect(settings);
      if (connection) {
        Stream(connection.get(), settings);
      } else {  // it stays wrong until somebody changes it
        lock.lock();
        changed_.wait(lock, [&] { return stop_ || !settings_.SameConnection(settings); });
        lock.unlock();
      }
    }
    lock.lock();
  }
}

std::unique_ptr<Worker::Connection> Worker::Connect(const Settings &settings) {
  auto made = std::make_unique<Connection>();
  std::string error;
  Keys keys;
  if (!ReadAddresses(settings.address, &made->addresses, &error) ||
      (!settings.key_file.empty() && !ReadKeys(settings.key_file, &keys, &error))) {
    Say(LOG_WARNING, error);
    return nullptr;
  }
  rb_options options;
  rb_options_init(&options);
  options.frames = made->addresses.frames.c_str();
  options.events = made->addresses.events.c_str();
  options.control = made->addresses.control.c_str();
  options.format = settings.picture == "jpeg" ? RB_JPEG : RB_RGBA;
  options.voice = settings.voice ? 1 : 0;
  options.rig = 0;
  options.history_frames = 2;
  if (!settings.key_file.empty()) {
    options.server_key = keys.server.c_str();
    options.public_key = keys.public_key.c_str();
    options.secret_key = keys.secret_key.c_str();
  }
  if (rb_client_open(&options, &made->client.raw) != RB_OK) {
    Say(LOG_WARNING, rb_last_error());
    return nullptr;
  }
  made->remote = std::make_unique<Remote>(made->client.raw, obs_source_get_name(source_));
  made->player = std::make_unique<Player>(source_, made->client.raw, made->remote.get(), &tick_ns_,
                                          settings.delay_ns(), settings.voice);
  made->begun_ns = made->late_told_ns = made->quiet_since_ns = rb_now_ns();
  return made;
}

bool Worker::IsOver(const Connection &connection, const Settings &settings) {
  if (state_ != State::kLive && rb_now_ns() - connection.quiet_since_ns > renew_ns_) {
    renew_ns_ = std::min(2 * renew_ns_, kMostRenewalNs);
    return true;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  return stop_ || !settings_.SameConnection(settings) ||
         (settings_.hidden == "disconnect" && !shown_);
}

void Worker::Stream(Connection *connection, const Settings &settings) {
  shown_avatar_.clear();
  if (state_ == State::kLive) state_ = State::kNew;  // it was hidden, and is shown again
  {
    const std::lock_guard<std::mutex> lock(remote_mutex_);
    remote_ = connection->remote.get();
  }
  while (!IsOver(*connection, settings)) {
    connection->player->Step();
    if (rb_now_ns() - connection->watched_ns >= kWatchNs) Watch(connection);
  }
  const std::lock_guard<std::mutex> lock(remote_mutex_);
  remote_ = nullptr;
}

// Says what has changed, once each.
void Worker::Watch(Connection *connection) {
  connection->watched_ns = rb_now_ns();
  rb_status status;
  rb_client_status(connection->client.raw, &status);
  if (status.connected == 0 || status.frames == 0) {
    connection->shown_since_ns = 0;
  } else if (connection->shown_since_ns == 0) {
    connection->shown_since_ns = connection->watched_ns;
  }
  const bool is_live =
      connection->shown_since_ns != 0 &&
      (status.server[0] != 0 || connection->watched_ns - connection->shown_since_ns >= kNameNs);
  if (is_live && (state_ != State::kLive || status.streams != connection->streams)) {
    Begin(connection, status);
  } else if (!is_live && state_ == State::kLive) {
    state_ = State::kLost;
    refused_here_ = false;
    connection->quiet_since_ns = connection->watched_ns;
    Say(LOG_WARNING, Text("the daemon at %s is gone; the last picture stays until it is back",
                          connection->addresses.frames.c_str()));
  } else if (state_ == State::kNew &&
             connection->watched_ns - connection->begun_ns > kPatienceNs) {
    state_ = State::kWaiting;
    if (status.refused == 0) {
      Say(LOG_WARNING, Text("nothing comes from %s yet; start `rest-bridge run` there, or correct "
                            "the address. I go on trying.",
                            connection->addresses.frames.c_str()));
    }
  }
  if (status.refused > connection->refused) {
    connection->refused = status.refused;
    char refusal[256];
    rb_client_refusal(connection->client.raw, refusal, sizeof refusal);
    if (!refused_here_) {  // one line for each daemon, whatever else comes from it
      refused_here_ = true;
      Say(LOG_WARNING,
          Text("%s sends what cannot be read: %s", connection->addresses.frames.c_str(), refusal));
    }
  }
  if (connection->watched_ns - connection->late_told_ns > kLateEveryNs) {
    const uint64_t late = connection->player->late();
    if (late - connection->late > kManyLate) {
      FACE_LOG(LOG_INFO, "'%s': %llu pieces of voice came too late; choose a smoother latency",
               obs_source_get_name(source_),
               static_cast<unsigned long long>(late - connection->late));
    }
    connection->late = late;
    connection->late_told_ns = connection->watched_ns;
  }
  std::string avatar;
  bool pause = false;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    avatar = settings_.avatar;
    pause = settings_.hidden == "pause" && !shown_;
  }
  if (!is_live) return;
  if (!avatar.empty() && avatar != shown_avatar_) connection->remote->ShowAvatar(avatar);
  shown_avatar_ = avatar;
  if (pause != connection->paused) connection->remote->Pause(pause);
  connection->paused = pause;
}

void Worker::Begin(Connection *connection, const rb_status &status) {
  state_ = State::kLive;
  renew_ns_ = kFirstRenewalNs;
  connection->streams = status.streams;
  connection->paused = false;
  shown_avatar_.clear();
  connection->remote->Greet();
  Say(LOG_INFO,
      Text("connected to %s at %s, %ux%u at %g fps",
           status.server[0] != 0 ? status.server : "a daemon", connection->addresses.frames.c_str(),
           status.width_px, status.height_px, status.fps));
}

}  // namespace face
