// SPDX-License-Identifier: GPL-2.0-or-later
#include "remote.hpp"

#include <obs-data.h>

#include <chrono>
#include <utility>

#include "log.hpp"

namespace face {

namespace {

constexpr uint32_t kQuickMs = 2000;
constexpr uint32_t kSlowMs = 30000;
constexpr uint32_t kExchanges = 6;
constexpr size_t kMostJobs = 16;
constexpr std::chrono::seconds kClockEvery{30};

struct Map {  // an owned rb_map
  rb_map *raw = rb_map_new();
  ~Map() { rb_map_free(raw); }
};

}  // namespace

Remote::Remote(rb_client *client, std::string name)
    : client_(client), name_(std::move(name)), thread_([this] { Run(); }) {}

Remote::~Remote() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  rb_client_cancel(client_);
  thread_.join();
}

void Remote::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stop_) {
    if (jobs_.empty()) {
      changed_.wait_for(lock, kClockEvery, [this] { return stop_ || !jobs_.empty(); });
      // Clocks of two computers drift: ask again now and then.
      if (jobs_.empty() && !stop_ && greeted_) jobs_.push_back([this] { AskClock(); });
      continue;
    }
    const Job job = std::move(jobs_.front());
    jobs_.pop_front();
    lock.unlock();
    job();
    lock.lock();
  }
}

void Remote::Add(Job job) {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (jobs_.size() >= kMostJobs) return;  // somebody leans on a hotkey
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

rb_result Remote::Ask(const char *operation, const rb_map *arguments, uint32_t timeout_ms,
                      rb_map **reply) {
  const rb_result result = rb_request(client_, operation, arguments, timeout_ms, reply);
  if (result == RB_OK) return result;
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!stop_) FACE_LOG(LOG_WARNING, "'%s': %s: %s", name_.c_str(), operation, rb_last_error());
  return result;
}

void Remote::Greet() {
  greeted_ = true;
  Add([this] {
    AskClock();
    AskAvatars();
  });
}

void Remote::AskClock() {
  int64_t offset_ns = 0;
  has_clock_ = rb_clock_offset(client_, kExchanges, &offset_ns) == RB_OK;
  if (has_clock_) clock_ns_ = offset_ns;
}

bool Remote::ClockOffset(int64_t *offset_ns) const {
  *offset_ns = clock_ns_;
  return has_clock_;
}

void Remote::AskAvatars() {
  rb_map *reply = nullptr;
  // Nobody has asked for it: where there is no answer, there is no list, and no line in the log.
  if (rb_request(client_, "avatars", nullptr, kQuickMs, &reply) != RB_OK) return;
  obs_data_t *data = obs_data_create_from_json(rb_map_json(reply));
  rb_map_free(reply);
  obs_data_array_t *list = obs_data_get_array(data, "avatars");
  std::vector<Avatar> found;
  for (size_t index = 0; index < obs_data_array_count(list); ++index) {
    obs_data_t *item = obs_data_array_item(list, index);
    found.push_back({obs_data_get_string(item, "id"), obs_data_get_string(item, "name"),
                     obs_data_get_bool(item, "active")});
    obs_data_release(item);
  }
  obs_data_array_release(list);
  obs_data_release(data);
  const std::lock_guard<std::mutex> lock(mutex_);
  avatars_ = std::move(found);
}

std::vector<Avatar> Remote::avatars() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return avatars_;
}

void Remote::ShowAvatar(const std::string &id) {
  Add([this, id] {
    const Map arguments;
    rb_map_set_text(arguments.raw, "avatar", id.c_str());
    if (Ask("avatar.set", arguments.raw, kSlowMs) == RB_OK) {
      FACE_LOG(LOG_INFO, "'%s': the face is %s", name_.c_str(), id.c_str());
    }
  });
}

void Remote::NextAvatar() {
  Add([this] {
    AskAvatars();
    const std::vector<Avatar> all = avatars();
    for (size_t index = 0; index < all.size(); ++index) {
      if (all[index].active) return ShowAvatar(all[(index + 1) % all.size()].id);
    }
    if (!all.empty()) ShowAvatar(all.front().id);
  });
}

void Remote::Express(const std::string &name) {
  Add([this, name] {
    const Map arguments;
    if (name.empty()) {
      rb_map_set_bool(arguments.raw, "reset", 1);
    } else {
      rb_map_set_text(arguments.raw, "name", name.c_str());
      rb_map_set_number(arguments.raw, "strength", 1.0);
    }
    Ask("expression", arguments.raw, kQuickMs);
  });
}

void Remote::ToggleMute() {
  Add([this] {
    rb_map *status = nullptr;
    if (Ask("status", nullptr, kQuickMs, &status) != RB_OK) return;
    const bool muted = rb_map_bool(status, "muted", 0) != 0;
    rb_map_free(status);
    const Map arguments;
    rb_map_set_bool(arguments.raw, "on", muted ? 0 : 1);
    if (Ask("mute", arguments.raw, kQuickMs) == RB_OK) {
      FACE_LOG(LOG_INFO, "'%s': the voice is %s", name_.c_str(), muted ? "heard again" : "muted");
    }
  });
}

void Remote::Pause(bool on) {
  Add([this, on] {
    const Map arguments;
    rb_map_set_bool(arguments.raw, "on", on ? 1 : 0);
    Ask("pause", arguments.raw, kQuickMs);
  });
}

}  // namespace face
