#ifndef BERTH_SPAWN_H
#define BERTH_SPAWN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

// Everything here answers 0 (or a descriptor) on success and a negative errno on failure, and makes only
// descriptors that are closed on exec.

/// fcntl commands for locks that belong to the open file rather than the process (fcntl(2)); Swift does not see them.
static const int BERTH_OFD_GETLK = 36;
static const int BERTH_OFD_SETLK = 37;

/// A descriptor of the caller and the number that it gets in the child.
typedef struct {
    int source;
    int target;
} berth_fd_mapping;

/// The highest number of mappings that `berth_spawn` takes.
#define BERTH_SPAWN_MAXIMUM_FDS 16

/// Starts a program with default signal handlers, an empty signal mask and no descriptor but the mapped ones.
///
/// Targets that are missing below 3 become /dev/null; the targets must otherwise run without gaps.
/// `argv` and `envp` end with NULL; `cwd` may be NULL; a nonzero `new_session` calls setsid.
int berth_spawn(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                const berth_fd_mapping *fds, int count, int new_session);

/// A descriptor for a process, closed on exec.
int berth_pidfd_open(pid_t pid);

/// Sends a signal by pidfd.
int berth_pidfd_signal(int pidfd, int signal);

/// Collects a child that ended, without waiting: 1 when collected, 0 when it still runs.
///
/// `code` is the exit code, or the signal when `signalled` is 1.
int berth_pidfd_reap(int pidfd, int *code, int *signalled);

/// Waits at most `milliseconds` until the process behind the pidfd has ended: 1 when it has, 0 when not.
int berth_pidfd_wait(int pidfd, int milliseconds);

/// A listening unix socket `name` in the folder `dirfd`; the path may be longer than sockaddr_un allows.
int berth_unix_listen(int dirfd, const char *name, int backlog);

/// A connected, non-blocking unix socket to `name` in the folder `dirfd`.
int berth_unix_connect(int dirfd, const char *name);

/// Sends `request` over a connected socket and waits at most `milliseconds` for one descriptor.
///
/// The answer is `F` with a descriptor, or `!` with a 4-byte big-endian errno and no descriptor. A refusal by the
/// peer gives its errno in `refused` and the value -EREMOTEIO; other negative values mean that the socket is useless.
int berth_request_descriptor(int socket, const char *request, size_t length, int milliseconds, int *refused);

/// The same, but the answer `F` comes without a descriptor: the socket itself is the connection then, and 0 the value.
int berth_request_stream(int socket, const char *request, size_t length, int milliseconds, int *refused);

/// A file in memory, without a name.
int berth_memory_file(const char *label);

/// Renames, unless something of the new name exists (-EEXIST).
int berth_rename_new(const char *from, const char *to);

/// Whether `bytes` contains `wanted`: 1 or 0.
int berth_contains(const void *bytes, size_t length, const void *wanted, size_t wanted_length);

/// A blocking TCP connection to a port of 127.0.0.1 or else of ::1, made within `milliseconds`.
int berth_loopback_connect(int port, int milliseconds);

/// A TCP port of 127.0.0.1 that nobody uses at this moment, or a negative errno.
int berth_free_port(void);

#endif
