/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/support/sqlite_fault.h"

#include <sqlite3.h>
#include <stdlib.h>

static struct {
    unsigned left; /* operations until the fault; 0 = none is set */
    int code;
    bool forever, happened;
} faults[TM_SQLITE_OP_COUNT];

void tm_sqlite_fail_at(enum tm_sqlite_op op, unsigned n, int code, bool forever)
{
    faults[op].left = n;
    faults[op].code = code;
    faults[op].forever = forever;
    faults[op].happened = false;
}

static int system_error;

void tm_sqlite_system_error(int code)
{
    system_error = code;
}

bool tm_sqlite_failed(enum tm_sqlite_op op)
{
    return faults[op].happened;
}

/* SQLITE_OK, or the code to fail with now. */
static int fault(enum tm_sqlite_op op)
{
    if (faults[op].left == 0 || faults[op].left-- > 1) {
        return SQLITE_OK;
    }
    faults[op].left = faults[op].forever ? 1 : 0;
    faults[op].happened = true;
    return faults[op].code;
}

/* ---- files ---- */

struct file {
    sqlite3_file base;
    sqlite3_file *real; /* behind this struct */
};

static sqlite3_file *real_of(sqlite3_file *file)
{
    return ((struct file *)file)->real;
}

#define FORWARD(name, ...) (real_of(file)->pMethods->name(real_of(file), ##__VA_ARGS__))

static int close_file(sqlite3_file *file)
{
    return FORWARD(xClose);
}

static int read_file(sqlite3_file *file, void *out, int bytes, sqlite3_int64 at)
{
    int code = fault(TM_SQLITE_READ);
    return code != SQLITE_OK ? code : FORWARD(xRead, out, bytes, at);
}

static int write_file(sqlite3_file *file, const void *data, int bytes, sqlite3_int64 at)
{
    int code = fault(TM_SQLITE_WRITE);
    return code != SQLITE_OK ? code : FORWARD(xWrite, data, bytes, at);
}

static int truncate_file(sqlite3_file *file, sqlite3_int64 bytes)
{
    return FORWARD(xTruncate, bytes);
}

static int sync_file(sqlite3_file *file, int flags)
{
    (void)file;
    (void)flags;
    return fault(TM_SQLITE_SYNC);
}

static int file_size(sqlite3_file *file, sqlite3_int64 *out)
{
    return FORWARD(xFileSize, out);
}

static int lock_file(sqlite3_file *file, int lock)
{
    int code = fault(TM_SQLITE_LOCK);
    return code != SQLITE_OK ? code : FORWARD(xLock, lock);
}

static int unlock_file(sqlite3_file *file, int lock)
{
    return FORWARD(xUnlock, lock);
}

static int check_reserved(sqlite3_file *file, int *out)
{
    return FORWARD(xCheckReservedLock, out);
}

static int control(sqlite3_file *file, int op, void *argument)
{
    return FORWARD(xFileControl, op, argument);
}

static int sector_size(sqlite3_file *file)
{
    return FORWARD(xSectorSize);
}

static int characteristics(sqlite3_file *file)
{
    return FORWARD(xDeviceCharacteristics);
}

static int shm_map(sqlite3_file *file, int page, int bytes, int extend, void volatile **out)
{
    int code = fault(TM_SQLITE_MAP);
    return code != SQLITE_OK ? code : FORWARD(xShmMap, page, bytes, extend, out);
}

static int shm_lock(sqlite3_file *file, int offset, int n, int flags)
{
    /* Releasing a lock does not fail. */
    int code = (flags & SQLITE_SHM_LOCK) != 0 ? fault(TM_SQLITE_LOCK) : SQLITE_OK;
    return code != SQLITE_OK ? code : FORWARD(xShmLock, offset, n, flags);
}

static void shm_barrier(sqlite3_file *file)
{
    FORWARD(xShmBarrier);
}

static int shm_unmap(sqlite3_file *file, int remove)
{
    return FORWARD(xShmUnmap, remove);
}

static const sqlite3_io_methods methods = {
    .iVersion = 2, /* without memory-mapped reads, which could not fail here */
    .xClose = close_file,
    .xRead = read_file,
    .xWrite = write_file,
    .xTruncate = truncate_file,
    .xSync = sync_file,
    .xFileSize = file_size,
    .xLock = lock_file,
    .xUnlock = unlock_file,
    .xCheckReservedLock = check_reserved,
    .xFileControl = control,
    .xSectorSize = sector_size,
    .xDeviceCharacteristics = characteristics,
    .xShmMap = shm_map,
    .xShmLock = shm_lock,
    .xShmBarrier = shm_barrier,
    .xShmUnmap = shm_unmap,
};

/* ---- the file system ---- */

static sqlite3_vfs *real_vfs;
static sqlite3_vfs vfs;

static int open_file(sqlite3_vfs *self, const char *path, sqlite3_file *file, int flags,
                     int *flags_out)
{
    (void)self;
    struct file *f = (struct file *)file;
    f->base.pMethods = NULL;
    f->real = (sqlite3_file *)(f + 1);
    int code = fault(TM_SQLITE_OPEN);
    if (code == SQLITE_OK) {
        code = real_vfs->xOpen(real_vfs, path, f->real, flags, flags_out);
    }
    if (code == SQLITE_OK) {
        f->base.pMethods = &methods;
    }
    return code;
}

static int no_sleep(sqlite3_vfs *self, int microseconds)
{
    (void)self;
    return microseconds;
}

static int last_error(sqlite3_vfs *self, int bytes, char *text)
{
    (void)self;
    (void)bytes;
    (void)text;
    return system_error;
}

/* ---- memory ---- */

static sqlite3_mem_methods real_memory;

static void *allocate(int bytes)
{
    return fault(TM_SQLITE_ALLOC) != SQLITE_OK ? NULL : real_memory.xMalloc(bytes);
}

static void *reallocate(void *old, int bytes)
{
    return fault(TM_SQLITE_ALLOC) != SQLITE_OK ? NULL : real_memory.xRealloc(old, bytes);
}

void tm_sqlite_fault_install(void)
{
    int failed = sqlite3_shutdown();
    failed |= sqlite3_config(SQLITE_CONFIG_GETMALLOC, &real_memory);
    sqlite3_mem_methods memory = real_memory;
    memory.xMalloc = allocate;
    memory.xRealloc = reallocate;
    failed |= sqlite3_config(SQLITE_CONFIG_MALLOC, &memory);
    real_vfs = sqlite3_vfs_find(NULL); /* starts SQLite */
    if (failed != SQLITE_OK || real_vfs == NULL) {
        abort();
    }
    vfs = *real_vfs;
    vfs.zName = "fault";
    vfs.szOsFile = (int)sizeof(struct file) + real_vfs->szOsFile;
    vfs.xOpen = open_file;
    vfs.xSleep = no_sleep;
    vfs.xGetLastError = last_error;
    if (sqlite3_vfs_register(&vfs, 1) != SQLITE_OK) {
        abort();
    }
}
