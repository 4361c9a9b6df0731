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
