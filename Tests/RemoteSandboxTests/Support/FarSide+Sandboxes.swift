import BerthTestSupport
import DeploymentCore
import E2BProtocol
import Foundation

/// The sandbox plane: the agent's calls, and the ports behind the proxy.
extension FarSide {
    func serveSandbox(
        _ id: String, _ request: ScriptedRequest, _ body: [UInt8], _ connection: ScriptedConnection
    ) -> Bool {
        guard let found = sandbox(id), !found.isPaused else {
            return connection.send(Self.refusal(id, 502, "The sandbox was not found"))
        }
        guard request.headers["e2b-sandbox-port"] == "49983" else {
            guard let port = listener else {
                return connection.send(Self.refusal(id, 502, "The sandbox is running but port is not open"))
            }
            guard request.headers["e2b-traffic-access-token"] == "traffic-token" else {
                return connection.send(Self.refusal(id, 403, "missing header e2b-traffic-access-token"))
            }
            port(request, connection)
            return true
        }
        let path = request.path.prefix { $0 != "?" }
        return last(Self.agent(path, request.method), connection)
    }

    private static func agent(_ path: Substring, _ method: String) -> ScriptedAnswer {
        switch path {
        case "/health": return ScriptedAnswer(204)
        case "/files" where method == "POST":
            return json(200, [["path": "/x", "name": "x", "type": "file"]])
        case "/files": return ScriptedAnswer(200, "content")
        case "/process.Process/Start", "/process.Process/Connect":
            let frames =
                frame(0, #"{"event":{"start":{"pid":7}}}"#)
                + frame(0, #"{"event":{"end":{"exited":true,"status":"exit status 0"}}}"#) + frame(2, "{}")
            return ScriptedAnswer(200, headers: [("Content-Type", "application/connect+json")], bytes: frames)
        case "/process.Process/List":
            return json(200, ["processes": []])
        case "/metrics":
            return json(
                200,
                [
                    "ts": 1_000, "cpu_count": 2, "cpu_used_pct": 50.0, "mem_total": 512, "mem_used": 128,
                    "mem_cache": 1, "disk_used": 10, "disk_total": 100,
                ])
        case "/filesystem.Filesystem/ListDir": return json(200, ["entries": []])
        case "/filesystem.Filesystem/Stat", "/filesystem.Filesystem/MakeDir", "/filesystem.Filesystem/Move":
            return json(200, ["entry": entry])
        case "/filesystem.Filesystem/Remove", "/process.Process/SendSignal", "/process.Process/SendInput",
            "/process.Process/CloseStdin":
            return json(200, [:])
        default: return json(404, ["code": 404, "message": "no such path"])
        }
    }

    private static let entry: JSONValue = [
        "name": "x", "type": "FILE_TYPE_FILE", "path": "/home/user/x", "size": "7", "mode": 420,
        "permissions": "-rw-r--r--", "owner": "user", "group": "user", "modifiedTime": "2026-11-21T10:00:00Z",
    ]

    static func refusal(_ id: String, _ status: Int, _ message: String) -> ScriptedAnswer {
        json(status, ["sandboxId": .string(id), "message": .string(message), "code": .integer(Int64(status))])
    }

    private static func frame(_ flag: UInt8, _ text: String) -> [UInt8] {
        let payload = Array(text.utf8)
        let length = UInt32(payload.count)
        return [flag] + [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: length >> $0) } + payload
    }
}
