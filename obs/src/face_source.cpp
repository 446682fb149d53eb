// SPDX-License-Identifier: GPL-2.0-or-later
// What OBS sees: the kind of source, its properties and hotkeys. OBS calls these from its own
// threads; none of them waits for the network.
#include "face_source.hpp"

#include <obs-module.h>

#include <array>
#include <memory>
#include <string>

#include "addresses.hpp"
#include "settings.hpp"
#include "worker.hpp"

namespace face {

Settings ReadSettings(obs_data_t *data) {
  Settings settings;
  settings.address = obs_data_get_string(data, key::kAddress);
  settings.key_file = obs_data_get_string(data, key::kKeyFile);
  settings.avatar = obs_data_get_string(data, key::kAvatar);
  settings.latency = obs_data_get_string(data, key::kLatency);
  settings.hidden = obs_data_get_string(data, key::kHidden);
  settings.picture = obs_data_get_string(data, key::kPicture);
  settings.voice = obs_data_get_bool(data, key::kVoice);
  return settings;
}

namespace {

struct Mood {
  const char *name;    // of the expression, "" for none
  const char *hotkey;  // its id in people's settings: never change one
  const char *text;    // of the locale
};

constexpr std::array<Mood, 5> kMoods = {{
    {"", "rest_bridge.neutral", "Hotkey.Neutral"},
    {"happy", "rest_bridge.happy", "Hotkey.Happy"},
    {"sad", "rest_bridge.sad", "Hotkey.Sad"},
    {"angry", "rest_bridge.angry", "Hotkey.Angry"},
    {"surprised", "rest_bridge.surprised", "Hotkey.Surprised"},
}};

struct FaceSource;

struct MoodKey {
  FaceSource *source;
  const Mood *mood;
};

struct FaceSource {
  std::unique_ptr<Worker> worker;
  std::array<MoodKey, kMoods.size()> mood_keys;
  std::array<obs_hotkey_id, kMoods.size() + 2> hotkeys;
};

Worker *WorkerOf(void *data) { return static_cast<FaceSource *>(data)->worker.get(); }

void RegisterHotkeys(FaceSource *face, obs_source_t *source) {
  for (size_t index = 0; index < kMoods.size(); ++index) {
    face->mood_keys[index] = {face, &kMoods[index]};
    face->hotkeys[index] = obs_hotkey_register_source(
        source, kMoods[index].hotkey, obs_module_text(kMoods[index].text),
        [](void *data, obs_hotkey_id, obs_hotkey_t *, bool pressed) {
          const auto *mood_key = static_cast<MoodKey *>(data);
          if (pressed) mood_key->source->worker->Express(mood_key->mood->name);
        },
        &face->mood_keys[index]);
  }
  face->hotkeys[kMoods.size()] = obs_hotkey_register_source(
      source, "rest_bridge.mute", obs_module_text("Hotkey.Mute"),
      [](void *data, obs_hotkey_id, obs_hotkey_t *, bool pressed) {
        if (pressed) WorkerOf(data)->ToggleMute();
      },
      face);
  face->hotkeys[kMoods.size() + 1] = obs_hotkey_register_source(
      source, "rest_bridge.next_avatar", obs_module_text("Hotkey.NextAvatar"),
      [](void *data, obs_hotkey_id, obs_hotkey_t *, bool pressed) {
        if (pressed) WorkerOf(data)->NextAvatar();
      },
      face);
}

void *Create(obs_data_t *data, obs_source_t *source) {
  auto face = std::make_unique<FaceSource>();
  // Unbuffered: the newest picture at each tick. The pictures are given when they are due.
  obs_source_set_async_unbuffered(source, true);
  face->worker = std::make_unique<Worker>(source, ReadSettings(data));
  RegisterHotkeys(face.get(), source);
  return face.release();
}

void Destroy(void *data) {
  auto *face = static_cast<FaceSource *>(data);
  // OBS takes them away only after this, and a key may be pressed in between.
  for (const obs_hotkey_id hotkey : face->hotkeys) obs_hotkey_unregister(hotkey);
  delete face;
}

void Defaults(obs_data_t *data) {
  const Settings defaults;
  obs_data_set_default_string(data, key::kAddress, "127.0.0.1:5570");
  obs_data_set_default_string(data, key::kLatency, defaults.latency.c_str());
  obs_data_set_default_string(data, key::kHidden, defaults.hidden.c_str());
  obs_data_set_default_string(data, key::kPicture, defaults.picture.c_str());
  obs_data_set_default_bool(data, key::kVoice, defaults.voice);
}

obs_property_t *AddList(obs_properties_t *properties, const char *name, const char *text,
                        obs_combo_type type = OBS_COMBO_TYPE_LIST) {
  obs_property_t *list = obs_properties_add_list(properties, name, obs_module_text(text), type,
                                                 OBS_COMBO_FORMAT_STRING);
  return list;
}

void AddChoice(obs_property_t *list, const char *text, const char *value) {
  obs_property_list_add_string(list, obs_module_text(text), value);
}

void FillAddresses(obs_property_t *list) {
  obs_property_list_clear(list);
  obs_property_list_add_string(list, "127.0.0.1:5570", "127.0.0.1:5570");
  for (const std::string &address : FindDaemons()) {
    if (address == "127.0.0.1:5570") continue;
    obs_property_list_add_string(list, address.c_str(), address.c_str());
  }
}

void FillAvatars(obs_property_t *list, Worker *worker) {
  obs_property_list_clear(list);
  AddChoice(list, "Avatar.AsItIs", "");
  if (worker == nullptr) return;
  for (const Avatar &avatar : worker->avatars()) {
    obs_property_list_add_string(list, avatar.name.c_str(), avatar.id.c_str());
  }
}

// The button: looks for daemons and faces again.
bool Refresh(obs_properties_t *properties, obs_property_t *, void *data) {
  FillAddresses(obs_properties_get(properties, key::kAddress));
  FillAvatars(obs_properties_get(properties, key::kAvatar), WorkerOf(data));
  obs_property_set_description(obs_properties_get(properties, "status"),
                               WorkerOf(data)->status().c_str());
  return true;
}

obs_properties_t *Properties(void *data) {
  obs_properties_t *properties = obs_properties_create();
  Worker *worker = data == nullptr ? nullptr : WorkerOf(data);
  const std::string status = worker == nullptr ? "" : worker->status();
  obs_properties_add_text(properties, "status",
                          status.empty() ? obs_module_text("Status.None") : status.c_str(),
                          OBS_TEXT_INFO);
  obs_property_t *address = AddList(properties, key::kAddress, "Address", OBS_COMBO_TYPE_EDITABLE);
  obs_property_set_long_description(address, obs_module_text("Address.Tip"));
  FillAddresses(address);
  FillAvatars(AddList(properties, key::kAvatar, "Avatar"), worker);
  if (worker != nullptr) {
    obs_properties_add_button(properties, "refresh", obs_module_text("Refresh"), Refresh);
  }
  obs_property_t *voice =
      obs_properties_add_bool(properties, key::kVoice, obs_module_text("Voice"));
  obs_property_set_long_description(voice, obs_module_text("Voice.Tip"));
  obs_property_t *latency = AddList(properties, key::kLatency, "Latency");
  obs_property_set_long_description(latency, obs_module_text("Latency.Tip"));
  AddChoice(latency, "Latency.Low", "low");
  AddChoice(latency, "Latency.Balanced", "balanced");
  AddChoice(latency, "Latency.Smooth", "smooth");
  obs_property_t *hidden = AddList(properties, key::kHidden, "Hidden");
  obs_property_set_long_description(hidden, obs_module_text("Hidden.Tip"));
  AddChoice(hidden, "Hidden.Keep", "keep");
  AddChoice(hidden, "Hidden.Pause", "pause");
  AddChoice(hidden, "Hidden.Disconnect", "disconnect");
  obs_property_t *picture = AddList(properties, key::kPicture, "Picture");
  obs_property_set_long_description(picture, obs_module_text("Picture.Tip"));
  AddChoice(picture, "Picture.Raw", "raw");
  AddChoice(picture, "Picture.Jpeg", "jpeg");
  obs_property_t *file = obs_properties_add_path(
      properties, key::kKeyFile, obs_module_text("KeyFile"), OBS_PATH_FILE, "*.key", nullptr);
  obs_property_set_long_description(file, obs_module_text("KeyFile.Tip"));
  return properties;
}

}  // namespace

void RegisterFaceSource() {
  static obs_source_info info = {};
  info.id = "rest_bridge_source";
  info.type = OBS_SOURCE_TYPE_INPUT;
  info.output_flags = OBS_SOURCE_ASYNC_VIDEO | OBS_SOURCE_AUDIO | OBS_SOURCE_DO_NOT_DUPLICATE;
  info.icon_type = OBS_ICON_TYPE_CAMERA;
  info.get_name = [](void *) { return obs_module_text("Name"); };
  info.create = Create;
  info.destroy = Destroy;
  info.get_defaults = Defaults;
  info.get_properties = Properties;
  info.update = [](void *data, obs_data_t *settings) {
    WorkerOf(data)->Update(ReadSettings(settings));
  };
  info.video_tick = [](void *data, float) { WorkerOf(data)->Tick(); };
  info.show = [](void *data) { WorkerOf(data)->SetShown(true); };
  info.hide = [](void *data) { WorkerOf(data)->SetShown(false); };
  obs_register_source(&info);
}

}  // namespace face
