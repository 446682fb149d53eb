// SPDX-License-Identifier: MIT
#include "Session.h"

#include <algorithm>
#include <random>

namespace RestBridgeCore {

namespace {

constexpr size_t kMaxRequests = 64;
constexpr size_t kMaxPieces = 4096;  // of speech, waiting to be sent
constexpr uint32_t kSlowMs = 30000;  // avatars and devices take their time
constexpr uint32_t kFlushMs = 3000;
constexpr uint32_t kSliceMs = 100;  // of waiting, so that closing is quick
constexpr int kPatience = 50;       // slices without a daemon
constexpr const char *kAvatar = "avatar.set";
constexpr const char *kExpression = "expression";
constexpr const char *kRestarted = "The daemon was started again; this line is gone.";
constexpr const char *kFull = "Too much speech waits to be sent.";

class LibraryVoice final : public VoiceReader {
 public:
  explicit LibraryVoice(rb_client *client) : client_(client) {}
  size_t Available() override { return rb_voice_available(client_); }
  size_t Read(float *samples, size_t count, int64_t *pts_ns) override {
    return rb_voice_read(client_, samples, count, pts_ns);
  }
  void Skip(size_t keep) override { rb_voice_skip(client_, keep); }

 private:
  rb_client *client_;
};

rb_map *ToMap(const Arguments &arguments) {
  rb_map *map = rb_map_new();
  for (const auto &[key, value] : arguments) {
    if (const auto *truth = std::get_if<bool>(&value)) rb_map_set_bool(map, key.c_str(), *truth);
    if (const auto *whole = std::get_if<int64_t>(&value)) rb_map_set_int(map, key.c_str(), *whole);
    if (const auto *real = std::get_if<double>(&value)) {
      rb_map_set_number(map, key.c_str(), *real);
    }
    if (const auto *text = std::get_if<std::string>(&value)) {
      rb_map_set_text(map, key.c_str(), text->c_str());
    }
  }
  return map;
}

}  // namespace

std::shared_ptr<Session> Session::Open(const SessionSettings &settings, std::string *error) {
  rb_options options;
  rb_options_init(&options);
  options.frames = settings.pictures ? settings.frames.c_str() : "";
  options.events = settings.events.c_str();
  options.control = settings.control.c_str();
  options.speech = settings.speech.c_str();
  options.format = RB_BGRA;  // as PF_B8G8R8A8 lies in memory
  options.voice = settings.voice ? 1 : 0;
  options.history_frames = settings.history_frames;
  options.voice_buffer_ms = settings.voice_buffer_ms;
  if (!settings.keys.server.empty()) {
    options.server_key = settings.keys.server.c_str();
    options.public_key = settings.keys.public_key.c_str();
    options.secret_key = settings.keys.secret_key.c_str();
  }
  rb_client *client = nullptr;
  if (rb_client_open(&options, &client) != RB_OK) {
    *error = rb_last_error();
    return nullptr;
  }
  return std::shared_ptr<Session>(new Session(settings, client));
}

Session::Session(const SessionSettings &settings, rb_client *client)
    : client_(client),
      voice_(settings.schedule),
      has_voice_(settings.voice),
      salt_(std::random_device{}()),
      requests_(kMaxRequests),
      speech_(kMaxPieces) {}

Session::~Session() {
  closing_ = true;
  rb_client_cancel(client_);
  requests_.Stop();
  speech_.Stop();
  for (auto &entry : speeches_) rb_speech_end(entry.second.speech, 0);
  rb_client_close(client_);
}

void Session::FillVoice(float *samples, size_t count, int64_t now_ns) {
  LibraryVoice reader(client_);
  voice_.Fill(reader, samples, count, now_ns);
}

void Session::Tick(int64_t now_ns, News *news) {
  news->lines.clear();
  news->replies.clear();
  rb_status status;
  rb_client_status(client_, &status);
  const bool had_stream = link_.state() != LinkState::kWaiting;
  news->link = link_.Update(status.connected != 0, status.stream, status.epoch);
  if (news->link.new_stream || news->link.new_epoch) voice_.Restart();
  if (news->link.new_stream) {
    shown_sequence_ = shown_rig_ = -1;
    if (had_stream) lines_.FailAll(kRestarted, &news->lines);
    for (auto &entry : wishes_) {
      entry.second.open = entry.second.wanted;
      entry.second.backoff.Reset();
    }
  }
  TakeEvents(news);
  TakeFindings(news);
  for (const Reply &reply : news->replies) Judge(reply, now_ns);
  if (link_.state() == LinkState::kLive) Grant(now_ns);
  num_open_lines_ = lines_.names().size();
}

void Session::TakeEvents(News *news) {
  rb_event event{};
  while (rb_event_next(client_, 0, &event) == RB_OK) {
    if (std::string(event.kind) == "speech") lines_.Note(event.body, &news->lines);
    rb_event_release(&event);
  }
}

void Session::TakeFindings(News *news) {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto &[line, error] : failures_) lines_.Fail(line, error, &news->lines);
  failures_.clear();
  news->replies.swap(replies_);
}

bool Session::NextPicture(int64_t now_ns, Picture *picture) {
  const int64_t heard_ns = has_voice_ ? HeardNs(now_ns) : -1;
  rb_frame &frame = picture->frame;
  const rb_result result =
      heard_ns >= 0 ? rb_frame_at(client_, heard_ns, &frame) : rb_frame_latest(client_, &frame);
  if (result != RB_OK) return false;
  if (frame.sequence == shown_sequence_ && frame.epoch == shown_epoch_) {
    picture->Release();
    return false;
  }
  shown_sequence_ = frame.sequence;
  shown_epoch_ = frame.epoch;
  return true;
}

bool Session::NextRig(int64_t now_ns, rb_rig *rig) {
  const int64_t heard_ns = has_voice_ ? HeardNs(now_ns) : -1;
  const rb_result result =
      heard_ns >= 0 ? rb_rig_at(client_, heard_ns, rig) : rb_rig_latest(client_, rig);
  if (result != RB_OK || rig->sequence == shown_rig_) return false;
  shown_rig_ = rig->sequence;
  return true;
}

std::string Session::OpenLine(const std::string &name, uint32_t rate_hz, uint32_t channels) {
  std::string line = name;
  if (line.empty()) {
    line = "unreal-" + std::to_string(salt_) + "-" + std::to_string(next_line_++);
  }
  lines_.Open(line);
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped_.erase(line);
  }
  PostSpeech(line, [this, line, rate_hz, channels] {
    OpenSpeech open{nullptr, rate_hz, channels};
    if (rb_speech_open(client_, line.c_str(), rate_hz, channels, &open.speech) != RB_OK) {
      Report(line, rb_last_error());
      return;
    }
    const auto before = speeches_.find(line);
    if (before != speeches_.end()) rb_speech_end(before->second.speech, kSliceMs);
    speeches_[line] = open;
  });
  return line;
}

void Session::PushLine(const std::string &line, std::vector<int16_t> samples,
                       std::vector<Mark> marks) {
  std::sort(marks.begin(), marks.end(),
            [](const Mark &a, const Mark &b) { return a.sample < b.sample; });
  PostSpeech(line, [this, line, samples = std::move(samples), marks = std::move(marks)] {
    const auto open = speeches_.find(line);
    if (open == speeches_.end()) return;
    const size_t channels = open->second.channels;
    const size_t count = samples.size() / channels;
    size_t done = 0;
    for (const Mark &mark : marks) {
      const size_t place = std::min(mark.sample, count);
      Push(line, samples.data() + done * channels, place - done);
      done = place;
      const auto still = speeches_.find(line);
      if (still == speeches_.end()) return;
      if (rb_speech_mark(still->second.speech, mark.name.c_str()) != RB_OK) {
        Report(line, rb_last_error());
      }
    }
    Push(line, samples.data() + done * channels, count - done);
  });
}

void Session::EndLine(const std::string &line) {
  PostSpeech(line, [this, line] {
    const auto open = speeches_.find(line);
    if (open == speeches_.end()) return;
    rb_speech *speech = open->second.speech;
    speeches_.erase(open);
    if (rb_speech_end(speech, kSliceMs * 10) != RB_OK && !IsDropped(line)) {
      Report(line, rb_last_error());
    }
  });
}

// On the speech worker. Waits while a minute of speech waits in the daemon, gives up where there
// is no daemon.
void Session::Push(const std::string &line, const int16_t *samples, size_t count) {
  const auto open = speeches_.find(line);
  int patience = kPatience;
  while (count > 0 && open != speeches_.end() && !closing_) {
    size_t sent = 0;
    const rb_result result =
        rb_speech_push_s16(open->second.speech, samples, count, kSliceMs, &sent);
    samples += sent * open->second.channels;
    count -= sent;
    if (result == RB_OK) return;
    rb_status status;
    rb_client_status(client_, &status);
    const bool hopeless = result != RB_TIMEOUT || (!status.connected && patience-- == 0);
    if (!hopeless && !IsDropped(line)) continue;
    if (hopeless) Report(line, rb_last_error());
    rb_speech_end(open->second.speech, 0);
    speeches_.erase(open);
    return;
  }
}

void Session::PostSpeech(const std::string &line, Worker::Job job) {
  const auto guarded = [this, line, job = std::move(job)] {
    if (!IsDropped(line)) return job();
    const auto open = speeches_.find(line);
    if (open == speeches_.end()) return;
    rb_speech_end(open->second.speech, 0);
    speeches_.erase(open);
  };
  if (!speech_.Post(guarded)) Report(line, kFull);
}

bool Session::IsDropped(const std::string &line) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return dropped_.count(line) != 0;
}

void Session::Report(const std::string &line, const std::string &error) {
  const std::lock_guard<std::mutex> lock(mutex_);
  failures_.emplace_back(line, error);
}

void Session::Flush(std::vector<std::string> lines) {
  if (lines.empty()) lines = lines_.names();
  if (lines.empty()) return;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    dropped_.insert(lines.begin(), lines.end());
  }
  requests_.Post([this, lines = std::move(lines)] { AskToFlush(lines); });
}

// On the requests' worker. Lines that the daemon had not heard of end here.
void Session::AskToFlush(const std::vector<std::string> &lines) {
  std::vector<const char *> names;
  for (const std::string &line : lines) names.push_back(line.c_str());
  rb_map *map = rb_map_new();
  rb_map_set_texts(map, "utterances", names.data(), names.size());
  rb_map *answer = nullptr;
  const rb_result result = rb_request(client_, "flush", map, kFlushMs, &answer);
  rb_map_free(map);
  const std::string known = result == RB_OK ? rb_map_json(answer) : "";
  const std::string error = result == RB_OK ? "" : rb_last_error();
  rb_map_free(answer);
  for (const std::string &line : lines) {
    if (known.find('"' + line + '"') == std::string::npos) Report(line, error);
  }
}

int64_t Session::Request(const std::string &operation, const Arguments &arguments) {
  const int64_t id = next_request_++;
  const bool posted = requests_.Post([this, id, operation, arguments] {
    Reply reply = Ask(operation, arguments);
    reply.id = id;
    const std::lock_guard<std::mutex> lock(mutex_);
    replies_.push_back(std::move(reply));
  });
  if (!posted) {
    const std::lock_guard<std::mutex> lock(mutex_);
    replies_.push_back({id, operation, "Too many requests wait; try again.", "{}", RB_TIMEOUT});
  }
  return id;
}

Reply Session::Ask(const std::string &operation, const Arguments &arguments) {
  rb_map *map = ToMap(arguments);
  rb_map *answer = nullptr;
  Reply reply;
  reply.operation = operation;
  reply.result = rb_request(client_, operation.c_str(), map, kSlowMs, &answer);
  reply.json = answer == nullptr ? "{}" : rb_map_json(answer);
  if (reply.result != RB_OK) reply.error = rb_last_error();
  rb_map_free(answer);
  rb_map_free(map);
  return reply;
}

void Session::WishAvatar(const std::string &avatar) {
  Wish &wish = wishes_[kAvatar];
  wish = Wish{};
  wish.arguments = {{"avatar", avatar}};
  wish.wanted = wish.open = !avatar.empty();
}

void Session::WishExpression(const std::string &name, double strength) {
  Wish &wish = wishes_[kExpression];
  wish = Wish{};
  wish.arguments = {{"name", name}, {"strength", strength}};
  wish.wanted = wish.open = !name.empty();
}

void Session::Grant(int64_t now_ns) {
  for (auto &[operation, wish] : wishes_) {
    if (!wish.open || wish.request != 0 || !wish.backoff.IsDue(now_ns)) continue;
    wish.request = Request(operation, wish.arguments);
  }
}

void Session::Judge(const Reply &reply, int64_t now_ns) {
  const auto found = wishes_.find(reply.operation);
  if (found == wishes_.end() || found->second.request != reply.id) return;
  Wish &wish = found->second;
  wish.request = 0;
  if (reply.result == RB_TIMEOUT) {
    wish.backoff.Fail(now_ns);
  } else {
    wish.open = false;  // done, or refused for a reason that the reply tells
  }
}

View Session::Look() const {
  View view;
  rb_client_status(client_, &view.status);
  char refusal[256];
  rb_client_refusal(client_, refusal, sizeof refusal);
  view.refusal = refusal;
  view.voice = voice_.counts();
  view.open_lines = num_open_lines_;
  return view;
}

}  // namespace RestBridgeCore
