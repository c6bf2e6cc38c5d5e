#ifndef BERTH_GROUPS_H
#define BERTH_GROUPS_H

#include "berth_spawn.h"

#include <stdint.h>
#include <sys/types.h>

// Everything here answers 0 (or a count) on success and a negative errno on failure.

/// The highest number of groups that one child joins by itself.
#define BERTH_SPAWN_MAXIMUM_GROUPS 8

/// The control groups that a child is in before it runs anything.
typedef struct {
    /// The folder of a group of version 2; -1 for none.
    int folder;
    /// Files `tasks` of groups of version 1, open for writing.
    int tasks[BERTH_SPAWN_MAXIMUM_GROUPS];
    int count;
} berth_groups;

/// `berth_spawn` for a child that is inside the groups before it can start another process.
///
/// No process is moved by another one, which would wait for a grace period of the kernel (5 to 18 ms): version 2 is
/// entered by clone3(2), version 1 by the child itself, a single thread.
int berth_spawn_inside(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                       const berth_fd_mapping *fds, int count, int new_session, const berth_groups *groups);

/// What `berth_limit_set` limits.
static const int BERTH_LIMIT_OPEN_FILES = 0;
static const int BERTH_LIMIT_FILE_SIZE = 1;
static const int BERTH_LIMIT_DATA = 2;
static const int BERTH_LIMIT_PROCESSES = 3;

/// Sets a resource limit of another process, soft and hard (prlimit(2)).
int berth_limit_set(pid_t pid, int limit, uint64_t value);

/// Asks the kernel to move the memory of a process between two addresses out to swap; answers the bytes taken on.
ssize_t berth_page_out(int pidfd, uint64_t start, uint64_t length);

#endif
