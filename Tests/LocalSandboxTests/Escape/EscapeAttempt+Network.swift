import DeploymentCore

/// The host's sockets, other sandboxes, and the network.
extension EscapeAttempt {
    static let network: [EscapeAttempt] = [
        .init(
            name: "connect to the host's loopback", stoppedBy: .hiding, control: .outside, landlock: 4,
            program: "socket.create_connection(('127.0.0.1', int(facts['tcp'])), 1)"),
        .init(
            name: "connect to it by the first packet's data", stoppedBy: .hiding, control: .outside, isRare: true,
            program: """
                sender = socket.socket()
                sender.sendto(b"x", 0x20000000, ("127.0.0.1", int(facts["tcp"])))
                """),
        .init(
            name: "connect to it by another protocol over TCP", stoppedBy: .hiding, control: .outside, isRare: true,
            program: """
                sender = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
                sender.connect(("127.0.0.1", int(facts["tcp"])))
                """),
        .init(
            name: "connect to the metadata address", stoppedBy: .hiding, control: .outside, isRare: true,
            landlock: 4,
            program: """
                sender = socket.socket()
                sender.setblocking(False)
                try: sender.connect(("169.254.169.254", 80))
                # The packet is on its way.
                except BlockingIOError: pass
                """),
        .init(
            name: "ask the host by UDP", stoppedBy: .hiding, control: .outside,
            program: """
                sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                sender.settimeout(1)
                sender.connect(("127.0.0.1", int(facts["udp"])))
                sender.send(b"ping")
                got = sender.recv(16)
                """),
        .init(
            name: "connect to a unix socket of the host", stoppedBy: .hiding, control: .outside,
            program: """
                sender = socket.socket(socket.AF_UNIX)
                sender.connect(facts["folder"] + "/stream")
                """),
        .init(
            name: "connect to an abstract socket of the host", stoppedBy: .hiding, control: .outside,
            program: """
                sender = socket.socket(socket.AF_UNIX)
                sender.connect("\\0" + facts["abstract"])
                """),
        .init(
            name: "send a datagram out of a socket pair", stoppedBy: .hiding, control: .outside,
            program: """
                sender, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
                sender.sendto(b"x", facts["folder"] + "/datagram")
                """),
        .init(
            name: "command the agent of another sandbox", stoppedBy: .hiding, control: .outside,
            program: """
                sender = socket.socket(socket.AF_UNIX)
                sender.settimeout(2)
                sender.connect(facts["neighbour"] + "/agent.sock")
                sender.send(b"GET /health HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
                got = sender.recv(64)
                if not got: fail(errno.ENODATA)
                """),
        .init(
            name: "listen on a port of the host", stoppedBy: [.landlock], control: .outside, landlock: 4,
            program: """
                listener = socket.socket()
                listener.bind(("127.0.0.1", 0))
                """),
        .init(
            name: "speak to the hypervisor", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "socket.socket(40, socket.SOCK_STREAM)"),
        .init(
            name: "use the kernel's ciphers", stoppedBy: .filtering, control: .outside, isRare: true,
            program: "socket.socket(38, socket.SOCK_SEQPACKET)"),
        .init(
            name: "listen to all packets", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "socket.socket(17, socket.SOCK_RAW, 0x300)"),
        .init(
            name: "forge packets", stoppedBy: .filtering, control: .outsideAsRoot, isRare: true,
            program: "socket.socket(socket.AF_INET, socket.SOCK_RAW, 1)"),
    ]
}
