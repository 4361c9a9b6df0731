# SPDX-License-Identifier: Apache-2.0
# A hundred thousand damaged inputs a format, in one process, under the sanitizers where they are
# built in.
add_executable(mutate_inputs ${CMAKE_SOURCE_DIR}/tests/mutate/mutate_main.c
  ${CMAKE_SOURCE_DIR}/tests/mutate/mutators.c ${CMAKE_SOURCE_DIR}/tests/mutate/formats.c)
set_target_properties(mutate_inputs PROPERTIES
  RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(mutate_inputs PRIVATE tm_node)
if(TMILL_ASAN)
  add_test(NAME mutate.inputs COMMAND mutate_inputs WORKING_DIRECTORY ${CMAKE_SOURCE_DIR})
  set_tests_properties(mutate.inputs PROPERTIES LABELS mutate TIMEOUT 1800)
endif()
