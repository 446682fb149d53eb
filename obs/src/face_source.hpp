// SPDX-License-Identifier: GPL-2.0-or-later
#pragma once

namespace face {

// Makes "Talking face (rest_bridge)" a kind of source; once, when the module is loaded.
void RegisterFaceSource();

}  // namespace face
