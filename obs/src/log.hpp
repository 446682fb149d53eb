// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

#include <util/base.h>

#define FACE_LOG(level, format, ...) blog(level, "[rest-bridge] " format, ##__VA_ARGS__)
