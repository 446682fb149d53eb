// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <cstdint>
#include <string>

struct obs_data;

namespace face {

// What the source's properties say. The keys and words below stand in people's scene collections
// and in `rest-bridge obs setup`: never change one.
namespace key {
constexpr const char *kAddress = "address";
constexpr const char *kKeyFile = "key_file";
constexpr const char *kAvatar = "avatar";
constexpr const char *kLatency = "latency";
constexpr const char *kVoice = "voice";
constexpr const char *kHidden = "hidden";
constexpr const char *kPicture = "picture";
}  // namespace key

struct Settings {
  std::string address, key_file, avatar;
  std::string latency = "balanced";  // "low", "balanced", "smooth"
  std::string hidden = "keep";       // "keep", "pause", "disconnect"
  std::string picture = "raw";       // "raw", "jpeg"
  bool voice = true;

  // How long picture and voice are held back, so that late ones are still in time.
  int64_t delay_ns() const {
    constexpr int64_t kMs = 1'000'000;
    return (latency == "low" ? 15 : latency == "smooth" ? 150 : 40) * kMs;
  }
  // Whether one connection serves both.
  bool SameConnection(const Settings &other) const {
    return address == other.address && key_file == other.key_file && latency == other.latency &&
           picture == other.picture && voice == other.voice;
  }
};

Settings ReadSettings(obs_data *data);

}  // namespace face
