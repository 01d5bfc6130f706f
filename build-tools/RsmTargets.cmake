# SPDX-License-Identifier: BSD-2-Clause
# What a thing is, in the project's words: rsm_room(name sources...), rsm_program(name rooms sources...).

add_library(rsm_options INTERFACE)
target_include_directories(rsm_options INTERFACE ${CMAKE_SOURCE_DIR}/src ${CMAKE_SOURCE_DIR}/include)
target_compile_definitions(rsm_options INTERFACE _GNU_SOURCE _FILE_OFFSET_BITS=64
  RSM_RELEASE="${PROJECT_VERSION}")
target_compile_options(rsm_options INTERFACE
  -Wall -Wextra -Wshadow -Wpointer-arith -Wcast-qual -Wwrite-strings -Wstrict-prototypes -Wmissing-prototypes
  -Wundef -Wvla -Wformat=2 -Wold-style-definition -fno-strict-aliasing
  $<$<BOOL:${RSM_WERROR}>:-Werror>)
if(RSM_SANITIZE)
  string(REPLACE ";" "," rsm_sanitizers "${RSM_SANITIZE}")
  add_compile_options(-fsanitize=${rsm_sanitizers} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${rsm_sanitizers})
  # gcc tells that the thread sanitizer does not understand fences; the data path has two.
  if(RSM_SANITIZE MATCHES thread AND CMAKE_C_COMPILER_ID STREQUAL GNU)
    add_compile_options(-Wno-tsan)
  endif()
endif()

# The coverage that libFuzzer steers by, in every room; only the targets have its main.
if(RSM_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link)
endif()

# A room: position-independent objects that the library and the daemon share.
function(rsm_room name)
  add_library(${name} OBJECT ${ARGN})
  target_link_libraries(${name} PRIVATE rsm_options)
endfunction()
