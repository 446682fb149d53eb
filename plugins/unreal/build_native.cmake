# SPDX-License-Identifier: MIT
# Builds ../native and puts it where the Unreal plugin looks for it:
#
#     cmake -P build_native.cmake
#     cmake -DLINK=static -P build_native.cmake
#     cmake -DVCPKG=C:/vcpkg -P build_native.cmake          (Windows; or set VCPKG_ROOT)
#     cmake -DPLUGIN=C:/MyGame/Plugins/RestBridge -P build_native.cmake
#
# Dynamic is the default: one file with a C interface, whatever compiler and run-time library Unreal
# uses. On Linux static linking mixes our libstdc++ with Unreal's libc++ and is refused.
cmake_minimum_required(VERSION 3.21)

set(HERE "${CMAKE_CURRENT_LIST_DIR}")
if(NOT DEFINED LINK)
  set(LINK dynamic)
endif()
if(NOT DEFINED PLUGIN)
  set(PLUGIN "${HERE}/RestBridge")
endif()
if(NOT EXISTS "${PLUGIN}/RestBridge.uplugin")
  message(FATAL_ERROR "There is no RestBridge.uplugin in ${PLUGIN}.")
endif()
if(NOT DEFINED VCPKG AND DEFINED ENV{VCPKG_ROOT})
  set(VCPKG "$ENV{VCPKG_ROOT}")
endif()

set(OPTIONS -DCMAKE_BUILD_TYPE=Release -DRB_EXAMPLES=OFF -DRB_TESTS=OFF -DRB_JPEG=OFF)
if(CMAKE_HOST_WIN32)
  set(PLATFORM Win64)
  if(NOT DEFINED VCPKG)
    message(FATAL_ERROR "libzmq comes from vcpkg: install it (README.md says how) and give "
      "-DVCPKG=C:/path/to/vcpkg.")
  endif()
  # libzmq within our library; the run-time library as a DLL, as Unreal uses it.
  list(APPEND OPTIONS "-DCMAKE_TOOLCHAIN_FILE=${VCPKG}/scripts/buildsystems/vcpkg.cmake"
    -DVCPKG_TARGET_TRIPLET=x64-windows-static-md -A x64)
elseif(CMAKE_HOST_APPLE)
  set(PLATFORM Mac)
else()
  set(PLATFORM Linux)
  if(LINK STREQUAL static)
    message(FATAL_ERROR "On Linux link dynamically: Unreal's C++ library is another one.")
  endif()
endif()
if(LINK STREQUAL static)
  list(APPEND OPTIONS -DBUILD_SHARED_LIBS=OFF)
elseif(LINK STREQUAL dynamic)
  list(APPEND OPTIONS -DBUILD_SHARED_LIBS=ON)
else()
  message(FATAL_ERROR "LINK must be dynamic or static.")
endif()

set(BUILD "${HERE}/build/native-${LINK}")
set(STAGE "${BUILD}/stage")
foreach(step
    "${CMAKE_COMMAND};-S;${HERE}/../native;-B;${BUILD};${OPTIONS}"
    "${CMAKE_COMMAND};--build;${BUILD};--config;Release;--parallel"
    "${CMAKE_COMMAND};--install;${BUILD};--config;Release;--prefix;${STAGE}")
  execute_process(COMMAND ${step} COMMAND_ERROR_IS_FATAL ANY)
endforeach()

set(MODULE "${PLUGIN}/Source/ThirdParty/RestBridgeNative")
file(REMOVE_RECURSE "${MODULE}/include" "${MODULE}/lib/${PLATFORM}" "${MODULE}/bin/${PLATFORM}")
file(COPY "${STAGE}/include" DESTINATION "${MODULE}")
if(LINK STREQUAL static)
  file(GLOB_RECURSE LIBRARIES "${STAGE}/*.lib" "${STAGE}/*.a")
  if(CMAKE_HOST_WIN32)
    file(GLOB ZMQ "${VCPKG}/installed/x64-windows-static-md/lib/libzmq*.lib"
      "${VCPKG}/installed/x64-windows-static-md/lib/libsodium*.lib")
    list(APPEND LIBRARIES ${ZMQ})
  endif()
  file(COPY ${LIBRARIES} DESTINATION "${MODULE}/lib/${PLATFORM}")
else()
  if(CMAKE_HOST_WIN32)
    file(COPY "${STAGE}/bin/rest_bridge.dll" DESTINATION "${MODULE}/bin/${PLATFORM}")
    file(COPY "${STAGE}/lib/rest_bridge.lib" DESTINATION "${MODULE}/lib/${PLATFORM}")
  else()
    # The name that programs ask the loader for, as a file and not a link: links get lost in packages.
    file(GLOB_RECURSE LIBRARY "${STAGE}/librest_bridge.so.1" "${STAGE}/librest_bridge.1.dylib")
    list(GET LIBRARY 0 LIBRARY)
    get_filename_component(NAME "${LIBRARY}" NAME)
    file(COPY_FILE "${LIBRARY}" "${BUILD}/${NAME}.copy")
    file(MAKE_DIRECTORY "${MODULE}/bin/${PLATFORM}")
    file(RENAME "${BUILD}/${NAME}.copy" "${MODULE}/bin/${PLATFORM}/${NAME}")
  endif()
endif()
message(STATUS "The native library (${LINK}) is in ${MODULE}; now build the project in Unreal.")
