# SPDX-License-Identifier: Apache-2.0
# The determinism contract (docs/decisions/0001) across compilers, optimisation levels, kernels and
# numbers of threads. It builds four times, so only the release build runs it.
add_executable(stage_digests ${CMAKE_SOURCE_DIR}/tests/determinism/stage_digests.c)
set_target_properties(stage_digests PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(stage_digests PRIVATE tm_encode)
if(CMAKE_BUILD_TYPE STREQUAL "Release")
  add_test(NAME determinism.builds
    COMMAND sh ${CMAKE_SOURCE_DIR}/tests/determinism/builds.sh ${CMAKE_SOURCE_DIR}
      ${CMAKE_BINARY_DIR}/determinism)
  set_tests_properties(determinism.builds PROPERTIES LABELS determinism TIMEOUT 1800
    FIXTURES_SETUP four_builds)
  add_test(NAME determinism.package
    COMMAND sh ${CMAKE_SOURCE_DIR}/tests/determinism/package.sh ${CMAKE_SOURCE_DIR}
      ${CMAKE_BINARY_DIR}/determinism)
  set_tests_properties(determinism.package PROPERTIES LABELS determinism TIMEOUT 600
    FIXTURES_REQUIRED four_builds)
endif()

# For programs under valgrind: see the head of the file.
add_library(self_program SHARED ${CMAKE_SOURCE_DIR}/tests/support/self_program.c)
set_target_properties(self_program PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(self_program PRIVATE tm_flags)

# Other processors, checked kernels and uninitialised bytes; they build what they need beside this
# build, so only the release build runs them.
if(CMAKE_BUILD_TYPE STREQUAL "Release" AND NOT CMAKE_CROSSCOMPILING AND NOT TMILL_CHECK_KERNELS)
  foreach(arch arm64 s390x)
    add_test(NAME cross.${arch}
      COMMAND sh ${CMAKE_SOURCE_DIR}/tests/determinism/cross.sh ${CMAKE_SOURCE_DIR}
        ${CMAKE_BINARY_DIR} ${arch})
    set_tests_properties(cross.${arch} PROPERTIES LABELS cross TIMEOUT 1800)
  endforeach()
  add_test(NAME determinism.check_kernels
    COMMAND sh ${CMAKE_SOURCE_DIR}/tests/determinism/check_kernels.sh ${CMAKE_SOURCE_DIR}
      ${CMAKE_BINARY_DIR})
  set_tests_properties(determinism.check_kernels PROPERTIES LABELS determinism TIMEOUT 1200)
  add_test(NAME memcheck.programs
    COMMAND sh ${CMAKE_SOURCE_DIR}/tests/determinism/memcheck.sh ${CMAKE_SOURCE_DIR}
      ${CMAKE_BINARY_DIR} python3)
  set_tests_properties(memcheck.programs PROPERTIES LABELS memcheck TIMEOUT 600)
endif()
