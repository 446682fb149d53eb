// SPDX-License-Identifier: MIT
// The face's values under the names and in the units of Live Link Face: ARKit's 52 weights, then
// the head's and the eyes' rotations in radians.
#pragma once

#include <array>
#include <string>

#include "rest_bridge/rest_bridge.h"

namespace RestBridgeCore {

constexpr size_t kNumWeights = 52;
constexpr size_t kNumCurves = kNumWeights + 9;
using Curves = std::array<float, kNumCurves>;

// "EyeBlinkLeft", ..., "TongueOut", "HeadYaw", ..., "RightEyeRoll".
const std::array<std::string, kNumCurves> &CurveNames();
// Weights within 0..1. As in Apple's app a head that turns to the person's left has positive yaw,
// one that looks down positive pitch.
Curves ToCurves(const rb_rig &rig);

}  // namespace RestBridgeCore
