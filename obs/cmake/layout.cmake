# SPDX-License-Identifier: GPL-2.0-or-later
# Where OBS looks for a plugin. "user" is the plugin folder of the person (of the computer on
# Windows, where OBS has no other), so that `cmake --install` needs no --prefix; "system" is the
# distribution's folders, for packages.
if(APPLE)
  set_target_properties(${PROJECT_NAME} PROPERTIES
    BUNDLE TRUE BUNDLE_EXTENSION plugin
    MACOSX_BUNDLE_GUI_IDENTIFIER "org.rest-bridge.source"
    MACOSX_BUNDLE_BUNDLE_VERSION "${PROJECT_VERSION}"
    MACOSX_BUNDLE_SHORT_VERSION_STRING "${PROJECT_VERSION}"
    XCODE_ATTRIBUTE_PRODUCT_BUNDLE_IDENTIFIER "org.rest-bridge.source"
    XCODE_ATTRIBUTE_CODE_SIGN_IDENTITY "-")
  # Into the bundle while it is built: Xcode signs it, and what is added later breaks the seal.
  file(GLOB_RECURSE texts RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}/data" "${CMAKE_CURRENT_SOURCE_DIR}/data/*")
  foreach(text IN LISTS texts)
    get_filename_component(folder "${text}" DIRECTORY)
    target_sources(${PROJECT_NAME} PRIVATE "data/${text}")
    set_source_files_properties("data/${text}" PROPERTIES MACOSX_PACKAGE_LOCATION "Resources/${folder}")
  endforeach()
  set(plugins "$ENV{HOME}/Library/Application Support/obs-studio/plugins")
  set(binaries ".")
elseif(WIN32)
  file(TO_CMAKE_PATH "$ENV{ProgramData}/obs-studio/plugins" plugins)
  set(binaries "${PROJECT_NAME}/bin/64bit")
  set(data "${PROJECT_NAME}/data")
elseif(FACE_LAYOUT STREQUAL "system")
  include(GNUInstallDirs)
  set(plugins "/usr")
  set(binaries "${CMAKE_INSTALL_LIBDIR}/obs-plugins")
  set(data "${CMAKE_INSTALL_DATADIR}/obs/obs-plugins/${PROJECT_NAME}")
else()
  if(DEFINED ENV{XDG_CONFIG_HOME})
    set(plugins "$ENV{XDG_CONFIG_HOME}/obs-studio/plugins")
  else()
    set(plugins "$ENV{HOME}/.config/obs-studio/plugins")
  endif()
  set(binaries "${PROJECT_NAME}/bin/64bit")
  set(data "${PROJECT_NAME}/data")
endif()
if(CMAKE_INSTALL_PREFIX_INITIALIZED_TO_DEFAULT)
  set(CMAKE_INSTALL_PREFIX "${plugins}" CACHE PATH "OBS's plugin folder" FORCE)
endif()
install(TARGETS ${PROJECT_NAME} COMPONENT plugin
  LIBRARY DESTINATION "${binaries}" RUNTIME DESTINATION "${binaries}" BUNDLE DESTINATION "${binaries}")
if(NOT APPLE)
  install(DIRECTORY data/ DESTINATION "${data}" COMPONENT plugin)
endif()

string(JSON maintainer GET ${buildspec} author)
string(JSON email GET ${buildspec} email)
set(CPACK_PACKAGE_NAME "${PROJECT_NAME}")
set(CPACK_PACKAGE_VENDOR "${maintainer}")
set(CPACK_PACKAGE_CONTACT "${maintainer} <${email}>")
set(CPACK_RESOURCE_FILE_LICENSE "${CMAKE_CURRENT_SOURCE_DIR}/LICENSE")
set(CPACK_COMPONENTS_ALL plugin)
set(CPACK_COMPONENTS_GROUPING ALL_COMPONENTS_IN_ONE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_GENERATOR DEB)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SECTION video)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_DEPENDS "obs-studio")
include(CPack)
