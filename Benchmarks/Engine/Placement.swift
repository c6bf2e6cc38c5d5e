import Foundation
import Glibc

/// The processes that have this among their variables, as `NAME=value`.
func processes(with variable: String) -> [pid_t] {
    let wanted = Data("\(variable)\0".utf8)
    let names = (try? FileManager.default.contentsOfDirectory(atPath: "/proc")) ?? []
    return names.compactMap { pid_t($0) }.filter { pid in
        (try? Data(contentsOf: URL(filePath: "/proc/\(pid)/environ")))?.firstRange(of: wanted) != nil
    }
}

/// Runs `body` with the calling thread on one processor and the threads of `servers` on another, where there are two.
///
/// Left to themselves, client and server share a processor in one run and not in the next, and an answer takes 0.15 or
/// 0.25 ms, whatever the way between them.
func apart<Result>(from servers: [pid_t], _ body: () throws -> Result) throws -> Result {
    let status = try String(contentsOfFile: "/proc/thread-self/status", encoding: .utf8)
    let thread = try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/thread-self")
    let list = status.firstMatch(of: /Cpus_allowed_list:\s+(\S+)/)?.1 ?? ""
    let processors = list.split { !$0.isNumber }
    guard let client = thread.split(separator: "/").last.flatMap({ pid_t($0) }), processors.count > 1 else {
        return try body()
    }
    defer {
        try? move(client, to: list)
        for server in servers { try? move(server, "--all-tasks", to: list) }
    }
    try move(client, to: processors[0])
    for server in servers { try move(server, "--all-tasks", to: processors[1]) }
    return try body()
}

/// Lets a thread, or all of a process, run on these processors only.
private func move(_ id: pid_t, _ options: String..., to processors: Substring) throws {
    let taskset = Process()
    taskset.executableURL = URL(filePath: "/usr/bin/taskset")
    taskset.arguments = options + ["--cpu-list", "--pid", String(processors), "\(id)"]
    taskset.standardOutput = FileHandle.nullDevice
    try taskset.run()
    taskset.waitUntilExit()
    guard taskset.terminationStatus == 0 else { throw BenchError("\(id) cannot be moved to processor \(processors)") }
}
