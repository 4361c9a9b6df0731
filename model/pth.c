/* SPDX-License-Identifier: Apache-2.0 */
#include "model/pth.h"

#include <string.h>

#include "base/mem.h"
#include "model/pth_parts.h"
#include "model/where.h"

static const char what_failed[] = "cannot read the PyTorch checkpoint";

tm_status tm_pth_bad(struct tm_pth *p, const char *why)
{
    return tm_err_set(p->err, TM_E_MALFORMED, p->path, what_failed, NULL, "%s", why);
}

tm_status tm_pth_bad_tensor(struct tm_pth *p, struct tm_view name, tm_status status,
                            const char *why)
{
    struct tm_where where;
    tm_where(&where, p->path, name);
    return tm_err_set(p->err, status, where.text, what_failed, NULL, "%s", why);
}

tm_status tm_pth_no_memory(struct tm_pth *p)
{
    return tm_err_set(p->err, TM_E_NOMEM, p->path, what_failed, NULL, "out of memory");
}

/* Storages that no tensor refers to are not looked at, nor are classes, functions and numbers. */
tm_status tm_pth_open(struct tm_sources *sources, const struct tm_pth_options *options,
                      struct tm_err *err)
{
    struct tm_pth p = {
        .sources = sources, .options = options, .file = sources->files[options->file], .err = err};
    p.path = tm_file_path(p.file);
    tm_buf_init(&p.bytes, TM_PICKLE_BYTES_MAX);
    tm_buf_init(&p.keys, TM_PICKLE_BYTES_MAX);
    sources->inventory.format = TM_FORMAT_PYTORCH;
    tm_status status = tm_pth_load(&p);
    if (status == TM_OK) {
        status = tm_pth_choose(&p);
    }
    tm_pth_unload(&p);
    return status;
}
