import DeploymentCore

/// Other processes, mounts and namespaces, and the parts of the kernel that escapes have come from.
extension EscapeAttempt {
    static let processes: [EscapeAttempt] = [
        .init(
            name: "trace a process", stoppedBy: .filtering.onHostKernel, control: .outside,
            program: """
                def seize(pid):
                    call("ptrace", 0x4206, pid, 0, 0)
                any_of([lambda: seize(int(facts["pid"])), lambda: seize(child())])
                """),
        .init(
            name: "read another process's memory", stoppedBy: .filtering.onHostKernel, control: .outside,
            program: """
                class Part(ctypes.Structure):
                    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]
                own = ctypes.create_string_buffer(8)
                part = Part(ctypes.addressof(own), 8)
                call("process_vm_readv", child(), ctypes.byref(part), 1, ctypes.byref(part), 1, 0)
                """),
        .init(
            name: "take a descriptor of another process", stoppedBy: .filtering, control: .outside,
            program: "call('pidfd_getfd', os.pidfd_open(child()), 0, 0)"),
        .init(
            name: "open the memory of a process of the host", stoppedBy: .hiding, control: .outsideAsRoot,
            isRare: true, program: "os.open(f'/proc/{facts[\"pid\"]}/mem', os.O_RDONLY)"),
        .init(
            name: "read the variables of a process of the host", stoppedBy: .hiding, control: .outside,
            program: "got = read(f'/proc/{facts[\"pid\"]}/environ')"),
        .init(
            name: "signal a process of the host", stoppedBy: .hiding, control: .outside, landlock: 6,
            program: "os.kill(int(facts['pid']), 0)"),
        .init(
            name: "signal it by a descriptor", stoppedBy: .hiding, control: .outside, landlock: 6,
            program: "signal.pidfd_send_signal(os.pidfd_open(int(facts['pid'])), 0)"),
        .init(
            name: "change the limits of a process of the host", stoppedBy: .hiding, control: .outside,
            program: "got = resource.prlimit(int(facts['pid']), resource.RLIMIT_NOFILE)"),
        .init(
            name: "attach System V memory of the host", stoppedBy: .hiding, control: .outside,
            program: "call('shmat', int(facts['segment']), 0, 0)"),
        .init(
            name: "become root", stoppedBy: [.namespaces], control: .outsideAsRoot, allowsRoot: true,
            program: "os.setuid(0)"),
    ]

    static let mounts: [EscapeAttempt] = [
        .init(
            name: "mount", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('mount', b'none', b'/tmp', b'tmpfs', 0, 0)"),
        .init(
            name: "mount by the newer calls", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('fsopen', b'tmpfs', 0)"),
        .init(
            name: "copy the tree of mounts", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('open_tree', -100, b'/', 0x8001)"),
        .init(
            name: "make a read-only mount writable", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('mount', 0, b'/proc', 0, 0x1020, 0)"),
        .init(
            name: "make it writable by the newer call", stoppedBy: .filtering, control: .ownNamespaces, isRare: true,
            program: """
                change = (ctypes.c_uint64 * 4)(0, 1, 0, 0)
                call("mount_setattr", -100, b"/proc", 0, change, 32)
                """),
        .init(
            name: "unmount what covers something", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('umount2', b'/proc', 2)"),
        .init(
            name: "change the root by pivot_root", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('pivot_root', b'.', b'.', reached=(errno.EINVAL, errno.EBUSY))"),
        .init(
            name: "change the root by chroot", stoppedBy: .filtering, control: .ownNamespaces,
            program: "os.chroot('/usr')"),
        .init(
            name: "enter a namespace", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('setns', os.open('/proc/self/ns/uts', os.O_RDONLY), 0)"),
        .init(
            name: "make a user namespace", stoppedBy: .filtering.onHostKernel, control: .outside, isRare: true,
            program: "call('unshare', 0x10000000)"),
        .init(
            name: "make a user namespace by clone", stoppedBy: .filtering.onHostKernel, control: .outside, isRare: true,
            program: """
                pid = call("clone", 0x10000000 | signal.SIGCHLD, 0, 0, 0, 0)
                if pid == 0: os._exit(0)
                """),
        .init(
            name: "make a user namespace by clone3", stoppedBy: .filtering.onHostKernel, control: .outside,
            isRare: true,
            program: """
                arguments = (ctypes.c_uint64 * 11)(0x10000000, 0, 0, 0, signal.SIGCHLD)
                pid = call("clone3", arguments, ctypes.sizeof(arguments))
                if pid == 0: os._exit(0)
                """),
        .init(
            name: "start a sandbox of one's own", stoppedBy: .filtering.onHostKernel, control: .outside, isRare: true,
            program: """
                import subprocess
                if subprocess.run(["/usr/bin/unshare", "--user", "--map-root-user", "true"], capture_output=True).returncode:
                    fail(errno.EPERM)
                """),
        .init(
            name: "rename the machine", stoppedBy: .filtering, control: .ownNamespaces,
            program: "call('sethostname', b'taken', 5)"),
    ]

    static let kernel: [EscapeAttempt] = [
        .init(
            name: "load a bpf map", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                attributes = (ctypes.c_uint32 * 32)(2, 4, 4, 1)
                call("bpf", 0, attributes, 128)
                """),
        .init(
            name: "measure by perf", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                attributes = (ctypes.c_uint32 * 32)(1, 128)
                call("perf_event_open", attributes, 0, -1, -1, 0)
                """),
        .init(
            name: "handle page faults", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "call('userfaultfd', 1)"),
        .init(
            name: "use io_uring", stoppedBy: .filtering.onHostKernel, control: .outside, isRare: true,
            program: "call('io_uring_setup', 1, (ctypes.c_uint32 * 32)())"),
        .init(
            name: "add a key", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "call('add_key', b'user', b'berth', b'x', 1, -2)"),
        .init(
            name: "find the session's keys", stoppedBy: .filtering.onHostKernel, control: .outside, isRare: true,
            program: "call('keyctl', 0, -3, 1, 0, 0)"),
        .init(
            name: "open a file by its handle", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                handle = (ctypes.c_uint32 * 34)(128)
                mount = ctypes.c_int()
                folder = os.open(".", os.O_RDONLY)
                call("name_to_handle_at", -100, b".", handle, ctypes.byref(mount), 0)
                call("open_by_handle_at", folder, handle, 0)
                """),
        .init(
            name: "load a module", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                open("module.ko", "w").write("no module")
                call("finit_module", os.open("module.ko", os.O_RDONLY), b"", 0, reached=(errno.ENOEXEC, errno.EINVAL))
                """),
        .init(
            name: "load another kernel", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('kexec_load', 0, 17, 0, 0x70000, reached=(errno.EINVAL,))"),
        .init(
            name: "reboot", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('reboot', 1, 1, 0, 0, reached=(errno.EINVAL,))"),
        .init(
            name: "swap to a file", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('swapon', b'.', 0, reached=(errno.EINVAL, errno.EISDIR))"),
        .init(
            name: "set the clock", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('settimeofday', 0, 0)"),
        .init(
            name: "drive hardware ports", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('iopl', 3)"),
        .init(
            name: "switch off address randomisation", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "call('personality', 0x40000)"),
        .init(
            name: "read the kernel's log by its call", stoppedBy: .filtering.onHostKernel, control: .outsideAsRoot,
            isRare: true,
            program: "call('syslog', 3, ctypes.create_string_buffer(64), 64)"),
        .init(
            name: "watch the file system", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "call('fanotify_init', 0x200, 0)"),
        .init(
            name: "enter the kernel by its 32-bit door", stoppedBy: .filtering, control: .outside, isRare: true,
            program: """
                import mmap
                if not x86: fail(errno.ENOSYS)
                code = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
                # mov eax, 20 (getpid); int 0x80; ret
                code.write(bytes([0xb8, 20, 0, 0, 0, 0xcd, 0x80, 0xc3]))
                start = ctypes.addressof(ctypes.c_char.from_buffer(code))
                got = ctypes.CFUNCTYPE(ctypes.c_int)(start)()
                if got < 0: fail(errno.ENOSYS)
                """),
        .init(
            name: "type into a terminal", stoppedBy: .hiding, control: .outside, isRare: true,
            program: """
                import termios
                master, slave = os.openpty()
                fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
                fcntl.ioctl(slave, termios.TIOCSTI, b"x")
                """),
        .init(
            name: "change a terminal's line discipline", stoppedBy: .hiding, control: .outside, isRare: true,
            program: """
                master, slave = os.openpty()
                fcntl.ioctl(slave, 0x5423, struct.pack("i", 0))
                """),
    ]
}
