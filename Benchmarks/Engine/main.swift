import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import LocalSandbox
import Sandboxes

/// What the embedded engine costs, without a control plane around it. `sandboxes.py` runs this, and holds the bars.
///
///     engine-bench AGENT FOLDER ROUNDS CYCLES APP BODY PORT MOUNT…
///
/// `APP` is the folder of a rendered app that runs at `PORT` outside a sandbox, too; a `MOUNT` is `source:target`. With
/// port 0 there is no such server, and only pauses are measured, as nobody else then maps the same pages.
/// Prints one JSON object: the series of each figure, in seconds or per second.
let words = CommandLine.arguments.dropFirst().map { $0 }
guard words.count >= 8, let rounds = Int(words[2]), let cycles = Int(words[3]), let port = Int(words[6]) else {
    FileHandle.standardError.write(Data("usage: engine-bench AGENT FOLDER ROUNDS CYCLES APP BODY PORT MOUNT…\n".utf8))
    exit(2)
}
let client = CurlClient()
let bench = EngineBench(
    provider: LocalProvider(folder: words[1], agent: words[0], isolation: .namespaces, client: client),
    folder: words[1], rounds: rounds)
let mounts = words[7...].map { word in
    let parts = word.split(separator: ":", maxSplits: 1).map(String.init)
    return SandboxSpecification.Mount(source: parts[0], target: parts.last ?? "")
}
do {
    var series = try await bench.serving(app: words[4], body: words[5], port: port, mounts: mounts)
    if port != 0 {
        series.merge(try await bench.creation()) { $1 }
        series.merge(try await bench.cycles(cycles)) { $1 }
    }
    client.close()
    print(String(decoding: try JSONEncoder().encode(series), as: UTF8.self))
} catch {
    FileHandle.standardError.write(Data("\(error)\n".utf8))
    exit(1)
}
