// SPDX-License-Identifier: MIT
// The core against a running daemon, as the engine would drive it: a game loop, an audio thread
// that asks for 1024 samples at a time, a render thread that copies pixels late.
//
//     core-live FRAMES EVENTS CONTROL SPEECH LINE.wav
//
// Prints "restart" and waits until the daemon was started again at the same addresses:
// tests/unreal/test_unreal.py does that.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <iostream>
#include <map>
#include <thread>
#include <vector>

#include "CurveTable.h"
#include "Session.h"
#include "WavFile.h"
#include "check.hpp"

using namespace RestBridgeCore;

namespace {

using Slots = FrameSlots<Picture, int>;
constexpr int64_t kSecond = 1'000'000'000;
constexpr size_t kCall = 1024;
constexpr int64_t kCallNs = kCall * kSecond / kVoiceRateHz;

void SleepUntil(int64_t when_ns) {
  std::this_thread::sleep_for(
      std::chrono::nanoseconds(std::max<int64_t>(when_ns - rb_now_ns(), 0)));
}

// Copies the pixels of what it is given, some milliseconds later.
class RenderThread {
 public:
  ~RenderThread() {
    closing_ = true;
    thread_.join();
  }
  void Enqueue(const Slots::Lease &lease) {
    const std::lock_guard<std::mutex> lock(mutex_);
    queue_.push_back(lease);
  }
  uint64_t sum() const { return sum_; }

 private:
  void Run() {
    while (true) {
      Slots::Lease lease;
      {
        const std::lock_guard<std::mutex> lock(mutex_);
        if (queue_.empty() && closing_) return;
        if (!queue_.empty()) {
          lease = std::move(queue_.front());
          queue_.pop_front();
        }
      }
      SleepUntil(rb_now_ns() + 4'000'000);
      if (!lease) continue;
      const rb_frame &frame = lease.picture().frame;
      uint64_t sum = 0;
      for (size_t at = 0; at < frame.size; at += 61) sum += frame.data[at];
      sum_ += sum;
    }
  }
  std::mutex mutex_;
  std::deque<Slots::Lease> queue_;
  std::atomic<bool> closing_{false};
  std::atomic<uint64_t> sum_{0};
  std::thread thread_{[this] { Run(); }};
};

class AudioThread {
 public:
  explicit AudioThread(std::shared_ptr<Session> session) : session_(std::move(session)) {}
  ~AudioThread() {
    closing_ = true;
    thread_.join();
  }
  double loudest() const { return loudest_; }

 private:
  void Run() {
    std::vector<float> samples(kCall);
    for (int64_t next_ns = rb_now_ns(); !closing_; next_ns += kCallNs) {
      SleepUntil(next_ns);
      session_->FillVoice(samples.data(), samples.size(), rb_now_ns());
      double loudest = loudest_;
      for (const float sample : samples) loudest = std::max<double>(loudest, sample);
      loudest_ = loudest;
    }
  }
  std::shared_ptr<Session> session_;
  std::atomic<bool> closing_{false};
  std::atomic<double> loudest_{0};
  std::thread thread_{[this] { Run(); }};
};

struct Played {
  std::vector<LineEvent> lines;
  std::vector<Reply> replies;
  int pictures = 0, timed = 0, late = 0, restarts = 0, epochs = 0;
  int64_t last_sequence = -1, last_epoch = -1;
  float jaw = 0;

  size_t Count(LineEvent::Kind kind) const {
    return static_cast<size_t>(std::count_if(
        lines.begin(), lines.end(), [kind](const LineEvent &line) { return line.kind == kind; }));
  }
};

class Game {
 public:
  Game(std::shared_ptr<Session> session, Slots *slots, RenderThread *render)
      : session_(std::move(session)), slots_(slots), render_(render) {}

  // Sixty frames a second until it is so; false after the time.
  bool PlayUntil(const std::function<bool()> &so, int64_t seconds) {
    const int64_t end_ns = rb_now_ns() + seconds * kSecond;
    for (int64_t next_ns = rb_now_ns(); rb_now_ns() < end_ns; next_ns += kSecond / 60) {
      SleepUntil(next_ns);
      next_ns = std::max(next_ns, rb_now_ns() - kSecond / 60);
      Frame();
      if (so()) return true;
    }
    return false;
  }

  Played played;

 private:
  void Frame() {
    const int64_t now_ns = rb_now_ns();
    session_->Tick(now_ns, &news_);
    played.restarts += news_.link.new_stream ? 1 : 0;
    played.epochs += news_.link.new_epoch ? 1 : 0;
    if (news_.link.new_stream) played.last_epoch = -1;
    played.lines.insert(played.lines.end(), news_.lines.begin(), news_.lines.end());
    played.replies.insert(played.replies.end(), news_.replies.begin(), news_.replies.end());
    Show(now_ns);
    rb_rig rig;
    if (session_->NextRig(now_ns, &rig)) played.jaw = std::max(played.jaw, ToCurves(rig)[17]);
  }

  void Show(int64_t now_ns) {
    Slots::Lease lease = slots_->Take();
    const int64_t heard_ns = session_->HeardNs(now_ns);
    if (!lease || !session_->NextPicture(now_ns, &lease.picture())) return;
    const rb_frame &frame = lease.picture().frame;
    CHECK(frame.format == RB_BGRA && frame.size == size_t{frame.stride} * frame.height);
    if (frame.epoch == played.last_epoch && heard_ns >= 0 && was_timed_) {
      CHECK(frame.sequence > played.last_sequence);
    }
    played.last_epoch = frame.epoch;
    played.last_sequence = frame.sequence;
    was_timed_ = heard_ns >= 0;
    ++played.pictures;
    if (heard_ns >= 0) {
      ++played.timed;
      played.late +=
          frame.pts_ns > heard_ns || frame.pts_ns + frame.duration_ns <= heard_ns ? 1 : 0;
    }
    render_->Enqueue(lease);
  }

  std::shared_ptr<Session> session_;
  Slots *slots_;
  RenderThread *render_;
  News news_;
  bool was_timed_ = false;
};

const Reply *Find(const std::vector<Reply> &replies, int64_t id) {
  for (const Reply &reply : replies) {
    if (reply.id == id) return &reply;
  }
  return nullptr;
}

std::string Say(Session *session, const Wav &wav) {
  const auto *samples = reinterpret_cast<const int16_t *>(wav.pcm);
  const std::string line = session->OpenLine("", wav.rate_hz, wav.channels);
  session->PushLine(line, std::vector<int16_t>(samples, samples + wav.num_samples),
                    {{wav.rate_hz * 3 / 10, "nod"}});
  session->EndLine(line);
  return line;
}

void SaysTwoLines(Game *game, Session *session, const Wav &wav) {
  const std::string first = Say(session, wav);
  const std::string second = Say(session, wav);
  Played &played = game->played;
  CHECK(game->PlayUntil([&] { return played.Count(LineEvent::Kind::kFinished) == 2; }, 60));
  std::vector<std::string> order;
  for (const LineEvent &event : played.lines) {
    CHECK(!event.interrupted && event.error.empty());
    if (event.kind != LineEvent::Kind::kMark) order.push_back(event.line);
    if (event.kind == LineEvent::Kind::kMark) {
      CHECK(event.mark == "nod" && std::abs(event.position_ns - 3 * kSecond / 10) < 3'000'000);
    }
  }
  CHECK((order == std::vector<std::string>{first, first, second, second}));
  CHECK(played.Count(LineEvent::Kind::kMark) == 2);
}

void CanBeInterrupted(Game *game, Session *session, const Wav &wav) {
  Played &played = game->played;
  played.lines.clear();
  const int epochs = played.epochs;
  Say(session, wav);
  Say(session, wav);
  CHECK(game->PlayUntil([&] { return played.Count(LineEvent::Kind::kStarted) == 1; }, 30));
  session->Flush({});
  CHECK(game->PlayUntil([&] { return played.Count(LineEvent::Kind::kFinished) == 2; }, 30));
  for (const LineEvent &event : played.lines) {
    CHECK(event.kind != LineEvent::Kind::kFinished || (event.interrupted && event.error.empty()));
  }
  CHECK(game->PlayUntil([&] { return played.epochs > epochs; }, 30));
}

void RequestsAreAnswered(Game *game, Session *session) {
  Played &played = game->played;
  const int64_t ping = session->Request("ping", {{"t0", int64_t{5}}});
  const int64_t wrong = session->Request("fly", {});
  CHECK(game->PlayUntil([&] { return Find(played.replies, wrong) != nullptr; }, 40));
  CHECK(Find(played.replies, ping)->result == RB_OK);
  CHECK(Find(played.replies, ping)->json.find("\"t0\":5") != std::string::npos);
  CHECK(Find(played.replies, wrong)->result == RB_REFUSED);
  CHECK(!Find(played.replies, wrong)->error.empty());
}

size_t Granted(const Played &played) {
  size_t count = 0;
  for (const Reply &reply : played.replies) {
    const bool wish = reply.operation == "avatar.set" || reply.operation == "expression";
    count += wish && reply.result == RB_OK ? 1 : 0;
  }
  return count;
}

void WishesOutliveADaemon(Game *game, Session *session, const Wav &wav) {
  Played &played = game->played;
  session->WishAvatar("vera");
  session->WishExpression("happy", 0.5);
  CHECK(game->PlayUntil([&] { return Granted(played) == 2; }, 60));
  played.lines.clear();
  const std::string open = session->OpenLine("never ended", wav.rate_hz, 1);
  const int restarts = played.restarts;
  const int pictures = played.pictures;
  std::cout << "restart" << std::endl;
  CHECK(game->PlayUntil([&] { return played.restarts > restarts; }, 200));
  CHECK(game->PlayUntil([&] { return Granted(played) == 4 && played.pictures > pictures; }, 60));
  CHECK(played.lines.size() == 1 && played.lines[0].line == open && played.lines[0].interrupted);
  CHECK(!played.lines[0].error.empty());
}

}  // namespace

int main(int count, char **arguments) {
  CHECK(count == 6);
  SessionSettings settings;
  settings.frames = arguments[1];
  settings.events = arguments[2];
  settings.control = arguments[3];
  settings.speech = arguments[4];
  const std::string file = ReadFile(arguments[5]);
  Wav wav;
  std::string error;
  CHECK(ParseWav(reinterpret_cast<const uint8_t *>(file.data()), file.size(), &wav, &error));
  auto session = Session::Open(settings, &error);
  CHECK(session != nullptr);
  RenderThread render;
  Slots slots;
  Played played;
  {
    AudioThread audio(session);
    Game game(session, &slots, &render);
    CHECK(game.PlayUntil([&] { return game.played.pictures >= 10 && game.played.timed > 0; }, 60));
    SaysTwoLines(&game, session.get(), wav);
    CanBeInterrupted(&game, session.get(), wav);
    RequestsAreAnswered(&game, session.get());
    const View view = session->Look();
    std::printf(
        "{\"pictures\": %d, \"timed\": %d, \"late\": %d, \"jaw\": %.3f, \"loudest\": %.3f, ",
        game.played.pictures, game.played.timed, game.played.late,
        static_cast<double>(game.played.jaw), audio.loudest());
    std::printf("\"received\": %llu, \"underruns\": %llu, \"skipped\": %llu}\n",
                static_cast<unsigned long long>(view.status.frames),
                static_cast<unsigned long long>(view.voice.underruns),
                static_cast<unsigned long long>(view.voice.skipped_samples));
    WishesOutliveADaemon(&game, session.get(), wav);
  }
  session.reset();  // pictures may still be on their way to the card
  std::puts("the core and the daemon agree");
  return 0;
}
