// SPDX-License-Identifier: MIT
#include "jpeg.hpp"

#include <jpeglib.h>

#include <csetjmp>
#include <cstdio>
#include <vector>

namespace rb {

namespace {

struct Handler {
  jpeg_error_mgr base;
  std::jmp_buf jump;
  char text[JMSG_LENGTH_MAX];
};

void Leave(j_common_ptr info) {
  auto *handler = reinterpret_cast<Handler *>(info->err);
  info->err->format_message(info, handler->text);
  std::longjmp(handler->jump, 1);
}

void StaySilent(j_common_ptr, int) {}

}  // namespace

bool DecodeJpeg(const uint8_t *data, size_t size, uint32_t width, uint32_t height, uint8_t *rgba,
                size_t stride, std::string *error) {
  jpeg_decompress_struct info;
  Handler handler;
  // Nothing with a destructor is made after setjmp.
  std::vector<uint8_t> row(size_t{width} * 3);
  info.err = jpeg_std_error(&handler.base);
  handler.base.error_exit = Leave;
  handler.base.emit_message = StaySilent;
  if (setjmp(handler.jump) != 0) {
    *error = handler.text;
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_create_decompress(&info);
  jpeg_mem_src(&info, data, static_cast<unsigned long>(size));
  jpeg_read_header(&info, TRUE);
  info.out_color_space = JCS_RGB;
  const bool fits = info.image_width == width && info.image_height == height;
  if (!fits) {
    *error = "The JPEG's size is not what its header says.";
    jpeg_destroy_decompress(&info);
    return false;
  }
  jpeg_start_decompress(&info);
  while (info.output_scanline < info.output_height) {
    uint8_t *to = rgba + info.output_scanline * stride;
    JSAMPROW rows[] = {row.data()};
    jpeg_read_scanlines(&info, rows, 1);
    for (uint32_t column = 0; column < width; ++column) {
      to[column * 4] = row[column * 3];
      to[column * 4 + 1] = row[column * 3 + 1];
      to[column * 4 + 2] = row[column * 3 + 2];
      to[column * 4 + 3] = 255;
    }
  }
  jpeg_finish_decompress(&info);
  jpeg_destroy_decompress(&info);
  return true;
}

}  // namespace rb
