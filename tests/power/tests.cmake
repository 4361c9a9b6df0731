# SPDX-License-Identifier: Apache-2.0
# kill -9 and power cuts. They need root, loop devices and ptrace; without them they fail.
add_executable(powercut ${CMAKE_SOURCE_DIR}/tests/power/powercut_main.c)
set_target_properties(powercut PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(powercut PRIVATE tm_base)

# tm_power(NAME SCRIPT): the script runs the programs of this build as root.
function(tm_power name script)
  add_test(NAME fault.${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/power/${script}.py)
  set_tests_properties(fault.${name} PROPERTIES LABELS fault TIMEOUT 1200
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()
tm_power(power_cuts test_power_cuts)
