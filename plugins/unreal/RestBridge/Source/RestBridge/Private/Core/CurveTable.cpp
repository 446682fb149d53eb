// SPDX-License-Identifier: MIT
#include "CurveTable.h"

#include <algorithm>
#include <cstring>

namespace RestBridgeCore {

namespace {

constexpr size_t kFirstWeight = 6;  // behind the head's pose
constexpr float kRadians = 3.14159265358979f / 180.0f;
// Turn of an eyeball at full weight of a look shape, sideways and up or down.
constexpr float kEyeYawDeg = 30.0f;
constexpr float kEyePitchDeg = 25.0f;
constexpr std::array<const char *, kNumCurves - kNumWeights> kRotations = {
    "HeadYaw",     "HeadPitch",   "HeadRoll",      "LeftEyeYaw",  "LeftEyePitch",
    "LeftEyeRoll", "RightEyeYaw", "RightEyePitch", "RightEyeRoll"};

float Weight(const rb_rig &rig, const char *name) {
  for (uint32_t index = kFirstWeight; index < RB_NUM_RIG; ++index) {
    if (std::strcmp(rb_rig_name(index), name) == 0) return rig.values[index];
  }
  return 0.0f;
}

}  // namespace

const std::array<std::string, kNumCurves> &CurveNames() {
  static const std::array<std::string, kNumCurves> names = [] {
    std::array<std::string, kNumCurves> out;
    for (size_t index = 0; index < kNumWeights; ++index) {
      out[index] = rb_rig_name(static_cast<uint32_t>(kFirstWeight + index));
      out[index][0] = static_cast<char>(out[index][0] - 'a' + 'A');
    }
    std::copy(kRotations.begin(), kRotations.end(), out.begin() + kNumWeights);
    return out;
  }();
  return names;
}

Curves ToCurves(const rb_rig &rig) {
  Curves out{};
  for (size_t index = 0; index < kNumWeights; ++index) {
    out[index] = std::clamp(rig.values[kFirstWeight + index], 0.0f, 1.0f);
  }
  float *rotation = out.data() + kNumWeights;
  for (size_t axis = 0; axis < 3; ++axis) rotation[axis] = rig.values[axis] * kRadians;
  const float left = Weight(rig, "eyeLookOutLeft") - Weight(rig, "eyeLookInLeft");
  const float right = Weight(rig, "eyeLookInRight") - Weight(rig, "eyeLookOutRight");
  const float left_up = Weight(rig, "eyeLookUpLeft") - Weight(rig, "eyeLookDownLeft");
  const float right_up = Weight(rig, "eyeLookUpRight") - Weight(rig, "eyeLookDownRight");
  rotation[3] = kEyeYawDeg * left * kRadians;
  rotation[4] = -kEyePitchDeg * left_up * kRadians;
  rotation[6] = kEyeYawDeg * right * kRadians;
  rotation[7] = -kEyePitchDeg * right_up * kRadians;
  return out;
}

}  // namespace RestBridgeCore
