/* A stand-in for OBS's browser plugin, which Debian's OBS lacks: a source of the kind
 * "browser_source" with its settings, of the wanted size, in one colour. It loads no page. */
#include <obs/obs-module.h>

OBS_DECLARE_MODULE()

struct page {
  uint32_t width, height;
};

static const char *page_name(void *unused) {
  UNUSED_PARAMETER(unused);
  return "Browser (stand-in)";
}

static void page_update(void *data, obs_data_t *settings) {
  struct page *page = data;
  page->width = (uint32_t)obs_data_get_int(settings, "width");
  page->height = (uint32_t)obs_data_get_int(settings, "height");
}

static void *page_create(obs_data_t *settings, obs_source_t *source) {
  struct page *page = bzalloc(sizeof *page);
  UNUSED_PARAMETER(source);
  page_update(page, settings);
  return page;
}

static void page_defaults(obs_data_t *settings) {
  obs_data_set_default_string(settings, "url", "https://obsproject.com/browser-source");
  obs_data_set_default_int(settings, "width", 800);
  obs_data_set_default_int(settings, "height", 600);
  obs_data_set_default_bool(settings, "reroute_audio", false);
}

static uint32_t page_width(void *data) { return ((struct page *)data)->width; }

static uint32_t page_height(void *data) { return ((struct page *)data)->height; }

static void page_render(void *data, gs_effect_t *unused) {
  struct page *page = data;
  gs_effect_t *solid = obs_get_base_effect(OBS_EFFECT_SOLID);
  struct vec4 colour;
  UNUSED_PARAMETER(unused);
  vec4_set(&colour, 0.8f, 0.2f, 0.2f, 1.0f);
  gs_effect_set_vec4(gs_effect_get_param_by_name(solid, "color"), &colour);
  while (gs_effect_loop(solid, "Solid")) gs_draw_sprite(NULL, 0, page->width, page->height);
}

bool obs_module_load(void) {
  static struct obs_source_info info;
  info.id = "browser_source";
  info.type = OBS_SOURCE_TYPE_INPUT;
  info.output_flags = OBS_SOURCE_VIDEO | OBS_SOURCE_AUDIO | OBS_SOURCE_CUSTOM_DRAW;
  info.get_name = page_name;
  info.create = page_create;
  info.destroy = bfree;
  info.update = page_update;
  info.get_defaults = page_defaults;
  info.get_width = page_width;
  info.get_height = page_height;
  info.video_render = page_render;
  obs_register_source(&info);
  return true;
}
