import DeploymentCore
import E2BProtocol
import Glibc

extension Agent {
    private static let tableLimit = 4 << 20
    private static let listeningState = "0A"

    private struct Socket {
        var address: String
        var port: Int
        var inode: UInt64
    }

    /// Who listens on TCP: `{"listeners": [{"address", "port", "pid", "tag"}]}`.
    ///
    /// In the host's own namespaces only the sockets of processes started here are told.
    func listeners() -> JSONValue {
        let sockets = Self.sockets("/proc/net/tcp") + Self.sockets("/proc/net/tcp6")
        let all = Dictionary(SystemProcess.all().map { ($0.pid, $0) }) { first, _ in first }
        var holders: [UInt64: (pid: pid_t, owner: ManagedProcess?)] = [:]
        let wanted = Set(sockets.map(\.inode))
        for process in all.values.sorted(by: { $0.pid < $1.pid }) {
            let owner = processes.owner(of: process, among: all)
            if options.allowsHostPaths, owner == nil { continue }
            for inode in process.socketInodes(orAs: options.account == nil ? nil : .root) where wanted.contains(inode) {
                // Of several holders the one that was started here counts, and of those the first.
                if let known = holders[inode], known.owner != nil || owner == nil { continue }
                holders[inode] = (process.pid, owner)
            }
        }
        let found = sockets.filter { !options.allowsHostPaths || holders[$0.inode] != nil }
        return [
            "listeners": .array(
                found.map { socket in
                    let holder = holders[socket.inode]
                    return [
                        "address": .string(socket.address), "port": .integer(Int64(socket.port)),
                        "pid": holder.map { .integer(Int64($0.pid)) } ?? .null,
                        "tag": holder?.owner?.request.tag.map { .string($0) } ?? .null,
                    ]
                })
        ]
    }

    private static func sockets(_ path: String) -> [Socket] {
        guard let table = readText(path, limit: tableLimit) else { return [] }
        return table.split(separator: "\n").dropFirst().compactMap { line in
            let fields = line.split(separator: " ")
            guard fields.count > 9, fields[3] == listeningState, let inode = UInt64(fields[9]) else { return nil }
            let parts = fields[1].split(separator: ":")
            guard parts.count == 2, let port = Int(parts[1], radix: 16), let address = address(parts[0]) else {
                return nil
            }
            return Socket(address: address, port: port, inode: inode)
        }
    }

    /// The kernel prints an address as 32-bit words in the machine's byte order.
    private static func address(_ text: Substring) -> String? {
        var words: [UInt32] = []
        var rest = text
        while rest.count >= 8 {
            guard let word = UInt32(rest.prefix(8), radix: 16) else { return nil }
            words.append(word)
            rest = rest.dropFirst(8)
        }
        guard rest.isEmpty, words.count == 1 || words.count == 4 else { return nil }
        var output = [CChar](repeating: 0, count: Int(INET6_ADDRSTRLEN))
        let family = words.count == 1 ? AF_INET : AF_INET6
        guard inet_ntop(family, words, &output, socklen_t(output.count)) != nil else { return nil }
        return output.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } }
    }
}
