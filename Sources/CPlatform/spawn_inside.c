#define _GNU_SOURCE
#include "include/groups.h"
#include "spawn_targets.h"
#include "inside.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT 21
#endif
#ifndef SYS_process_madvise
#define SYS_process_madvise 440
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
#ifndef SYS_clone3
#define SYS_clone3 435
#endif

#define STACK_SIZE (128 << 10)
// linux/sched.h
#define INTO_CGROUP 0x200000000ULL

typedef struct {
    const char *path;
    char *const *argv;
    char *const *envp;
    const char *cwd;
    const berth_fd_mapping *fds;
    const int *copies;
    int count;
    int new_session;
    const berth_groups *groups;
    /// NULL for none.
    berth_staging *staging;
    /// NULL for the same as the parent.
    const berth_account *account;
    /// The path of a terminal, empty for the one that is standard input; NULL for none.
    const char *terminal;
    /// The working directory when there is no `cwd`; -1 for the parent's.
    int folder;
    int enters_by_itself;
    // Written by the child, whose memory is ours until it runs the program.
    int error;
} order;

static int join(int file) { return write(file, "0", 1) == 1 ? 0 : errno; }

static int prepare_descriptors(const order *order) {
    int highest = 2;
    int given[3] = {0, 0, 0};
    for (int i = 0; i < order->count; i++) {
        int target = order->fds[i].target;
        if (target > highest) highest = target;
        if (target < 3) given[target] = 1;
        if (dup2(order->copies[i], target) < 0) return errno;
    }
    for (int i = 0; i < 3; i++) {
        if (given[i]) continue;
        int null = open("/dev/null", i == 0 ? O_RDONLY : O_WRONLY);
        if (null < 0 || (null != i && dup2(null, i) < 0)) return errno;
    }
    return syscall(SYS_close_range, highest + 1, ~0U, 0) < 0 ? errno : 0;
}

// The session's terminal, which is all that the child has open.
static int take_terminal(const char *path) {
    int terminal = open(path, O_RDWR);
    if (terminal < 0) return errno;
    for (int i = 0; i < 3; i++)
        if (dup2(terminal, i) < 0) return errno;
    return syscall(SYS_close_range, 3, ~0U, 0) < 0 ? errno : 0;
}

// The C library's calls would change every thread of the process whose memory this is.
static int become(const berth_account *account) {
    int error = berth_capabilities_bound(account->capabilities);
    if (error) return error;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) return errno;
    if (syscall(SYS_setgroups, 0, NULL) < 0 || syscall(SYS_setresgid, account->group, account->group, account->group) < 0
        || syscall(SYS_setresuid, account->user, account->user, account->user) < 0)
        return errno;
    return berth_capabilities_set(account->capabilities);
}

// Runs in the child with every signal blocked, on a stack of its own and in the parent's memory; the parent waits.
static int prepare(order *order) {
    struct sigaction standard = {.sa_handler = SIG_DFL};
    for (int i = 1; i < NSIG; i++) sigaction(i, &standard, NULL);
    if (order->new_session && setsid() < 0) return errno;
    int error = 0;
    if (order->enters_by_itself) {
        int file = openat(order->groups->folder, "cgroup.procs", O_WRONLY | O_CLOEXEC);
        if (file < 0) return errno;
        if ((error = join(file)) != 0) return error;
    }
    for (int i = 0; i < order->groups->count; i++)
        if ((error = join(order->groups->tasks[i])) != 0) return error;
    if (order->staging && (error = berth_stage(order->staging)) != 0) return error;
    int names_terminal = order->terminal && order->terminal[0];
    // Descriptors are closed last: the folder is one of them.
    if (order->account && (error = become(order->account)) != 0) return error;
    if (order->cwd && chdir(order->cwd) < 0) return errno;
    if (!order->cwd && order->folder >= 0 && fchdir(order->folder) < 0) return errno;
    if ((error = names_terminal ? take_terminal(order->terminal) : prepare_descriptors(order)) != 0) return error;
    if (order->terminal && !names_terminal && ioctl(0, TIOCSCTTY, 0) < 0) return errno;
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(order->path, order->argv, order->envp);
    return errno;
}

static int run(void *argument) {
    order *order = argument;
    order->error = prepare(order);
    _exit(127);
}

typedef struct {
    uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
} clone_arguments;

// clone3(2) with a stack of the child's own, which C cannot say; a negative errno on failure.
static long clone_into(clone_arguments *arguments, order *order) {
#if defined(__x86_64__)
    register int (*function)(void *) __asm__("r12") = run;
    register void *argument __asm__("r13") = order;
    long result;
    __asm__ volatile("syscall\n"
                     "test %%rax, %%rax\n"
                     "jnz 1f\n"
                     "xor %%ebp, %%ebp\n"
                     "mov %%r13, %%rdi\n"
                     "call *%%r12\n"
                     "ud2\n"
                     "1:\n"
                     : "=a"(result)
                     : "a"((long)SYS_clone3), "D"(arguments), "S"(sizeof *arguments), "r"(function), "r"(argument)
                     : "rcx", "r11", "memory");
    return result;
#elif defined(__aarch64__)
    register long number __asm__("x8") = SYS_clone3;
    register long result __asm__("x0") = (long)arguments;
    register long size __asm__("x1") = sizeof *arguments;
    register int (*function)(void *) __asm__("x19") = run;
    register void *argument __asm__("x20") = order;
    __asm__ volatile("svc #0\n"
                     "cbnz x0, 1f\n"
                     "mov x29, #0\n"
                     "mov x0, x20\n"
                     "blr x19\n"
                     "brk #0\n"
                     "1:\n"
                     : "+r"(result)
                     : "r"(number), "r"(size), "r"(function), "r"(argument)
                     : "memory", "x30");
    return result;
#else
    (void)arguments;
    (void)order;
    return -ENOSYS;
#endif
}

static pid_t start(order *order, char *stack) {
    if (order->groups->folder >= 0) {
        clone_arguments arguments = {
            .flags = CLONE_VM | CLONE_VFORK | INTO_CGROUP, .exit_signal = SIGCHLD, .stack = (uint64_t)stack,
            .stack_size = STACK_SIZE, .cgroup = (uint64_t)order->groups->folder};
        long pid = clone_into(&arguments, order);
        // Blocked by the seccomp filter of a container, or older than the flag (Linux 5.7).
        if (pid != -ENOSYS && pid != -EINVAL && pid != -E2BIG && pid != -EPERM) return (pid_t)pid;
        order->enters_by_itself = 1;
    }
    pid_t pid = clone(run, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | SIGCHLD, order);
    return pid < 0 ? -errno : pid;
}

static int spawn(pid_t *pid, order *order) {
    int error = berth_spawn_check_targets(order->fds, order->count);
    if (error) return -error;
    if (order->groups->count < 0 || order->groups->count > BERTH_SPAWN_MAXIMUM_GROUPS) return -EINVAL;
    char *stack = mmap(NULL, STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    if (stack == MAP_FAILED) return -errno;
    int copies[BERTH_SPAWN_MAXIMUM_FDS];
    int made = 0;
    order->copies = copies;
    // Above every target, so that one mapping cannot overwrite the source of the next.
    for (; made < order->count && error == 0; made++) {
        copies[made] = fcntl(order->fds[made].source, F_DUPFD_CLOEXEC, BERTH_SPAWN_MAXIMUM_FDS + 3);
        if (copies[made] < 0) error = errno;
    }
    if (error == 0) {
        sigset_t all, before;
        sigfillset(&all);
        pthread_sigmask(SIG_BLOCK, &all, &before);
        // A child that changes its user makes the memory that it shares untraceable, which is ours.
        int dumpable = prctl(PR_GET_DUMPABLE);
        pid_t child = start(order, stack);
        if (order->staging && dumpable == 1) prctl(PR_SET_DUMPABLE, 1);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        error = child < 0 ? -child : order->error;
        if (child > 0 && error) while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
        *pid = child;
    }
    for (int i = 0; i < made; i++)
        if (copies[i] >= 0) close(copies[i]);
    munmap(stack, STACK_SIZE);
    return -error;
}

int berth_spawn_inside(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd,
                       const berth_fd_mapping *fds, int count, int new_session, const berth_groups *groups) {
    order order = {.path = path, .argv = argv, .envp = envp, .cwd = cwd, .fds = fds, .count = count,
                   .folder = -1, .new_session = new_session, .groups = groups};
    return spawn(pid, &order);
}

int berth_spawn_staged(pid_t *pid, const char *path, char *const argv[], char *const envp[],
                       const berth_fd_mapping *fds, int count, const berth_groups *groups, berth_staging *staging) {
    order order = {.path = path, .argv = argv, .envp = envp, .cwd = "/", .fds = fds, .count = count,
                   .folder = -1, .new_session = 1, .groups = groups, .staging = staging};
    return spawn(pid, &order);
}

int berth_spawn_as(pid_t *pid, const char *path, char *const argv[], char *const envp[], const char *cwd, int folder,
                   const berth_fd_mapping *fds, int count, const char *terminal, const berth_account *account) {
    berth_groups none = {.folder = -1};
    order order = {.path = path, .argv = argv, .envp = envp, .cwd = cwd, .folder = folder, .fds = fds, .count = count,
                   .new_session = 1, .groups = &none, .account = account, .terminal = terminal};
    return spawn(pid, &order);
}

int berth_limit_set(pid_t pid, int limit, uint64_t value) {
    struct rlimit both = {.rlim_cur = value, .rlim_max = value};
    int result = -1;
    if (limit == BERTH_LIMIT_OPEN_FILES) result = prlimit(pid, RLIMIT_NOFILE, &both, NULL);
    else if (limit == BERTH_LIMIT_FILE_SIZE) result = prlimit(pid, RLIMIT_FSIZE, &both, NULL);
    else if (limit == BERTH_LIMIT_DATA) result = prlimit(pid, RLIMIT_DATA, &both, NULL);
    else if (limit == BERTH_LIMIT_PROCESSES) result = prlimit(pid, RLIMIT_NPROC, &both, NULL);
    else return -EINVAL;
    return result < 0 ? -errno : 0;
}

ssize_t berth_page_out(int pidfd, uint64_t start, uint64_t length) {
    struct iovec range = {.iov_base = (void *)start, .iov_len = length};
    ssize_t result = syscall(SYS_process_madvise, pidfd, &range, 1UL, MADV_PAGEOUT, 0U);
    return result < 0 ? -errno : result;
}
