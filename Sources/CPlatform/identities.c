#define _GNU_SOURCE
#include "include/identities.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define HOLDER_STACK (16 << 10)

// Shares our memory: no allocation, and only calls of the kernel that do not fail, as errno is ours too.
static int hold(void *argument) {
    int *ends = argument;
    char byte;
    // Other holders' ends too, so that each ends with whoever made it.
    syscall(SYS_close_range, ends[0] + 1, ~0U, 0);
    if (ends[0] > 0) syscall(SYS_close_range, 0, ends[0] - 1, 0);
    syscall(SYS_read, ends[0], &byte, 1);
    syscall(SYS_exit_group, 0);
    return 0;
}

int berth_namespace_begin(berth_namespace_holder *holder) {
    // Its argument lies above its stack.
    char *stack = mmap(NULL, HOLDER_STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    int *ends = (int *)(stack + HOLDER_STACK) - 4;
    if (pipe2(ends, O_CLOEXEC) < 0) {
        int error = errno;
        munmap(stack, HOLDER_STACK);
        return -error;
    }
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    // No signal at its end, so that nobody else collects it.
    pid_t pid = clone(hold, ends, CLONE_VM | CLONE_NEWUSER, ends);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    close(ends[0]);
    if (pid < 0) {
        close(ends[1]);
        munmap(stack, HOLDER_STACK);
        return -error;
    }
    *holder = (berth_namespace_holder){.pid = pid, .pipe = ends[1], .stack = stack};
    return 0;
}

int berth_namespace_finish(berth_namespace_holder *holder) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/user", holder->pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = errno;
    // A byte and not only the end, for which the copies of another holder would have to be closed.
    while (write(holder->pipe, "", 1) < 0 && errno == EINTR) continue;
    close(holder->pipe);
    while (waitpid(holder->pid, NULL, __WCLONE) < 0 && errno == EINTR) continue;
    munmap(holder->stack, HOLDER_STACK);
    return fd < 0 ? -error : fd;
}

static int failed(berth_staging *staging, const char *step, const char *path) {
    int error = errno;
    snprintf(staging->failure, sizeof staging->failure, "%s %s", step, path);
    return error;
}

// The C library's calls would change every thread of the process whose memory this is.
static int become_root(berth_staging *staging) {
    if (syscall(SYS_setgroups, 0, NULL) < 0) return failed(staging, "leaving groups", "");
    if (syscall(SYS_setresgid, 0, 0, 0) < 0) return failed(staging, "taking the group", "0");
    if (syscall(SYS_setresuid, 0, 0, 0) < 0) return failed(staging, "taking the user", "0");
    return 0;
}

static int make(berth_staging *staging, int folder) {
    char name[PATH_MAX];
    for (const char *const *made = staging->made; *made; made++) {
        size_t length = strlen(*made);
        if (length == 0 || length >= sizeof name) return ENAMETOOLONG;
        memcpy(name, *made, length + 1);
        int is_folder = name[length - 1] == '/';
        if (is_folder) {
            name[length - 1] = 0;
            if (mkdirat(folder, name, 0755) < 0) {
                if (errno == EEXIST) continue;
                return failed(staging, "making", *made);
            }
        } else {
            int file = openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
            if (file < 0) {
                if (errno == EEXIST) continue;
                return failed(staging, "making", *made);
            }
            close(file);
        }
        if (fchownat(folder, name, staging->user, staging->group, AT_SYMLINK_NOFOLLOW) < 0)
            return failed(staging, "giving away", *made);
    }
    return 0;
}

// Shows what is behind a descriptor as `number` in the stage.
static int show(berth_staging *staging, int number, int file) {
    char from[64], to[256];
    struct stat status;
    snprintf(from, sizeof from, "/proc/self/fd/%d", file);
    if (snprintf(to, sizeof to, "%s/%d", staging->stage, number) >= (int)sizeof to) return ENAMETOOLONG;
    const char *source = staging->sources[number];
    if (fstat(file, &status) < 0) return failed(staging, "looking at", source);
    if (S_ISDIR(status.st_mode)) {
        if (mkdir(to, 0755) < 0) return failed(staging, "making", to);
    } else {
        int place = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (place < 0) return failed(staging, "making", to);
        close(place);
    }
    return mount(from, to, NULL, MS_BIND | MS_REC, NULL) < 0 ? failed(staging, "showing", source) : 0;
}

// No user namespaces inside, as bubblewrap's --disable-userns does it; that option makes one of its own.
static int forbid_namespaces(berth_staging *staging) {
    static const char setting[] = "/proc/sys/user/max_user_namespaces";
    int file = open(setting, O_WRONLY | O_CLOEXEC);
    if (file < 0) return failed(staging, "opening", setting);
    int error = write(file, "0", 1) == 1 ? 0 : failed(staging, "writing", setting);
    close(file);
    return error;
}

int berth_stage(berth_staging *staging) {
    int files[BERTH_STAGING_LIMIT], count = 0, error;
    staging->failure[0] = 0;
    mode_t mask = umask(0);
    if (setns(staging->user_namespace, CLONE_NEWUSER) < 0) return failed(staging, "entering the ids", "");
    if (unshare(CLONE_NEWNS) < 0) return failed(staging, "parting the mounts", "");
    // Opened here, as what is shown has to belong to these mounts.
    int folder = open(staging->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return failed(staging, "opening", staging->folder);
    for (; staging->sources[count]; count++) {
        if (count == BERTH_STAGING_LIMIT) return E2BIG;
        const char *path = staging->sources[count];
        if (path[0] != '/') continue;
        if ((files[count] = open(path, O_PATH | O_CLOEXEC)) < 0) return failed(staging, "opening", path);
    }
    if ((error = become_root(staging)) != 0 || (error = make(staging, folder)) != 0) return error;
    char options[] = "mode=0755,size=1m";
    if (mount("tmpfs", staging->stage, "tmpfs", MS_NOSUID | MS_NODEV, options) < 0)
        return failed(staging, "covering", staging->stage);
    for (int i = 0; i < count; i++) {
        const char *path = staging->sources[i];
        if (path[0] != '/') {
            files[i] = openat(folder, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
            if (files[i] < 0) return failed(staging, "opening", path);
        }
        if ((error = show(staging, i, files[i])) != 0) return error;
    }
    umask(mask);
    return forbid_namespaces(staging);
}
