import BerthTestSupport
import DeploymentCore
import Foundation
import LocalSandbox
import Sandboxes

/// Series of measurements by the name of their figure.
typealias Series = [String: [Double]]

/// Measures one provider.
struct EngineBench {
    /// What a round of the connection path asks.
    static let requests = 300
    static let turns = 12
    static let connections = 16
    static let requestsEach = 60

    let provider: LocalProvider
    let folder: String
    let rounds: Int

    private func specification(_ mounts: [SandboxSpecification.Mount] = []) -> SandboxSpecification {
        let id = "b" + UUID().uuidString.filter { $0 != "-" }.lowercased().prefix(20)
        return SandboxSpecification(
            id: id, labels: SandboxLabels(deployment: "bench", nonce: id, rollout: "bench"), mounts: mounts)
    }

    /// From nothing to an agent that answers, and to the end of `true`; beside it, `true` without a sandbox.
    func creation() async throws -> Series {
        var series: Series = ["create": [], "create and true": [], "true": [], "destroy": []]
        for round in -2..<rounds {
            var one: Series = [:]
            let began = now()
            let sandbox = try await provider.create(specification())
            one["create"] = [now() - began]
            let process = try await sandbox.start(ProcessSpecification(tag: "true", command: ["/usr/bin/true"]))
            for try await _ in process.events {}
            one["create and true"] = [now() - began]
            let ended = now()
            try await provider.destroy(sandbox.id)
            one["destroy"] = [now() - ended]
            one["true"] = [try plainTrue()]
            if round >= 0 { series.merge(one, uniquingKeysWith: +) }  // the first ones find cold files
        }
        return series
    }

    private func plainTrue() throws -> Double {
        let began = now()
        var pid: pid_t = 0
        var arguments: [UnsafeMutablePointer<CChar>?] = [strdup("/usr/bin/true"), nil]
        defer { free(arguments[0]) }
        guard posix_spawn(&pid, "/usr/bin/true", nil, nil, &arguments, environ) == 0 else {
            throw BenchError("/usr/bin/true cannot be started")
        }
        var status: Int32 = 0
        waitpid(pid, &status, 0)
        return now() - began
    }

    /// Requests through the engine against plain loopback, and the return from a pause.
    func serving(
        app: String, body: String, port: Int, mounts: [SandboxSpecification.Mount]
    ) async throws -> Series {
        let head = "POST /predict HTTP/1.1\r\nHost: app\r\nContent-Type: application/json\r\n"
        let request = Array("\(head)Content-Length: \(body.utf8.count)\r\n\r\n\(body)".utf8)
        let place = SandboxSpecification.Mount(source: app, target: "/srv/app")
        let sandbox = try await provider.create(specification(mounts + [place]))
        do {
            try await start(in: sandbox, request)
            let series = port == 0 ? try await pausing(sandbox, request) : try await serving(sandbox, request, port)
            try await provider.destroy(sandbox.id)
            return series
        } catch {
            try await provider.destroy(sandbox.id)
            throw error
        }
    }

    private func start(in sandbox: any Sandbox, _ request: [UInt8]) async throws {
        let variables = [
            "PATH": "/opt/env/bin:/usr/bin:/bin", "PORT": "\(sandbox.port)", "BERTH_REVISION": "bench",
            "BERTH_DEPLOYMENT": "bench", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1",
        ]
        let process = try await sandbox.start(
            ProcessSpecification(
                tag: "app", command: ["/opt/env/bin/python", "launch.py"], environment: variables,
                workingDirectory: "/srv/app"))
        let limit = now() + 60
        while now() < limit {
            // Until the model is loaded it is refused, then answered with a 503.
            if let socket = try? await sandbox.connect(port: sandbox.port),
                (try? Connection(socket, request: request).exchange()) != nil
            {
                return
            }
            try await Task.sleep(for: .milliseconds(20))
        }
        try await process.signal(SIGKILL)
        var said: [UInt8] = []
        for try await event in process.events {
            if case .stderr(let bytes) = event { said += bytes }
        }
        throw BenchError("the app does not answer: \(String(decoding: said.suffix(2000), as: UTF8.self))")
    }

    private func serving(_ sandbox: any Sandbox, _ request: [UInt8], _ port: Int) async throws -> Series {
        var series: Series = [:]
        let ours: () async throws -> Connection = {
            Connection(try await sandbox.connect(port: sandbox.port), request: request)
        }
        let servers = processes(with: "BERTH_SANDBOX=\(sandbox.id)") + processes(with: "PORT=\(port)")
        let plain: () async throws -> Connection = { Connection(try connectLoopback(port), request: request) }
        for round in -1..<rounds {
            let sides = [("engine", ours), ("loopback", plain)]
            let order = round % 2 == 0 ? sides : sides.reversed()
            var single: [(String, Connection)] = []
            for (side, connect) in order { single.append((side, try await connect())) }
            var one = try latencies(single, servers)
            for (side, connect) in order {
                var several: [Connection] = []
                for _ in 0..<Self.connections { several.append(try await connect()) }
                one["\(side): throughput"] = [try throughput(several, requestsEach: Self.requestsEach)]
                let began = now()
                for _ in 0..<10 { try await connect().exchange() }
                one["\(side): new connection"] = [(now() - began) / 10]
            }
            if round >= 0 { series.merge(one, uniquingKeysWith: +) }
        }
        return series
    }

    /// The medians of a request's seconds on one connection of each side, which take turns.
    private func latencies(_ sides: [(String, Connection)], _ servers: [pid_t]) throws -> Series {
        var seconds: Series = [:]
        try apart(from: servers) {
            for _ in 0..<Self.turns {
                for (side, connection) in sides {
                    seconds["\(side): latency", default: []] += try connection.exchanges(Self.requests / Self.turns)
                }
            }
        }
        return seconds.mapValues { [$0.sorted()[$0.count / 2]] }
    }

    /// What a paused server keeps in memory, and how long it takes from the call to its answer.
    private func pausing(_ sandbox: any Sandbox, _ request: [UInt8]) async throws -> Series {
        let before = Double(residentBytes(sandbox.id))
        // The first pause moves everything out; what the answer needs then stays.
        _ = try await pausedOnce(sandbox, request)
        var series: Series = [:]
        for _ in 0..<rounds {
            series.merge(try await pausedOnce(sandbox, request), uniquingKeysWith: +)
            series["memory", default: []].append(before)
        }
        return series
    }

    private func pausedOnce(_ sandbox: any Sandbox, _ request: [UInt8]) async throws -> Series {
        let kept = Connection(try await sandbox.connect(port: sandbox.port), request: request)
        let asleep = now()
        try await sandbox.pause()
        let pause = now() - asleep
        let paused = residentBytes(sandbox.id)
        let began = now()
        try await sandbox.resume()
        try kept.exchange()
        return [
            "pause": [pause], "resume": [now() - began], "memory while paused": [Double(paused)],
        ]
    }

    /// The memory of all processes of a sandbox, engine's included: what is resident, shared pages in each.
    private func residentBytes(_ id: String) -> Int64 {
        processes(with: "BERTH_SANDBOX=\(id)").reduce(0) { sum, pid in
            guard let status = try? String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8),
                let kilobytes = status.firstMatch(of: /VmRSS:\s+(\d+)/).flatMap({ Int64($0.1) })
            else { return sum }
            return sum + kilobytes << 10
        }
    }

    /// How many things are left after many sandboxes came and went, and how long one takes.
    func cycles(_ count: Int) async throws -> Series {
        let before = openDescriptors()
        let ids = (0..<count).map { _ in specification() }
        let began = now()
        for specification in ids {
            try await provider.destroy(try await provider.create(specification).id)
        }
        let seconds = (now() - began) / Double(max(1, count))
        let left = LeakAudit(root: folder, sandboxes: ids.map(\.id)).findings()
        for finding in left { FileHandle.standardError.write(Data("left over: \(finding)\n".utf8)) }
        return [
            "cycle": [seconds], "left over": [Double(left.count)],
            "descriptors more": [Double(max(0, openDescriptors() - before))],
        ]
    }

    private func openDescriptors() -> Int {
        (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
    }
}
