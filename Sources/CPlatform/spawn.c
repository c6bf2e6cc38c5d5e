#define _GNU_SOURCE
#include "include/berth_spawn.h"
#include "spawn_attributes.h"
#include "spawn_targets.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

static int prepare_files(posix_spawn_file_actions_t *actions, const berth_fd_mapping *fds, int count, int *copies) {
    int error = 0, highest = 2;
    int given[3] = {0, 0, 0};
    for (int i = 0; i < count; i++) {
        if (fds[i].target > highest) highest = fds[i].target;
        if (fds[i].target >= 0 && fds[i].target < 3) given[fds[i].target] = 1;
    }
    // Copies above every target, so that one mapping cannot overwrite the source of the next.
    for (int i = 0; i < count; i++) {
        copies[i] = fcntl(fds[i].source, F_DUPFD_CLOEXEC, highest + 1);
        if (copies[i] < 0) return errno;
    }
    for (int i = 0; i < 3; i++)
        if (!given[i]) STEP(posix_spawn_file_actions_addopen(actions, i, "/dev/null", i == 0 ? O_RDONLY : O_WRONLY, 0));
    for (int i = 0; i < count; i++) STEP(posix_spawn_file_actions_adddup2(actions, copies[i], fds[i].target));
    STEP(posix_spawn_file_actions_addclosefrom_np(actions, highest + 1));
out:
    return error;
}

int berth_spawn_check_targets(const berth_fd_mapping *fds, int count) {
    if (count < 0 || count > BERTH_SPAWN_MAXIMUM_FDS) return EINVAL;
    unsigned seen = 7;
    for (int i = 0; i < count; i++) {
        if (fds[i].source < 0 || fds[i].target < 0 || fds[i].target > BERTH_SPAWN_MAXIMUM_FDS + 2) return EINVAL;
        if (fds[i].target > 2 && (seen & (1u << fds[i].target))) return EINVAL;
        seen |= 1u << fds[i].target;
    }
    // Without gaps the set bits are one less than a power of two; a gap would inherit an unmapped descriptor.
    return (seen & (seen + 1)) == 0 ? 0 : EINVAL;
}

int berth_spawn(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                const berth_fd_mapping *fds, int count, int new_session) {
    int error = berth_spawn_check_targets(fds, count);
    if (error) return -error;
    int copies[BERTH_SPAWN_MAXIMUM_FDS];
    for (int i = 0; i < BERTH_SPAWN_MAXIMUM_FDS; i++) copies[i] = -1;
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    if ((error = berth_spawn_prepare(&actions, &attributes, new_session ? POSIX_SPAWN_SETSID : 0)) != 0) return -error;
    if (cwd) STEP(posix_spawn_file_actions_addchdir_np(&actions, cwd));
    STEP(prepare_files(&actions, fds, count, copies));
    STEP(posix_spawn(pid, path, &actions, &attributes, argv, envp));
out:
    for (int i = 0; i < count; i++)
        if (copies[i] >= 0) close(copies[i]);
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    return -error;
}

int berth_pidfd_open(pid_t pid) {
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : fd;
}

int berth_pidfd_signal(int pidfd, int signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? -errno : 0;
}

int berth_pidfd_reap(int pidfd, int *code, int *signalled) {
    siginfo_t info = {0};
    int result;
    do result = waitid((idtype_t)P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *code = info.si_status;
    *signalled = info.si_code != CLD_EXITED;
    return 1;
}

int berth_pidfd_wait(int pidfd, int milliseconds) {
    struct pollfd entry = {.fd = pidfd, .events = POLLIN};
    int result;
    do result = poll(&entry, 1, milliseconds);
    while (result < 0 && errno == EINTR);
    return result < 0 ? -errno : result;
}

int berth_memory_file(const char *label) {
    int fd = memfd_create(label, MFD_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

int berth_rename_new(const char *from, const char *to) {
    return renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0 ? -errno : 0;
}

int berth_contains(const void *bytes, size_t length, const void *wanted, size_t wanted_length) {
    return memmem(bytes, length, wanted, wanted_length) != NULL;
}
