import BerthTestSupport
import CurlClient
import DeploymentCore
import DeploymentStore
import E2BProtocol
import Foundation
import Sandboxes
import Testing

@testable import HostedSandboxes

@Suite struct ImageRouteTests {
    private func ask(
        _ client: CurlClient, _ method: String, _ url: String, _ body: JSONValue? = nil
    ) async throws -> (status: Int, json: JSONValue, headers: HTTPHeaders) {
        var request = HTTPRequest(method: method, url: url, transport: .network(.any))
        request.headers.append(("X-API-Key", imageServerKey))
        if let body {
            request.headers.append(("Content-Type", "application/json"))
            request.body = .bytes(body.encoded())
        }
        let reply = try await client.send(request)
        let json = reply.body.isEmpty ? JSONValue.null : try JSONValue(parsing: reply.body)
        return (reply.status, json, reply.headers)
    }

    @Test(needsImageAgent, needsImageNamespaces)
    func snapshotsAndForksOverTheWire() async throws {
        try await withImages { bench in
            let client = CurlClient()
            defer { client.close() }
            let sandbox = try await bench.sandboxes.create(try await ImageBench.base())
            try await withImageServer(bench) { url in
                let taken = try await ask(client, "POST", "\(url)/sandboxes/\(sandbox.id)/snapshots", ["name": "team"])
                #expect(taken.status == 201)
                #expect(taken.json["snapshotID"] == "default/team:default")
                _ = try await ask(client, "POST", "\(url)/sandboxes/\(sandbox.id)/snapshots")
                let page = try await ask(client, "GET", "\(url)/snapshots?limit=1&sandboxID=\(sandbox.id)")
                let next = try #require(page.headers["X-Next-Token"])
                let rest = try await ask(client, "GET", "\(url)/snapshots?limit=1&nextToken=\(next)")
                #expect(rest.json[0]?["snapshotID"] == "default/team:default")
                #expect(rest.headers["X-Next-Token"] == nil)
                let forks = try await ask(client, "POST", "\(url)/sandboxes/\(sandbox.id)/fork", ["count": 2])
                #expect(forks.status == 201)
                #expect(forks.json.array?.compactMap { $0["sandbox"]?["sandboxID"]?.string }.count == 2)
                for (body, code): (JSONValue, Int) in [
                    (["count": 0], 400), (["count": 101], 400), (["timeout": 0], 400),
                ] {
                    let status = try await ask(client, "POST", "\(url)/sandboxes/\(sandbox.id)/fork", body).status
                    #expect(status == code)
                }
                // The id has a slash and a colon: it comes as one escaped part of the path.
                let id = "default%2Fteam%3Adefault"
                #expect(try await ask(client, "DELETE", "\(url)/templates/\(id)").status == 204)
                let again = try await ask(client, "DELETE", "\(url)/templates/\(id)")
                #expect(again.status == 404)
                #expect(again.json["code"] == 404)
                #expect(try await ask(client, "POST", "\(url)/sandboxes/inone/snapshots").status == 404)
            }
        }
    }

    @Test func uploadsNeedTheTokenOfTheirOwnFiles() async throws {
        try await withTemporaryFolder { folder in
            let store = try DeploymentStore(path: "\(folder)/berth.sqlite")
            let images = ImageStore(store: store, folder: "\(folder)/images", builtIn: ["base": ImageBench.base]) { 1 }
            let templates = Templates(
                images: images, files: ArchiveFolder(folder: "\(folder)/files"), sandboxes: NoSandboxes())
            let ticket = try await templates.request(TemplateRequest(name: "t"))
            let (a, b) = (String(repeating: "a", count: 64), String(repeating: "b", count: 64))
            let upload = try await templates.upload(a, of: ticket.template)
            #expect(!upload.isPresent)
            #expect(await templates.mayUpload(a, of: ticket.template, token: upload.token))
            #expect(await !templates.mayUpload(b, of: ticket.template, token: upload.token))
            #expect(await !templates.mayUpload(a, of: "other", token: upload.token))
            #expect(await !templates.mayUpload(a, of: ticket.template, token: ""))
            for (hash, template, code) in [("../x", ticket.template, 400), (a, "nothing", 404)] {
                let failure = await #expect(throws: ControlFailure.self) {
                    try await templates.upload(hash, of: template)
                }
                #expect(failure?.code == code)
            }
            await #expect(throws: BerthError.self) {
                try await templates.files.store(a) { deliver in
                    try deliver([1])
                    throw BerthError(.interrupted, "the client went away")
                }
            }
            #expect(try FileManager.default.contentsOfDirectory(atPath: "\(folder)/files").isEmpty)
            await templates.close()
        }
    }
}
