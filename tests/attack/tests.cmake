# SPDX-License-Identifier: Apache-2.0
# The local attack surface: hostile names, links, pipes, frames, and secrets where they must not be.

# tm_attack(NAME): tests/attack/attack_NAME.py with the programs of this build.
function(tm_attack name)
  add_test(NAME attack.${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/attack/attack_${name}.py)
  set_tests_properties(attack.${name} PROPERTIES LABELS attack TIMEOUT 600
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()

tm_attack(escapes)
tm_attack(secrets)
