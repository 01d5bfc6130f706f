# SPDX-License-Identifier: BSD-2-Clause
# rsmd against raw clients, hostile ones too. Each family of cases is a test of its own.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

foreach(family serve hostile grants start events)
  add_test(NAME system.rsmd.${family}
    COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/rsmd_${family}.py)
  set_tests_properties(system.rsmd.${family} PROPERTIES TIMEOUT 180 LABELS system SKIP_RETURN_CODE 77 ENVIRONMENT
    "RSMD=$<TARGET_FILE:rsmd>;RSM_PROTO=${PROJECT_SOURCE_DIR}/src/wire/rsm.proto;PYTHONDONTWRITEBYTECODE=1")
endforeach()

# The same under a service manager, which the test plays.
if(SYSTEMD_FOUND)
  add_test(NAME system.activation COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/activation.py)
  set_tests_properties(system.activation PROPERTIES TIMEOUT 180 LABELS system SKIP_RETURN_CODE 77 ENVIRONMENT
    "RSMD=$<TARGET_FILE:rsmd>;RSM_PROTO=${PROJECT_SOURCE_DIR}/src/wire/rsm.proto;PYTHONDONTWRITEBYTECODE=1")
endif()

# Paths between nodes, and a node that is none of ours.
add_executable(system_peer_bridge peer_bridge.c $<TARGET_OBJECTS:room_tls>)
target_link_libraries(system_peer_bridge PRIVATE rsm_options PkgConfig::GNUTLS)
add_test(NAME system.peers COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/peers.py)
set_tests_properties(system.peers PROPERTIES TIMEOUT 180 LABELS system SKIP_RETURN_CODE 77 ENVIRONMENT
  "RSMD=$<TARGET_FILE:rsmd>;PEER_BRIDGE=$<TARGET_FILE:system_peer_bridge>;\
RSM_PROTO=${PROJECT_SOURCE_DIR}/src/wire/rsm.proto;PYTHONDONTWRITEBYTECODE=1")

# The static probes are those of the document.
add_test(NAME system.probes COMMAND ${CMAKE_CURRENT_LIST_DIR}/probes.sh $<TARGET_FILE:librsm> $<TARGET_FILE:rsmd>
  ${PROJECT_SOURCE_DIR}/doc/observability.md)
set_tests_properties(system.probes PROPERTIES TIMEOUT 30 LABELS system SKIP_RETURN_CODE 77)
