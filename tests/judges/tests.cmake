# SPDX-License-Identifier: Apache-2.0
# Judges: programs that nobody here wrote say whether our bytes are right. A judge that is missing
# is a failure (deploy/setup.sh installs them), never a skip.

# tm_judge(NAME script.py PROGRAMS helper... LINKS libs...): runs `python.sh script.py helper...`.
# Each helper is one C file of this folder.
function(tm_judge name script)
  cmake_parse_arguments(J "" "" "PROGRAMS;LINKS" ${ARGN})
  set(args)
  foreach(program ${J_PROGRAMS})
    if(NOT TARGET ${program})
      add_executable(${program} ${CMAKE_SOURCE_DIR}/tests/judges/${program}.c)
      set_target_properties(${program} PROPERTIES
        RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
      target_link_libraries(${program} PRIVATE ${J_LINKS})
    endif()
    list(APPEND args $<TARGET_FILE:${program}>)
  endforeach()
  add_test(NAME judge.${name} WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh tests/judges/${script} ${args})
  set_tests_properties(judge.${name} PROPERTIES LABELS judge TIMEOUT 600)
endfunction()

tm_judge(convert judge_convert.py PROGRAMS convert_dump LINKS tm_model)
tm_judge(writer judge_writer.py PROGRAMS writer_make LINKS tm_model)
tm_judge(package judge_package.py PROGRAMS package_make LINKS tm_package)
tm_judge(stages judge_stages.py PROGRAMS stages_gguf LINKS tm_encode)
tm_judge(vectors judge_vectors.py)
tm_judge(pass judge_pass.py PROGRAMS pass_logits LINKS tm_pass)
set_tests_properties(judge.pass PROPERTIES LABELS "judge;slow") # llama.cpp takes a minute
add_test(NAME judge.calibration WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh -B tests/judges/judge_calibration.py $<TARGET_FILE:tmill>)
set_tests_properties(judge.calibration PROPERTIES LABELS judge TIMEOUT 600)
tm_judge(rewrite judge_rewrite.py PROGRAMS model_rewrite LINKS tm_model)

# tm_data_judge(NAME program LINKS libs... DATA path): `program PATH`, where the judge is data that
# others made (tests/vectors/*/README.md).
function(tm_data_judge name program)
  cmake_parse_arguments(J "" "DATA" "LINKS" ${ARGN})
  add_executable(${program} ${CMAKE_SOURCE_DIR}/tests/judges/${program}.c)
  set_target_properties(${program} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${program} PRIVATE ${J_LINKS})
  add_test(NAME judge.${name} COMMAND ${program} ${CMAKE_SOURCE_DIR}/${J_DATA})
  set_tests_properties(judge.${name} PROPERTIES LABELS judge TIMEOUT 120)
endfunction()

tm_data_judge(wycheproof judge_wycheproof LINKS tm_crypto DATA tests/vectors/ed25519)
tm_data_judge(json judge_json LINKS tm_model DATA tests/vectors/json/suite.txt)
tm_judge(protoc judge_protoc.py PROGRAMS proto_text LINKS tm_proto)
tm_judge(safetensors_diff judge_safetensors_diff.py PROGRAMS safetensors_verdict LINKS tm_model)
tm_judge(pytorch judge_pytorch.py PROGRAMS pth_dump LINKS tm_model)
tm_judge(tokenizer judge_tokenizer.py PROGRAMS tokenize_lines LINKS tm_tokenizer)
add_test(NAME judge.tokenizer_llama WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh tests/judges/judge_tokenizer_llama.py $<TARGET_FILE:tmill>)
set_tests_properties(judge.tokenizer_llama PROPERTIES LABELS judge TIMEOUT 600)
# The same two with more lines: llama.cpp takes ten times as long for them as Python does.
foreach(name tokenizer tokenizer_llama)
  set(program $<TARGET_FILE:tmill>)
  set(lines 20000)
  if(name STREQUAL tokenizer)
    set(program $<TARGET_FILE:tokenize_lines>)
    set(lines 100000)
  endif()
  add_test(NAME judge.${name}_long WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
    COMMAND sh tests/judges/python.sh tests/judges/judge_${name}.py ${program})
  set_tests_properties(judge.${name}_long PROPERTIES LABELS "judge;slow" TIMEOUT 1800
    ENVIRONMENT TMILL_JUDGE_LINES=${lines})
endforeach()

add_executable(chat_render judges/chat_render.c)
set_target_properties(chat_render PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
target_link_libraries(chat_render PRIVATE tm_tokenizer)
add_test(NAME judge.chat WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh tests/judges/judge_chat.py $<TARGET_FILE:chat_render>
    $<TARGET_FILE:tmill>)
set_tests_properties(judge.chat PROPERTIES LABELS judge TIMEOUT 600)
add_test(NAME judge.tasks WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}
  COMMAND sh tests/judges/python.sh tests/judges/judge_tasks.py $<TARGET_FILE:tmill>)
set_tests_properties(judge.tasks PROPERTIES LABELS judge TIMEOUT 600)
