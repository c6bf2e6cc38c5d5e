#define _GNU_SOURCE
#include "include/walls.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
// The bit of the x32 ABI, whose numbers would pass a filter written for x86-64.
#define X32_BIT 0x40000000u
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#else
#error "the system call filter knows x86-64 and arm64"
#endif

// The most instructions of a filter; it has about 250.
#define PROGRAM_LIMIT 512


// Numbers that are newer than the headers; the same on both architectures.
#define NUMBER_open_tree_attr 467
#define NUMBER_quotactl_fd 443

typedef struct {
    struct sock_filter code[PROGRAM_LIMIT];
    size_t count;
} program;

static void add(program *program, uint16_t code, uint32_t value, uint8_t yes, uint8_t no) {
    if (program->count < PROGRAM_LIMIT)
        program->code[program->count] = (struct sock_filter){.code = code, .jt = yes, .jf = no, .k = value};
    // Too long is found by its count.
    program->count++;
}

static void add_return(program *program, uint32_t value) { add(program, BPF_RET | BPF_K, value, 0, 0); }

static void add_refusal(program *program, int error) {
    add_return(program, SECCOMP_RET_ERRNO | ((uint32_t)error & SECCOMP_RET_DATA));
}

static void load(program *program, size_t offset) { add(program, BPF_LD | BPF_W | BPF_ABS, (uint32_t)offset, 0, 0); }

// Loads the lower half of an argument; both architectures are little-endian, and the kernel looks at no more of these.
static void load_argument(program *program, int index) {
    load(program, offsetof(struct seccomp_data, args) + (size_t)index * 8);
}

// What follows, up to `end_call`, is for one call only. It returns in every case, so that nothing has to be loaded again.
static size_t begin_call(program *program, uint32_t number) {
    add(program, BPF_JMP | BPF_JEQ | BPF_K, number, 0, 0);
    return program->count;
}

static void end_call(program *program, size_t begin) {
    if (program->count <= PROGRAM_LIMIT) program->code[begin - 1].jf = (uint8_t)(program->count - begin);
}

static void refuse(program *program, const uint32_t *numbers, size_t count, int error) {
    for (size_t i = 0; i < count; i++) {
        add(program, BPF_JMP | BPF_JEQ | BPF_K, numbers[i], 0, 1);
        add_refusal(program, error);
    }
}

// Refuses a call when any of `bits` is set in the argument.
static void refuse_bits(program *program, uint32_t number, int index, uint32_t bits) {
    size_t begin = begin_call(program, number);
    load_argument(program, index);
    add(program, BPF_JMP | BPF_JSET | BPF_K, bits, 0, 1);
    add_refusal(program, EPERM);
    add_return(program, SECCOMP_RET_ALLOW);
    end_call(program, begin);
}

// Whether the loaded value is one of these decides between `found` and `otherwise`.
static void decide(program *program, const uint32_t *values, size_t count, uint32_t found, uint32_t otherwise) {
    for (size_t i = 0; i < count; i++)
        add(program, BPF_JMP | BPF_JEQ | BPF_K, values[i], (uint8_t)(count - i), 0);
    add_return(program, otherwise);
    add_return(program, found);
}

#define REFUSED(error) (SECCOMP_RET_ERRNO | (error))
#define COUNT(array) (sizeof(array) / sizeof(array)[0])

static const uint32_t refused_calls[] = {
    // Other processes' memory and descriptors.
    SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_pidfd_getfd, SYS_kcmp,
    // Mounts and roots.
    SYS_mount, SYS_umount2, SYS_pivot_root, SYS_chroot, SYS_open_tree, NUMBER_open_tree_attr, SYS_move_mount,
    SYS_fsopen, SYS_fsconfig, SYS_fsmount, SYS_fspick, SYS_mount_setattr, SYS_open_by_handle_at,
    // Namespaces.
    SYS_setns, SYS_unshare, SYS_sethostname, SYS_setdomainname,
    // Large parts of the kernel that escapes have come from.
    SYS_bpf, SYS_perf_event_open, SYS_userfaultfd, SYS_io_uring_setup, SYS_io_uring_enter, SYS_io_uring_register,
    SYS_add_key, SYS_request_key, SYS_keyctl, SYS_fanotify_init, SYS_lookup_dcookie,
    // The machine.
    SYS_kexec_load,
#ifdef SYS_kexec_file_load
    SYS_kexec_file_load,
#endif
    SYS_init_module, SYS_finit_module, SYS_delete_module, SYS_reboot, SYS_swapon, SYS_swapoff, SYS_acct, SYS_quotactl,
    NUMBER_quotactl_fd, SYS_settimeofday, SYS_clock_settime, SYS_adjtimex, SYS_clock_adjtime, SYS_syslog, SYS_vhangup,
#ifdef __x86_64__
    SYS_iopl, SYS_ioperm, SYS_modify_ldt, SYS_uselib, SYS_create_module, SYS_get_kernel_syms, SYS_query_module,
    SYS__sysctl,
#endif
};

// Reaches processes of the same user outside, where no namespace stands between.
static const uint32_t refused_on_shared_host[] = {
    SYS_shmget, SYS_shmat, SYS_shmctl, SYS_semget, SYS_semop, SYS_semtimedop, SYS_semctl,
    SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open, SYS_mq_unlink,
};

static void add_common_arguments(program *program) {
    refuse_bits(program, SYS_clone, 0,
                CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID
                    | CLONE_NEWNET);
    // Typing into a terminal, and attaching line disciplines to it.
    static const uint32_t terminal[] = {TIOCSTI, TIOCLINUX, TIOCSETD};
    size_t begin = begin_call(program, SYS_ioctl);
    load_argument(program, 1);
    decide(program, terminal, COUNT(terminal), REFUSED(EPERM), SECCOMP_RET_ALLOW);
    end_call(program, begin);
    // Only the question which one it is.
    static const uint32_t question[] = {0xffffffffu};
    begin = begin_call(program, SYS_personality);
    load_argument(program, 0);
    decide(program, question, COUNT(question), SECCOMP_RET_ALLOW, REFUSED(EPERM));
    end_call(program, begin);
}

static void add_sockets(program *program) {
    // AF_VSOCK knows no namespaces; AF_ALG and the rest are kernel code that no app needs.
    static const uint32_t families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
    size_t begin = begin_call(program, SYS_socket);
    load_argument(program, 0);
    decide(program, families, COUNT(families), SECCOMP_RET_ALLOW, REFUSED(EAFNOSUPPORT));
    end_call(program, begin);
}

// Landlock knows TCP alone, so TCP it has to be: no other protocol, and no connection by the first packet's flag.
static void add_shared_host_sockets(program *program) {
    size_t begin = begin_call(program, SYS_socket);
    load_argument(program, 0);
    // The numbers are distances to the two returns at the end.
    add(program, BPF_JMP | BPF_JEQ | BPF_K, AF_NETLINK, 9, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET, 1, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, AF_INET6, 0, 6);
    load_argument(program, 1);
    add(program, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, SOCK_STREAM, 0, 3);
    load_argument(program, 2);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 0, 2, 0);
    add(program, BPF_JMP | BPF_JEQ | BPF_K, 6, 1, 0);
    add_refusal(program, EACCES);
    add_return(program, SECCOMP_RET_ALLOW);
    end_call(program, begin);

    // A datagram pair can be sent to any unix socket afterwards; a stream pair cannot.
    static const uint32_t pairs[] = {SOCK_STREAM, SOCK_SEQPACKET};
    begin = begin_call(program, SYS_socketpair);
    load_argument(program, 1);
    add(program, BPF_ALU | BPF_AND | BPF_K, 0xf, 0, 0);
    decide(program, pairs, COUNT(pairs), SECCOMP_RET_ALLOW, REFUSED(EACCES));
    end_call(program, begin);

    refuse_bits(program, SYS_sendto, 3, MSG_FASTOPEN);
    refuse_bits(program, SYS_sendmsg, 2, MSG_FASTOPEN);
    refuse_bits(program, SYS_sendmmsg, 3, MSG_FASTOPEN);

    static const uint32_t own[] = {0};
    begin = begin_call(program, SYS_prlimit64);
    load_argument(program, 0);
    decide(program, own, COUNT(own), SECCOMP_RET_ALLOW, REFUSED(EPERM));
    end_call(program, begin);
}

static int build(program *program, berth_filter_kind kind) {
    program->count = 0;
    load(program, offsetof(struct seccomp_data, arch));
    add(program, BPF_JMP | BPF_JEQ | BPF_K, NATIVE_ARCHITECTURE, 1, 0);
    add_return(program, SECCOMP_RET_KILL_PROCESS);
    load(program, offsetof(struct seccomp_data, nr));
#ifdef X32_BIT
    add(program, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, 0, 1);
    add_refusal(program, ENOSYS);
#endif
    // Its flags lie in memory, where a filter cannot look; the C library falls back to clone.
    static const uint32_t unseen[] = {SYS_clone3};
    refuse(program, unseen, COUNT(unseen), ENOSYS);
    add_common_arguments(program);
    if (kind == BERTH_FILTER_SHARED_HOST) add_shared_host_sockets(program);
    else add_sockets(program);
    refuse(program, refused_calls, COUNT(refused_calls), EPERM);
    if (kind == BERTH_FILTER_SHARED_HOST)
        refuse(program, refused_on_shared_host, COUNT(refused_on_shared_host), EPERM);
    add_return(program, SECCOMP_RET_ALLOW);
    return program->count > PROGRAM_LIMIT ? -E2BIG : 0;
}

int berth_filter_file(berth_filter_kind kind) {
    program program;
    int error = build(&program, kind);
    if (error) return error;
    int fd = memfd_create("berth-filter", MFD_CLOEXEC);
    if (fd < 0) return -errno;
    size_t size = program.count * sizeof program.code[0];
    ssize_t written = write(fd, program.code, size);
    if (written == (ssize_t)size && lseek(fd, 0, SEEK_SET) == 0) return fd;
    error = written < 0 ? -errno : -EIO;
    close(fd);
    return error;
}

int berth_filter_install(berth_filter_kind kind) {
    program program;
    int error = build(&program, kind);
    if (error) return error;
    struct sock_fprog given = {.len = (unsigned short)program.count, .filter = program.code};
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &given) < 0 ? -errno : 0;
}

int berth_filter_holds(void) { return syscall(SYS_unshare, 0) < 0 && errno == EPERM; }
