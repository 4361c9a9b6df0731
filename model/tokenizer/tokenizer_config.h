/* SPDX-License-Identifier: Apache-2.0
 * What the files beside tokenizer.json say: which tokens begin and end a text, and the template of
 * a chat. Tokens that the tokenizer does not have are passed over, as transformers would add them.
 * Source: transformers, tokenization_utils_base.py and generation/configuration_utils.py. */
#ifndef TM_MODEL_TOKENIZER_CONFIG_H
#define TM_MODEL_TOKENIZER_CONFIG_H

#include "model/tokenizer/tokenizer.h"

/* tokenizer_config.json: bos_token, eos_token, chat_template (a text, or a list of named ones, of
 * which "default" is taken). TM_E_MALFORMED with `path`, TM_E_NOMEM. */
tm_status tm_tokenizer_config(struct tm_tokenizer *tokenizer, struct tm_view text, const char *path,
                              struct tm_err *err) TM_MUST_USE;
/* generation_config.json: eos_token_id, a number or a list of them. */
tm_status tm_tokenizer_generation(struct tm_tokenizer *tokenizer, struct tm_view text,
                                  const char *path, struct tm_err *err) TM_MUST_USE;

#endif
