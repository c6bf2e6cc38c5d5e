#ifndef BERTH_AGENT_H
#define BERTH_AGENT_H

#include <stddef.h>
#include <sys/types.h>

// Everything here answers 0 (or a descriptor) on success and a negative errno on failure. It uses no name service,
// no locale and no dlopen, so that it works in a static executable. Descriptors are closed on exec.

/// Ignores SIGPIPE, blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP, and answers a descriptor that delivers them.
int berth_signals_open(void);

/// The next signal from such a descriptor; 0 when none waits.
int berth_signals_next(int fd);

/// Looks whether a child has ended, without collecting it: 1 when it has, 0 when it still runs.
///
/// `code` is the exit code, or the signal when `signalled` is 1.
int berth_child_ended(pid_t pid, int *code, int *signalled);

/// Brings the loopback interface up.
int berth_loopback_up(void);

/// Makes an inherited descriptor non-blocking and closed on exec.
int berth_fd_prepare(int fd);

/// Makes a descriptor blocking.
int berth_fd_blocking(int fd);

/// A non-blocking pipe end for the agent (`ends[0]` for reading) and a blocking one for a child.
int berth_pipe_from_child(int ends[2]);

/// A blocking pipe end for a child (`ends[0]`) and a non-blocking one for the agent (`ends[1]`).
int berth_pipe_to_child(int ends[2]);

/// Accepts a connection, non-blocking; -EAGAIN when none waits.
int berth_accept(int listener);

/// Begins a non-blocking connection to a port of 127.0.0.1, or of ::1, with TCP_NODELAY.
int berth_tcp_connect_begin(int port, int ipv6);

/// Begins a non-blocking connection to a unix socket.
int berth_unix_connect_begin(const char *path);

/// What became of a connection that was begun: 0 when it stands.
int berth_connect_result(int fd);

/// Sends bytes, and a descriptor beside them when `passed` is not negative; answers the count sent.
ssize_t berth_send_with_descriptor(int socket, const void *bytes, size_t count, int passed);

/// Opens for reading without waiting for the other side of a fifo.
int berth_open_read(const char *path);

/// Opens for writing, made or emptied; `created` tells which.
int berth_open_write(const char *path, mode_t mode, int *created);

/// Removes a file, or a folder with everything in it; a missing path is no error. Does not follow links.
int berth_remove_tree(const char *path);

#endif
