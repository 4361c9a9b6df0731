/* SPDX-License-Identifier: Apache-2.0
 * The text that `tmill eval` measures with when none is given: node/common/data/mini_text.txt, made
 * into bytes by the build. Prose, dialogue, questions, code, a protocol, letters, three other
 * languages; written for this purpose. */
#ifndef TM_NODE_MINI_TEXT_H
#define TM_NODE_MINI_TEXT_H

#include <stddef.h>

extern const unsigned char tm_mini_text[];
extern const size_t tm_mini_text_bytes;

#endif
