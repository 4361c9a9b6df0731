# SPDX-License-Identifier: Apache-2.0
# The local attack surface: hostile names, links, pipes, frames, and secrets where they must not be.

# tm_attack(attack_NAME): tests/attack/attack_NAME.py with the programs of this build.
function(tm_attack script)
  string(REPLACE "attack_" "attack." name ${script})
  add_test(NAME ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/attack/${script}.py)
  set_tests_properties(${name} PROPERTIES LABELS attack TIMEOUT 600
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()

tm_attack(attack_escapes)
tm_attack(attack_terminal)
tm_attack(attack_secrets)
tm_attack(attack_inputs)
tm_attack(attack_names)

add_test(NAME attack.security_page WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND ${TMILL_SYSTEM_PYTHON} -B tests/attack/security_page.py ${CMAKE_BINARY_DIR})
set_tests_properties(attack.security_page PROPERTIES LABELS attack TIMEOUT 60)

# tm_attack_program(NAME LINKS libs...): tests/attack/NAME.c.
function(tm_attack_program name)
  add_executable(${name} ${CMAKE_SOURCE_DIR}/tests/attack/${name}.c)
  set_target_properties(${name} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${name} PRIVATE ${ARGN})
  add_test(NAME attack.${name} COMMAND ${name})
  set_tests_properties(attack.${name} PROPERTIES LABELS attack TIMEOUT 300)
endfunction()

tm_attack_program(store_races tm_package)
tm_attack_program(zstd_bombs tm_decode)
