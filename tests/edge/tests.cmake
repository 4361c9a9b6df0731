# SPDX-License-Identifier: Apache-2.0
# What tmill-edge is not linked from.
add_test(NAME edge.links COMMAND sh ${CMAKE_SOURCE_DIR}/tests/edge/edge_links.sh
  $<TARGET_FILE:tmill-edge> $<TARGET_FILE:tmill> $<TARGET_FILE:tm_encode>
  $<TARGET_FILE:tm_scheduler> $<TARGET_FILE:tm_proto> $<TARGET_FILE:tm_journal>
  $<TARGET_FILE:tm_transport> $<TARGET_FILE:tm_node>)
set_tests_properties(edge.links PROPERTIES LABELS edge TIMEOUT 60)
