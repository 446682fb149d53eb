// SPDX-License-Identifier: GPL-2.0-or-later
// The module: loaded by OBS once.
#include <obs-module.h>
#include <rest_bridge/rest_bridge.h>

#include "face_source.hpp"
#include "log.hpp"

OBS_DECLARE_MODULE()
OBS_MODULE_AUTHOR("The rest_bridge authors")
OBS_MODULE_USE_DEFAULT_LOCALE("rest-bridge-source", "en-US")

MODULE_EXPORT const char *obs_module_name(void) { return "rest-bridge-source"; }

MODULE_EXPORT const char *obs_module_description(void) { return obs_module_text("Description"); }

bool obs_module_load(void) {
  face::RegisterFaceSource();
  FACE_LOG(LOG_INFO, "rest-bridge-source %s, protocol %d", FACE_VERSION, RB_PROTOCOL_MAJOR);
  return true;
}
