/* SPDX-License-Identifier: Apache-2.0
 * publish: puts a package into a folder of static files that devices pull from. */
#include "node/cli/cli.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/leftover.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/os.h"
#include "package/package.h"
#include "package/release.h"

static tm_status copy_bytes(struct tm_file_in *in, struct tm_file_out *out, struct tm_err *err)
{
    size_t piece_bytes = 1 << 20;
    uint8_t *piece = tm_alloc(piece_bytes);
    tm_status status = piece != NULL ? TM_OK : TM_E_NOMEM;
    for (uint64_t at = 0; at < tm_file_bytes(in) && status == TM_OK; at += piece_bytes) {
        uint64_t left = tm_file_bytes(in) - at;
        size_t n = left < piece_bytes ? (size_t)left : piece_bytes;
        status = tm_file_read_at(in, at, piece, n, err);
        if (status == TM_OK) {
            status = tm_file_out_write(out, piece, n, err);
        }
    }
    tm_free(piece);
    return status;
}

/* What was copied is what was verified: the file may have been another one by then. */
static tm_status check_copy(const struct tm_root *root, const struct tm_file_out *out,
                            const char *from, const struct tm_digest *id, struct tm_err *err)
{
    static const char changed[] = "the package changed while it was copied";
    char temp[TM_PATH_MAX];
    struct tm_package *copy = NULL;
    TM_TRY(tm_file_out_temp(out, temp));
    tm_status status = tm_package_open_in(root, temp, &copy, err);
    if (status == TM_OK) {
        status = tm_package_check(copy, err);
    }
    bool other = status == TM_OK && !tm_digest_eq(tm_package_id(copy), id);
    tm_package_close(&copy);
    if (other || status == TM_E_VERIFY || status == TM_E_MALFORMED) {
        return tm_err_set(err, TM_E_VERIFY, from, "cannot publish", "publish it again", changed);
    }
    return status;
}

/* A file gets its name, which is its hash, only when it was read again and is that package. */
static tm_status copy_package(const struct tm_root *root, const char *from, const char *to,
                              const struct tm_digest *id, struct tm_err *err)
{
    struct tm_file_in *in = NULL;
    struct tm_file_out *out = NULL;
    tm_status status;
    TM_TRY_GOTO(tm_file_open(from, &in, err), done);
    TM_TRY_GOTO(tm_file_out_begin_in(root, to, 0644, &out, err), done);
    TM_TRY_GOTO(copy_bytes(in, out, err), done);
    TM_TRY_GOTO(check_copy(root, out, from, id, err), done);
    status = tm_file_out_commit(&out, err);
done:
    tm_file_out_abort(&out);
    tm_file_close(&in);
    return status;
}

/* The index of the folder as this owner signed it, or an empty one. */
static tm_status load_index(const struct tm_root *root, const char *path,
                            const struct tm_identity *owner, struct tm_index *index,
                            struct tm_err *err)
{
    struct tm_buf text;
    bool found;
    TM_TRY(tm_path_find_in(root, path, &found, err));
    if (!found) {
        tm_index_init(index);
        return TM_OK;
    }
    tm_buf_init(&text, 16 << 20);
    tm_status status = tm_file_read_in(root, path, &text, err);
    if (status == TM_OK) {
        status =
            tm_index_read(tm_buf_view(&text), path, tm_identity_public(owner), 1, index, NULL, err);
    }
    tm_buf_deinit(&text);
    return status;
}

struct publish {
    struct tm_root *root; /* of repo */
    const char *package_path, *repo, *notes;
    char name[TM_RELEASE_NAME_MAX + 1];
    char index_path[TM_PATH_MAX], target[TM_PATH_MAX];
    struct tm_digest id;
    uint64_t bytes, counter, version;
};

/* The name of a release: --name, else the model's name with other characters replaced. */
static tm_status choose_name(struct publish *p, const char *given, const char *model,
                             struct tm_err *err)
{
    snprintf(p->name, sizeof p->name, "%s", given != NULL ? given : model);
    for (char *c = p->name; given == NULL && *c != '\0'; c++) {
        bool fine = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
                    (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' ||
                    (*c == '.' && c != p->name);
        *c = fine ? *c : '-';
    }
    if (!tm_release_name_ok(p->name) || (given != NULL && strlen(given) > TM_RELEASE_NAME_MAX)) {
        return tm_err_set(err, TM_E_USAGE, "--name", "bad release name",
                          "use letters, digits, '.', '-' and '_'", "'%s'", p->name);
    }
    return TM_OK;
}

static tm_status inspect_package(struct publish *p, const char *given_name, struct tm_err *err)
{
    struct tm_package *package = NULL;
    TM_TRY(tm_package_open(p->package_path, &package, err));
    tm_status status = tm_package_check(package, err);
    if (status == TM_OK) {
        p->id = *tm_package_id(package);
        p->bytes = tm_package_bytes(package);
        status = choose_name(p, given_name, tm_package_meta(package)->model_name, err);
    }
    tm_package_close(&package);
    return status;
}

static tm_status update_index(struct publish *p, const struct tm_identity *owner,
                              struct tm_err *err)
{
    struct tm_index index;
    struct tm_buf text;
    tm_status status;
    tm_index_init(&index);
    tm_buf_init(&text, 16 << 20);
    TM_TRY_GOTO(load_index(p->root, p->index_path, owner, &index, err), done);
    const struct tm_release *latest = tm_index_latest(&index, p->name);
    if (latest != NULL && tm_digest_eq(&latest->package_id, &p->id)) {
        status =
            tm_err_set(err, TM_E_NOTHING, p->name, "nothing to publish", NULL,
                       "release %llu is this very package", (unsigned long long)latest->counter);
        goto done;
    }
    /* The package is in place before the index names it. */
    TM_TRY_GOTO(copy_package(p->root, p->package_path, p->target, &p->id, err), done);
    TM_TRY_GOTO(tm_index_add(&index, p->name, &p->id, p->bytes, p->notes, err), done);
    TM_TRY_GOTO(tm_index_write(&index, owner, &text, err), done);
    TM_TRY_GOTO(tm_file_write_atomic_in(p->root, p->index_path, 0644, tm_buf_view(&text), err),
                done);
    p->counter = tm_index_latest(&index, p->name)->counter;
    p->version = index.version;
done:
    tm_buf_deinit(&text);
    tm_index_deinit(&index);
    return status;
}

static tm_status make_paths(struct publish *p, struct tm_err *err)
{
    char hex[TM_DIGEST_TEXT], file[TM_DIGEST_TEXT + 8], dir[TM_PATH_MAX];
    TM_TRY(tm_path_join(dir, p->repo, "packages"));
    TM_TRY(tm_dir_make(p->repo, 0755, err));
    TM_TRY(tm_root_open(p->repo, &p->root, err));
    TM_TRY(tm_dir_make_in(p->root, dir, 0755, err));
    snprintf(file, sizeof file, "%s.tmpk", tm_digest_hex(&p->id, hex));
    TM_TRY(tm_path_join(p->target, dir, file));
    return tm_path_join(p->index_path, p->repo, "index.json");
}

/* Of a publish that was killed; the folder is locked. */
static void remove_leftovers(const struct publish *p)
{
    char packages[TM_PATH_MAX];
    tm_leftover_remove_all(p->repo);
    if (tm_path_dir(packages, p->target) == TM_OK) {
        tm_leftover_remove_all(packages);
    }
}

static tm_status locked(struct publish *p, const struct tm_identity *owner, struct tm_err *err)
{
    static const char what[] = "cannot lock the folder";
    tm_status status;
    int fd = tm_os_open(p->repo, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
    if (fd < 0) {
        return tm_err_set_os(err, errno, p->repo, what);
    }
    if (tm_os_flock(fd, LOCK_EX | LOCK_NB) == 0) {
        remove_leftovers(p);
        status = update_index(p, owner, err);
    } else if (errno == EWOULDBLOCK) {
        status = tm_err_set(err, TM_E_REFUSED, p->repo, what, "wait for it to end",
                            "another publish is at work there");
    } else {
        status = tm_err_set_os(err, errno, p->repo, what);
    }
    close(fd);
    return status;
}

static tm_status print_published(const struct publish *p, bool json, struct tm_err *err)
{
    char hex[TM_DIGEST_TEXT], bytes[TM_NUM_TEXT];
    tm_digest_hex(&p->id, hex);
    if (json) {
        struct tm_envelope out;
        tm_envelope_begin(&out, "tmill.publish/1");
        tm_jw_str(&out.jw, "name", p->name);
        tm_jw_u64(&out.jw, "release", p->counter);
        tm_jw_str(&out.jw, "package_id", hex);
        tm_jw_u64(&out.jw, "bytes", p->bytes);
        tm_jw_u64(&out.jw, "index_version", p->version);
        return tm_envelope_end(&out, NULL, 0, err);
    }
    printf("published %s release %llu, %s, package %.16s\n", p->name,
           (unsigned long long)p->counter, tm_format_bytes(p->bytes, bytes), hex);
    return TM_OK;
}

static tm_status run_publish(const struct tm_command *command, const struct tm_parsed *parsed,
                             struct tm_err *err)
{
    struct tm_identity *owner = NULL;
    const char *notes = tm_opt_text(command, parsed, "notes");
    struct publish p = {
        .package_path = parsed->arguments[0],
        .repo = tm_opt_text(command, parsed, "repo"),
        .notes = notes != NULL ? notes : "",
    };
    if (p.repo == NULL) {
        return tm_err_set(err, TM_E_USAGE, "--repo", "missing option", "add --repo DIR",
                          "where do the devices pull from?");
    }
    TM_TRY(inspect_package(&p, tm_opt_text(command, parsed, "name"), err));
    tm_status status = make_paths(&p, err);
    if (status == TM_OK) {
        status = tm_cli_identity(tm_opt_text(command, parsed, "key"), "owner", &owner, err);
    }
    if (status == TM_OK) {
        status = locked(&p, owner, err);
    }
    tm_identity_destroy(&owner);
    tm_root_close(&p.root);
    return status == TM_OK ? print_published(&p, parsed->json, err) : status;
}

static const struct tm_option options[] = {
    {"repo", 0, TM_OPT_TEXT, "DIR", NULL, NULL, "folder of static files (made if missing)"},
    {"name", 0, TM_OPT_TEXT, "NAME", NULL, NULL, "what devices call it (the model's name)"},
    {"notes", 0, TM_OPT_TEXT, "TEXT", NULL, NULL, "one line on what changed"},
    {"key", 0, TM_OPT_TEXT, "FILE", NULL, NULL, "the publisher's key (the owner's)"},
    {0},
};
const struct tm_command tm_cmd_publish = {
    "publish",
    "PKG",
    1,
    1,
    "adds a package to a repository folder with a signed index",
    "The folder can be served by any web server, or carried on a USB stick. Release counters only\n"
    "grow. Devices fetch only the chunks that they do not have.",
    "  tmill publish model.tmpk --repo ./repo\n"
    "  tmill publish model-v2.tmpk --repo ./repo --name smol --notes \"attention at 8 bits\"",
    options,
    run_publish,
};
