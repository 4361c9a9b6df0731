# SPDX-License-Identifier: Apache-2.0
# Hostile peers against the real coordinator and its gate.
add_executable(attacker ${CMAKE_SOURCE_DIR}/tests/gate/attacker_main.c)
set_target_properties(attacker PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(attacker PRIVATE tm_crypto)

add_test(NAME gate.hostile WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh -B tests/gate/test_gate.py)
set(environment "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
if(TMILL_ASAN OR TMILL_TSAN)
  list(APPEND environment TMILL_NO_MEMORY_LIMIT=1)
endif()
set_tests_properties(gate.hostile PROPERTIES LABELS chaos TIMEOUT 600
  ENVIRONMENT "${environment}")
