# SPDX-License-Identifier: BSD-2-Clause
# Several nodes: failures, crowds, and whoever means harm. What needs network namespaces is skipped without root.
find_package(Python3 REQUIRED COMPONENTS Interpreter)

add_executable(system_worker worker.c)
target_link_libraries(system_worker PRIVATE rsm_options librsm)
add_executable(system_tls_pipe tls_pipe.c)
target_link_libraries(system_tls_pipe PRIVATE rsm_options room_tls)

# Sanitizers take time: other bounds, fewer nodes.
set(slow "")
if(RSM_SANITIZE)
  set(slow 1)
endif()

# rsm_network_test(NAME script argument...)
function(rsm_network_test name script)
  add_test(NAME system.${name} COMMAND ${Python3_EXECUTABLE} ${CMAKE_CURRENT_LIST_DIR}/${script} ${ARGN})
  set_tests_properties(system.${name} PROPERTIES TIMEOUT 180 LABELS system SKIP_RETURN_CODE 77 ENVIRONMENT
    "RSMD=$<TARGET_FILE:rsmd>;RSM_PROTO=${PROJECT_SOURCE_DIR}/src/wire/rsm.proto;PYTHONDONTWRITEBYTECODE=1;\
RSM_PEER_PROTO=${PROJECT_SOURCE_DIR}/src/wire/peer.proto;RSM_WORKER=$<TARGET_FILE:system_worker>;\
RSM_TLS_PIPE=$<TARGET_FILE:system_tls_pipe>;RSM=$<TARGET_FILE:rsm>;RSM_TEST_SLOW=${slow}")
endfunction()

foreach(kind virtual encrypted hosts hosts2 hosts6)
  rsm_network_test(failures.${kind} failures.py ${kind})
  # Times are measured there, and dead-after is short: they keep two processors busy themselves.
  set_tests_properties(system.failures.${kind} PROPERTIES PROCESSORS 2)
endforeach()
rsm_network_test(events_nodes events_nodes.py)
rsm_network_test(hostile_net hostile_net.py)
rsm_network_test(metrics metrics.py)
rsm_network_test(many_nodes many_nodes.py)
# Times are measured there: nothing that keeps both processors busy may run beside.
set_tests_properties(system.many_nodes PROPERTIES RUN_SERIAL TRUE)
