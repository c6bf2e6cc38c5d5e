import DeploymentCore

/// The host's files, the read-only parts, and the kernel's files.
extension EscapeAttempt {
    static let files: [EscapeAttempt] = [
        .init(name: "read a file of the host", stoppedBy: .hiding, control: .outside, program: "got = read(secret)"),
        .init(
            name: "read it through any process's root", stoppedBy: .hiding, control: .outside,
            program: "got = any_of([lambda p=p: read(f'/proc/{p}/root{secret}') for p in pids()])"),
        .init(
            name: "read it through any process's working directory", stoppedBy: .hiding, control: .outside,
            program: "got = any_of([lambda p=p: read(f'/proc/{p}/cwd/' + os.path.basename(secret)) for p in pids()])"),
        .init(
            name: "read it through any process's descriptors", stoppedBy: .hiding, control: .outside,
            program: """
                found = [f for p in pids() for f in glob.glob(f"/proc/{p}/fd/*")]
                # Only plain files: what is read from a pipe is gone for its owner.
                got = any_of([lambda f=f: read(f) for f in found if os.path.isfile(f)])
                """),
        .init(
            name: "climb out of the root by dots", stoppedBy: .hiding, control: .outside,
            program: """
                root = os.open("/", os.O_PATH)
                got = os.read(os.open("../../../.." + secret, os.O_RDONLY, dir_fd=root), 100)
                """),
        .init(
            name: "follow a symbolic link out", stoppedBy: .hiding, control: .outside,
            program: """
                os.symlink(secret, "symbolic")
                got = read("symbolic")
                """),
        .init(
            name: "link a file of the host into the home", stoppedBy: .hiding, control: .outside,
            program: """
                os.link(facts["folder"] + "/linked", "hard")
                got = read("hard")
                """),
        .init(
            name: "move a file of the host into the home", stoppedBy: .hiding, control: .outside,
            program: "os.rename(facts['folder'] + '/moved', 'moved')"),
        .init(
            name: "append to a file of the host", stoppedBy: .hiding, control: .outside,
            program: "os.write(os.open(facts['folder'] + '/appended', os.O_WRONLY | os.O_APPEND), b'x')"),
        .init(
            name: "truncate a file of the host", stoppedBy: .hiding, control: .outside, landlock: 3,
            program: "os.truncate(facts['folder'] + '/truncated', 0)"),
        .init(
            name: "remove a file of the host", stoppedBy: .hiding, control: .outside,
            program: "os.unlink(facts['folder'] + '/removed')"),
        .init(
            name: "make a file on the host", stoppedBy: .hiding, control: .outside,
            program: "open(facts['folder'] + '/made', 'x').close()"),
        .init(
            name: "make a folder on the host", stoppedBy: .hiding, control: .outside,
            program: "os.mkdir(facts['folder'] + '/made-folder')"),
        .init(
            name: "list a folder of the host", stoppedBy: .hiding, control: .outside,
            program: "got = os.listdir(facts['folder'])"),
        .init(
            name: "change the mode of a file of the host", stoppedBy: [.namespaces], control: .outside,
            program: "os.chmod(facts['folder'] + '/linked', 0o666)"),
        .init(
            name: "read shared memory of the host", stoppedBy: .hiding, control: .outside,
            program: "got = read('/dev/shm/' + facts['shared'])"),
        .init(
            name: "change the environment", stoppedBy: .hiding, control: .outside,
            program: "os.open(facts['environment'] + '/module.py', os.O_WRONLY)"),
        .init(
            name: "add to the environment", stoppedBy: .hiding, control: .outside,
            program: "open(facts['environment'] + '/added.py', 'x').close()"),
        .init(
            name: "write to the system", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: "os.open('/usr', os.O_TMPFILE | os.O_RDWR)"),
        .init(
            name: "overwrite the program that started us", stoppedBy: [.namespaces], control: .outside,
            isRare: true,
            program: """
                starter = int(open("/proc/self/stat").read().rsplit(")", 1)[1].split()[1])
                while True:
                    above = int(open(f"/proc/{starter}/stat").read().rsplit(")", 1)[1].split()[1])
                    if "python" not in os.readlink(f"/proc/{starter}/exe"): break
                    starter = above
                # Told before it is opened that the mount is read-only; nothing is cut as long as it runs.
                try: os.open(f"/proc/{starter}/exe", os.O_WRONLY | os.O_TRUNC)
                # Past the mount, and stopped only until it ends.
                except OSError as error:
                    if error.errno != errno.ETXTBSY: raise
                """),
        .init(
            name: "use a descriptor that was left open", stoppedBy: .filtering, control: .outside,
            program: """
                inherited = []
                for number in os.listdir("/proc/self/fd"):
                    try: target = os.readlink("/proc/self/fd/" + number)
                    except OSError: continue
                    if int(number) > 2 and not target.startswith("pipe:") and target != "/dev/null":
                        inherited.append(target)
                if not inherited: fail(errno.EBADF)
                got = inherited
                """),
        .init(
            name: "read a file of another sandbox", stoppedBy: .hiding, control: .outside,
            program: "got = read(facts['neighbour'] + '/home/app/private')"),
    ]

    static let kernelFiles: [EscapeAttempt] = [
        .init(
            name: "make a device", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                import stat
                os.mknod("device", stat.S_IFCHR | 0o600, os.makedev(1, 3))
                os.open("device", os.O_RDWR)
                """),
        .init(
            name: "read a disk", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: """
                disks = [line.split()[3] for line in open("/proc/partitions").read().splitlines()[2:]]
                got = any_of([lambda d=d: os.read(os.open("/dev/" + d, os.O_RDONLY), 16) for d in disks])
                """),
        .init(
            name: "read the kernel's memory", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: """
                got = os.read(os.open("/proc/kcore", os.O_RDONLY), 4)
                if not got: fail(errno.ENODATA)
                """),
        .init(
            name: "read the kernel's log", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: "got = os.read(os.open('/dev/kmsg', os.O_RDONLY | os.O_NONBLOCK), 8192)"),
        .init(
            name: "reboot by sysrq", stoppedBy: .hiding.onHostKernel, control: .outsideAsRoot, isRare: true,
            program: "os.open('/proc/sysrq-trigger', os.O_WRONLY)"),
        .init(
            name: "have the host run a program at a crash", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: "os.open('/proc/sys/kernel/core_pattern', os.O_WRONLY)"),
        .init(
            name: "have the host run a program for a module", stoppedBy: .hiding, control: .outsideAsRoot,
            isRare: true, program: "os.open('/proc/sys/kernel/modprobe', os.O_WRONLY)"),
        .init(
            name: "have the host run a program at a cgroup's end", stoppedBy: .hiding, control: .outsideAsRoot,
            isRare: true,
            program:
                "any_of([lambda f=f: os.open(f, os.O_WRONLY) for f in glob.glob('/sys/fs/cgroup/*/release_agent')])"
        ),
        .init(
            name: "move to another cgroup", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: """
                files = glob.glob("/sys/fs/cgroup/cgroup.procs") + glob.glob("/sys/fs/cgroup/*/cgroup.procs")
                any_of([lambda f=f: os.open(f, os.O_WRONLY) for f in files])
                """),
        .init(
            name: "change how the kernel shares memory", stoppedBy: .hiding, control: .outsideAsRoot, isRare: true,
            program: "os.open('/proc/sys/vm/overcommit_memory', os.O_WRONLY)"),
    ]
}
