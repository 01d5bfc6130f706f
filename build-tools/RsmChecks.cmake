# SPDX-License-Identifier: BSD-2-Clause
# The static checks and the installation checks, as tests with the label "check".

function(rsm_check name)
  add_test(NAME check.${name} COMMAND ${ARGN})
  set_tests_properties(check.${name} PROPERTIES LABELS check TIMEOUT 240)
endfunction()

foreach(subject includes sizes licences format spelling scripts)
  rsm_check(${subject} ${CMAKE_SOURCE_DIR}/build-tools/check-${subject}.sh ${CMAKE_SOURCE_DIR})
endforeach()
rsm_check(symbols ${CMAKE_SOURCE_DIR}/build-tools/check-symbols.sh $<TARGET_FILE:librsm> ${CMAKE_SOURCE_DIR}/include)
rsm_check(manual ${CMAKE_SOURCE_DIR}/build-tools/check-manual.py ${CMAKE_SOURCE_DIR})
file(GLOB rsm_abi_dumps CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/packaging/abi/*.abi)
if(NOT RSM_SANITIZE)
  rsm_check(abi ${CMAKE_SOURCE_DIR}/build-tools/check-abi.sh $<TARGET_FILE:librsm> ${rsm_abi_dumps})
  set_tests_properties(check.abi PROPERTIES SKIP_RETURN_CODE 77)
endif()
rsm_check(checks ${CMAKE_SOURCE_DIR}/build-tools/test-checks.sh)

# A program outside needs the sanitizer of the library that it links: only the plain build is installed.
if(NOT RSM_SANITIZE)
  rsm_check(install ${CMAKE_SOURCE_DIR}/tests/install/install.sh ${CMAKE_BINARY_DIR} ${PROJECT_VERSION})
endif()
