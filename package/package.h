/* SPDX-License-Identifier: Apache-2.0
 * The package `.tmpk` (docs/formats/package.md is the normative text):
 *
 *   0        fixed header, 128 bytes: magic, version, sizes, offsets, SHA-256 of the tables, root
 *   128      tables: strings, pipelines, tensors, attachments, plan text, source, chunk table
 *   aligned  chunks, each at a multiple of 64, in execution order, independently decodable
 *   ledger   one entry a unit: who made it, signature, how checked, measured error
 *   tail     fixed, 256 bytes: ledger offset, size and SHA-256, owner key, signature, magic
 *
 * Package id = SHA-256("tensormill.package-id.v1" || first 112 bytes of the header || tables): it
 * covers the chunk table, and by it every chunk. The ledger and the sizes that follow from it (the
 * last 16 bytes of the header) are outside the id: the same content made by other nodes has the
 * same id. The owner signs id || ledger digest. Reading verifies before it parses: magic and sizes,
 * then digests and signature, then tables. All integers little-endian. */
#ifndef TM_PACKAGE_PACKAGE_H
#define TM_PACKAGE_PACKAGE_H

#include "base/file.h"
#include "crypto/merkle.h"
#include "crypto/sign.h"

#define TM_PACKAGE_HEADER_BYTES 128
#define TM_PACKAGE_TAIL_BYTES 256
#define TM_PACKAGE_ALIGN 64
#define TM_PACKAGE_TABLES_MAX (256u * 1024 * 1024)
#define TM_PACKAGE_LEDGER_MAX (256u * 1024 * 1024)
#define TM_PACKAGE_CHUNK_MAX (128u * 1024 * 1024) /* encoded bytes of one chunk */
#define TM_PACKAGE_PIPELINE_MAX 255               /* bytes of a pipeline text, printable ASCII */
#define TM_PACKAGE_NAME_MAX 65535                 /* bytes of a tensor name */
#define TM_PACKAGE_PATH_MAX 255                   /* bytes of an attachment name */
#define TM_PACKAGE_TEXT_MAX (16u * 1024 * 1024)   /* bytes of the plan text */
#define TM_PACKAGE_RANK_MAX 8
/* The attachment that is no file of the source: what was measured of the package. */
#define TM_PACKAGE_FIGURES "tensormill/figures.json"

/* A chunk is the encoded form of one unit (a block of a tensor, or a piece of an attachment). */
struct tm_pkg_chunk {
    uint64_t offset;       /* in the file; set by the writer */
    uint32_t bytes;        /* encoded */
    uint32_t rows, cols;   /* decoded block: rows x cols weights, or 1 x bytes for lossless ones */
    struct tm_digest leaf; /* tm_merkle_leaf of the encoded bytes: content id */
    struct tm_digest source; /* SHA-256 of the unit's source bytes, in the source dtype */
};

/* dtype numbers and shapes as in model/tensor.h; this folder sees them as plain numbers. */
struct tm_pkg_tensor {
    char *name;
    size_t name_bytes;
    uint32_t dtype;    /* of the source */
    uint32_t pipeline; /* index into pipelines */
    uint32_t rank;
    uint64_t dim[TM_PACKAGE_RANK_MAX];
    uint32_t first_chunk, chunk_count;
    uint64_t source_bytes;
    struct tm_digest source; /* SHA-256 of the whole source tensor */
};

struct tm_pkg_attachment {
    char *name; /* a relative path: no empty, "." or ".." part, no backslash or control byte */
    uint32_t pipeline; /* a lossless one */
    uint32_t first_chunk, chunk_count;
    uint64_t bytes;
    struct tm_digest source; /* SHA-256 of its bytes */
};

/* Everything the tables hold. Owned; free with tm_pkg_meta_deinit. */
struct tm_pkg_meta {
    char *model_name; /* "SmolLM2-135M-Instruct" */
    char *arch;
    char *plan;                   /* plan.toml text that the package was made from */
    struct tm_digest plan_digest; /* SHA-256 of the plan text */
    struct tm_digest encoders;    /* tm_encoders_digest of the build that merged */
    char **pipelines;             /* canonical texts */
    uint32_t pipeline_count;
    struct tm_pkg_tensor *tensors;
    uint32_t tensor_count;
    struct tm_pkg_attachment *attachments;
    uint32_t attachment_count;
    struct tm_pkg_chunk *chunks; /* tensors in order, then attachments */
    uint32_t chunk_count;
};
void tm_pkg_meta_deinit(struct tm_pkg_meta *meta);

/* How a unit was checked before it went in; bits. */
enum {
    TM_CHECK_DECODED = 1, /* decoded canonically and its error measured against the source */
    TM_CHECK_AUDITED = 2, /* encoded again by the coordinator, same bytes */
    TM_CHECK_OWNER = 4    /* made by the owner's own process */
};

struct tm_pkg_ledger_entry {
    uint32_t chunk;
    uint32_t checks;
    uint64_t squared_error_bits,
        squared_norm_bits;   /* IEEE 754 doubles, as tm_block_measure gives */
    uint32_t node;           /* index into ledger nodes */
    struct tm_signature sig; /* by that node over tm_pkg_statement, label TM_SIGN_RESULT */
};

struct tm_pkg_ledger {
    struct tm_public_key *nodes; /* sorted by key, unique */
    uint32_t node_count;
    struct tm_pkg_ledger_entry *entries; /* one per chunk, in chunk order */
    uint32_t entry_count;
    struct tm_node_id *banned; /* nodes caught and banned in this job, sorted */
    uint32_t banned_count;
};
void tm_pkg_ledger_deinit(struct tm_pkg_ledger *ledger);
/* Relative error of `count` chunks from `first` on: the root of squared errors over squares, summed
 * in their order; 0 when there are no squares. */
double tm_pkg_relative_error(const struct tm_pkg_ledger *ledger, uint32_t first, uint32_t count);

/* What a node signs for a unit: plan digest, chunk index, source digest, leaf, pipeline text (at
 * most TM_PACKAGE_PIPELINE_MAX bytes). */
#define TM_PKG_STATEMENT_MAX 512
struct tm_view tm_pkg_statement(const struct tm_digest *plan, uint32_t chunk,
                                const struct tm_digest *source, const struct tm_digest *leaf,
                                const char *pipeline, uint8_t out[TM_PKG_STATEMENT_MAX]);

/* ---- writing: meta with all leaves, sizes and rows known; then the chunks in order ---- */
struct tm_package_writer;
/* Sets chunk offsets in meta. The writer keeps a pointer to meta until finish. Meta is held to
 * every rule that a reader checks: TM_E_MALFORMED. */
tm_status tm_package_writer_begin(const char *path, struct tm_pkg_meta *meta,
                                  struct tm_package_writer **out, struct tm_err *err) TM_MUST_USE;
/* bytes must have the declared size and leaf: TM_E_VERIFY otherwise. */
tm_status tm_package_writer_chunk(struct tm_package_writer *writer, struct tm_view bytes,
                                  struct tm_err *err) TM_MUST_USE;
/* Ledger, signature, commit (atomic). Frees in every case. */
tm_status tm_package_writer_finish(struct tm_package_writer **writer,
                                   const struct tm_pkg_ledger *ledger,
                                   const struct tm_identity *owner, struct tm_err *err) TM_MUST_USE;
void tm_package_writer_abort(struct tm_package_writer **writer);

/* ---- reading ---- */
struct tm_package;
/* Checks magic, sizes, owner signature, tables and ledger digests, then parses with every range
 * checked: TM_E_MALFORMED or TM_E_VERIFY with file and offset. Chunks are checked when read. */
tm_status tm_package_open(const char *path, struct tm_package **out,
                          struct tm_err *err) TM_MUST_USE;
/* The same for a path below a root (base/root.h). */
tm_status tm_package_open_in(const struct tm_root *root, const char *path, struct tm_package **out,
                             struct tm_err *err) TM_MUST_USE;
void tm_package_close(struct tm_package **package);
const struct tm_pkg_meta *tm_package_meta(const struct tm_package *package);
const struct tm_pkg_ledger *tm_package_ledger(const struct tm_package *package);
const struct tm_digest *tm_package_id(const struct tm_package *package);
const struct tm_digest *tm_package_root(const struct tm_package *package);
const struct tm_public_key *tm_package_owner(const struct tm_package *package);
uint64_t tm_package_bytes(const struct tm_package *package); /* of the file */
/* Index of a tensor by name; UINT32_MAX when there is none. */
uint32_t tm_package_find(const struct tm_package *package, const char *name, size_t name_bytes);
/* Index of an attachment by name; UINT32_MAX when there is none. */
uint32_t tm_pkg_attachment_find(const struct tm_pkg_meta *meta, const char *name);
/* Reads chunk i into out (cleared first) and checks its leaf. */
tm_status tm_package_chunk(struct tm_package *package, uint32_t index, struct tm_buf *out,
                           struct tm_err *err) TM_MUST_USE;
/* Reads the whole file: every chunk against its leaf, every padding byte zero. After TM_OK each
 * byte of the file is covered by a check. Memory: one chunk. */
tm_status tm_package_check(struct tm_package *package, struct tm_err *err) TM_MUST_USE;
/* Every ledger signature; the number that is good. TM_E_VERIFY names the first bad unit. */
tm_status tm_package_check_ledger(struct tm_package *package, uint32_t *good,
                                  struct tm_err *err) TM_MUST_USE;

/* Whether a file starts with the package magic. */
bool tm_package_is(const char *path);

/* ---- pieces for a device that fetches header first, chunks later, tail last ---- */

/* From the first TM_PACKAGE_HEADER_BYTES of a package: where the parts lie. TM_E_MALFORMED. */
struct tm_pkg_layout {
    uint64_t file_bytes;
    uint64_t front_bytes; /* fixed header + tables, from offset 0 */
    uint64_t data_offset; /* first chunk; zero bytes between front and here */
    uint64_t data_bytes;  /* chunks with their padding, a multiple of TM_PACKAGE_ALIGN */
    uint64_t back_offset; /* ledger + tail, to the end of the file */
    uint64_t ledger_bytes;
    struct tm_digest tables; /* SHA-256 of the tables */
    struct tm_digest root;   /* Merkle root over the chunks */
};
tm_status tm_pkg_layout_parse(struct tm_view header, struct tm_pkg_layout *out,
                              struct tm_err *err) TM_MUST_USE;
/* Verifies and parses front (header + tables) and back (ledger + tail) without the chunks. The
 * package must have been signed by owner and have the id (both may be NULL). name is for errors. */
tm_status tm_pkg_parse_parts(struct tm_view front, struct tm_view back, const char *name,
                             const struct tm_digest *id, const struct tm_public_key *owner,
                             struct tm_pkg_meta *meta, struct tm_pkg_ledger *ledger,
                             struct tm_err *err) TM_MUST_USE;
/* The key that a back names as the package's owner, before anything is verified: to be looked up
 * among trusted keys and given to tm_pkg_parse_parts. false when back is too short. */
bool tm_pkg_back_owner(struct tm_view back, struct tm_public_key *out);

#endif
