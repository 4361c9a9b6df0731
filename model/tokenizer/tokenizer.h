/* SPDX-License-Identifier: Apache-2.0
 * Text to token ids and back, as the model was trained with: from tokenizer.json (Hugging Face),
 * tokenizer.model (SentencePiece) or the metadata of a GGUF file. No list of known models: what the
 * file says is carried out, or refused by name.
 *
 * A tokenizer serves one thread at a time. */
#ifndef TM_MODEL_TOKENIZER_TOKENIZER_H
#define TM_MODEL_TOKENIZER_TOKENIZER_H

#include "base/buf.h"

struct tm_tokenizer;

/* tm_tokenizer_open (model/tokenizer/tokenizer_open.h) finds the tokenizer of a model; these read
 * one file of it.
 *
 * All errors: TM_E_MALFORMED, TM_E_INCOMPATIBLE (a part that is not known, named), TM_E_NOMEM.
 * `path` is for errors. The text is not needed afterwards. */
tm_status tm_tokenizer_from_json(struct tm_view text, const char *path, struct tm_tokenizer **out,
                                 struct tm_err *err) TM_MUST_USE;
/* A serialized sentencepiece.ModelProto. */
tm_status tm_tokenizer_from_spm(struct tm_view proto, const char *path, struct tm_tokenizer **out,
                                struct tm_err *err) TM_MUST_USE;
/* A checked "gguf-metadata" blob (model/gguf_meta.h). TM_E_NOT_FOUND without a tokenizer in it. */
tm_status tm_tokenizer_from_gguf(struct tm_view meta, const char *path, struct tm_tokenizer **out,
                                 struct tm_err *err) TM_MUST_USE;
void tm_tokenizer_destroy(struct tm_tokenizer **tokenizer);

/* Largest id + 1, added tokens too. */
uint32_t tm_tokenizer_count(const struct tm_tokenizer *tokenizer);
/* The id of a token's text, added tokens first; TM_NO_TOKEN (UINT32_MAX) when there is none. */
uint32_t tm_tokenizer_find(const struct tm_tokenizer *tokenizer, struct tm_view text);
/* The text of an id as in the file; false when there is no such id. */
bool tm_tokenizer_text(const struct tm_tokenizer *tokenizer, uint32_t id, struct tm_view *out);

/* Begin and end of a text, when the files name them (GGUF, SentencePiece, tokenizer_config.json),
 * else TM_NO_TOKEN. */
uint32_t tm_tokenizer_bos(const struct tm_tokenizer *tokenizer);
uint32_t tm_tokenizer_eos(const struct tm_tokenizer *tokenizer);
/* Whether a model that writes this id has come to an end: of the text, the turn or the message, as
 * its files say. */
bool tm_tokenizer_is_end(const struct tm_tokenizer *tokenizer, uint32_t id);
/* The chat template (Jinja, UTF-8 unchecked) that came with the tokenizer, for model/tokenizer/
 * chat.h; false when there is none. */
bool tm_tokenizer_chat_template(const struct tm_tokenizer *tokenizer, struct tm_view *out);

/* What was taken for something else: a pre-tokenizer of a GGUF file that has a name only, and an
 * unknown one. NULL when nothing was. */
const char *tm_tokenizer_note(const struct tm_tokenizer *tokenizer);

#define TM_TOKENIZE_FRAME 1u    /* the tokens that the model wants around a text (BOS) */
#define TM_TOKENIZE_SPECIALS 2u /* special tokens written in the text are recognised */

/* Appends the ids (u32 each) of any bytes: what is no UTF-8 is read as U+FFFD, one for each maximal
 * subpart (Unicode 15, section 3.9; as Python's errors="replace"). TM_E_NOMEM, TM_E_LIMIT (text
 * larger than 1 GiB, or a pattern that takes too long). */
tm_status tm_tokenizer_encode(struct tm_tokenizer *tokenizer, struct tm_view text, unsigned flags,
                              struct tm_buf *ids, struct tm_err *err) TM_MUST_USE;

/* Parts of a text by their first byte and the one behind their last, ascending and disjoint. */
struct tm_text_span {
    size_t from, to;
};
struct tm_text_spans {
    const struct tm_text_span *spans;
    size_t count;
};

/* The same for a text of which some parts come from strangers: no special token is recognised that
 * has a byte in `plain`, whatever is written there. For the rest it is one text: what is no special
 * token is joined across the borders of the spans as always. The text is valid UTF-8 when there are
 * spans (model/tokenizer/repair.h). */
tm_status tm_tokenizer_encode_mixed(struct tm_tokenizer *tokenizer, struct tm_view text,
                                    unsigned flags, const struct tm_text_spans *plain,
                                    struct tm_buf *ids, struct tm_err *err) TM_MUST_USE;

#define TM_DETOKENIZE_SKIP_SPECIALS 1u

/* Appends the bytes that the ids stand for. TM_E_MALFORMED names an id that does not exist. */
tm_status tm_tokenizer_decode(struct tm_tokenizer *tokenizer, const uint32_t *ids, size_t count,
                              unsigned flags, struct tm_buf *out, struct tm_err *err) TM_MUST_USE;

#endif
