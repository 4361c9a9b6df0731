# SPDX-License-Identifier: Apache-2.0
# The mesh in one thread, under faults and liars. A failure prints the seed that repeats it.
set(SIM ${CMAKE_SOURCE_DIR}/tests/sim)
add_executable(mesh_sim ${SIM}/sim_main.c ${SIM}/sim.c ${SIM}/sim_coordinator.c ${SIM}/sim_node.c)
set_target_properties(mesh_sim PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(mesh_sim PRIVATE tm_scheduler)
add_test(NAME sim.mesh COMMAND mesh_sim 2000)
set_tests_properties(sim.mesh PROPERTIES LABELS sim TIMEOUT 300)
