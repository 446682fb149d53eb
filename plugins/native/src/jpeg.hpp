// SPDX-License-Identifier: MIT
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

namespace rb {

// Decodes a JPEG file of exactly this size into opaque RGBA rows. False and a sentence on failure.
bool DecodeJpeg(const uint8_t *data, size_t size, uint32_t width, uint32_t height, uint8_t *rgba,
                size_t stride, std::string *error);

}  // namespace rb
