#ifndef BERTH_AGENT_H
#define BERTH_AGENT_H

#include <stddef.h>
#include <sys/types.h>

// Everything here answers 0 (or a descriptor) on success and a negative errno on failure. It uses no name service,
// no locale and no dlopen, so that it works in a static executable. Descriptors are closed on exec.

/// Ignores SIGPIPE, blocks SIGCHLD, SIGTERM, SIGINT and SIGHUP, and answers a descriptor that delivers them.
int berth_signals_open(void);

/// Blocks the signals that a program passes on to another one, with SIGWINCH, and answers a descriptor that delivers
/// them.
int berth_signals_passed(void);
/// Goes on in a child, while this process collects whoever has lost its parent and ends as the child does.
///
/// For a first process in its pid namespace, before it has threads or descriptors that must not be shared.
int berth_init_stay(void);

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

/// A second descriptor of the same open file.
int berth_fd_copy(int fd);

/// Opens a new terminal of the given size and answers our side of it, non-blocking; `path` is the other side's.
int berth_terminal_open(int columns, int rows, char *path, size_t length);

/// How large a terminal is.
int berth_terminal_size(int fd, int *columns, int *rows);

/// Resizes a terminal; what runs on it is told by SIGWINCH.
int berth_terminal_resize(int fd, int columns, int rows);

/// Starts a program as the leader of a new session on a terminal, which is all that it has open.
int berth_terminal_spawn(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                         const char *terminal);

/// Accepts a connection, non-blocking; -EAGAIN when none waits.
int berth_accept(int listener);

/// Listens on a port of 127.0.0.1, non-blocking; port 0 is one of the system's choice.
int berth_tcp_listen(int port);

/// Listens on a unix socket that it makes, non-blocking.
int berth_unix_listen_path(const char *path, int backlog);

/// Writes one byte to an inherited descriptor, and puts /dev/null in its place.
int berth_readiness_tell(int fd);

/// Begins a non-blocking connection to a port of 127.0.0.1, or of ::1, with TCP_NODELAY.
int berth_tcp_connect_begin(int port, int ipv6);

/// Begins a non-blocking connection to a unix socket.
int berth_unix_connect_begin(const char *path);

/// What became of a connection that was begun: 0 when it stands.
int berth_connect_result(int fd);

/// Sends bytes, and a descriptor beside them when `passed` is not negative; answers the count sent.
ssize_t berth_send_with_descriptor(int socket, const void *bytes, size_t count, int passed);

/// Opens a folder to begin paths at, which needs no right to list it.
int berth_open_folder(const char *path);

/// Opens for reading without waiting for the other side of a fifo.
int berth_open_read(const char *path);

/// Opens for writing, made or emptied; `created` tells which.
int berth_open_write(const char *path, mode_t mode, int *created);

/// What happened in a watched folder.
enum {
    BERTH_WATCH_OTHER = 0,
    BERTH_WATCH_CREATED,
    /// Renamed into the folder.
    BERTH_WATCH_ARRIVED,
    BERTH_WATCH_REMOVED,
    /// Renamed away.
    BERTH_WATCH_LEFT,
    BERTH_WATCH_WRITTEN,
    /// Permissions, owner, times or attributes have changed.
    BERTH_WATCH_CHANGED,
    /// The folder is no longer watched.
    BERTH_WATCH_FORGOTTEN,
    /// Events were lost, as they were not read.
    BERTH_WATCH_LOST,
};

typedef struct {
    /// Which folder; -1 for lost events.
    int number;
    int kind;
    int is_folder;
    /// The name in the folder, empty for the folder itself; lies in the parsed bytes.
    const char *name;
} berth_watch_event;

/// Opens an inotify instance, non-blocking.
int berth_watch_open(void);

/// Watches a folder, not following a link at its end, and answers its number.
int berth_watch_add(int fd, const char *path);

/// Ends the watch of a folder.
void berth_watch_remove(int fd, int number);

/// Takes one event off the front of bytes read; answers its length, 0 when there is no whole one.
size_t berth_watch_parse(const void *bytes, size_t length, berth_watch_event *event);

/// Whether a path lies on a filesystem of another machine: 1 or 0.
int berth_is_network_mount(const char *path);

/// The names of a file's attributes, each ended by a zero byte; by descriptor, or by path when that is negative.
ssize_t berth_attribute_list(int fd, const char *path, char *buffer, size_t length);

/// The value of an attribute; answers its length.
ssize_t berth_attribute_get(int fd, const char *path, const char *name, void *buffer, size_t length);

/// Sets an attribute.
int berth_attribute_set(int fd, const char *name, const void *value, size_t length);

/// Removes an attribute.
int berth_attribute_remove(int fd, const char *name);

/// A gzip stream being written or read.
typedef struct berth_gzip berth_gzip;

/// Begins a stream; NULL when there is no memory.
berth_gzip *berth_gzip_open(int inflates);

/// Takes some of the input and gives some output; both lengths become what was taken and given.
///
/// Answers 1 at the end of a member, 0 when there is more to do, -EBADMSG for what is no gzip stream.
int berth_gzip_step(berth_gzip *gzip, const void *input, size_t *input_length, void *output, size_t *output_length,
                    int finishes);

/// Frees a stream.
void berth_gzip_close(berth_gzip *gzip);

/// Removes a file, or a folder with everything in it; a missing path is no error. Does not follow links.
int berth_remove_tree(const char *path);

#endif
