import BerthTestSupport
import CurlClient
import DeploymentCore
import Foundation
import Sandboxes
import Testing

@testable import Commands

@Suite struct CopyTests {
    /// What can be told of a file or folder after a copy.
    private func facts(of folder: String) throws -> [String: String] {
        var facts: [String: String] = [:]
        let files = FileManager.default
        for path in try files.subpathsOfDirectory(atPath: folder) {
            let full = "\(folder)/\(path)"
            if let target = try? files.destinationOfSymbolicLink(atPath: full) {
                facts[path] = "link to \(target)"
            } else if let data = files.contents(atPath: full) {
                facts[path] = "\(files.isExecutableFile(atPath: full)) \(data.count) \(data.hashValue)"
            } else {
                facts[path] = "folder"
            }
        }
        return facts
    }

    private func makeTree(_ cli: CLI) throws {
        let files = FileManager.default
        try cli.write("box/a", "a\n")
        try cli.write("box/none", "")
        try cli.write("box/with space & ünï%code", "x")
        let tool = try cli.write("box/tools/run", "#!/bin/sh\necho ran\n")
        try files.setAttributes([.posixPermissions: 0o755], ofItemAtPath: tool)
        try Data((0..<3_000_000).map { UInt8(truncatingIfNeeded: $0 &* 31) }).write(
            to: URL(filePath: "\(cli.folder)/box/tools/large"))
        try files.createDirectory(atPath: "\(cli.folder)/box/empty", withIntermediateDirectories: true)
        for (link, target) in [("box/to-a", "a"), ("box/tools/up", "../a"), ("box/to-tools", "tools")] {
            try files.createSymbolicLink(atPath: "\(cli.folder)/\(link)", withDestinationPath: target)
        }
    }

    @Test(arguments: ExecTests.rungs) func foldersComeBackAsTheyWere(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            try makeTree(cli)
            let up = try await cli.succeed("cp", "box", "plain:box")
            #expect(up.stdout == "5 files, 3 folders, 3 links, 3.0 MB\n")
            #expect(try await cli.exec("plain", options: ["-w", ".."], "box/tools/run").status == 127)
            #expect(
                try await cli.exec("plain", "sh", "-c", "../box/tools/run; readlink ../box/to-tools").stdout
                    == "ran\ntools\n")
            try await cli.succeed("cp", "plain:box", "back")
            let facts = try facts(of: "\(cli.folder)/box")
            #expect(try self.facts(of: "\(cli.folder)/back") == facts)
            // Into a folder that exists it goes under its name, and with /. without it; again changes nothing.
            try await cli.succeed("cp", "plain:box", "back")
            #expect(try self.facts(of: "\(cli.folder)/back/box") == facts)
            try FileManager.default.removeItem(atPath: "\(cli.folder)/back/box")
            try await cli.succeed("cp", "plain:box/.", "back")
            #expect(try self.facts(of: "\(cli.folder)/back") == facts)
            try await cli.succeed("cp", "box", "plain:box")
            #expect(try await cli.exec("plain", "cat", "../box/box/a").stdout == "a\n")
        }
    }

    @Test(arguments: ExecTests.rungs) func streamsAndSingleFilesAreCopied(_ rung: Isolation) async throws {
        try await CLI.with(rung) { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            try makeTree(cli)
            let large = "\(cli.folder)/box/tools/large"
            let sent = await cli.finish(try cli.start(["cp", "-", "plain:some/where"], input: large))
            #expect(sent.status == 0, "\(sent.all)")
            let back = try await cli.succeed("cp", "plain:some/where", "-")
            #expect(back.output == FileManager.default.contents(atPath: large))
            #expect(back.stderr == "")
            try await cli.succeed("cp", "plain:some/where", ".", "--quiet")
            #expect(FileManager.default.contentsEqual(atPath: large, andPath: "\(cli.folder)/where"))
            try await cli.succeed("cp", "box/a", "plain:some/")
            #expect(try await cli.succeed("cp", "plain:some/a", "-").stdout == "a\n")
            let json = try JSONValue(
                parsing: try await cli.succeed("cp", "box/a", "plain:b", "--output", "json").stdout)
            #expect(json["files"] == 1)
            #expect(json["bytes"] == 2)
        }
    }

    @Test func whatCannotBeCopiedIsSaid() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            func refusal(_ arguments: String..., status: Int32) async throws -> String {
                let outcome = await cli.finish(try cli.start(["cp"] + arguments))
                #expect(outcome.status == status, "\(outcome.all)")
                return outcome.stderr
            }
            #expect(try await refusal("plain:nothing", ".", status: 1).contains("there is no nothing in the sandbox"))
            #expect(try await refusal("nothing", "plain:x", status: 1).contains("there is no nothing here"))
            #expect(try await refusal("a", "b", status: 2).contains("neither side is in a sandbox"))
            #expect(try await refusal("a:x", "b:y", status: 2).contains("both sides are in a sandbox"))
            #expect(try await refusal("nobody:x", "y", status: 1).contains("no deployment named nobody"))
            #expect(try await refusal("plain:app", "-", status: 2).contains("is no file"))
            #expect(try FileManager.default.contentsOfDirectory(atPath: cli.folder) == ["plain"])
        }
    }

    @Test func interruptedUploadLeavesNothing() async throws {
        try await CLI.with { cli in
            try await cli.succeed("deploy", try PlainApp().write(cli))
            let pipe = "\(cli.folder)/pipe"
            try #require(mkfifo(pipe, 0o600) == 0)
            let writer = try FileHandle(forUpdating: URL(filePath: pipe))
            defer { try? writer.close() }
            let copy = try cli.start(["cp", "-", "plain:half"], input: pipe)
            try writer.write(contentsOf: Data("the first half".utf8))
            let seen = try await cli.exec("plain", "sh", "-c", "until [ -s ../half ]; do :; done; cat ../half")
            #expect(seen.stdout == "the first half")
            copy.signal(SIGINT)
            #expect(await cli.finish(copy).status == 130)
            #expect(try await cli.exec("plain", "sh", "-c", "while [ -e ../half ]; do :; done").status == 0)
        }
    }

    // MARK: a sandbox that lies

    /// Runs `body` with the agent of a sandbox that lists `entries`, whatever folder is asked for.
    private func withLyingAgent(
        _ entries: String, _ body: (_ agent: EnvdClient, _ folder: String) async throws -> Void
    ) async throws {
        let server = try ScriptedHTTPServer { request in
            let common = #""mode": 420, "permissions": "", "owner": "", "group": """#
            switch request.path {
            case "/filesystem.Filesystem/Stat":
                let entry = #"{"name": "box", "type": "FILE_TYPE_DIRECTORY", "path": "/box", \#(common)}"#
                return ScriptedAnswer(200, #"{"entry": \#(entry)}"#)
            case "/filesystem.Filesystem/ListDir":
                let isRoot = String(decoding: request.body, as: UTF8.self).contains(#""/box""#)
                return ScriptedAnswer(
                    200, isRoot ? #"{"entries": [\#(entries.replacing("COMMON", with: common))]}"# : "{}")
            default: return ScriptedAnswer(200, "evil")
            }
        }
        defer { server.close() }
        let curl = CurlClient()
        defer { curl.close() }
        try await withTemporaryFolder { folder in
            let agent = EnvdClient(client: curl, baseURL: server.url, transport: .network(.loopback))
            try await body(agent, folder.dropSlash)
        }
    }

    @Test(arguments: ["..", "../evil", "a/b", "/etc/evil", ".", ""])
    func namesThatLeadOutAreRefused(_ name: String) async throws {
        let entry = #"{"name": "\#(name)", "type": "FILE_TYPE_FILE", "path": "/box/\#(name)", COMMON}"#
        try await withLyingAgent(entry) { agent, folder in
            let report = CopyReport(Progress(isQuiet: true))
            await #expect(throws: BerthError.self) {
                try await CopyDownload(agent: agent, report: report).run("/box", to: "\(folder)/out")
            }
            let paths = try FileManager.default.subpathsOfDirectory(atPath: folder)
            #expect(paths == ["out"])
        }
    }

    @Test func nothingIsWrittenThroughALink() async throws {
        let entries = #"""
            {"name": "door", "type": "FILE_TYPE_DIRECTORY", "path": "/box/door", "symlinkTarget": "/box/../..", COMMON},
            {"name": "out", "type": "FILE_TYPE_DIRECTORY", "path": "/box/out", "symlinkTarget": "/etc", COMMON},
            {"name": "in", "type": "FILE_TYPE_FILE", "path": "/box/in", "symlinkTarget": "/box/file", COMMON},
            {"name": "in", "type": "FILE_TYPE_DIRECTORY", "path": "/box/in", COMMON},
            {"name": "file", "type": "FILE_TYPE_FILE", "path": "/box/file", COMMON}
            """#
        try await withLyingAgent(entries) { agent, folder in
            let report = CopyReport(Progress(isQuiet: true))
            try await CopyDownload(agent: agent, report: report).run("/box", to: "\(folder)/copy")
            let paths = try FileManager.default.subpathsOfDirectory(atPath: folder).sorted()
            #expect(paths == ["copy", "copy/file", "copy/in"])
            #expect(report.totals.skipped.count == 3)
        }
    }

    @Test func linksInTheDestinationAreNotFollowed() async throws {
        let entry = #"{"name": "inner", "type": "FILE_TYPE_DIRECTORY", "path": "/box/inner", COMMON}"#
        try await withLyingAgent(entry) { agent, folder in
            try FileManager.default.createDirectory(atPath: "\(folder)/copy/box", withIntermediateDirectories: true)
            try FileManager.default.createSymbolicLink(
                atPath: "\(folder)/copy/box/inner", withDestinationPath: "/etc")
            let report = CopyReport(Progress(isQuiet: true))
            await #expect(throws: BerthError.self) {
                try await CopyDownload(agent: agent, report: report).run("/box", to: "\(folder)/copy")
            }
        }
    }

    // MARK: text

    @Test func placesAreReadAsTheyAreMeant() throws {
        #expect(try CopyPlace("-") == .stream)
        #expect(try CopyPlace("iris:/tmp/a:b") == .remote(deployment: "iris", path: "/tmp/a:b"))
        #expect(try CopyPlace("./a:b") == .local("./a:b"))
        #expect(try CopyPlace("/x/a:b") == .local("/x/a:b"))
        for wrong in ["", "iris:", ":x", "Iris:x", "a b:x"] {
            #expect(throws: BerthError.self) { try CopyPlace(wrong) }
        }
    }

    @Test func linksStayBeneathTheirRoot() {
        #expect(PathText.inside("a", from: "") == "a")
        #expect(PathText.inside("../a", from: "b") == "a")
        #expect(PathText.inside("../../a", from: "b") == nil)
        #expect(PathText.inside("b/../../a", from: "") == nil)
        #expect(PathText.inside("/a", from: "") == nil)
        #expect(PathText.link(to: "a", from: "") == "a")
        #expect(PathText.link(to: "a", from: "b/c") == "../../a")
        #expect(PathText.link(to: "b/d", from: "b/c") == "../d")
        #expect(PathText.link(to: "b", from: "b") == "../b")
    }
}
