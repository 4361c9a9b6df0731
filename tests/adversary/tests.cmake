# SPDX-License-Identifier: Apache-2.0
# The node that cheats; used by the demo and by tests, never installed.
add_executable(adversary ${CMAKE_SOURCE_DIR}/tests/adversary/adversary_main.c)
set_target_properties(adversary PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(adversary PRIVATE tm_node)
