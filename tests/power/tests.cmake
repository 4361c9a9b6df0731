# SPDX-License-Identifier: Apache-2.0
# kill -9 and power cuts: docs/internals/crashes.md. They need root, loop devices and ptrace;
# without them they fail. A sanitizer is slow and takes some of the tracer's signals for its own.
if(NOT TMILL_ASAN AND NOT TMILL_TSAN)
  add_executable(powercut ${CMAKE_SOURCE_DIR}/tests/power/powercut_main.c)
  set_target_properties(powercut PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(powercut PRIVATE tm_base)

  foreach(name power_cuts kill_walk)
    add_test(NAME fault.${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
      COMMAND sh tests/judges/python.sh -B tests/power/test_${name}.py)
    set_tests_properties(fault.${name} PROPERTIES LABELS fault TIMEOUT 1800
      ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
  endforeach()
endif()
