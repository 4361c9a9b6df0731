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
tm_attack(attack_secrets)

add_test(NAME attack.security_page WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND ${TMILL_SYSTEM_PYTHON} -B tests/attack/security_page.py ${CMAKE_BINARY_DIR})
set_tests_properties(attack.security_page PROPERTIES LABELS attack TIMEOUT 60)
