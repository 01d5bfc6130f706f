# SPDX-License-Identifier: BSD-2-Clause
# The tool's dialogue, by bats.
find_program(BATS bats)
if(BATS)
  add_test(NAME system.tool COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/tool.bats)
  set_tests_properties(system.tool PROPERTIES TIMEOUT 120 LABELS system
    ENVIRONMENT "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;LIBRSM=$<TARGET_FILE:librsm>")
  add_test(NAME system.tool_nodes COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/tool_nodes.bats)
  set_tests_properties(system.tool_nodes PROPERTIES TIMEOUT 120 LABELS system
    ENVIRONMENT "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>")
else()
  message(WARNING "bats is missing: the tool is not tested")
endif()

if(BATS)
  add_test(NAME system.examples COMMAND ${BATS} ${CMAKE_CURRENT_LIST_DIR}/examples.bats)
  set_tests_properties(system.examples PROPERTIES TIMEOUT 180 LABELS system ENVIRONMENT
    "RSM=$<TARGET_FILE:rsm>;RSMD=$<TARGET_FILE:rsmd>;EXAMPLES=$<TARGET_FILE_DIR:example_exporter>")
endif()
