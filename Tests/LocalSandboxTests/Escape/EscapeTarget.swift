import BerthTestSupport
import DeploymentCore
import Foundation
import Glibc
import Testing

/// What the host has to lose: files, sockets and memory held open by a process of the user's.
final class EscapeTarget: Sendable {
    /// What attempts are told of it.
    let facts: [String: String]
    private let process: Process
    private let input: Pipe

    /// Starts the process and waits until everything is there.
    init(folder: String) throws {
        process = Process()
        input = Pipe()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/usr/bin/python3")
        process.arguments = ["-I", "-S", "-c", Self.script]
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.environment = ["CONTENT": "precious-content"]
        process.standardInput = input
        process.standardOutput = output
        try process.run()
        var line = Data()
        while line.last != UInt8(ascii: "\n") {
            let more = output.fileHandleForReading.availableData
            guard !more.isEmpty else { throw BerthError(.startFailed, "the target of the escapes ended") }
            line += more
        }
        facts = try JSONDecoder().decode([String: String].self, from: line)
    }

    /// Ends the process, which takes what it made along.
    func close() {
        try? input.fileHandleForWriting.close()
        process.waitUntilExit()
    }

    private static let script = """
        import ctypes, json, os, socket, threading
        folder = os.getcwd()
        content = os.environ["CONTENT"]
        for name in ("secret", "linked", "moved", "appended", "truncated", "removed"):
            with open(name, "w") as file: file.write(content)
            os.chmod(name, 0o600)
        os.mkdir("environment")
        os.chmod("environment", 0o755)
        with open("environment/module.py", "w") as file: file.write("pass")
        held = open("secret")
        shared = f"berth-escape-{os.getpid()}"
        with open("/dev/shm/" + shared, "w") as file: file.write(content)
        libc = ctypes.CDLL(None)
        libc.shmat.restype = ctypes.c_void_p
        segment = libc.shmget(0, 4096, 0o1600)
        libc.shmat(segment, None, 0)
        # Gone with the last process that has it attached, however that ends.
        libc.shmctl(segment, 0, None)
        def listening(kind, address, family=socket.AF_UNIX):
            listener = socket.socket(family, kind)
            listener.bind(address)
            if kind == socket.SOCK_STREAM: listener.listen(64)
            return listener
        loopback = ("127.0.0.1", 0)
        tcp = listening(socket.SOCK_STREAM, loopback, socket.AF_INET)
        udp = listening(socket.SOCK_DGRAM, loopback, socket.AF_INET)
        abstract = f"berth-escape-{os.getpid()}"
        kept = [listening(socket.SOCK_STREAM, "stream"), listening(socket.SOCK_DGRAM, "datagram"),
                listening(socket.SOCK_STREAM, "\\0" + abstract)]
        def echo():
            while True:
                data, sender = udp.recvfrom(64)
                udp.sendto(data, sender)
        threading.Thread(target=echo, daemon=True).start()
        print(json.dumps({
            "pid": str(os.getpid()), "folder": folder, "secret": folder + "/secret", "content": content,
            "environment": folder + "/environment", "shared": shared, "segment": str(segment),
            "tcp": str(tcp.getsockname()[1]), "udp": str(udp.getsockname()[1]), "abstract": abstract}), flush=True)
        os.read(0, 1)
        os.unlink("/dev/shm/" + shared)
        """
}

/// A place outside any sandbox, where attempts have to succeed.
enum EscapeControl {
    /// Runs attempts with what `prefix` puts before them.
    static func outcomes(
        _ attempts: [EscapeAttempt], facts: [String: String], folder: String, prefix: [String]
    ) throws -> [String: EscapeDriver.Outcome] {
        let job = "\(folder)/escape.json"
        try Data(EscapeDriver.job(attempts, facts: facts)).write(to: URL(fileURLWithPath: job))
        let process = Process()
        let output = Pipe()
        process.executableURL = URL(fileURLWithPath: "/bin/sh")
        // One descriptor is left open on purpose.
        process.arguments =
            ["-c", #"exec "$@" 5<"$0""#, job] + prefix + [
                "/usr/bin/python3", "-I", "-S", "-c", EscapeDriver.script, job,
            ]
        process.currentDirectoryURL = URL(fileURLWithPath: folder)
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        try process.run()
        let text = try output.fileHandleForReading.readToEnd() ?? Data()
        process.waitUntilExit()
        return try EscapeDriver.outcomes(String(decoding: text, as: UTF8.self))
    }
}
