/* SPDX-License-Identifier: MIT
 *
 * Shows what the face does, in text, and writes a picture:
 *
 *     rb-viewer [--frames tcp://...] [--events tcp://...] [--count N] [--picture FILE.pam]
 *
 * PAM is the simplest picture file with transparency; `magick FILE.pam FILE.png` turns it into PNG.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rest_bridge/rest_bridge.h"

static int write_picture(const char *path, const rb_frame *frame) {
  const size_t stride = (size_t)frame->width * 4;
  uint8_t *rgba = malloc(stride * frame->height);
  FILE *file = fopen(path, "wb");
  int ok = rgba != NULL && file != NULL && rb_frame_decode(frame, rgba, stride) == RB_OK;
  if (ok) {
    fprintf(file, "P7\nWIDTH %u\nHEIGHT %u\nDEPTH 4\nMAXVAL 255\nTUPLTYPE RGB_ALPHA\nENDHDR\n",
            frame->width, frame->height);
    ok = fwrite(rgba, stride, frame->height, file) == frame->height;
  }
  if (file != NULL) ok = fclose(file) == 0 && ok;
  free(rgba);
  return ok;
}

int main(int argc, char **argv) {
  rb_options options;
  rb_client *client = NULL;
  const char *picture = NULL;
  long count = 50;
  int failed = 0;
  rb_options_init(&options);
  for (int index = 1; index + 1 < argc; index += 2) {
    if (strcmp(argv[index], "--frames") == 0) options.frames = argv[index + 1];
    if (strcmp(argv[index], "--events") == 0) options.events = argv[index + 1];
    if (strcmp(argv[index], "--count") == 0) count = strtol(argv[index + 1], NULL, 10);
    if (strcmp(argv[index], "--picture") == 0) picture = argv[index + 1];
    if (strcmp(argv[index], "--format") == 0) {
      options.format = strcmp(argv[index + 1], "jpeg") == 0   ? RB_JPEG
                       : strcmp(argv[index + 1], "bgra") == 0 ? RB_BGRA
                                                              : RB_RGBA;
    }
  }
  if (rb_client_open(&options, &client) != RB_OK) {
    fprintf(stderr, "%s\n", rb_last_error());
    return 1;
  }
  for (long shown = 0; shown < count && !failed; ++shown) {
    rb_frame frame = {0};
    rb_rig rig = {0};
    if (rb_frame_wait(client, 10000, &frame) != RB_OK) {
      fprintf(stderr, "%s\n", rb_last_error());
      failed = 1;
      break;
    }
    rb_rig_at(client, frame.pts_ns, &rig);
    printf("frame %" PRId64 " at %.3f s, %u x %u, jaw %.2f, age %.1f ms\n", frame.sequence,
           (double)frame.pts_ns / 1e9, frame.width, frame.height, (double)rig.values[23],
           (double)(rb_now_ns() - frame.published_ns) / 1e6);
    if (picture != NULL && shown == count - 1 && !write_picture(picture, &frame)) {
      fprintf(stderr, "%s cannot be written.\n", picture);
      failed = 1;
    }
    rb_frame_release(&frame);
  }
  rb_client_close(client);
  return failed;
}
