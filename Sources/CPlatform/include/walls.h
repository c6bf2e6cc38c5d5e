#ifndef BERTH_WALLS_H
#define BERTH_WALLS_H

#include <stddef.h>
#include <stdint.h>

// Everything here answers 0 (or a descriptor, or a count) on success and a negative errno on failure. It uses no name
// service, no locale and no dlopen, so that it works in a static executable.

/// Which system calls a filter refuses.
typedef enum {
    /// What nobody in a sandbox needs, and what opens large parts of the kernel.
    BERTH_FILTER_COMMON = 0,
    /// Also what reaches the host past Landlock: unix sockets, UDP, raw sockets, System V IPC, message queues.
    BERTH_FILTER_SHARED_HOST = 1
} berth_filter_kind;

/// A file in memory with the filter as bubblewrap reads it, at its beginning; closed on exec.
int berth_filter_file(berth_filter_kind kind);

/// Installs the filter for this process and everything that it starts. Needs no_new_privs.
int berth_filter_install(berth_filter_kind kind);

/// Whether a filter is in force: 1 when a system call that would do nothing is refused.
int berth_filter_holds(void);

/// Sets no_new_privs, forbids core files, and gives up every capability, for good.
int berth_privileges_drop(void);

/// The Landlock version of the kernel, from 1; -ENOSYS or -EOPNOTSUPP without Landlock.
int berth_landlock_abi(void);

/// What may be done beneath a path.
typedef enum {
    /// Reading, listing and executing.
    BERTH_LANDLOCK_READ = 0,
    /// Everything but making device files.
    BERTH_LANDLOCK_WRITE = 1,
    /// Reading and writing what is there.
    BERTH_LANDLOCK_USE = 2
} berth_landlock_access;

/// Begins rules that allow nothing: no file, from version 4 no TCP, from version 6 no signals and abstract sockets
/// outside. The answer is a descriptor, closed on exec.
int berth_landlock_begin(int abi);

/// Allows access beneath a path; -ENOENT when there is none.
int berth_landlock_allow_path(int rules, int abi, const char *path, berth_landlock_access access);

/// Allows listening on a TCP port; nothing to do before version 4.
int berth_landlock_allow_port(int rules, int abi, int port);

/// Binds this process and everything that it starts to the rules. Needs no_new_privs.
int berth_landlock_enforce(int rules);

#endif
