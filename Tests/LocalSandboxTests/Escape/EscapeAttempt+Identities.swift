import DeploymentCore

/// Users, groups and capabilities, and the agent, which is root where a sandbox has ids of its own.
extension EscapeAttempt {
    /// The agent in a sandbox; on the host a process of whoever runs the tests.
    private static let agent = """
        # bubblewrap's init is the first process, and what it starts the second.
        with open("/proc/2/cmdline", "rb") as file: is_inside = file.read(16) == b"/opt/berth/agent"
        agent = 2 if is_inside else int(facts["pid"])

        """

    static let identities: [EscapeAttempt] = [
        .init(
            name: "become a user that the sandbox does not have", stoppedBy: [.namespaces], control: .outsideAsRoot,
            program: "os.setresuid(70000, 70000, 70000)"),
        .init(
            name: "become root of another sandbox", stoppedBy: [.namespaces], control: .outsideAsRoot,
            program: "os.setresuid(0x70010000, 0x70010000, 0x70010000)"),
        .init(
            name: "open files as another user", stoppedBy: [.namespaces], control: .outsideAsRoot,
            program: """
                libc.setfsuid(70000)
                if libc.setfsuid(-1) != 70000: fail(errno.EPERM)
                """),
        .init(
            name: "join a group that the sandbox does not have", stoppedBy: [.namespaces], control: .outsideAsRoot,
            program: "os.setgroups([70000])"),
        .init(
            name: "join the group of root", stoppedBy: [.namespaces], control: .outsideAsRoot, allowsRoot: true,
            program: "os.setgroups([0])"),
        .init(
            name: "give a file to a user that the sandbox does not have", stoppedBy: [.namespaces],
            control: .outsideAsRoot,
            program: """
                open("given", "w").close()
                os.chown("given", 70000, 70000)
                """),
        .init(
            name: "give a file to root and let it run as root", stoppedBy: [.namespaces], control: .outsideAsRoot,
            program: """
                import shutil, subprocess
                shutil.copy("/usr/bin/id", "setuid")
                os.chown("setuid", 0, 0)
                os.chmod("setuid", 0o4755)
                def drop(): os.setresuid(1000, 1000, 1000)
                found = subprocess.run([os.path.abspath("setuid"), "-u"], capture_output=True, preexec_fn=drop).stdout
                if found != b"0\\n": fail(errno.EPERM)
                """),
        .init(
            name: "keep capabilities over the start of a program", stoppedBy: [.namespaces], control: .ownNamespaces,
            program: """
                header = (ctypes.c_uint32 * 2)(0x20080522, 0)
                data = (ctypes.c_uint32 * 6)()
                if libc.capget(header, data): fail(ctypes.get_errno())
                data[2] |= 1 << 21
                data[1] |= 1 << 21
                if libc.capset(header, data): fail(ctypes.get_errno())
                # PR_CAP_AMBIENT_RAISE of CAP_SYS_ADMIN.
                if libc.prctl(47, 2, 21, 0, 0): fail(ctypes.get_errno())
                """),
        .init(
            name: "open the agent's memory", stoppedBy: [.namespaces], control: .outside, needsIdentities: true,
            program: agent + "os.open(f'/proc/{agent}/mem', os.O_RDWR)"),
        .init(
            name: "read the agent's variables", stoppedBy: [.namespaces], control: .outside, needsIdentities: true,
            program: agent + "open(f'/proc/{agent}/environ').read()"),
        .init(
            name: "look at the agent's descriptors", stoppedBy: [.namespaces], control: .outside, needsIdentities: true,
            program: agent + """
                folder = f"/proc/{agent}/fd"
                got = [os.readlink(f"{folder}/{name}") for name in os.listdir(folder)]
                """),
        .init(
            name: "enter the agent's root", stoppedBy: [.namespaces], control: .outside, needsIdentities: true,
            program: agent + "os.listdir(f'/proc/{agent}/root/')"),
        .init(
            name: "signal the agent", stoppedBy: [.namespaces], control: .outside, allowsRoot: true,
            needsIdentities: true,
            program: agent + "os.kill(agent, 0)"),
        .init(
            name: "change the agent's limits", stoppedBy: [.namespaces], control: .outside, allowsRoot: true,
            needsIdentities: true,
            program: agent
                + "resource.prlimit(agent, resource.RLIMIT_NPROC, resource.prlimit(agent, resource.RLIMIT_NPROC))"),
        .init(
            name: "trace the agent", stoppedBy: [.namespaces], control: .outside, needsIdentities: true,
            program: agent + "call('ptrace', 0x4206, agent, 0, 0)"),
        .init(
            name: "send as the sandbox's network administrator", stoppedBy: [.namespaces], control: .ownNamespaces,
            program: "socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)"),
        .init(
            name: "change a network interface", stoppedBy: [.namespaces], control: .ownNamespaces,
            program: """
                request = struct.pack("16sH14x", b"lo", 0)
                with socket.socket() as any_socket: fcntl.ioctl(any_socket, 0x8914, request)
                """),
        .init(
            name: "set the clock by its newer call", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "call('clock_settime', 0, 0, reached=(errno.EFAULT,))"),
        .init(
            name: "make a disk", stoppedBy: [.namespaces], control: .outsideAsRoot, isRare: true,
            program: "import stat; os.mknod('disk', stat.S_IFBLK | 0o600, os.makedev(7, 250))"),
    ]
}
