# SPDX-License-Identifier: BSD-2-Clause
# What `cmake --install` puts where, for users who build with pkg-config (librsm) or CMake (rsm::rsm).
include(CMakePackageConfigHelpers)

set_target_properties(librsm PROPERTIES EXPORT_NAME rsm)
install(TARGETS librsm EXPORT rsmTargets
  LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
  INCLUDES DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
# librsm loads it by its name, from beside itself.
install(TARGETS librsm_tls LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
# The tool finds its library in a prefix that the loader does not know.
set_target_properties(rsm PROPERTIES INSTALL_RPATH "$ORIGIN/../${CMAKE_INSTALL_LIBDIR}")
install(TARGETS rsm RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(FILES ${CMAKE_SOURCE_DIR}/packaging/completion/rsm.bash
  DESTINATION ${CMAKE_INSTALL_DATADIR}/bash-completion/completions RENAME rsm)
# rsmd: src/rsmd/CMakeLists.txt. It lies beside the tool, since users' programs start it.
install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.h")

install(EXPORT rsmTargets NAMESPACE rsm:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rsm)
configure_package_config_file(${CMAKE_SOURCE_DIR}/cmake/rsmConfig.cmake.in
  ${CMAKE_BINARY_DIR}/rsmConfig.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rsm)
write_basic_package_version_file(${CMAKE_BINARY_DIR}/rsmConfigVersion.cmake COMPATIBILITY SameMajorVersion)
install(FILES ${CMAKE_BINARY_DIR}/rsmConfig.cmake ${CMAKE_BINARY_DIR}/rsmConfigVersion.cmake
  DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/rsm)

# The prefix is found from where the file lies, so an installation can be moved.
file(RELATIVE_PATH rsm_pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(${CMAKE_SOURCE_DIR}/cmake/librsm.pc.in ${CMAKE_BINARY_DIR}/librsm.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/librsm.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# A service of the host: units for systemd, which looks in /usr/local/lib too, and the user that they name. The unit names the
# daemon by its path, which is known when it is installed.
option(RSM_SYSTEMD_UNITS "install rsmd.service, rsmd.socket and the entry for sysusers" ${SYSTEMD_FOUND})
if(RSM_SYSTEMD_UNITS)
  set(RSM_UNIT_DIR lib/systemd/system CACHE STRING "where units are installed; relative: below the prefix")
  set(RSM_SYSUSERS_DIR lib/sysusers.d CACHE STRING "the same for the entry for sysusers")
  install(CODE "set(rsm_bindir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
    configure_file(\"${CMAKE_SOURCE_DIR}/packaging/systemd/rsmd.service.in\" \"${CMAKE_BINARY_DIR}/rsmd.service\" @ONLY)")
  install(FILES ${CMAKE_BINARY_DIR}/rsmd.service ${CMAKE_SOURCE_DIR}/packaging/systemd/rsmd.socket
    DESTINATION ${RSM_UNIT_DIR})
  install(FILES ${CMAKE_SOURCE_DIR}/packaging/sysusers.d/rsm.conf DESTINATION ${RSM_SYSUSERS_DIR} RENAME rsmd.conf)
endif()
