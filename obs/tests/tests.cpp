// SPDX-License-Identifier: GPL-2.0-or-later
// The clock and the address field, without OBS.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <random>

#include "../../plugins/native/tests/check.hpp"
#include "addresses.hpp"
#include "media_clock.hpp"

using namespace face;

namespace {

constexpr int64_t kMs = 1'000'000;
constexpr int64_t kFrame = 40 * kMs;
constexpr int64_t kDelay = 40 * kMs;
constexpr int64_t kStart = 5'000'000 * kMs;

// A daemon that publishes with some lateness, and a way that takes a while.
struct Daemon {
  explicit Daemon(double error = 0) : ppm(error) {}
  double ppm;
  int64_t pts = 0, start = kStart;
  std::mt19937 random{7};

  int64_t True(int64_t media) const {
    return start + media + static_cast<int64_t>(static_cast<double>(media) * ppm * 1e-6);
  }
  void Frame(MediaClock *clock, int64_t late_ns = -1) {
    std::exponential_distribution<double> lateness(1 / 2.0);
    const int64_t late = late_ns >= 0 ? late_ns : static_cast<int64_t>(lateness(random) * kMs);
    const int64_t published = True(pts) + late;
    clock->Observe(pts, published, published + kMs / 2);
    pts += kFrame;
  }
};

void SettlesWithinHalfASecond() {
  MediaClock clock(kDelay);
  Daemon daemon;
  CHECK(!clock.ready() && !clock.settled());
  for (int frame = 0; frame < 12; ++frame) daemon.Frame(&clock);
  CHECK(clock.settled());
  const int64_t error = clock.ToObs(daemon.pts) - daemon.True(daemon.pts) - kDelay;
  CHECK(error >= 0 && error < 3 * kMs);
}

void OneLateFrameMovesNothing() {
  MediaClock clock(kDelay);
  Daemon daemon;
  for (int frame = 0; frame < 50; ++frame) daemon.Frame(&clock);
  const int64_t before = clock.ToObs(0);
  for (int frame = 0; frame < 8; ++frame) daemon.Frame(&clock, 300 * kMs);
  CHECK(clock.ToObs(0) == before);
  CHECK(clock.Wanted(kFrame) == 0);
}

// Hours with clocks that differ: the mapping follows by movements of a thousandth at most, and
// what is stamped never runs away from what comes.
void FollowsDrift() {
  for (const double ppm : {-150.0, 60.0, 150.0}) {
    MediaClock clock(kDelay);
    Daemon daemon(ppm);
    int64_t worst = 0;
    for (int frame = 0; frame < 4 * 3600 * 25; ++frame) {
      daemon.Frame(&clock);
      const int64_t move = clock.Wanted(kFrame);
      CHECK(std::abs(move) <= kFrame / 1000);
      clock.Move(move);
      if (frame > 250) {
        const int64_t error = clock.ToObs(daemon.pts) - daemon.True(daemon.pts) - kDelay;
        worst = std::max(worst, std::abs(error));
      }
    }
    std::printf("%+.0f ppm, 4 h: at most %.2f ms away\n", ppm, static_cast<double>(worst) / kMs);
    CHECK(worst < 8 * kMs);
    CHECK(clock.generation() == 0);
  }
}

void BeginsAnewWhereTheStreamHasJumped() {
  MediaClock clock(kDelay);
  Daemon daemon;
  for (int frame = 0; frame < 50; ++frame) daemon.Frame(&clock);
  daemon.start += 1000 * kMs;  // the computer slept: that time is cut out of the stream
  for (int frame = 0; frame < 30; ++frame) daemon.Frame(&clock);
  CHECK(clock.generation() == 1);
  const int64_t error = clock.ToObs(daemon.pts) - daemon.True(daemon.pts) - kDelay;
  CHECK(std::abs(error) < 5 * kMs);
}

void StretchKeepsEndsAndShape() {
  std::array<float, 480> tone{};
  for (size_t index = 0; index < tone.size(); ++index) {
    tone[index] = std::sin(0.05f * static_cast<float>(index));
  }
  for (const size_t made : {479u, 480u, 481u}) {
    std::array<float, 500> out{};
    Stretch(tone.data(), tone.size(), out.data(), made);
    CHECK(out[0] == tone[0]);
    CHECK(std::abs(out[made - 1] - tone[479]) < 1e-5f);
    for (size_t index = 0; index < made; ++index) {
      const double place = static_cast<double>(index) * 479.0 / static_cast<double>(made - 1);
      CHECK(std::abs(out[index] - std::sin(0.05 * place)) < 1e-3);
    }
  }
}

void ReadsAddresses() {
  struct Case {
    const char *text, *frames, *control;
  };
  for (const Case &good : {
           Case{"", "tcp://127.0.0.1:5570", "tcp://127.0.0.1:5572"},
           Case{"studio", "tcp://studio:5570", "tcp://studio:5572"},
           Case{" 10.0.0.7:6000 ", "tcp://10.0.0.7:6000", "tcp://10.0.0.7:6002"},
           Case{"tcp://a:1", "tcp://a:1", "tcp://a:3"},
           Case{"[::1]:5570", "tcp://[::1]:5570", "tcp://[::1]:5572"},
           Case{"[::1]", "tcp://[::1]:5570", "tcp://[::1]:5572"},
           Case{"tcp://a:7 tcp://b:8 ipc:///c", "tcp://a:7", "ipc:///c"},
       }) {
    Addresses addresses;
    std::string error;
    CHECK(ReadAddresses(good.text, &addresses, &error));
    CHECK(addresses.frames == good.frames);
    CHECK(addresses.control == good.control);
  }
  for (const char *bad : {"a:b", "a:0", "a:70000", "a:123456", ":5570", "a b", "tcp://a:1 b c",
                          "http://x:1", "a:-1", "a b c d"}) {
    Addresses addresses;
    std::string error;
    CHECK(!ReadAddresses(bad, &addresses, &error));
    CHECK(error.find("Write a computer and a port") != std::string::npos);
  }
}

void ReadsKeys() {
  const auto path = std::filesystem::temp_directory_path() / "face-tests.key";
  const std::string key(40, 'k');
  std::ofstream(path) << "# keep it secret\npublic = \"" << key << "\"\nsecret = \"" << key
                      << "\"\nserver = \"" << key << "\"\n";
  Keys keys;
  std::string error;
  CHECK(ReadKeys(path.string(), &keys, &error));
  CHECK(keys.server == key && keys.public_key == key && keys.secret_key == key);
  std::ofstream(path) << "public = \"short\"\n";
  Keys none;
  CHECK(!ReadKeys(path.string(), &none, &error));
  CHECK(error.find("lacks one of") != std::string::npos);
  std::filesystem::remove(path);
  CHECK(!ReadKeys(path.string(), &none, &error));
  CHECK(error.find("cannot be read") != std::string::npos);
}

}  // namespace

int main() {
  SettlesWithinHalfASecond();
  OneLateFrameMovesNothing();
  FollowsDrift();
  BeginsAnewWhereTheStreamHasJumped();
  StretchKeepsEndsAndShape();
  ReadsAddresses();
  ReadsKeys();
  std::puts("ok");
  return 0;
}
