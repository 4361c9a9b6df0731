# SPDX-License-Identifier: Apache-2.0
# Benchmarks: programs, not tests. Run them from a release build; ratios hold within one run.
add_executable(bench_stages ${CMAKE_CURRENT_LIST_DIR}/bench_stages.c)
target_link_libraries(bench_stages PRIVATE tm_encode)
add_executable(bench_unit ${CMAKE_CURRENT_LIST_DIR}/bench_unit.c)
target_link_libraries(bench_unit PRIVATE tm_node)
add_executable(bench_readers ${CMAKE_CURRENT_LIST_DIR}/bench_readers.c)
target_link_libraries(bench_readers PRIVATE tm_model)
add_executable(bench_tokenizer ${CMAKE_CURRENT_LIST_DIR}/bench_tokenizer.c)
target_link_libraries(bench_tokenizer PRIVATE tm_tokenizer)
add_executable(bench_pass ${CMAKE_CURRENT_LIST_DIR}/bench_pass.c)
target_link_libraries(bench_pass PRIVATE tm_node)
add_library(cpu_clock MODULE ${CMAKE_CURRENT_LIST_DIR}/cpu_clock.c)
target_link_libraries(cpu_clock PRIVATE tm_flags)
