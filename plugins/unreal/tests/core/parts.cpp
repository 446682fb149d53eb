// SPDX-License-Identifier: MIT
// The core's parts by themselves. With --curves: 58 rig values from standard input, 61 Live Link
// values to standard output, for the comparison with the daemon's own table.
#include <atomic>
#include <cmath>
#include <cstring>
#include <iostream>
#include <thread>
#include <vector>

#include "CurveTable.h"
#include "FrameSlots.h"
#include "KeyFile.h"
#include "Lines.h"
#include "Link.h"
#include "Session.h"
#include "VoiceSchedule.h"
#include "WavFile.h"
#include "Worker.h"
#include "check.hpp"

using namespace RestBridgeCore;

namespace {

constexpr int64_t kMs = 1'000'000;

std::atomic<int> live_pictures{0};

struct Counted {
  int number = 0;
  void Release() {
    if (number != 0) --live_pictures;
    number = 0;
  }
};

using Slots = FrameSlots<Counted, int>;

Slots::Lease Fill(Slots *slots, int number) {
  Slots::Lease lease = slots->Take();
  if (lease) {
    lease.picture().number = number;
    ++live_pictures;
  }
  return lease;
}

void AtMostTwoPicturesAreOnTheirWay() {
  auto slots = std::make_unique<Slots>();
  Slots::Lease first = Fill(slots.get(), 1);
  Slots::Lease second = Fill(slots.get(), 2);
  CHECK(first && second && !slots->Take() && slots->InFlight() == 2);
  Slots::Lease copy = first;
  first.Reset();
  CHECK(live_pictures == 2 && !slots->Take());  // the copy holds it
  copy.Reset();
  CHECK(live_pictures == 1 && slots->InFlight() == 1);
  Slots::Lease third = Fill(slots.get(), 3);
  CHECK(third && third.picture().number == 3);
  Slots::Lease moved = std::move(third);
  CHECK(!third && moved);  // NOLINT: that is the point
  slots.reset();
  CHECK(live_pictures == 2 && moved.picture().number == 3);  // leases outlive the slots
  moved.Reset();
  second = Slots::Lease();
  CHECK(live_pictures == 0);
}

// A game thread hands on, a render thread copies and drops, the component goes in between.
void NobodyFreesAPictureThatIsBeingCopied() {
  std::atomic<bool> done{false};
  std::mutex mutex;
  std::vector<Slots::Lease> queue;
  std::thread render([&] {
    int last = 0;
    while (true) {
      std::vector<Slots::Lease> taken;
      {
        const std::lock_guard<std::mutex> lock(mutex);
        taken.swap(queue);
        if (taken.empty() && done) return;
      }
      for (const Slots::Lease &lease : taken) {
        CHECK(lease.picture().number > last);
        last = lease.picture().number;
      }
    }
  });
  int handed = 0;
  for (int component = 0; component < 20; ++component) {
    Slots slots;
    for (int number = 0; number < 500; ++number) {
      Slots::Lease lease = Fill(&slots, handed + 1);
      CHECK(slots.InFlight() <= 2);
      if (!lease) continue;
      ++handed;
      const std::lock_guard<std::mutex> lock(mutex);
      queue.push_back(lease);
    }
  }
  done = true;
  render.join();
  CHECK(handed >= 40 && live_pictures == 0);
}

// A voice whose samples are their own media index.
class Counting final : public VoiceReader {
 public:
  size_t waiting = 0;
  int64_t next = 480000;  // ten seconds into the stream
  size_t Available() override { return waiting; }
  size_t Read(float *samples, size_t count, int64_t *pts_ns) override {
    const size_t taken = std::min(count, waiting);
    *pts_ns = taken > 0 ? next * 1'000'000'000 / kVoiceRateHz : -1;
    for (size_t index = 0; index < count; ++index) {
      samples[index] = index < taken ? static_cast<float>(next + static_cast<int64_t>(index)) : 0;
    }
    next += static_cast<int64_t>(taken);
    waiting -= taken;
    return taken;
  }
  void Skip(size_t keep) override {
    if (waiting <= keep) return;
    next += static_cast<int64_t>(waiting - keep);
    waiting = keep;
  }
};

// What is heard at a time: the device begins with its first sample `delay` after the first call.
void TheHeardInstantIsThatOfTheLoudspeaker() {
  constexpr size_t kCall = 1024;
  constexpr int64_t kCallNs = kCall * 1'000'000'000 / kVoiceRateHz;
  VoiceSettings settings;
  settings.output_delay_ns = 80 * kMs;
  VoiceSchedule schedule(settings);
  Counting voice;
  std::vector<float> samples(kCall);
  CHECK(schedule.HeardNs(0) == -1);
  int64_t last = -1;
  int64_t worst_ns = 0;
  for (int64_t call = 0; call < 400; ++call) {
    voice.waiting += kCall;
    const int64_t jitter_ns = call % 7 * kMs;  // calls come late now and then
    const int64_t call_ns = 5'000 * kMs + call * kCallNs + jitter_ns;
    const int64_t began = voice.next;
    schedule.Fill(voice, samples.data(), kCall, call_ns);
    if (call < 20) continue;  // the cushion of 60 ms, then the estimate settles
    CHECK(samples[5] == static_cast<float>(began + 5));
    const int64_t now_ns = call_ns + 3 * kMs;
    const int64_t heard_ns = schedule.HeardNs(now_ns);
    CHECK(heard_ns >= last && heard_ns >= 0);
    last = heard_ns;
    // Sample `began` leaves the loudspeaker 80 ms after an unhurried call.
    const int64_t true_ns =
        began * 1'000'000'000 / kVoiceRateHz + 3 * kMs + jitter_ns - settings.output_delay_ns;
    worst_ns = std::max(worst_ns, std::abs(heard_ns - true_ns));
  }
  CHECK(worst_ns < 6 * kMs);
  CHECK(schedule.counts().underruns == 0 && schedule.counts().skipped_samples == 0);
}

void AVoiceThatRunsDryBeginsAgainWithItsCushion() {
  VoiceSettings settings;
  settings.output_delay_ns = 0;
  VoiceSchedule schedule(settings);
  Counting voice;
  std::vector<float> samples(480);
  voice.waiting = 2879;
  schedule.Fill(voice, samples.data(), 480, 1000 * kMs);
  CHECK(voice.waiting == 2879 && samples[0] == 0.0f);  // not yet 60 ms
  voice.waiting = 2880;
  int64_t now_ns = 1000 * kMs;
  for (int call = 0; call < 6; ++call) {
    schedule.Fill(voice, samples.data(), 480, now_ns += 10 * kMs);
  }
  CHECK(voice.waiting == 0 && schedule.counts().underruns == 0);
  CHECK(schedule.HeardNs(now_ns + 5 * kMs) >= 0);
  schedule.Fill(voice, samples.data(), 480, now_ns += 10 * kMs);
  CHECK(schedule.counts().underruns == 1 && schedule.HeardNs(now_ns + 5 * kMs) == -1);
  voice.waiting = 100;
  schedule.Fill(voice, samples.data(), 480, now_ns += 10 * kMs);
  CHECK(voice.waiting == 100);
  // Half a second at once: something was late; the newest 60 ms are kept.
  voice.waiting = 24000;
  schedule.Fill(voice, samples.data(), 480, now_ns += 10 * kMs);
  CHECK(voice.waiting == 2400 && schedule.counts().skipped_samples == 24000 - 2880);
  CHECK(schedule.HeardNs(now_ns + 5 * kMs) >= 0);
  schedule.Restart();  // flushed
  CHECK(schedule.HeardNs(now_ns + 5 * kMs) == -1);
  schedule.Fill(voice, samples.data(), 480, now_ns += 10 * kMs);
  CHECK(voice.waiting == 2400);  // the cushion is asked for again
}

void CurvesHaveTheNamesAndUnitsOfLiveLink() {
  const auto &names = CurveNames();
  CHECK(names[0] == "EyeBlinkLeft" && names[17] == "JawOpen" && names[51] == "TongueOut");
  CHECK(names[52] == "HeadYaw" && names[60] == "RightEyeRoll");
  rb_rig rig{};
  rig.values[0] = 90.0f;
  rig.values[6] = 1.5f;
  rig.values[6 + 17] = 0.25f;
  const Curves curves = ToCurves(rig);
  CHECK(curves[0] == 1.0f && curves[17] == 0.25f);
  CHECK(std::fabs(curves[52] - 1.570796f) < 1e-5f);
}

void TheLinkSaysWhatChanged() {
  Link link;
  CHECK(!link.Update(false, "", 0).came && link.state() == LinkState::kWaiting);
  LinkNews news = link.Update(true, "a", 0);
  CHECK(news.came && news.new_stream && !news.new_epoch && link.state() == LinkState::kLive);
  news = link.Update(true, "a", 1);
  CHECK(!news.came && !news.new_stream && news.new_epoch);
  news = link.Update(true, "a", 0);  // a straggler
  CHECK(!news.new_epoch);
  news = link.Update(false, "a", 1);
  CHECK(news.went && link.state() == LinkState::kLost && !link.Update(false, "a", 1).went);
  news = link.Update(true, "a", 1);  // the network was away, the daemon was not
  CHECK(news.came && !news.new_stream && !news.new_epoch);
  news = link.Update(true, "b", 0);
  CHECK(!news.came && news.new_stream && !news.new_epoch);
}

void TriesComeEverSlower() {
  Backoff backoff;
  int64_t now_ns = 0;
  CHECK(backoff.IsDue(now_ns));
  for (const int64_t wait_ms : {500, 1000, 2000, 4000, 8000, 8000}) {
    backoff.Fail(now_ns);
    CHECK(!backoff.IsDue(now_ns + wait_ms * kMs - 1) && backoff.IsDue(now_ns + wait_ms * kMs));
    now_ns += wait_ms * kMs;
  }
  backoff.Reset();
  CHECK(backoff.IsDue(0));
}

void EveryLineEndsOnce(const std::filesystem::path &golden) {
  const auto note = [&golden](const char *name, Lines *lines, std::vector<LineEvent> *out) {
    const std::string data = ReadFile(golden / "wire" / (std::string(name) + ".bin"));
    rb_message message{};
    CHECK(rb_message_decode(data.data(), data.size(), &message) == RB_OK);
    lines->Note(message.body, out);
    const std::string line = rb_map_text(message.body, "utt", "");
    rb_message_release(&message);
    return line;
  };
  Lines lines;
  std::vector<LineEvent> out;
  const std::string name = note("event_speech_started", &lines, &out);
  CHECK(out.empty());  // not one of ours
  lines.Open(name);
  lines.Open("another");
  note("event_speech_started", &lines, &out);
  note("event_speech_mark", &lines, &out);
  note("event_speech_underrun", &lines, &out);
  CHECK(out.size() == 2 && out[1].mark == "bow" && out[1].position_ns > 0);
  note("event_speech_finished", &lines, &out);
  note("event_speech_finished", &lines, &out);
  CHECK(out.size() == 3 && out[2].kind == LineEvent::Kind::kFinished && out[2].error.empty());
  lines.FailAll("gone", &out);
  lines.FailAll("gone", &out);
  CHECK(out.size() == 4 && out[3].line == "another" && out[3].interrupted);
  CHECK(lines.names().empty());
}

void WavFilesAreReadOrRefused() {
  std::string file("RIFF\0\0\0\0WAVEfmt \x10\0\0\0\x01\0\x02\0\x80\x3e\0\0\0\xfa\0\0\x04\0\x10\0",
                   36);
  file += std::string("LIST\x03\0\0\0abc\0data\x08\0\0\0", 20) + "12345678";
  const auto *bytes = reinterpret_cast<const uint8_t *>(file.data());
  Wav wav;
  std::string error;
  CHECK(ParseWav(bytes, file.size(), &wav, &error) && wav.rate_hz == 16000 && wav.channels == 2);
  CHECK(wav.num_samples == 2 && std::memcmp(wav.pcm, "12345678", 8) == 0);
  for (size_t size = 0; size < file.size() - 8; ++size) {
    Wav cut;
    const bool ok = ParseWav(bytes, size, &cut, &error);
    CHECK(!ok && !error.empty());
  }
  file[34] = 8;
  CHECK(!ParseWav(reinterpret_cast<const uint8_t *>(file.data()), file.size(), &wav, &error));
  CHECK(error.find("16-bit") != std::string::npos);
}

void KeyFilesAreReadOrRefused() {
  const std::string key(40, 'a');
  const std::string text = "# of NAME\nserver = '" + key + "'\r\npublic=\"" + key +
                           "\"  # mine\n\nsecret = \"" + std::string(40, '#') + "\"\n";
  Keys keys;
  std::string error;
  CHECK(ParseKeys(text, &keys, &error) && keys.server == key && keys.public_key == key);
  CHECK(keys.secret_key == std::string(40, '#'));
  Keys none;
  CHECK(!ParseKeys("server = 'short'", &none, &error));
  CHECK(error.find("rest-bridge keys new") != std::string::npos);
}

void AWorkerStopsWithWorkLeft() {
  std::atomic<int> done{0};
  Worker worker(3);
  std::mutex gate;
  gate.lock();
  CHECK(worker.Post([&] {
    const std::lock_guard<std::mutex> wait(gate);
    ++done;
  }));
  int posted = 0;
  for (int job = 0; job < 10; ++job) posted += worker.Post([&] { ++done; }) ? 1 : 0;
  CHECK(posted == 3 || posted == 2);  // the first one may still wait itself
  gate.unlock();
  worker.Stop();
  CHECK(done >= 0 && done <= 4 && !worker.Post([] {}));
}

void ASessionWithoutADaemonWaitsAndEndsItsLines() {
  SessionSettings settings;
  std::string error;
  settings.frames = "nonsense";
  CHECK(Session::Open(settings, &error) == nullptr && !error.empty());
  settings.frames = settings.events = "tcp://127.0.0.1:9";
  settings.control = settings.speech = "tcp://127.0.0.1:9";
  const auto session = Session::Open(settings, &error);
  CHECK(session != nullptr);
  News news;
  Picture picture;
  rb_rig rig{};
  session->WishExpression("happy", 0.5);
  const std::string line = session->OpenLine("", 16000, 1);
  session->PushLine(line, std::vector<int16_t>(1600, 1), {{0, "begin"}, {99999, "end"}});
  session->EndLine(line);
  session->Flush({});
  bool ended = false;
  for (int tick = 0; tick < 500 && !ended; ++tick) {
    session->Tick(rb_now_ns(), &news);
    for (const LineEvent &event : news.lines) ended = ended || event.line == line;
    CHECK(!session->NextPicture(rb_now_ns(), &picture) && !session->NextRig(rb_now_ns(), &rig));
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  CHECK(ended && session->state() == LinkState::kWaiting);
  CHECK(session->Look().open_lines <= 1 && !session->Look().status.connected);
}

int PrintCurves() {
  rb_rig rig{};
  for (float &value : rig.values) std::cin >> value;
  const Curves curves = ToCurves(rig);
  for (size_t index = 0; index < kNumCurves; ++index) {
    std::printf("%s %.7g\n", CurveNames()[index].c_str(), static_cast<double>(curves[index]));
  }
  return 0;
}

}  // namespace

int main(int count, char **arguments) {
  CHECK(count == 2);
  if (std::string(arguments[1]) == "--curves") return PrintCurves();
  AtMostTwoPicturesAreOnTheirWay();
  NobodyFreesAPictureThatIsBeingCopied();
  TheHeardInstantIsThatOfTheLoudspeaker();
  AVoiceThatRunsDryBeginsAgainWithItsCushion();
  CurvesHaveTheNamesAndUnitsOfLiveLink();
  TheLinkSaysWhatChanged();
  TriesComeEverSlower();
  EveryLineEndsOnce(arguments[1]);
  WavFilesAreReadOrRefused();
  KeyFilesAreReadOrRefused();
  AWorkerStopsWithWorkLeft();
  ASessionWithoutADaemonWaitsAndEndsItsLines();
  std::puts("the core's parts hold");
  return 0;
}
