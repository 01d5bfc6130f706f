# SPDX-License-Identifier: BSD-2-Clause
# The tool's dialogue, by bats.
find_program(BATS bats)
if(BATS)
  add_test(NAME system.tool COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/tool.bats)
  set_tests_properties(system.tool PROPERTIES TIMEOUT 120 LABELS system
    ENVIRONMENT "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;LIBRSM=$<TARGET_FILE:librsm>")
  foreach(part perf nodes watch doctor completion)
    add_test(NAME system.tool_${part} COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/tool_${part}.bats)
    set_tests_properties(system.tool_${part} PROPERTIES TIMEOUT 240 LABELS system ENVIRONMENT
      "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;RSM_WORKER=$<TARGET_FILE:system_worker>")
  endforeach()
else()
  message(WARNING "bats is missing: the tool is not tested")
endif()

if(BATS)
  add_test(NAME system.examples COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/examples.bats)
  set_tests_properties(system.examples PROPERTIES TIMEOUT 180 LABELS system ENVIRONMENT
    "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;EXAMPLES=$<TARGET_FILE_DIR:example_exporter>")
endif()
# The full-screen view, on a pseudo terminal.
find_package(Python3 REQUIRED COMPONENTS Interpreter)
add_test(NAME system.top COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/top.py)
set_tests_properties(system.top PROPERTIES TIMEOUT 120 LABELS system ENVIRONMENT
  "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;RSM_WORKER=$<TARGET_FILE:system_worker>;\
RSM_PROTO=${PROJECT_SOURCE_DIR}/src/wire/rsm.proto;PYTHONDONTWRITEBYTECODE=1")
