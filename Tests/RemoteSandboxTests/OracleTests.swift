import BerthTestSupport
import CurlClient
import DeploymentCore
import E2BProtocol
import Foundation
import Sandboxes
import Testing

@testable import RemoteSandbox

/// What we send is what the official SDK sends for the same wish, recorded from it in the test itself.
@Suite struct OracleTests {
    /// What of a request counts.
    struct Shape: Equatable, CustomStringConvertible {
        var method: String
        var path: String
        var query: [String: String]
        var headers: [String: String]
        /// JSON as it is understood, frames unpacked; anything else as text.
        var body: String

        var description: String { "\(method) \(path) \(query) \(headers) \(body)" }
    }

    /// Fields that a service may act upon. Others name the client, or negotiate what HTTP negotiates by itself.
    static let fields = [
        "x-api-key", "x-access-token", "e2b-sandbox-id", "e2b-sandbox-port", "content-type", "authorization",
        "connect-protocol-version", "keepalive-ping-interval",
    ]

    static func shapes(_ far: FarSide) -> [String: [Shape]] {
        var shapes: [String: [Shape]] = [:]
        for recorded in far.recorded where !recorded.mark.isEmpty {
            let parts = recorded.request.path.split(separator: "?", maxSplits: 1).map(String.init)
            // A space may be written as a plus in a query.
            let target = recorded.request.path.replacing("+", with: "%20")
            let items = URLComponents(string: target)?.queryItems ?? []
            let headers = recorded.request.headers.filter { fields.contains($0.key) }
            shapes[recorded.mark, default: []].append(
                Shape(
                    method: recorded.request.method, path: parts[0],
                    query: Dictionary(items.map { ($0.name, sorted($0.value ?? "")) }) { $1 }, headers: headers,
                    body: body(recorded)))
        }
        return shapes
    }

    /// Pairs of notes in one order: theirs is that of a dictionary.
    private static func sorted(_ value: String) -> String {
        value.split(separator: "&").sorted().joined(separator: "&")
    }

    private static func body(_ recorded: FarSide.Recorded) -> String {
        var bytes = recorded.body
        if recorded.request.headers["content-type"] == "application/connect+json" { bytes = Array(bytes.dropFirst(5)) }
        guard let json = try? JSONValue(parsing: bytes) else { return String(decoding: bytes, as: UTF8.self) }
        return json.description
    }

    private static let script = #"""
        import os, urllib.request
        from e2b import Sandbox, SandboxQuery, SandboxState
        base = os.environ["E2B_API_URL"]
        def mark(name): urllib.request.urlopen(base + "/mark/" + name).read()
        mark("create"); box = Sandbox.create("base", timeout=120, metadata={"a": "1"}, envs={"B": "2"})
        mark("create-plain"); Sandbox.create()
        mark("create-pausing"); Sandbox.create("team/x:v1", lifecycle={"on_timeout": "pause", "auto_resume": True},
            allow_internet_access=False, network={"allow_public_traffic": False, "deny_out": ["10.0.0.0/8"]})
        mark("connect"); Sandbox.connect(box.sandbox_id, timeout=60)
        mark("timeout"); box.set_timeout(200)
        mark("get"); box.get_info()
        mark("list"); Sandbox.list().next_items()
        mark("list-filter"); Sandbox.list(query=SandboxQuery(metadata={"k": "v 1", "a/b": "c&d=e"},
            state=[SandboxState.RUNNING]), limit=5).next_items()
        mark("metrics"); box.get_metrics()
        mark("network"); box.update_network({"deny_out": ["0.0.0.0/0"]})
        mark("snapshot"); box.create_snapshot(name="snap1")
        mark("snapshots"); Sandbox.list_snapshots(sandbox_id=box.sandbox_id).next_items()
        mark("snapshot-delete"); Sandbox.delete_snapshot("team/snap1:default")
        mark("write"); box.files.write("/home/user/a b.txt", b"bytes", use_octet_stream=True)
        mark("read"); box.files.read("/home/user/a b.txt", format="bytes")
        mark("stat"); box.files.get_info("/home/user/x")
        mark("ls"); box.files.list("/home/user")
        mark("mkdir"); box.files.make_dir("/home/user/new")
        mark("move"); box.files.rename("/home/user/x", "/home/user/y")
        mark("remove"); box.files.remove("/home/user/y")
        mark("start"); box.commands.run("sleep 1", background=True, envs={"V": "1"}, cwd="/tmp", timeout=0)
        mark("start-root"); box.commands.run("id", background=True, user="root", timeout=0)
        mark("processes"); box.commands.list()
        mark("stdin"); box.commands.send_stdin(7, "hello")
        mark("signal"); box.commands.kill(7)
        mark("health"); box.is_running()
        mark("pause"); box.pause()
        mark("kill"); box.kill()
        mark("")
        """#

    private static func ask(_ near: Nearby) async throws {
        let far = near.far
        let client = near.client
        far.mark("create")
        let made = try await client.create(
            SandboxCreation(template: "base", timeout: 120, metadata: ["a": "1"], environment: ["B": "2"]))
        far.mark("create-plain")
        _ = try await client.create(SandboxCreation(template: "base"))
        far.mark("create-pausing")
        _ = try await client.create(
            SandboxCreation(
                template: "team/x:v1", pausesOnTimeout: true, resumesOnTraffic: true, allowsInternet: false,
                network: SandboxNetworkSettings(allowsPublicTraffic: false, denied: ["10.0.0.0/8"])))
        let id = made.sandbox
        far.mark("connect")
        _ = try await client.connect(id, timeout: 60)
        far.mark("timeout")
        try await client.setTimeout(of: id, to: 200)
        far.mark("get")
        _ = try await client.sandbox(id)
        far.mark("list")
        _ = try await client.page(E2BFilter())
        far.mark("list-filter")
        _ = try await client.page(
            E2BFilter(metadata: ["k": "v 1", "a/b": "c&d=e"], states: [.running], limit: 5))
        far.mark("metrics")
        _ = try await client.measurements(of: id)
        far.mark("network")
        try await client.setNetwork(of: id, to: SandboxNetworkSettings(denied: ["0.0.0.0/0"]))
        far.mark("snapshot")
        _ = try await client.createSnapshot(of: id, name: "snap1")
        far.mark("snapshots")
        _ = try await client.snapshots(of: id)
        far.mark("snapshot-delete")
        try await client.deleteSnapshot("team/snap1:default")
        try await use(client.agent(of: made), client.agent(of: made, as: "root"), far)
        far.mark("pause")
        try await client.pause(id)
        far.mark("kill")
        try await client.kill(id)
        far.mark("")
    }

    private static func use(_ agent: EnvdClient, _ root: EnvdClient, _ far: FarSide) async throws {
        far.mark("write")
        try await agent.write(Array("bytes".utf8), to: "/home/user/a b.txt")
        far.mark("read")
        _ = try await agent.read("/home/user/a b.txt", limit: 100)
        far.mark("stat")
        _ = try await agent.stat("/home/user/x")
        far.mark("ls")
        _ = try await agent.list("/home/user")
        far.mark("mkdir")
        try await agent.makeFolder("/home/user/new")
        far.mark("move")
        try await agent.move("/home/user/x", to: "/home/user/y")
        far.mark("remove")
        try await agent.remove("/home/user/y")
        far.mark("start")
        _ = try await agent.start(
            ProcessSpecification(
                tag: "", command: ["/bin/bash", "-l", "-c", "sleep 1"], environment: ["V": "1"],
                workingDirectory: "/tmp"))
        far.mark("start-root")
        _ = try await root.start(ProcessSpecification(tag: "", command: ["/bin/bash", "-l", "-c", "id"]))
        far.mark("processes")
        _ = try await agent.list()
        far.mark("stdin")
        let process = try await agent.start(
            ProcessSpecification(tag: "", command: ["/bin/cat"], keepsInputOpen: true))
        try await process.write(Array("hello".utf8))
        far.mark("signal")
        try await process.signal(9)
        far.mark("health")
        try await agent.checkHealth(timeout: .seconds(5))
    }

    @Test(.officialSDK, .timeLimit(.minutes(5)))
    func weSendWhatTheOfficialClientSends() async throws {
        let theirs = try FarSide()
        defer { theirs.close() }
        let result = try await withCheckedThrowingContinuation { continuation in
            DispatchQueue.global().async {
                continuation.resume(
                    with: Result {
                        try OfficialSDK.run(
                            Self.script,
                            [
                                "E2B_API_KEY": FarSide.key, "E2B_API_URL": theirs.url, "E2B_SANDBOX_URL": theirs.url,
                                "E2B_CONNECTION_RETRIES": "0",
                            ])
                    })
            }
        }
        try #require(result.status == 0, "\(result.output)")
        try await Nearby.with { near in
            try await Self.ask(near)
            var ours = Self.shapes(near.far)
            // A process of ours has to run before its input is written to.
            ours["stdin"]?.removeAll { $0.path == RemoteMethod.processStart.rawValue }
            let expected = Self.shapes(theirs)
            #expect(expected.count >= 24)
            #expect(Set(ours.keys) == Set(expected.keys))
            for (mark, shapes) in expected.sorted(by: { $0.key < $1.key }) {
                #expect(ours[mark] == shapes, "\(mark)")
            }
        }
    }
}
