# SPDX-License-Identifier: GPL-2.0-or-later
# Windows and macOS: downloads what buildspec.json pins, checks each hash before anything of it is
# used, and builds libobs and a static libzmq from it into build/deps, once.
string(JSON deps_json GET ${buildspec} dependencies)
set(deps_dir "${CMAKE_CURRENT_BINARY_DIR}/deps")
set(FACE_PLATFORM "" CACHE STRING "windows-x64 or macos; set by the presets")
if(NOT FACE_PLATFORM)
  message(FATAL_ERROR "Choose a preset: cmake --preset windows-x64, or cmake --preset macos.")
endif()

# fetch(NAME OUT): downloads and unpacks one dependency; OUT is its folder.
function(fetch name out)
  string(JSON version GET ${deps_json} ${name} version)
  string(JSON url GET ${deps_json} ${name} url)
  string(JSON archive GET ${deps_json} ${name} archive ${FACE_PLATFORM})
  string(JSON hash GET ${deps_json} ${name} hashes ${FACE_PLATFORM})
  string(REPLACE "@archive@" "${archive}" url "${url}")
  string(REPLACE "@version@" "${version}" url "${url}")
  set(folder "${deps_dir}/${name}-${version}")
  if(NOT EXISTS "${folder}.fetched")
    get_filename_component(file "${url}" NAME)
    message(STATUS "Fetching ${url}")
    file(DOWNLOAD "${url}" "${deps_dir}/${name}-${file}" EXPECTED_HASH SHA256=${hash} STATUS status)
    list(GET status 0 code)
    if(NOT code EQUAL 0)
      message(FATAL_ERROR "${url}: ${status}")
    endif()
    file(ARCHIVE_EXTRACT INPUT "${deps_dir}/${name}-${file}" DESTINATION "${folder}")
    file(TOUCH "${folder}.fetched")
  endif()
  # Source archives hold one folder, the prebuilt ones bin, include, lib.
  file(GLOB inside LIST_DIRECTORIES true "${folder}/*")
  list(LENGTH inside count)
  if(count EQUAL 1)
    set(folder "${inside}")
  endif()
  set(${out} "${folder}" PARENT_SCOPE)
endfunction()

# build(NAME SOURCE TARGET COMPONENT OPTIONS...): configures, builds and installs a part of it (or,
# with "", all) into deps/installed.
function(build name source target component)
  if(EXISTS "${deps_dir}/${name}.built")
    return()
  endif()
  set(arguments -S "${source}" -B "${deps_dir}/build-${name}" -G "${CMAKE_GENERATOR}"
      -DCMAKE_BUILD_TYPE=Release "-DCMAKE_INSTALL_PREFIX=${deps_dir}/installed"
      "-DCMAKE_PREFIX_PATH=${prebuilt}" ${ARGN})
  if(CMAKE_GENERATOR_PLATFORM)
    set(platform "${CMAKE_GENERATOR_PLATFORM}")
    if(CMAKE_VS_WINDOWS_TARGET_PLATFORM_VERSION)
      string(APPEND platform ",version=${CMAKE_VS_WINDOWS_TARGET_PLATFORM_VERSION}")
    endif()
    list(APPEND arguments -A "${platform}")
  endif()
  if(CMAKE_OSX_ARCHITECTURES)
    string(REPLACE ";" "\\;" architectures "${CMAKE_OSX_ARCHITECTURES}")  # one word, not two
    list(APPEND arguments "-DCMAKE_OSX_DEPLOYMENT_TARGET=${CMAKE_OSX_DEPLOYMENT_TARGET}"
         "-DCMAKE_OSX_ARCHITECTURES=${architectures}")
  endif()
  execute_process(COMMAND "${CMAKE_COMMAND}" ${arguments} COMMAND_ERROR_IS_FATAL ANY)
  execute_process(COMMAND "${CMAKE_COMMAND}" --build "${deps_dir}/build-${name}"
    --target ${target} --config Release --parallel COMMAND_ERROR_IS_FATAL ANY)
  if(component)
    set(component --component ${component})
  endif()
  execute_process(COMMAND "${CMAKE_COMMAND}" --install "${deps_dir}/build-${name}"
    --config Release --prefix "${deps_dir}/installed" ${component} COMMAND_ERROR_IS_FATAL ANY)
  file(TOUCH "${deps_dir}/${name}.built")
endfunction()

# locate(NAME [OPTIONAL]): sets NAME_DIR to the folder of its CMake package, which lies elsewhere on
# each system: cmake/NAME on Windows, within a framework on macOS.
function(locate name)
  file(GLOB_RECURSE configs "${deps_dir}/installed/${name}Config.cmake")
  if(configs)
    list(GET configs 0 config)
    get_filename_component(folder "${config}" DIRECTORY)
    set(${name}_DIR "${folder}" CACHE PATH "Built from buildspec.json" FORCE)
  elseif(NOT "${ARGN}" STREQUAL "OPTIONAL")
    message(FATAL_ERROR "${name} was built, but it has left no ${name}Config.cmake below "
            "${deps_dir}/installed; delete ${deps_dir} and configure again.")
  endif()
endfunction()

fetch(prebuilt prebuilt)
fetch(libzmq libzmq)
fetch(obs-studio obs)
string(JSON obs_version GET ${deps_json} obs-studio version)
build(libzmq "${libzmq}" libzmq-static "" -DBUILD_SHARED=OFF -DBUILD_STATIC=ON -DBUILD_TESTS=OFF
  -DWITH_PERF_TOOL=OFF -DWITH_DOCS=OFF -DWITH_LIBSODIUM=OFF -DENABLE_CURVE=ON
  -DCMAKE_POSITION_INDEPENDENT_CODE=ON -DCMAKE_POLICY_VERSION_MINIMUM=3.5)
# The component Development holds libobs and obs-frontend-api: both have to be built to be installed.
build(obs-studio "${obs}" obs-frontend-api Development -DOBS_CMAKE_VERSION=3.0.0
  -DENABLE_PLUGINS=OFF -DENABLE_FRONTEND=OFF -DENABLE_UI=OFF -DENABLE_SCRIPTING=OFF
  -DOBS_VERSION_OVERRIDE=${obs_version})
list(PREPEND CMAKE_PREFIX_PATH "${deps_dir}/installed" "${prebuilt}")
locate(ZeroMQ)
locate(w32-pthreads OPTIONAL)
locate(libobs)
