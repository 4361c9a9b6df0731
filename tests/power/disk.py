# SPDX-License-Identifier: Apache-2.0
"""A small disk whose power can be cut: an ext4 image on a loop device. What the kernel has not
written to the image is lost in a copy of it, as in a power cut; mounting the copy replays ext4's
journal. Everything is mounted in a mount namespace of this process and loop devices end with their
mount, so nothing stays behind however the process ends. Needs root."""
import ctypes
import errno
import fcntl
import os
import struct
import subprocess
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNS = 0x00020000
MS_REC, MS_PRIVATE = 0x4000, 0x40000
MNT_DETACH = 2
LOOP_CTL_GET_FREE, LOOP_CONFIGURE = 0x4C82, 0x4C0A
LO_FLAGS_AUTOCLEAR = 4
MIB = 1 << 20

# "usual": as distributions mount it. "strict": what POSIX promises and no more; a rename does not
# wait for the data of the file, so a missing fsync shows as an empty file.
OPTIONS = {"usual": "commit=300", "strict": "commit=300,data=writeback,noauto_da_alloc"}


def _check(result, what):
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{what}: {os.strerror(code)}")


def own_namespace():
    """From here on mounts are seen by this process and its children alone."""
    _check(LIBC.unshare(CLONE_NEWNS), "unshare (root is needed)")
    _check(LIBC.mount(b"none", b"/", None, MS_REC | MS_PRIVATE, None), "make mounts private")


def _attach(image):
    """(descriptor, device) of a loop device that ends with its last user."""
    with open(image, "r+b") as backing, open("/dev/loop-control", "rb") as control:
        deadline = time.monotonic() + 20
        while True:
            number = fcntl.ioctl(control, LOOP_CTL_GET_FREE)
            device = f"/dev/loop{number}"
            try:
                loop = os.open(device, os.O_RDWR | os.O_CLOEXEC)
                # struct loop_config: fd, block_size, struct loop_info64 (lo_flags at byte 52)
                info = bytearray(232)
                struct.pack_into("=I", info, 52, LO_FLAGS_AUTOCLEAR)
                config = struct.pack("=II", backing.fileno(), 0) + bytes(info) + bytes(64)
                try:
                    fcntl.ioctl(loop, LOOP_CONFIGURE, config)
                    return loop, device
                except OSError:
                    os.close(loop)
                    raise
            except OSError as error:  # another process took it first, or udev is not done yet
                if error.errno not in (errno.EBUSY, errno.ENOENT, errno.ENXIO) or \
                        time.monotonic() > deadline:
                    raise


def mount(image, where, kind="usual"):
    """Returns the loop device's name."""
    loop, device = _attach(image)
    try:
        _check(LIBC.mount(device.encode(), where.encode(), b"ext4", 0, OPTIONS[kind].encode()),
               f"mount {image}")
    finally:
        os.close(loop)
    return device


def unmount(where):
    deadline = time.monotonic() + 20
    while LIBC.umount2(where.encode(), 0) != 0:
        code = ctypes.get_errno()
        if code != errno.EBUSY or time.monotonic() > deadline:
            raise OSError(code, f"unmount {where}: {os.strerror(code)}")
        time.sleep(0.005)


def copy_sparse(source, target):
    """A copy of the extents that hold data."""
    out = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    source_fd = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
    try:
        size, at = os.fstat(source_fd).st_size, 0
        os.ftruncate(out, size)
        while at < size:
            try:
                start = os.lseek(source_fd, at, os.SEEK_DATA)
            except OSError:  # no data after this
                break
            end = os.lseek(source_fd, start, os.SEEK_HOLE)
            at = start
            while at < end:
                data = os.pread(source_fd, min(end - at, 4 * MIB), at)
                os.pwrite(out, data, at)
                at += len(data)
    finally:
        os.close(source_fd)
        os.close(out)


class Disk:
    """An ext4 file system of `mib` MiB at `where`, in the image `image`."""

    def __init__(self, image, where, mib=48, kind="usual"):
        self.image, self.where, self.kind = image, where, kind
        with open(image, "wb") as stream:
            stream.truncate(mib * MIB)
        subprocess.run(["mkfs.ext4", "-q", "-F", "-N", "4096", "-m", "0",
                        "-E", "lazy_itable_init=0,lazy_journal_init=0",
                        "-J", "size=4", image], check=True)
        os.makedirs(where, exist_ok=True)
        self.device = None

    def mount(self):
        self.device = mount(self.image, self.where, self.kind)

    def unmount(self):
        unmount(self.where)
        self.device = None

    def written(self):
        """A number that grows with each write that reached the image; waits for those under
        way."""
        deadline = time.monotonic() + 20
        name = os.path.basename(self.device)
        while True:
            with open(f"/sys/block/{name}/stat", encoding="ascii") as stream:
                fields = stream.read().split()
            if int(fields[8]) == 0:  # requests in flight
                return int(fields[4]) + int(fields[6])
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.device} does not come to rest")

    def cut(self, target):
        """The disk as a power cut at this moment would leave it. Who writes stands still."""
        for _ in range(20):
            before = self.written()
            copy_sparse(self.image, target)
            if self.written() == before:
                return before
        raise TimeoutError("the kernel keeps writing to the image")

    def write_all(self):
        """The kernel writes everything now."""
        fd = os.open(self.where, os.O_RDONLY)
        _check(LIBC.syncfs(fd), "syncfs")
        os.close(fd)

    def write_names(self):
        """The kernel writes names and sizes, not the data of files that nobody synced: a commit of
        ext4's journal because of another file."""
        fd = os.open(os.path.join(self.where, "neighbour"), os.O_WRONLY | os.O_CREAT, 0o600)
        os.write(fd, b"x")
        os.fsync(fd)
        os.close(fd)


def in_namespace(call, image, where, kind):
    """Runs call() in a child that sees the image's copy mounted at `where`, beside the living one.
    Returns the child's pid."""
    pid = os.fork()
    if pid != 0:
        return pid
    code = 1
    try:
        own_namespace()
        LIBC.umount2(where.encode(), MNT_DETACH)
        mount(image, where, kind)
        code = call() or 0
    except BaseException as error:  # pylint: disable=broad-except
        os.write(2, f"{type(error).__name__}: {error}\n".encode())
    finally:
        os._exit(code)
