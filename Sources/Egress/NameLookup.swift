import DeploymentCore
import Foundation
import Glibc

/// Looks names up with getaddrinfo(3), which waits in the kernel, on threads of its own.
final class NameLookup: Sendable {
    /// The most lookups at once, of all sandboxes.
    static let maximumThreads = 16
    /// The most lookups at once of one sandbox: names that nobody answers for must not hold up the others.
    static let maximumOfOneSandbox = 4

    /// Why a name has no address.
    struct Failure: Error { let reason: String }

    private struct Line {
        var running = 0
        var waiting: [Lookup] = []
    }

    /// One question; answered once, or given up.
    private final class Lookup: Sendable {
        private enum State {
            case new
            case asked(CheckedContinuation<[IPAddress], any Error>)
            case done
        }

        let name: String
        private let state = Locked(State.new)

        init(_ name: String) { self.name = name }

        var isDone: Bool {
            state.withLock { if case .done = $0 { true } else { false } }
        }

        /// False when it was given up before.
        func ask(_ continuation: CheckedContinuation<[IPAddress], any Error>) -> Bool {
            state.withLock { state in
                if case .done = state { return false }
                state = .asked(continuation)
                return true
            }
        }

        func finish(_ result: Result<[IPAddress], any Error>) {
            let continuation = state.withLock { state -> CheckedContinuation<[IPAddress], any Error>? in
                defer { state = .done }
                if case .asked(let continuation) = state { return continuation }
                return nil
            }
            continuation?.resume(with: result)
        }
    }

    private let lines = Locked<[String: Line]>([:])
    private let queue: OperationQueue = {
        let queue = OperationQueue()
        queue.name = "berth.names"
        queue.maxConcurrentOperationCount = maximumThreads
        return queue
    }()
    private let resolve: @Sendable (String) throws -> [IPAddress]

    /// - Parameter resolve: asks the system, and may block.
    init(resolve: @escaping @Sendable (String) throws -> [IPAddress] = NameLookup.system) { self.resolve = resolve }

    /// The addresses of a name; a cancelled question leaves its thread behind until the system answers.
    func addresses(of name: String, for sandbox: String) async throws -> [IPAddress] {
        let lookup = Lookup(name)
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                guard lookup.ask(continuation) else { return continuation.resume(throwing: CancellationError()) }
                let runsNow = lines.withLock { lines in
                    guard lines[sandbox, default: Line()].running >= Self.maximumOfOneSandbox else {
                        lines[sandbox, default: Line()].running += 1
                        return true
                    }
                    lines[sandbox]?.waiting.append(lookup)
                    return false
                }
                if runsNow { run(lookup, for: sandbox) }
            }
        } onCancel: {
            lookup.finish(.failure(CancellationError()))
        }
    }

    private func run(_ lookup: Lookup, for sandbox: String) {
        queue.addOperation { [self] in
            if !lookup.isDone { lookup.finish(Result { try resolve(lookup.name) }) }
            let next = lines.withLock { lines -> Lookup? in
                guard var line = lines[sandbox] else { return nil }
                line.waiting.removeAll { $0.isDone }
                let next = line.waiting.isEmpty ? nil : line.waiting.removeFirst()
                if next == nil { line.running -= 1 }
                lines[sandbox] = line.running == 0 ? nil : line
                return next
            }
            if let next { run(next, for: sandbox) }
        }
    }

    private static let system: @Sendable (String) throws -> [IPAddress] = { name in
        var hints = addrinfo()
        hints.ai_socktype = Int32(SOCK_STREAM.rawValue)
        var list: UnsafeMutablePointer<addrinfo>?
        let code = getaddrinfo(name, nil, &hints, &list)
        guard code == 0 else { throw Failure(reason: String(cString: gai_strerror(code)).lowercased()) }
        defer { freeaddrinfo(list) }
        var addresses: [IPAddress] = []
        var entry = list
        while let current = entry?.pointee {
            if let address = IPAddress(current.ai_addr), !addresses.contains(address) { addresses.append(address) }
            entry = current.ai_next
        }
        return addresses
    }
}

extension IPAddress {
    /// The address of a socket address; nil for other families.
    init?(_ address: UnsafePointer<sockaddr>?) {
        guard let address else { return nil }
        let raw = UnsafeRawPointer(address)
        let bytes: [UInt8]
        switch Int32(address.pointee.sa_family) {
        case AF_INET: bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in.self).sin_addr) { Array($0) }
        case AF_INET6: bytes = withUnsafeBytes(of: raw.loadUnaligned(as: sockaddr_in6.self).sin6_addr) { Array($0) }
        default: return nil
        }
        self.init(bytes: bytes)
    }

    /// The addresses of this machine's interfaces; empty when they cannot be told.
    static func own() -> Set<IPAddress> {
        var list: UnsafeMutablePointer<ifaddrs>?
        guard getifaddrs(&list) == 0 else { return [] }
        defer { freeifaddrs(list) }
        var addresses: Set<IPAddress> = []
        var entry = list
        while let current = entry?.pointee {
            if let address = IPAddress(current.ifa_addr) { addresses.insert(address) }
            entry = current.ifa_next
        }
        return addresses
    }
}
