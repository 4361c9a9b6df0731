# SPDX-License-Identifier: Apache-2.0
# kill -9 and power cuts. They need root, loop devices and ptrace; without them they fail.
add_executable(powercut ${CMAKE_SOURCE_DIR}/tests/power/powercut_main.c)
set_target_properties(powercut PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(powercut PRIVATE tm_base)
