import DeploymentCore
import Sandboxes

/// Who listens, read from a sandbox's /proc: the tables of sockets, the processes, and what they have open.
///
/// All of it is the sandbox's word. Lines that make no sense are left out.
struct SocketTable: Sendable {
    private struct Process {
        var parent: Int
        var session: Int
    }

    private var sockets: [(address: String, port: Int, inode: String)] = []
    private var processes: [Int: Process] = [:]
    private var holders: [String: Int] = [:]

    /// Reads three parts, each behind a line `==`: /proc/net/tcp and tcp6, /proc/*/stat, and `ls -l /proc/*/fd`.
    init(_ text: String) {
        var part = 0
        var pid: Int?
        for line in text.split(separator: "\n") {
            if line == "==" {
                part += 1
                continue
            }
            switch part {
            case 0: readSocket(line)
            case 1: readProcess(line)
            default:
                if line.hasPrefix("/proc/"), line.hasSuffix("/fd:") {
                    pid = Int(line.dropFirst("/proc/".count).prefix { $0.isNumber })
                } else if let pid, let inode = Self.inode(line), holders[inode] == nil {
                    holders[inode] = pid
                }
            }
        }
    }

    private mutating func readSocket(_ line: Substring) {
        let words = line.split(separator: " ")
        // The state 0A is TCP_LISTEN.
        guard words.count > 9, words[3] == "0A" else { return }
        let local = words[1].split(separator: ":")
        guard local.count == 2, let port = Int(local[1], radix: 16), let address = Self.address(local[0]) else {
            return
        }
        sockets.append((address, port, String(words[9])))
    }

    /// `pid (name) state parent group session …`; the name may hold anything.
    private mutating func readProcess(_ line: Substring) {
        guard let end = line.lastIndex(of: ")"), let pid = Int(line.prefix { $0.isNumber }) else { return }
        let words = line[line.index(after: end)...].split(separator: " ")
        guard words.count > 3, let parent = Int(words[1]), let session = Int(words[3]) else { return }
        processes[pid] = Process(parent: parent, session: session)
    }

    private static func inode(_ line: Substring) -> String? {
        guard let name = line.split(separator: " ").last, name.hasPrefix("socket:["), name.hasSuffix("]") else {
            return nil
        }
        return String(name.dropFirst("socket:[".count).dropLast())
    }

    /// Addresses are written as 32-bit words in the order of a little-endian machine.
    private static func address(_ hex: Substring) -> String? {
        let digits = Array(hex.utf8)
        var bytes: [UInt8] = []
        for index in stride(from: 0, to: digits.count - 1, by: 2) {
            guard let byte = UInt8(String(decoding: digits[index...index + 1], as: UTF8.self), radix: 16) else {
                return nil
            }
            bytes.append(byte)
        }
        guard bytes.count == 4 || bytes.count == 16 else { return nil }
        let ordered = stride(from: 0, to: bytes.count, by: 4).flatMap { bytes[$0..<$0 + 4].reversed() }
        return IPAddress(bytes: Array(ordered))?.description
    }

    /// - Parameter tags: the tags of the processes that we started, by their numbers.
    func listeners(tags: [Int: String]) -> [Listener] {
        sockets.map { socket in
            let holder = holders[socket.inode]
            return Listener(
                address: socket.address, port: socket.port, pid: holder, tag: holder.flatMap { tag(of: $0, tags) })
        }
    }

    /// The tag of the process, of the leader of its session, or of a parent of either.
    private func tag(of pid: Int, _ tags: [Int: String]) -> String? {
        var current = pid
        // More parents than processes would be a circle.
        for _ in 0...processes.count {
            if let tag = tags[current] { return tag }
            guard let process = processes[current] else { return nil }
            if let tag = tags[process.session] { return tag }
            guard process.parent > 1 else { return nil }
            current = process.parent
        }
        return nil
    }
}
