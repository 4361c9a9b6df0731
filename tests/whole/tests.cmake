# SPDX-License-Identifier: Apache-2.0
# Tests of the whole programs: tests/whole/test_NAME.py runs bin/tmill and bin/tmill-edge in a home
# of its own (harness.py). A Python that is missing is a failure: deploy/setup.sh installs it.

# tm_whole(NAME SCRIPT LABELS): the script runs the programs of this build.
function(tm_whole name script labels)
  add_test(NAME ${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh -B tests/whole/${script}.py)
  set_tests_properties(${name} PROPERTIES LABELS "${labels}" TIMEOUT 600
    ENVIRONMENT "TMILL_BIN=${CMAKE_BINARY_DIR}/bin")
endfunction()

foreach(name test_gguf_files test_llama2c_files test_safetensors_files test_pytorch_files
    test_model_folders test_quantisation
    test_operations test_network test_damaged_packages test_cmd_calibrate
    test_cmd_compress test_cmd_export
    test_cmd_eval test_cmd_inspect test_cmd_jobs test_cmd_key test_cmd_node test_cmd_publish
    test_cmd_report test_cmd_run test_cmd_tokenize
    test_cmd_verify test_edge_read test_edge_update test_kills)
  string(SUBSTRING ${name} 5 -1 short)
  tm_whole(whole.${short} ${name} whole)
endforeach()
foreach(name judge_exports judge_llama)
  string(SUBSTRING ${name} 6 -1 short)
  tm_whole(judge.whole_${short} ${name} "whole;judge")
endforeach()
tm_whole(judge.report judge_report "whole;judge")

# Resident bytes say nothing about the programs when a sanitizer shares the memory.
if(NOT TMILL_ASAN AND NOT TMILL_TSAN)
  tm_whole(whole.memory test_memory "whole;slow")
endif()

# The public cases of bug reports; not run where the folder of shared data is absent.
tm_whole(cases.shared cases_shared whole)
set_tests_properties(cases.shared PROPERTIES SKIP_RETURN_CODE 77)
